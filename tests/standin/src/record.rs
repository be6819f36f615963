//! What was asked, kept for the tests to look at.

use http::HeaderMap;

/// Which of the two origins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// The origin that plays GitLab.
    Api,
    /// The origin that plays object storage.
    Storage,
}

/// One request as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Where it arrived.
    pub side: Side,
    /// The method, such as `GET`.
    pub method: String,
    /// The path as sent, percent-encoding and all.
    pub path: String,
    /// The query as sent, without its question mark.
    pub query: Option<String>,
    /// All headers in order of arrival, names in lower case.
    pub headers: Vec<(String, String)>,
}

impl Request {
    /// The first value of a header; `name` in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The names of the headers that carry a credential.
    #[must_use]
    pub fn credentials(&self) -> Vec<&str> {
        let names = self.headers.iter().map(|(name, _)| name.as_str());
        names.filter(|name| carries_credential(name)).collect()
    }
}

/// Whether a request header of this name carries a credential somewhere in the world.
///
/// Broader than what GitLab reads: the storage origin uses it to refuse everything that a client
/// may have let slip.
pub(crate) fn carries_credential(name: &str) -> bool {
    const EXACT: &[&str] = &["authorization", "proxy-authorization", "cookie", "cookie2"];
    const PARTS: &[&str] = &[
        "token",
        "secret",
        "api-key",
        "apikey",
        "password",
        "credential",
    ];
    EXACT.contains(&name) || PARTS.iter().any(|part| name.contains(part))
}

pub(crate) fn headers_of(headers: &HeaderMap) -> Vec<(String, String)> {
    let pairs = headers.iter();
    pairs
        .map(|(name, value)| {
            (
                name.as_str().to_owned(),
                String::from_utf8_lossy(value.as_bytes()).into_owned(),
            )
        })
        .collect()
}
