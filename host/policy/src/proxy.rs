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
//! | `a.example, b.example`, `a.example b.example` | both |
//! | nothing, or only what is no host | nothing |
//!
//! | proxy | verdict |
//! |---|---|
//! | `http://proxy.example.com:3128`, `https://…` | used |
//! | `proxy.example.com:3128` | the same with `http://` |
//! | `http://user:p%40ss@proxy.example.com:3128` | used with user name and password; in `[proxy]` refused |
//! | `socks5://…`, a path, a query, an ambiguous host | refused; the text is not repeated |

use std::ffi::OsString;
use std::fmt;
use std::net::IpAddr;

use url::{Position, Url};

use crate::{Origin, Provenance};

/// The variables that say how a scheme is reached, the first one that is set
/// decides. Nothing says `HTTP_PROXY` to a program that serves requests: a
/// client's `Proxy:` header arrives under that name there.
const HTTPS: [&str; 4] = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
const HTTP: [&str; 4] = ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"];
const EXCEPT: [&str; 2] = ["no_proxy", "NO_PROXY"];
const SERVES_REQUESTS: &str = "REQUEST_METHOD";

/// The proxies in force. The default is none.
///
/// What cannot be used of the environment is kept as that: it matters only to
/// requests that would need it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxies {
    /// For `https`, by `CONNECT`.
    pub https: Result<Option<Proxy>, EnvironmentProxyError>,
    /// For `http`.
    pub http: Result<Option<Proxy>, EnvironmentProxyError>,
    /// What is reached without one.
    pub except: Result<Vec<Exception>, EnvironmentProxyError>,
    /// Who says so.
    pub named_by: ProxySource,
}

impl Default for Proxies {
    fn default() -> Self {
        Self {
            https: Ok(None),
            http: Ok(None),
            except: Ok(Vec::new()),
            named_by: ProxySource::Environment,
        }
    }
}

/// Where proxies are written, and so where an exception from them is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProxySource {
    /// `https_proxy` and its like.
    Environment,
    /// `[proxy]` of a configuration file, which wins over the environment.
    Configuration(Provenance),
}

impl ProxySource {
    /// What to do so that `host` is reached without a proxy.
    #[must_use]
    pub fn how_to_except(&self, host: &str) -> String {
        match self {
            Self::Environment => format!("add `{host}` to `no_proxy` to reach it directly"),
            Self::Configuration(place) => {
                format!("add `\"{host}\"` to `except` of `[proxy]` at {place} to reach it directly")
            }
        }
    }
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
    /// A variable that is not UTF-8.
    #[error("it is not UTF-8")]
    NotText,
    /// Percent-encoding in the userinfo that is no text.
    #[error("its user name or password is not text")]
    Login,
}

/// A variable of the environment that names no usable proxy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the environment variable `{variable}` says nothing usable about proxies: {error}")]
pub struct EnvironmentProxyError {
    /// The variable.
    pub variable: &'static str,
    /// What is wrong with its value.
    pub error: ProxyError,
}

impl Proxies {
    /// The proxies that the environment names. An empty variable for a proxy is
    /// set: it says that there is none. An empty list of exceptions is as good
    /// as unset.
    #[must_use]
    pub fn from_environment(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let serves = variable(SERVES_REQUESTS).is_some();
        let read = |names: &[&'static str]| {
            let set = names
                .iter()
                .filter(|name| !(serves && **name == "HTTP_PROXY"))
                .find_map(|name| variable(name).map(|value| (*name, value)));
            let Some((name, value)) = set else {
                return Ok(None);
            };
            match text(name, value)?.trim() {
                "" => Ok(None),
                proxy => proxy
                    .parse()
                    .map(Some)
                    .map_err(|error| EnvironmentProxyError {
                        variable: name,
                        error,
                    }),
            }
        };
        let except = EXCEPT
            .iter()
            .filter_map(|name| variable(name).map(|value| (*name, value)))
            .find(|(_, value)| !value.is_empty());
        let except = except.map_or_else(|| Ok(String::new()), |(name, value)| text(name, value));
        Self {
            https: read(&HTTPS),
            http: read(&HTTP),
            except: except.map(|list| {
                list.split(|c: char| c == ',' || c.is_whitespace())
                    .filter_map(Exception::parse)
                    .collect()
            }),
            named_by: ProxySource::Environment,
        }
    }

    /// The proxy for requests to `origin`.
    ///
    /// # Errors
    /// When the environment says something about it that cannot be used.
    pub fn for_origin(&self, origin: &Origin) -> Result<Option<&Proxy>, EnvironmentProxyError> {
        let proxy = if origin.is_https() {
            &self.https
        } else {
            &self.http
        };
        if is_this_machine(origin) || matches!(proxy, Ok(None)) {
            return Ok(None);
        }
        let except = self.except.as_ref().map_err(Clone::clone)?;
        if except.iter().any(|except| except.matches(origin)) {
            return Ok(None);
        }
        proxy.as_ref().map(Option::as_ref).map_err(Clone::clone)
    }
}

fn text(variable: &'static str, value: OsString) -> Result<String, EnvironmentProxyError> {
    value.into_string().map_err(|_| EnvironmentProxyError {
        variable,
        error: ProxyError::NotText,
    })
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
            let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
            // What is no host of a URL never matches one.
            let origin = Origin::parse(&format!("https://{name}")).ok()?;
            if origin.ip().is_some() || origin.host() != name {
                return None;
            }
            ExceptHost::Domain(name)
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

    /// Whether it says of `origin` that it is reached directly.
    #[must_use]
    pub fn matches(&self, origin: &Origin) -> bool {
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
