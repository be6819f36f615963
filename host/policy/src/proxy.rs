//! Through which proxy a request goes.
//!
//! **The threat.** A proxy resolves names and opens connections in our place,
//! so whatever is checked about addresses is checked by nobody. It reads and
//! changes what is not encrypted. Whoever can name a proxy sees every host
//! that is contacted; and the proxy's own password must reach nobody else.
//!
//! **The rule.** A proxy comes from the user's environment or from `[proxy]`
//! of the configuration, and from nothing else: no module, parameter or server
//! has a say. The proxy's own address is the user's choice and is not checked.
//! Through it go only origins that are written exactly
//! ([`crate::Permit::is_named_exactly`]), `https` inside of a tunnel
//! (`CONNECT`), and `http` without a credential. What means this machine never
//! goes to a proxy: there it would mean another one.
//!
//! | origin | `https_proxy` | `http_proxy` | `all_proxy` |
//! |---|---|---|---|
//! | `https://files.example.com` | through it | – | where the first is unset |
//! | `http://files.example.com` | – | through it | where the second is unset |
//! | any, matched by `no_proxy` | direct | direct | direct |
//! | `localhost`, `127.0.0.0/8`, `[::1]` | direct | direct | direct |
//!
//! | `no_proxy` | matches |
//! |---|---|
//! | `example.com`, `.example.com`, `*.example.com` | `example.com` and every name below it |
//! | `example.com:8443` | the same, on this port only |
//! | `10.1.2.3`, `10.0.0.0/8`, `fd00::/8` | hosts written as such an address; no name is looked up for it |
//! | `*` | everything |
//!
//! | proxy | verdict |
//! |---|---|
//! | `http://proxy.example.com:3128`, `https://…` | used |
//! | `proxy.example.com:3128` | the same with `http://` |
//! | `http://user:p%40ss@proxy.example.com:3128` | used with user name and password |
//! | `socks5://…`, a path, a query, an ambiguous host | refused; the text is not repeated |

use std::fmt;
use std::net::IpAddr;

use url::{Position, Url};

use crate::Origin;

/// The variables that say how a scheme is reached, the first one that is set
/// decides. Nothing says `HTTP_PROXY` to a program that serves requests: a
/// client's `Proxy:` header arrives under that name there.
const HTTPS: [&str; 4] = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
const HTTP: [&str; 4] = ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"];
const EXCEPT: [&str; 2] = ["no_proxy", "NO_PROXY"];
const SERVES_REQUESTS: &str = "REQUEST_METHOD";

/// The proxies in force. The default is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies {
    /// For `https`, by `CONNECT`.
    pub https: Option<Proxy>,
    /// For `http`.
    pub http: Option<Proxy>,
    /// What is reached without one.
    pub except: Vec<Exception>,
}

/// One proxy.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Proxy {
    origin: Origin,
    login: Option<Login>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Login {
    user: String,
    password: String,
}

/// A text that names no usable proxy. The text is not repeated: it may hold a
/// password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProxyError {
    /// Not a URL with a host.
    #[error("it is not a URL such as `http://proxy.example.com:3128`")]
    Form,
    /// SOCKS and the like.
    #[error("only `http://` and `https://` proxies are supported")]
    Scheme,
    /// A host that is refused in any URL.
    #[error("its host or port is not written in the canonical way")]
    Host,
    /// Something after host and port.
    #[error("a proxy's URL ends after its host and port")]
    MoreThanOrigin,
    /// Percent-encoding in the userinfo that is no text.
    #[error("its user name or password is not text")]
    Login,
}

/// A variable of the environment that names no usable proxy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the environment variable `{variable}` names no usable proxy: {error}")]
pub struct EnvironmentProxyError {
    /// The variable.
    pub variable: &'static str,
    /// What is wrong with its value.
    pub error: ProxyError,
}

impl Proxies {
    /// The proxies that the environment names. An empty variable is set: it
    /// says that there is none.
    ///
    /// # Errors
    /// When a variable that decides names no usable proxy.
    pub fn from_environment(
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, EnvironmentProxyError> {
        let serves = variable(SERVES_REQUESTS).is_some();
        let read = |names: &[&'static str]| {
            let set = names
                .iter()
                .filter(|name| !(serves && **name == "HTTP_PROXY"))
                .find_map(|name| variable(name).map(|value| (*name, value)));
            match set {
                Some((name, value)) if !value.trim().is_empty() => value
                    .trim()
                    .parse()
                    .map(Some)
                    .map_err(|error| EnvironmentProxyError {
                        variable: name,
                        error,
                    }),
                _ => Ok(None),
            }
        };
        let except = EXCEPT.iter().find_map(|name| variable(name));
        Ok(Self {
            https: read(&HTTPS)?,
            http: read(&HTTP)?,
            except: except
                .iter()
                .flat_map(|list| list.split(','))
                .filter_map(Exception::parse)
                .collect(),
        })
    }

    /// The proxy for requests to `origin`.
    #[must_use]
    pub fn for_origin(&self, origin: &Origin) -> Option<&Proxy> {
        let proxy = if origin.is_https() {
            &self.https
        } else {
            &self.http
        };
        proxy
            .as_ref()
            .filter(|_| !is_this_machine(origin))
            .filter(|_| !self.except.iter().any(|except| except.matches(origin)))
    }
}

fn is_this_machine(origin: &Origin) -> bool {
    let host = origin.host();
    origin.ip().is_some_and(|address| address.is_loopback())
        || host == "localhost"
        || host.ends_with(".localhost")
}

impl Proxy {
    /// Scheme, host and port of the proxy itself.
    #[must_use]
    pub const fn origin(&self) -> &Origin {
        &self.origin
    }

    /// User name and password for the proxy. They are for nobody else.
    #[must_use]
    pub fn login(&self) -> Option<(&str, &str)> {
        self.login
            .as_ref()
            .map(|login| (login.user.as_str(), login.password.as_str()))
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.origin.fmt(f)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("origin", &self.origin)
            .field("login", &self.login.as_ref().map(|_| "…"))
            .finish()
    }
}

impl std::str::FromStr for Proxy {
    type Err = ProxyError;

    fn from_str(text: &str) -> Result<Self, ProxyError> {
        let url = if text.contains("://") {
            Url::parse(text)
        } else {
            Url::parse(&format!("http://{text}"))
        };
        let url = url.map_err(|_| ProxyError::Form)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(ProxyError::Scheme);
        }
        if !matches!(&url[Position::BeforePath..], "" | "/") {
            return Err(ProxyError::MoreThanOrigin);
        }
        let is_login = !url.username().is_empty() || url.password().is_some();
        let login = if is_login {
            Some(Login {
                user: decoded(url.username()).ok_or(ProxyError::Login)?,
                password: decoded(url.password().unwrap_or_default()).ok_or(ProxyError::Login)?,
            })
        } else {
            None
        };
        let mut bare = url;
        bare.set_username("").map_err(|()| ProxyError::Form)?;
        bare.set_password(None).map_err(|()| ProxyError::Form)?;
        let origin = Origin::of_url(&bare).map_err(|_| ProxyError::Host)?;
        Ok(Self { origin, login })
    }
}

/// Percent-encoding undone; `None` when what it stands for is not text, or
/// would not stay in its header.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        if *first == b'%' {
            let digits = str::from_utf8(rest.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &rest[2..];
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes)
        .ok()
        .filter(|text| !text.chars().any(char::is_control))
}

/// One entry of `no_proxy`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exception {
    host: ExceptHost,
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum ExceptHost {
    Everything,
    /// A name and all below it.
    Domain(String),
    /// Addresses that share their first bits.
    Network(IpAddr, u8),
}

impl Exception {
    /// Reads an entry; `None` when it is empty or matches nothing that there
    /// is. Environments are full of those, and they harm nobody.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Some(host) = Self::network(text) {
            return Some(Self { host, port: None });
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.parse().ok()?)),
            None => (text, None),
        };
        let host = if let Some(network) = Self::network(host) {
            network
        } else if host == "*" {
            ExceptHost::Everything
        } else {
            let name = host.strip_prefix('*').unwrap_or(host);
            let name = name.strip_prefix('.').unwrap_or(name);
            let name = name.strip_suffix('.').unwrap_or(name);
            if name.is_empty() || name.contains(['*', '/', ':', '[']) {
                return None;
            }
            ExceptHost::Domain(name.to_ascii_lowercase())
        };
        Some(Self { host, port })
    }

    /// `10.1.2.3`, `10.0.0.0/8`, `fd00::/8`, `[::1]`.
    fn network(text: &str) -> Option<ExceptHost> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u8>().ok()?)),
            None => (text, None),
        };
        let bare = address
            .strip_prefix('[')
            .and_then(|inner| inner.strip_suffix(']'))
            .unwrap_or(address);
        let address: IpAddr = bare.parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(most);
        (bits <= most).then_some(ExceptHost::Network(address, bits))
    }

    fn matches(&self, origin: &Origin) -> bool {
        let is_host = match &self.host {
            ExceptHost::Everything => true,
            ExceptHost::Domain(name) => {
                let host = origin.host();
                host.strip_suffix(name.as_str())
                    .is_some_and(|before| before.is_empty() || before.ends_with('.'))
            }
            ExceptHost::Network(network, bits) => origin
                .ip()
                .is_some_and(|address| shares_bits(address, *network, *bits)),
        };
        is_host && self.port.is_none_or(|port| port == origin.port())
    }
}

fn shares_bits(address: IpAddr, network: IpAddr, bits: u8) -> bool {
    let differing = match (address, network) {
        (IpAddr::V4(a), IpAddr::V4(b)) => u128::from(a.to_bits() ^ b.to_bits()) << 96,
        (IpAddr::V6(a), IpAddr::V6(b)) => a.to_bits() ^ b.to_bits(),
        _ => return false,
    };
    differing.leading_zeros() >= u32::from(bits)
}

impl fmt::Display for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            ExceptHost::Everything => f.write_str("*")?,
            ExceptHost::Domain(name) => f.write_str(name)?,
            ExceptHost::Network(address, bits) => match (address, self.port) {
                (IpAddr::V6(address), Some(_)) => write!(f, "[{address}]/{bits}")?,
                _ => write!(f, "{address}/{bits}")?,
            },
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

#[cfg(test)]
mod tests;
