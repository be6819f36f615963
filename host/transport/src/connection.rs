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
//! Connections are pooled apart for each address rule and for `http` and `https`, so a request never
//! travels over a connection that its own permit would not have opened. The `http` pools are built
//! without certificate roots: loading those costs milliseconds that a loopback fetch has no use for.

use std::{
    collections::HashMap,
    error::Error as StdError,
    fmt, io,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crate::{Settings, TransportError, failure};
use fetchhost_policy::{AddressDenied, AddressRule, Origin, Permit};
use reqwest::{
    Certificate,
    dns::{Addrs, Name, Resolve, Resolving},
    redirect,
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
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct PoolKey {
    tls: bool,
    private: bool,
    metadata: bool,
}

/// The pools of connections, each built when it is first needed.
pub(crate) struct Connections {
    lookup: Arc<dyn Lookup>,
    connect_timeout: Duration,
    user_agent: String,
    ca_bundle: Option<PathBuf>,
    pools: Mutex<HashMap<PoolKey, reqwest::Client>>,
}

impl Connections {
    pub(crate) fn new(settings: &Settings, lookup: Arc<dyn Lookup>) -> Self {
        Self {
            lookup,
            connect_timeout: settings.connect_timeout,
            user_agent: settings.user_agent.clone(),
            ca_bundle: settings.ca_bundle.clone(),
            pools: Mutex::default(),
        }
    }

    /// The pool for `permit`, after the check of a host that is an address itself.
    pub(crate) fn pool_for(&self, permit: &Permit) -> Result<reqwest::Client, TransportError> {
        let rule = permit.addresses();
        check_literal(rule, permit.origin())?;
        let key = PoolKey {
            tls: permit.origin().is_https(),
            private: rule.private,
            metadata: rule.metadata,
        };
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pool) = pools.get(&key) {
            return Ok(pool.clone());
        }
        let pool = self.build(key.tls, rule)?;
        pools.insert(key, pool.clone());
        Ok(pool)
    }

    fn build(&self, tls: bool, rule: AddressRule) -> Result<reqwest::Client, TransportError> {
        let resolver = CheckedLookup {
            lookup: Arc::clone(&self.lookup),
            rule,
        };
        let mut builder = reqwest::Client::builder()
            .user_agent(&self.user_agent)
            .connect_timeout(self.connect_timeout)
            .dns_resolver(resolver)
            .redirect(redirect::Policy::none())
            .referer(false)
            .no_proxy();
        if !tls {
            builder = builder.tls_certs_only([]);
        } else if let Some(bundle) = &self.ca_bundle {
            builder = builder.tls_certs_only(certificates(bundle)?);
        }
        builder.build().map_err(|error| TransportError::Client {
            detail: failure::describe(&error.without_url()),
        })
    }
}

/// The certificates in a PEM file.
fn certificates(bundle: &Path) -> Result<Vec<Certificate>, TransportError> {
    let unusable = |reason: &dyn fmt::Display| TransportError::Client {
        detail: format!("no certificates in `{}`: {reason}", bundle.display()),
    };
    let pem = std::fs::read(bundle).map_err(|error| unusable(&error))?;
    let certificates =
        Certificate::from_pem_bundle(&pem).map_err(|error| unusable(&failure::describe(&error)))?;
    if certificates.is_empty() {
        return Err(unusable(&"it is not a PEM bundle"));
    }
    Ok(certificates)
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
