//! Why a call to the host, or a whole fetch, failed.

use std::fmt;
use std::time::Duration;

use crate::bindings::nix_fetchhost::fetcher::types;

/// Why a call to the host, or a whole fetch, failed.
///
/// The host gives this type to a fetcher and a fetcher gives it to the host, so `?` hands an error on
/// unchanged. Messages are one line: lower case, literals in backticks, no final period, no secrets.
#[derive(Clone)]
pub struct FetchError(types::FetchError);

/// What kind of failure a [`FetchError`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Upstream says that the thing does not exist, or hides it.
    NotFound,
    /// Upstream knows who asks and refuses.
    DeniedUpstream,
    /// Upstream wants a credential, or another one.
    Unauthorized,
    /// Upstream asks to wait; see [`FetchError::retry_after`].
    RateLimited,
    /// Upstream could not be reached or broke off.
    Network,
    /// The parameters are well typed but make no sense.
    BadParams,
    /// The fetcher cannot do what was asked.
    Unsupported,
    /// The user does not allow the request, or the signature. Only the host says this: from a fetcher it reads as
    /// [`Other`](Self::Other).
    Denied,
    /// The credential or the key of a slot could not be had. Only the host says this.
    Credential,
    /// The call to the host itself was wrong (not a URL, an unknown slot, a path leaving the tree).
    Invalid,
    /// A body is longer than the fetcher said it would take.
    TooLarge,
    /// Anything else, and every kind that is newer than this SDK.
    Other,
}

/// The words of the contract. One table, read in both directions.
const KINDS: &[(ErrorKind, &str)] = &[
    (ErrorKind::NotFound, "not-found"),
    (ErrorKind::DeniedUpstream, "denied-upstream"),
    (ErrorKind::Unauthorized, "unauthorized"),
    (ErrorKind::RateLimited, "rate-limited"),
    (ErrorKind::Network, "network"),
    (ErrorKind::BadParams, "bad-params"),
    (ErrorKind::Unsupported, "unsupported"),
    (ErrorKind::Denied, "denied"),
    (ErrorKind::Credential, "credential"),
    (ErrorKind::Invalid, "invalid"),
    (ErrorKind::TooLarge, "too-large"),
    (ErrorKind::Other, "other"),
];

impl ErrorKind {
    fn word(self) -> &'static str {
        KINDS
            .iter()
            .find(|(kind, _)| *kind == self)
            .map_or("other", |(_, word)| word)
    }

    fn of_word(word: &str) -> Self {
        KINDS
            .iter()
            .find(|(_, known)| *known == word)
            .map_or(Self::Other, |(kind, _)| *kind)
    }
}

impl FetchError {
    /// Upstream says that the thing does not exist, or hides it.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotFound, message)
    }

    /// Upstream knows who asks and refuses.
    pub fn denied_upstream(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::DeniedUpstream, message)
    }

    /// Upstream wants a credential, or another one.
    pub fn unauthorized(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unauthorized, message)
    }

    /// Upstream asks to wait, as long as `retry_after` if it says so. Fractions of a second are dropped.
    pub fn rate_limited(message: impl Into<String>, retry_after: Option<Duration>) -> Self {
        let mut error = Self::new(ErrorKind::RateLimited, message);
        error.0.retry_after_seconds =
            retry_after.map(|wait| u32::try_from(wait.as_secs()).unwrap_or(u32::MAX));
        error
    }

    /// Upstream could not be reached or broke off.
    pub fn network(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Network, message)
    }

    /// The parameters are well typed but make no sense. Name them in backticks, as their flags are
    /// spelled but without dashes.
    pub fn bad_params(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::BadParams, message)
    }

    /// The fetcher cannot do what was asked.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unsupported, message)
    }

    /// Anything else.
    pub fn other(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Other, message)
    }

    pub(crate) fn too_large(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::TooLarge, message)
    }

    fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(types::FetchError {
            kind: kind.word().to_owned(),
            message: message.into(),
            retry_after_seconds: None,
            details: None,
        })
    }

    /// Adds facts for programs: a JSON object, at most 16 KiB.
    #[must_use]
    pub fn with_details(mut self, details: &serde_json::Map<String, serde_json::Value>) -> Self {
        self.0.details = serde_json::to_string(details).ok();
        self
    }

    /// What kind of failure this is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::of_word(&self.0.kind)
    }

    /// The line of text for the user.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// How long upstream asks to wait before the next attempt.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0
            .retry_after_seconds
            .map(|seconds| Duration::from_secs(seconds.into()))
    }

    /// The facts for programs, where there are some: a JSON object as text.
    #[must_use]
    pub fn details(&self) -> Option<&str> {
        self.0.details.as_deref()
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0.message)
    }
}

impl fmt::Debug for FetchError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.0.kind, self.0.message)
    }
}

impl std::error::Error for FetchError {}

impl From<types::FetchError> for FetchError {
    fn from(error: types::FetchError) -> Self {
        Self(error)
    }
}

impl From<FetchError> for types::FetchError {
    fn from(error: FetchError) -> Self {
        error.0
    }
}

#[cfg(test)]
mod tests {
    use super::{ErrorKind, FetchError, KINDS, types};
    use std::time::Duration;

    #[test]
    fn every_kind_is_read_as_it_is_written() {
        for (kind, word) in KINDS {
            assert_eq!(kind.word(), *word);
            assert_eq!(ErrorKind::of_word(word), *kind);
        }
    }

    #[test]
    fn a_kind_of_a_newer_host_reads_as_other_and_is_handed_on_unchanged() {
        let from_host = types::FetchError {
            kind: "quota-exceeded".to_owned(),
            message: "no more today".to_owned(),
            retry_after_seconds: Some(60),
            details: Some(r#"{"left":0}"#.to_owned()),
        };
        let error = FetchError::from(from_host);
        assert_eq!(error.kind(), ErrorKind::Other);
        assert_eq!(error.retry_after(), Some(Duration::from_secs(60)));
        let handed_on = types::FetchError::from(error);
        assert_eq!(handed_on.kind, "quota-exceeded");
        assert_eq!(handed_on.details.as_deref(), Some(r#"{"left":0}"#));
    }

    #[test]
    fn a_wait_longer_than_the_contract_can_say_is_capped() {
        let error = FetchError::rate_limited("wait", Some(Duration::MAX));
        assert_eq!(
            error.retry_after(),
            Some(Duration::from_secs(u32::MAX.into()))
        );
    }
}
