//! Origins: scheme, host and port, in one canonical spelling.
//!
//! **The threat.** A host spelt in a way that one reader takes for the granted
//! one and another reader, further down, takes for somewhere else: userinfo
//! that looks like a host, a trailing dot, decimal or octal IPv4, percent
//! encoding, a zone id, an encoded slash.
//!
//! **The rule.** An [`Origin`] is `http` or `https`, a canonical host, and a
//! port that is always known. In configuration and on the command line only
//! the canonical spelling is read; any other one is refused with the spelling
//! to write. What a module or a server names goes through [`parse_url`] or the
//! URL parser first, and [`Origin::of_url`] then refuses what remains
//! ambiguous. Comparison is equality of the three parts.
//!
//! | spelling | read as | or refused because |
//! |---|---|---|
//! | `https://gitlab.com`, `https://gitlab.com:443` | `https://gitlab.com` | |
//! | `http://127.0.0.1:8080`, `https://[::1]:8443` | itself | |
//! | `https://xn--bcher-kva.example` | itself | |
//! | `HTTPS://gitlab.com`, `https://GitLab.com` | | not canonical: small letters |
//! | `https://bücher.example` | | not canonical: `xn--bcher-kva` |
//! | `gitlab.com`, `ftp://gitlab.com`, `//gitlab.com` | | no `http://` or `https://` |
//! | `https://u@gitlab.com`, `https://u:p@gitlab.com` | | userinfo |
//! | `https://gitlab.com/`, `…/a`, `…?q`, `…#f` | | more than an origin |
//! | `https://gitlab.com.` | | trailing dot |
//! | `https://2130706433`, `https://0x7f.1`, `https://127.1`, `https://0177.0.0.1` | | not canonical: `127.0.0.1` |
//! | `https://[0:0::1]`, `https://[::FFFF:1.2.3.4]`, `https://[::1.2.3.4]` | | not canonical, or IPv4 in IPv6 |
//! | `https://[fe80::1%25eth0]` | | zone id |
//! | `https://gitlab%2ecom`, `https://a%2Fb` | | percent-encoding |
//! | `https://a..b`, `https://.a`, a label beyond 63 or a host beyond 253 characters | | no such name |
//! | `https://gitlab.com:0`, `:0443`, `:99999`, `:` | | no such port |
//! | blanks, control characters, `\`, `*` | | not part of a host |

mod parse;
mod pattern;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::Url;

use crate::ids::text_form;

pub use parse::{OriginError, parse_url};
pub use pattern::OriginPattern;

/// The longest URL that is sent, in bytes. Presigned ones have some thousands.
pub const URL_BYTES: usize = 16 * 1024;

/// Scheme, host and explicit port of an HTTP server.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    protocol: Protocol,
    host: Host,
    port: u16,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Protocol {
    Http,
    Https,
}

impl Protocol {
    const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Host {
    /// In small letters and ASCII, labels non-empty, no trailing dot.
    Name(String),
    V4(Ipv4Addr),
    /// Never one that embeds an IPv4 address.
    V6(Ipv6Addr),
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::V4(address) => address.fmt(f),
            Self::V6(address) => write!(f, "[{address}]"),
        }
    }
}

impl Origin {
    /// Reads an origin in its canonical spelling.
    ///
    /// # Errors
    /// When `text` is not an origin, or spells one in another way; the error
    /// then says what to write.
    pub fn parse(text: &str) -> Result<Self, OriginError> {
        parse::origin(text)
    }

    /// The origin of a URL. Path, query and fragment are not looked at.
    ///
    /// # Errors
    /// When the URL is not `http` or `https`, carries userinfo, or its host is
    /// ambiguous by the table of this module.
    pub fn of_url(url: &Url) -> Result<Self, OriginError> {
        parse::of_url(url)
    }

    /// The origin that the value of an origin parameter names: an origin, or a
    /// URL below one, read as strictly as [`parse_url`] does.
    ///
    /// # Errors
    /// As [`parse_url`] and [`Origin::of_url`].
    pub fn of_parameter(value: &str) -> Result<Self, OriginError> {
        Self::of_url(&parse_url(value)?)
    }

    /// `http` or `https`.
    #[must_use]
    pub const fn scheme(&self) -> &'static str {
        self.protocol.name()
    }

    /// Whether the scheme is `https`.
    #[must_use]
    pub const fn is_https(&self) -> bool {
        matches!(self.protocol, Protocol::Https)
    }

    /// The host as in a URL: IPv6 in brackets.
    #[must_use]
    pub fn host(&self) -> String {
        self.host.to_string()
    }

    /// The address, when the host is an IP literal.
    #[must_use]
    pub const fn ip(&self) -> Option<IpAddr> {
        match self.host {
            Host::Name(_) => None,
            Host::V4(address) => Some(IpAddr::V4(address)),
            Host::V6(address) => Some(IpAddr::V6(address)),
        }
    }

    /// The port, also when it is the scheme's own.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.protocol.name(), self.host)?;
        if self.port != self.protocol.default_port() {
            write!(f, ":{}", self.port)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        Self::parse(text)
    }
}

text_form!(Origin);
