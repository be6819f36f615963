//! Reading origins and URLs strictly.

use url::Url;

use super::{Host, Origin, Protocol, URL_BYTES};
use crate::printable;

/// The longest host name and label, in characters, as DNS has them.
const HOST_CHARS: usize = 253;
const LABEL_CHARS: usize = 63;

/// A text that is no origin, or no URL that may be asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    /// Not `http` or `https`.
    #[error("`{0}` does not start with `https://` or `http://`")]
    Scheme(String),
    /// A user name or password before the host.
    #[error(
        "user names and passwords do not belong into a URL; `--credential` and `[credential.NAME]` carry them"
    )]
    Userinfo,
    /// An origin with a path, query or fragment.
    #[error("`{0}` is more than an origin: leave out what follows the host and port")]
    MoreThanOrigin(String),
    /// Another spelling than the canonical one.
    #[error("`{text}` is not the canonical spelling; write `{canonical}`")]
    NotCanonical {
        /// What was read.
        text: String,
        /// What to write.
        canonical: String,
    },
    /// A bare or partial wildcard where a pattern cannot have one.
    #[error(
        "`{0}` stands for every server; name one as `https://example.com`, or its subdomains as `https://*.example.com`"
    )]
    BareWildcard(String),
    /// A wildcard where an exact origin is needed.
    #[error("`{0}` has a wildcard where one exact origin is needed, such as `https://example.com`")]
    Wildcard(String),
    /// A wildcard pattern of another form than `https://*.example.com`.
    #[error("`{text}` is not a pattern of origins: {reason}")]
    Pattern {
        /// What was read.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A host that is not a name or address.
    #[error("host `{text}` is refused: {reason}")]
    Host {
        /// The host as read.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Not a port.
    #[error("`{0}` has no usable port; ports go from 1 to 65535")]
    Port(String),
    /// A URL that cannot be read, or that readers read differently.
    #[error("URL `{text}` is refused: {reason}")]
    Url {
        /// The URL without query and userinfo, cut when long.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
}

pub(super) fn origin(text: &str) -> Result<Origin, OriginError> {
    let shown = || printable(text).into_owned();
    let (protocol, authority) = split_protocol(text)?;
    if authority.contains('@') {
        return Err(OriginError::Userinfo);
    }
    if authority.contains('*') {
        let is_bare = matches!(authority, "*" | "*.") || authority.starts_with("*:");
        return Err(if is_bare {
            OriginError::BareWildcard(shown())
        } else {
            OriginError::Wildcard(shown())
        });
    }
    if authority.contains(['/', '?', '#']) {
        return Err(OriginError::MoreThanOrigin(shown()));
    }
    let (typed_host, typed_port) = split_port(authority);
    refuse_odd_host(typed_host)?;
    let port = match typed_port {
        None => protocol.default_port(),
        Some(digits) => read_port(digits).ok_or_else(|| OriginError::Port(shown()))?,
    };
    // The URL parser knows every spelling of a host; ours must be its own.
    let url = Url::parse(&format!("{}://{typed_host}:{port}", protocol.name())).map_err(|_| {
        OriginError::Host {
            text: printable(typed_host).into_owned(),
            reason: "it is neither a name nor an address",
        }
    })?;
    let origin = of_url(&url)?;
    if origin.host() != typed_host {
        return Err(OriginError::NotCanonical {
            text: shown(),
            canonical: origin.to_string(),
        });
    }
    Ok(origin)
}

/// Reads `http://` or `https://`, canonical or not; the latter is an error
/// that knows what to write.
pub(super) fn split_protocol(text: &str) -> Result<(Protocol, &str), OriginError> {
    for protocol in [Protocol::Https, Protocol::Http] {
        let head = protocol.name().len();
        let Some((scheme, rest)) = text.split_at_checked(head) else {
            continue;
        };
        if let Some(authority) = rest.strip_prefix("://") {
            if scheme == protocol.name() {
                return Ok((protocol, authority));
            }
            if scheme.eq_ignore_ascii_case(protocol.name()) {
                return Err(OriginError::NotCanonical {
                    text: printable(text).into_owned(),
                    canonical: printable(&format!("{}{rest}", protocol.name())).into_owned(),
                });
            }
        }
    }
    if text == "*" {
        return Err(OriginError::BareWildcard(text.to_owned()));
    }
    Err(OriginError::Scheme(printable(text).into_owned()))
}

/// Splits off the port; a colon inside brackets belongs to the host.
fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rfind(':') {
        Some(colon) if !authority[colon..].contains(']') => {
            (&authority[..colon], Some(&authority[colon + 1..]))
        }
        _ => (authority, None),
    }
}

/// A port from 1, without leading zeros or signs.
pub(super) fn read_port(digits: &str) -> Option<u16> {
    let plain = digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
    plain.then(|| digits.parse().ok()).flatten()
}

/// Refuses by its own reason what the URL parser would read in silence or
/// refuse without one.
fn refuse_odd_host(host: &str) -> Result<(), OriginError> {
    let reason = if host.is_empty() {
        "it is empty"
    } else if host.contains('%') && host.starts_with('[') {
        "zone ids have no meaning for others"
    } else if host.contains('%') {
        "it is percent-encoded"
    } else if host
        .chars()
        .any(|c| c.is_control() || c.is_whitespace() || c == '\\')
    {
        "it holds blanks, control characters or a backslash"
    } else {
        return Ok(());
    };
    Err(OriginError::Host {
        text: printable(host).into_owned(),
        reason,
    })
}

pub(super) fn of_url(url: &Url) -> Result<Origin, OriginError> {
    let protocol = match url.scheme() {
        "https" => Protocol::Https,
        "http" => Protocol::Http,
        other => {
            return Err(OriginError::Scheme(
                printable(&format!("{other}:")).into_owned(),
            ));
        }
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err(OriginError::Userinfo);
    }
    let refuse = |reason| OriginError::Host {
        text: printable(url.host_str().unwrap_or_default()).into_owned(),
        reason,
    };
    let host = match url.host() {
        None => return Err(refuse("it is empty")),
        Some(url::Host::Ipv4(address)) => Host::V4(address),
        Some(url::Host::Ipv6(address)) => {
            let is_loopback = address.is_loopback() || address.is_unspecified();
            if !is_loopback && (address.to_ipv4_mapped().is_some() || address.to_ipv4().is_some()) {
                return Err(refuse(
                    "it is an IPv4 address inside an IPv6 one; write the IPv4 address",
                ));
            }
            Host::V6(address)
        }
        Some(url::Host::Domain(name)) => {
            check_name(name).map_err(refuse)?;
            Host::Name(name.to_owned())
        }
    };
    let port = url
        .port_or_known_default()
        .filter(|port| *port != 0)
        .ok_or_else(|| {
            OriginError::Port(printable(url.host_str().unwrap_or_default()).into_owned())
        })?;
    Ok(Origin {
        protocol,
        host,
        port,
    })
}

/// Whether `name`, as the URL parser gives it, is a host name of DNS.
pub(super) fn check_name(name: &str) -> Result<(), &'static str> {
    if name.len() > HOST_CHARS {
        return Err("it is longer than 253 characters");
    }
    if name.ends_with('.') {
        return Err("it ends with a dot");
    }
    for label in name.split('.') {
        if label.is_empty() {
            return Err("it has an empty label");
        }
        if label.len() > LABEL_CHARS {
            return Err("a label is longer than 63 characters");
        }
        let plain = label
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_');
        if !plain || label.starts_with('-') || label.ends_with('-') {
            return Err("a label is not made of letters, digits and inner dashes");
        }
    }
    Ok(())
}

/// Reads a URL that a module or a command line names, refusing what readers
/// read differently: the URL parser resolves `..`, turns `\` into `/` and drops
/// tabs and line ends in silence, so that the text would say one thing and the
/// request another.
///
/// # Errors
/// When the text is longer than [`URL_BYTES`], is no absolute `http` or `https`
/// URL, or holds userinfo, blanks at its ends, control characters, a backslash
/// or a path segment that means `.` or `..`.
pub fn parse_url(text: &str) -> Result<Url, OriginError> {
    let refuse = |reason| OriginError::Url {
        text: shown_url(text),
        reason,
    };
    if text.len() > URL_BYTES {
        return Err(refuse("it is longer than 16 KiB"));
    }
    if text.chars().any(char::is_control) || text.trim() != text {
        return Err(refuse("it holds control characters, or blanks at an end"));
    }
    let scheme_end = text.find("://").unwrap_or_default();
    if !["http", "https"]
        .iter()
        .any(|known| text[..scheme_end].eq_ignore_ascii_case(known))
    {
        return Err(OriginError::Scheme(shown_url(text)));
    }
    let before_query = text.split(['?', '#']).next().unwrap_or_default();
    if before_query.contains('\\') {
        return Err(refuse("it holds a backslash"));
    }
    let after_scheme = &before_query[scheme_end + 3..];
    let (authority, path) = match after_scheme.find('/') {
        Some(slash) => after_scheme.split_at(slash),
        None => (after_scheme, ""),
    };
    // The URL parser would take the first path segment for the host.
    if authority.is_empty() {
        return Err(refuse("it names no host"));
    }
    if authority.contains('@') {
        return Err(OriginError::Userinfo);
    }
    if authority.contains('%') {
        return Err(refuse("its host is percent-encoded"));
    }
    if path.split('/').any(crate::path::is_dot_segment) {
        return Err(refuse("its path climbs with `.` or `..`"));
    }
    let url = Url::parse(text).map_err(|_| refuse("it cannot be read"))?;
    of_url(&url)?;
    Ok(url)
}

/// The part of a URL text that may be shown when it could not be parsed.
fn shown_url(text: &str) -> String {
    const SHOWN_CHARS: usize = 200;
    let plain = text.split(['?', '#']).next().unwrap_or_default();
    let plain = match (plain.find("://"), plain.rfind('@')) {
        (Some(scheme), Some(at)) if at > scheme => {
            format!("{}://…{}", &plain[..scheme], &plain[at..])
        }
        _ => plain.to_owned(),
    };
    let cut: String = plain.chars().take(SHOWN_CHARS).collect();
    printable(&cut).into_owned()
}
