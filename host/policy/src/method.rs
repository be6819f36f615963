//! HTTP methods that a fetcher can name.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The methods of the contract; there are no others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// Read.
    Get,
    /// Read without the body.
    Head,
    /// Send a body to be processed.
    Post,
    /// Store a body under the URL.
    Put,
    /// Change what is stored under the URL.
    Patch,
    /// Remove what is stored under the URL.
    Delete,
}

/// A text that names no [`Method`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a method; known are `GET`, `HEAD`, `POST`, `PUT`, `PATCH` and `DELETE`")]
pub struct MethodError(String);

impl Method {
    /// What a grant allows when it names no methods, and all that consent
    /// typed on the command line ever allows.
    pub const READING: [Self; 2] = [Self::Get, Self::Head];

    /// Every method.
    pub const ALL: [Self; 6] = [
        Self::Get,
        Self::Head,
        Self::Post,
        Self::Put,
        Self::Patch,
        Self::Delete,
    ];

    /// The spelling on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }

    /// Whether the method only reads (`GET`, `HEAD`).
    #[must_use]
    pub const fn is_reading(self) -> bool {
        matches!(self, Self::Get | Self::Head)
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Method {
    type Err = MethodError;

    /// Methods are case-sensitive on the wire, so they are here.
    fn from_str(text: &str) -> Result<Self, MethodError> {
        Self::ALL
            .into_iter()
            .find(|method| method.as_str() == text)
            .ok_or_else(|| MethodError(crate::printable(text).into_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_reads_back_from_its_own_spelling() {
        for method in Method::ALL {
            assert_eq!(method.to_string().parse::<Method>().unwrap(), method);
        }
    }

    #[test]
    fn other_spellings_are_refused() {
        for text in ["get", "CONNECT", "TRACE", "", "GET "] {
            assert!(text.parse::<Method>().is_err(), "{text}");
        }
    }
}
