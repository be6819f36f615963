//! Routes: whose ordinary downloads this program takes over from Nix.
//!
//! **The threat.** A URL in a derivation is written by whoever wrote the expression. One that reads like
//! the route's server to this program and like another one further down would send a request, and perhaps a
//! credential, where nobody meant it to go.
//!
//! **The rule.** A route grants nothing: the grants of its fetcher's module decide as they do for every
//! request. A URL is parsed as strictly as a module's, brought into the form in which it is sent, and that
//! form is what is matched, by the rules of [`origin`](crate::origin) and [`path`](crate::path).
//!
//! | URL | matched as, for `https://gitlab.example.com/**` |
//! |---|---|
//! | `https://gitlab.example.com/a?b=c` | itself; the query is sent and not looked at |
//! | `HTTPS://GitLab.Example.com:443/%61#f` | `https://gitlab.example.com/a` |
//! | `https://gitlab.example.com@evil.example/`, `https://u:p@gitlab.example.com/` | no URL that is taken over |
//! | `https://gitlab.example.com/%2e%2e/a`, `…/a\b` | no URL that is taken over |
//! | `http://gitlab.example.com/`, `https://gitlab.example.com:8443/` | another origin |
//! | `mirror://gnu/x`, `ftp://gitlab.example.com/x`, `gitlab.example.com/x` | no URL that is taken over |

use std::fmt;
use std::str::FromStr;

use crate::path::{NormalPath, PathPattern, PathPatternError};
use crate::{Origin, OriginError, OriginPattern, Provenance, parse_url, printable};

/// What `[[route]]` says: a fixed output whose URL matches is fetched by a fetcher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The URLs.
    pub url: UrlPattern,
    /// The fetcher, by its name. It gets the URL as its parameter `url`.
    pub fetcher: String,
    /// Where it was written.
    pub from: Provenance,
}

/// The origins and paths of URLs, such as `https://gitlab.example.com/group/**`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UrlPattern {
    origin: OriginPattern,
    path: PathPattern,
}

impl UrlPattern {
    /// Whether it stands for `url`.
    #[must_use]
    pub fn matches(&self, url: &RoutedUrl) -> bool {
        self.origin.matches(&url.origin) && self.path.matches(&url.path)
    }
}

impl fmt::Display for UrlPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin, self.path)
    }
}

impl FromStr for UrlPattern {
    type Err = UrlPatternError;

    fn from_str(text: &str) -> Result<Self, UrlPatternError> {
        let authority = text.find("://").map_or(0, |at| at + "://".len());
        let slash = text[authority..].find('/').map(|at| at + authority);
        let (origin, path) = match slash {
            Some(slash) => text.split_at(slash),
            None => (text, ""),
        };
        let origin = origin.parse()?;
        if path.is_empty() {
            return Err(UrlPatternError::NoPath(printable(text).into_owned()));
        }
        Ok(Self {
            origin,
            path: path.parse()?,
        })
    }
}

/// A text that is no pattern of URLs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlPatternError {
    /// What precedes the path.
    #[error(transparent)]
    Origin(#[from] OriginError),
    /// There is none.
    #[error("`{0}` has no path; write `{0}/**` for all of them")]
    NoPath(String),
    /// What follows the origin.
    #[error(transparent)]
    Path(#[from] PathPatternError),
}

/// A URL in the form that is matched and sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoutedUrl {
    origin: Origin,
    path: NormalPath,
    query: Option<String>,
}

impl RoutedUrl {
    /// Reads a URL; `None` when it is not one that could be taken over, by the table of this module.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let url = parse_url(text).ok()?;
        Some(Self {
            origin: Origin::of_url(&url).ok()?,
            path: NormalPath::of_url(&url).ok()?,
            query: url.query().map(str::to_owned),
        })
    }

    /// Scheme, host and port.
    #[must_use]
    pub const fn origin(&self) -> &Origin {
        &self.origin
    }
}

/// All of it, the query included.
impl fmt::Display for RoutedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin, self.path)?;
        match &self.query {
            Some(query) => write!(f, "?{query}"),
            None => Ok(()),
        }
    }
}
