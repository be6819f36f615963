//! Patterns of origins: one exactly, or the subdomains of a name.

use std::fmt;
use std::str::FromStr;

use super::parse::{check_name, read_port, split_protocol};
use super::{Host, Origin, OriginError, Protocol};
use crate::ids::text_form;
use crate::printable;

/// `https://gitlab.com` or `https://*.example.com[:port]`.
///
/// The wildcard stands for one or more labels: `a.example.com` and
/// `a.b.example.com` match, `example.com` does not. It is `https` only, and
/// never says yes to private addresses: both need an origin written exactly.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OriginPattern(Form);

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Form {
    Exact(Origin),
    /// `https` subdomains of `suffix`, which has at least two labels.
    Subdomains {
        suffix: String,
        port: u16,
    },
}

impl OriginPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// When `text` is neither an origin ([`Origin::parse`]) nor
    /// `https://*.NAME[:PORT]`. A bare `*` is refused with what to write.
    pub fn parse(text: &str) -> Result<Self, OriginError> {
        let (protocol, authority) = split_protocol(text)?;
        let Some(rest) = authority.strip_prefix("*.").filter(|rest| !rest.is_empty()) else {
            return Origin::parse(text).map(Self::from);
        };
        let refuse = |reason| OriginError::Pattern {
            text: printable(text).into_owned(),
            reason,
        };
        if protocol == Protocol::Http {
            return Err(refuse("plain `http` is granted to exact origins only"));
        }
        if rest.contains(['/', '?', '#', '@']) {
            return Err(OriginError::MoreThanOrigin(printable(text).into_owned()));
        }
        let (suffix, port) = match rest.split_once(':') {
            None => (rest, protocol.default_port()),
            Some((suffix, digits)) => (
                suffix,
                read_port(digits).ok_or_else(|| OriginError::Port(printable(text).into_owned()))?,
            ),
        };
        check_name(suffix).map_err(refuse)?;
        if !suffix.contains('.') {
            return Err(refuse(
                "a wildcard needs at least two labels after it, as in `https://*.example.com`",
            ));
        }
        // A suffix whose last label is a number would be part of an address.
        let last = suffix.rsplit('.').next().unwrap_or_default();
        if last.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(refuse("a wildcard stands for names, not for addresses"));
        }
        Ok(Self(Form::Subdomains {
            suffix: suffix.to_owned(),
            port,
        }))
    }

    /// Whether `origin` is one that the pattern stands for.
    #[must_use]
    pub fn matches(&self, origin: &Origin) -> bool {
        match &self.0 {
            Form::Exact(exact) => exact == origin,
            Form::Subdomains { suffix, port } => {
                let Host::Name(name) = &origin.host else {
                    return false;
                };
                origin.is_https()
                    && origin.port == *port
                    && name
                        .strip_suffix(suffix.as_str())
                        .and_then(|head| head.strip_suffix('.'))
                        .is_some_and(|head| !head.is_empty())
            }
        }
    }

    /// Whether the pattern names the host of `origin`, whatever its scheme and
    /// port; a wildcard names the host that it stands under too. What is
    /// forbidden is matched like this, and never what is granted.
    #[must_use]
    pub fn names_host_of(&self, origin: &Origin) -> bool {
        match (&self.0, &origin.host) {
            (Form::Exact(exact), host) => exact.host == *host,
            (Form::Subdomains { suffix, .. }, Host::Name(name)) => name
                .strip_suffix(suffix.as_str())
                .is_some_and(|head| head.is_empty() || head.ends_with('.')),
            (Form::Subdomains { .. }, _) => false,
        }
    }

    /// Whether the pattern is one origin written exactly.
    #[must_use]
    pub const fn is_exact(&self) -> bool {
        matches!(self.0, Form::Exact(_))
    }

    /// The origin, when it is written exactly.
    #[must_use]
    pub const fn exact(&self) -> Option<&Origin> {
        match &self.0 {
            Form::Exact(origin) => Some(origin),
            Form::Subdomains { .. } => None,
        }
    }

    /// How exact the pattern is; comparable between patterns that match the
    /// same origin. Two different patterns never tie there: wildcards with as
    /// many labels that match one origin are the same wildcard.
    #[must_use]
    pub(crate) fn exactness(&self) -> usize {
        match &self.0 {
            Form::Exact(_) => usize::MAX,
            Form::Subdomains { suffix, .. } => suffix.split('.').count(),
        }
    }
}

impl From<Origin> for OriginPattern {
    fn from(origin: Origin) -> Self {
        Self(Form::Exact(origin))
    }
}

impl fmt::Display for OriginPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Form::Exact(origin) => origin.fmt(f),
            Form::Subdomains { suffix, port } => {
                write!(f, "https://*.{suffix}")?;
                if *port != Protocol::Https.default_port() {
                    write!(f, ":{port}")?;
                }
                Ok(())
            }
        }
    }
}

impl fmt::Debug for OriginPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for OriginPattern {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        Self::parse(text)
    }
}

text_form!(OriginPattern);
