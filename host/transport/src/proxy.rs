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
//! | `http` with a credential, or with a query that is one | refused |
//! | `https` to an IPv6 address | refused: the HTTP client cannot |
//! | with a client certificate, proxy `https://` | refused; see `certificate.rs` |
//!
//! The proxy's user name and password travel in `Proxy-Authorization`, in the `CONNECT` for `https`
//! and beside the request for `http`. The resolver of such connections knows the proxy's name and no
//! other, so nothing but the proxy is ever connected to, and its address is not checked.

use std::{io, net::SocketAddr, sync::Arc};

use fetchhost_credentials::leave_no_core_file;
use fetchhost_policy::{CredentialName, Denial, Origin, Proxy, ProxySource, is_presigned};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::Url;

use crate::connection::{Lookup, LookupError, Passage};

/// A request that the proxy in force for it may not be given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .reason.message(.origin, .proxy))]
pub struct ProxyRefusal {
    /// Where to.
    pub origin: Origin,
    /// The proxy, without its login.
    pub proxy: String,
    /// Where the proxy is named.
    pub named_by: ProxySource,
    /// Why not.
    pub reason: ProxyRefusalReason,
}

/// Why a proxy may not be given a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProxyRefusalReason {
    /// The origin is granted by a wildcard only. With what would name it.
    NotNamed(Denial),
    /// A credential that the proxy could read.
    Readable(CredentialName),
    /// A query that is a credential, which the proxy could read.
    Presigned,
    /// A client certificate that the proxy would be shown.
    Shown(CredentialName),
    /// TLS with an address of IP version 6, to which the HTTP client opens no tunnel.
    Ipv6,
}

impl ProxyRefusalReason {
    fn message(&self, origin: &Origin, proxy: &str) -> String {
        match self {
            Self::NotNamed(_) => format!(
                "`{origin}` is granted by a wildcard, and the proxy `{proxy}` would connect to whatever address its name has"
            ),
            Self::Readable(name) => format!(
                "credential `{name}` for `{origin}` would pass the proxy `{proxy}` unencrypted"
            ),
            Self::Presigned => format!(
                "the query for `{origin}` is a credential and would pass the proxy `{proxy}` unencrypted"
            ),
            Self::Shown(name) => format!(
                "client certificate `{name}` for `{origin}` would be shown to the proxy `{proxy}`"
            ),
            Self::Ipv6 => format!(
                "`{origin}` is an address of IP version 6, and through the proxy `{proxy}` no tunnel is opened to one"
            ),
        }
    }
}

impl ProxyRefusal {
    pub(crate) fn hint(&self) -> String {
        let directly = self.named_by.how_to_except(&self.origin.host());
        match &self.reason {
            ProxyRefusalReason::NotNamed(denial) => match denial.hint() {
                Some(hint) => format!("{hint}\n\nor {directly}"),
                None => directly,
            },
            ProxyRefusalReason::Readable(_) | ProxyRefusalReason::Presigned => {
                format!("use `https`, or {directly}")
            }
            ProxyRefusalReason::Shown(_) => {
                format!("use an `http://` proxy, which tunnels TLS as it is, or {directly}")
            }
            ProxyRefusalReason::Ipv6 => format!("use a name for it, or {directly}"),
        }
    }
}

/// Whether the query of `url` is a credential: whatever a redirect gave is taken for one.
fn is_credential(url: &Url, redirected: bool) -> bool {
    if redirected {
        return url.query().is_some_and(|query| !query.is_empty());
    }
    is_presigned(url)
}

/// Whether the request of `hop` may go through `proxy`: judged before anything is resolved or read.
pub(crate) fn check(
    hop: &Passage<'_>,
    proxy: &Proxy,
    named_by: &ProxySource,
) -> Result<(), Box<ProxyRefusal>> {
    let Passage {
        broker,
        permit,
        foreign,
        redirected,
    } = *hop;
    let origin = permit.origin();
    let is_own = |_: &&CredentialName| !foreign;
    let credential = permit.credential().map(|spec| &spec.name).filter(is_own);
    let certificate = permit.certificate().map(|spec| &spec.name).filter(is_own);
    let reason = if !permit.is_named_exactly() {
        ProxyRefusalReason::NotNamed(broker.refuse_unnamed(permit))
    } else if origin.is_https() {
        match certificate {
            Some(name) if proxy.origin().is_https() => ProxyRefusalReason::Shown(name.clone()),
            _ if origin.ip().is_some_and(|address| address.is_ipv6()) => ProxyRefusalReason::Ipv6,
            _ => return Ok(()),
        }
    } else if let Some(name) = credential {
        ProxyRefusalReason::Readable(name.clone())
    } else if is_credential(permit.url(), redirected) {
        ProxyRefusalReason::Presigned
    } else {
        return Ok(());
    };
    Err(Box::new(ProxyRefusal {
        origin: origin.clone(),
        proxy: proxy.to_string(),
        named_by: named_by.clone(),
        reason,
    }))
}

/// The proxy as the HTTP client wants it: for every request of its pool.
pub(crate) fn configured(proxy: &Proxy) -> reqwest::Result<reqwest::Proxy> {
    let configured = reqwest::Proxy::all(proxy.origin().to_string())?;
    Ok(match proxy.login() {
        Some((user, password)) => {
            leave_no_core_file();
            configured.basic_auth(user, password)
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_that_a_redirect_gave_is_taken_for_a_credential() {
        let credential = |text: &str, redirected| is_credential(&text.parse().unwrap(), redirected);
        assert!(credential("http://a/?sig=x", false));
        assert!(!credential("http://a/?ref=1", false));
        assert!(credential("http://a/?ref=1", true));
        assert!(!credential("http://a/?", true));
    }
}
