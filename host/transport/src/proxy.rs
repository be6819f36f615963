//! Whether a request may go through a proxy, and how the connection there is opened.
//!
//! Which proxy is in force for an origin, and why, is `fetchhost_policy::proxy`. Here is what follows
//! for the request:
//!
//! | request | through a proxy |
//! |---|---|
//! | origin granted by a wildcard only | refused: the proxy would look the name up, and its address is checked by nobody |
//! | `https` | `CONNECT`; the proxy sees host and port, TLS is with the origin |
//! | `http` without a credential | sent to the proxy, which can read and change it |
//! | `http` with a credential | refused |
//! | with a client certificate, proxy `https://` | refused; see `certificate.rs` |
//!
//! The proxy's user name and password travel in `Proxy-Authorization`, in the `CONNECT` for `https`
//! and beside the request for `http`. The resolver of such connections knows the proxy's name and no
//! other, so nothing but the proxy is ever connected to, and its address is not checked.

use std::{io, net::SocketAddr, sync::Arc};

use fetchhost_policy::{CredentialName, Origin, Permit, Proxy};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::connection::{Lookup, LookupError};

/// A request that no proxy may be given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProxyRefusal {
    /// The origin is granted by a wildcard only.
    #[error(
        "`{origin}` is granted by a wildcard, and the proxy `{proxy}` would connect to whatever address its name has"
    )]
    NotNamed {
        /// Where to.
        origin: Origin,
        /// The proxy, without its login.
        proxy: String,
    },
    /// A credential that the proxy could read.
    #[error("credential `{credential}` for `{origin}` would pass the proxy `{proxy}` unencrypted")]
    Readable {
        /// Where to.
        origin: Origin,
        /// The proxy, without its login.
        proxy: String,
        /// Which credential.
        credential: CredentialName,
    },
    /// A client certificate that the proxy would be shown.
    #[error(
        "client certificate `{credential}` for `{origin}` would be shown to the proxy `{proxy}`"
    )]
    Shown {
        /// Where to.
        origin: Origin,
        /// The proxy, without its login.
        proxy: String,
        /// Which credential.
        credential: CredentialName,
    },
}

impl ProxyRefusal {
    pub(crate) fn hint(&self) -> String {
        match self {
            Self::NotNamed { origin, .. } => format!(
                "write `{origin}` itself into the grant or `--allow`, or add `{}` to `no_proxy` to reach it directly",
                origin.host()
            ),
            Self::Readable { origin, .. } => format!(
                "use `https`, or add `{}` to `no_proxy` to reach it directly",
                origin.host()
            ),
            Self::Shown { origin, .. } => format!(
                "use an `http://` proxy, which tunnels TLS as it is, or add `{}` to `no_proxy`",
                origin.host()
            ),
        }
    }
}

/// Whether `permit` may go through `proxy`, with or without its credential: judged before anything
/// is resolved or read.
pub(crate) fn check(permit: &Permit, proxy: &Proxy, foreign: bool) -> Result<(), ProxyRefusal> {
    let origin = permit.origin().clone();
    let shown = proxy.to_string();
    if !permit.is_named_exactly() {
        return Err(ProxyRefusal::NotNamed {
            origin,
            proxy: shown,
        });
    }
    if let Some(credential) = permit.credential().filter(|_| !foreign)
        && !origin.is_https()
    {
        return Err(ProxyRefusal::Readable {
            origin,
            proxy: shown,
            credential: credential.name.clone(),
        });
    }
    if let Some(certificate) = permit.certificate().filter(|_| !foreign)
        && proxy.origin().is_https()
    {
        return Err(ProxyRefusal::Shown {
            origin,
            proxy: shown,
            credential: certificate.name.clone(),
        });
    }
    Ok(())
}

/// The proxy as the HTTP client wants it: for every request of its pool.
pub(crate) fn configured(proxy: &Proxy) -> reqwest::Result<reqwest::Proxy> {
    let configured = reqwest::Proxy::all(proxy.origin().to_string())?;
    Ok(match proxy.login() {
        Some((user, password)) => configured.basic_auth(user, password),
        None => configured,
    })
}

/// A resolver that knows the proxy's name and no other.
pub(crate) struct ProxyLookup {
    pub(crate) lookup: Arc<dyn Lookup>,
    pub(crate) host: String,
}

impl Resolve for ProxyLookup {
    fn resolve(&self, name: Name) -> Resolving {
        let lookup = Arc::clone(&self.lookup);
        let host = self.host.clone();
        Box::pin(async move {
            if !name.as_str().eq_ignore_ascii_case(&host) {
                let other = io::Error::other("only the proxy's name is looked up here");
                return Err(LookupError::Failed(other).into());
            }
            let found = lookup.lookup(&host).await.map_err(LookupError::Failed)?;
            let addresses = found.into_iter().map(|address| SocketAddr::new(address, 0));
            Ok(Box::new(addresses) as Addrs)
        })
    }
}
