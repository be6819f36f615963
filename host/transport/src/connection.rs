//! Which addresses are connected to.
//!
//! **The threat.** The broker permits a *name*; the network connects to an *address*. A name under an
//! attacker's control can lead to `127.0.0.1`, to the router, to the cloud's metadata service, and it
//! can do so on the second lookup after a harmless first one (rebinding).
//!
//! **The rule.** The check sits inside the connector, behind the only lookup there is: the addresses
//! that were checked are the ones that are connected to, and a single refused one refuses the name.
//! There is no second lookup to rebind, and no list of pinned names to fall out of date. Addresses
//! written as the host itself never reach a resolver and are checked before sending.
//!
//! | host | its addresses | verdict |
//! |---|---|---|
//! | `files.example.com` | all public | connect to these |
//! | `files.example.com` | one public, one `10.0.0.1` | refused whole |
//! | `files.example.com` | public, later `127.0.0.1` | connected, later refused |
//! | `127.0.0.1`, `[::1]` | itself | refused, unless the grant names it exactly |
//! | any | `169.254.169.254` and its like | refused, unless `allow-metadata` |
//!
//! Connections are pooled apart for each address rule, proxy and client certificate, and for `http` and
//! `https`, so a request never travels over a connection that its own permit would not have opened. The
//! `http` pools are built without certificate roots: loading those costs milliseconds that a loopback
//! fetch has no use for. Connections to a proxy have rules of their own (`proxy.rs`).

use std::{
    collections::HashMap,
    error::Error as StdError,
    fmt, io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use fetchhost_policy::{
    AddressDenied, AddressRule, Broker, ClientCertificate, Origin, Permit, Proxies, Proxy,
};
use reqwest::{
    dns::{Addrs, Name, Resolve, Resolving},
    redirect,
};

use crate::{
    AuthorityFile, Settings, SetupError, TransportError, authorities, certificate, failure,
    proxy::{self, ProxyLookup},
};

/// Turns a name into addresses. The answer is checked by whoever asks.
pub trait Lookup: Send + Sync + 'static {
    /// All addresses of `host`.
    fn lookup(
        &self,
        host: &str,
    ) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send + '_>>;
}

/// The system's resolver.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemLookup;

impl Lookup for SystemLookup {
    fn lookup(
        &self,
        host: &str,
    ) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send + '_>> {
        let host = host.to_owned();
        Box::pin(async move {
            let found = tokio::net::lookup_host((host, 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}

/// What decides which pool a request belongs to.
#[derive(Clone, PartialEq, Eq, Hash)]
struct PoolKey {
    tls: bool,
    private: bool,
    metadata: bool,
    proxy: Option<Proxy>,
    certificate: Option<ClientCertificate>,
}

/// A request that needs a connection.
#[derive(Clone, Copy)]
pub(crate) struct Passage<'a> {
    pub(crate) broker: &'a Broker,
    pub(crate) permit: &'a Permit,
    /// Some hop changed the origin, so that no credential goes along, whatever the permit says.
    pub(crate) foreign: bool,
    /// Some hop led here.
    pub(crate) redirected: bool,
}

/// A pool of connections, the proxy that they go through, and what they show.
pub(crate) struct Pool {
    pub(crate) http: reqwest::Client,
    pub(crate) proxy: Option<Proxy>,
    pub(crate) certificate: Option<ClientCertificate>,
}

/// The pools of connections, each built when it is first needed.
pub(crate) struct Connections {
    lookup: Arc<dyn Lookup>,
    connect_timeout: Duration,
    user_agent: String,
    authorities: Vec<AuthorityFile>,
    proxies: Proxies,
    pools: Mutex<HashMap<PoolKey, reqwest::Client>>,
}

impl Connections {
    pub(crate) fn new(settings: &Settings, lookup: Arc<dyn Lookup>) -> Self {
        Self {
            lookup,
            connect_timeout: settings.connect_timeout,
            user_agent: settings.user_agent.clone(),
            authorities: settings.authorities.clone(),
            proxies: settings.proxies.clone(),
            pools: Mutex::default(),
        }
    }

    /// The pool for a request, after the checks that need no name: of a host that is an address
    /// itself, and of what a proxy may be given.
    pub(crate) fn pool_for(&self, hop: &Passage<'_>) -> Result<Pool, TransportError> {
        let Passage {
            permit, foreign, ..
        } = *hop;
        let (rule, origin) = (permit.addresses(), permit.origin());
        check_literal(rule, origin)?;
        let proxy = self.proxies.for_origin(origin).map_err(SetupError::from)?;
        if let Some(proxy) = proxy {
            proxy::check(hop, proxy, &self.proxies.named_by)
                .map_err(TransportError::ProxyRefused)?;
        }
        let proxy = proxy.cloned();
        let key = PoolKey {
            tls: origin.is_https()
                || proxy
                    .as_ref()
                    .is_some_and(|proxy| proxy.origin().is_https()),
            private: rule.private,
            metadata: rule.metadata,
            // The broker never permits a certificate anywhere else; a mistake there must not show it.
            certificate: permit
                .certificate()
                .filter(|spec| !foreign && origin.is_https() && spec.is_for(origin))
                .cloned(),
            proxy,
        };
        let (proxy, certificate) = (key.proxy.clone(), key.certificate.clone());
        let known = self.pools().get(&key).cloned();
        let http = match known {
            Some(http) => http,
            // Files are read for it, so nobody else waits meanwhile. Of two that are built at once the
            // first one stays, so that its connections are shared.
            None => {
                let built = self.build(&key, rule)?;
                self.pools().entry(key).or_insert(built).clone()
            }
        };
        Ok(Pool {
            http,
            proxy,
            certificate,
        })
    }

    fn pools(&self) -> MutexGuard<'_, HashMap<PoolKey, reqwest::Client>> {
        self.pools.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The failure of a request that got no answer from `pool`.
    pub(crate) fn failure(
        &self,
        error: reqwest::Error,
        origin: &Origin,
        pool: &Pool,
    ) -> TransportError {
        failure::of_request(
            error,
            &failure::Circumstances {
                origin,
                proxy: pool.proxy.as_ref(),
                certificate: pool.certificate.as_ref(),
                proxies_named_by: &self.proxies.named_by,
                authorities: &self.authorities,
                connect_timeout: self.connect_timeout,
            },
        )
    }

    fn build(&self, key: &PoolKey, rule: AddressRule) -> Result<reqwest::Client, TransportError> {
        let broken = |error: reqwest::Error| TransportError::Client {
            detail: failure::describe(&error.without_url()),
        };
        let lookup = Arc::clone(&self.lookup);
        let mut builder = reqwest::Client::builder()
            .user_agent(&self.user_agent)
            .connect_timeout(self.connect_timeout)
            .redirect(redirect::Policy::none())
            .referer(false)
            // What is tried again is decided in `retry.rs`, and each try is in the journal.
            .retry(reqwest::retry::never())
            // Not the HTTP client's own reading of the environment.
            .no_proxy();
        builder = match &key.proxy {
            None => builder.dns_resolver(CheckedLookup { lookup, rule }),
            Some(proxy) => builder
                .dns_resolver(ProxyLookup {
                    lookup,
                    host: proxy.origin().host(),
                })
                .proxy(proxy::configured(proxy).map_err(broken)?),
        };
        builder = if key.tls {
            authorities::trust(builder, &self.authorities)?
        } else {
            builder.tls_certs_only([])
        };
        let Some(spec) = &key.certificate else {
            return builder.build().map_err(broken);
        };
        builder
            .identity(certificate::identity(spec)?)
            .build()
            .map_err(|error| {
                let problem = certificate::unusable(spec, &error);
                let name = spec.name.clone();
                SetupError::Certificate { name, problem }.into()
            })
    }
}

/// Checks the host of `origin` when it is an address.
fn check_literal(rule: AddressRule, origin: &Origin) -> Result<(), TransportError> {
    let Some(address) = origin.ip() else {
        return Ok(());
    };
    rule.check(address)
        .map_err(|denied| TransportError::Address {
            host: origin.host(),
            denied,
        })
}

/// The resolver inside the connector: asks once, checks everything, returns all or nothing.
struct CheckedLookup {
    lookup: Arc<dyn Lookup>,
    rule: AddressRule,
}

impl Resolve for CheckedLookup {
    fn resolve(&self, name: Name) -> Resolving {
        let lookup = Arc::clone(&self.lookup);
        let rule = self.rule;
        Box::pin(async move {
            let host = name.as_str();
            let found = lookup.lookup(host).await.map_err(LookupError::Failed)?;
            if found.is_empty() {
                return Err(LookupError::Nothing.into());
            }
            for &address in &found {
                rule.check(address).map_err(LookupError::Denied)?;
            }
            // Port 0 stands for the URL's own.
            let addresses = found.into_iter().map(|address| SocketAddr::new(address, 0));
            Ok(Box::new(addresses) as Addrs)
        })
    }
}

/// Why a name led nowhere; found again inside the client's error by `failure.rs`.
#[derive(Debug)]
pub(crate) enum LookupError {
    Denied(AddressDenied),
    Failed(io::Error),
    Nothing,
}

impl fmt::Display for LookupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied(denied) => denied.fmt(f),
            Self::Failed(error) => error.fmt(f),
            Self::Nothing => f.write_str("the name has no address"),
        }
    }
}

impl StdError for LookupError {}
