//! Errors as guests see them.

use fetchhost_artifact::ArtifactError;
use fetchhost_transport::{Category, TransportError};

use crate::bindings::nix_fetchhost::fetcher::types::FetchError;
use crate::failure::{ErrorKind, Reported};
use crate::trap::{cut, shown};

/// How much of a guest's message is kept, in characters.
const MESSAGE_CHARS: usize = 4 * 1024;

/// How long the details of a guest's error may be, in bytes.
const DETAILS_BYTES: usize = 16 * 1024;

/// An error for a guest.
pub(crate) fn new(kind: &str, message: impl Into<String>) -> FetchError {
    FetchError {
        kind: kind.to_owned(),
        message: message.into(),
        retry_after_seconds: None,
        details: None,
    }
}

/// `invalid`: the call itself is wrong.
pub(crate) fn invalid(message: impl Into<String>) -> FetchError {
    new("invalid", message)
}

/// `denied`, without a word on what would have been allowed.
pub(crate) fn denied() -> FetchError {
    new("denied", "the user's grants do not allow this request")
}

/// A failed request: what the guest is told.
pub(crate) fn of_transport(error: &TransportError) -> FetchError {
    match error.category() {
        Category::Denied => return denied(),
        Category::Credential => {
            return new(
                "credential",
                "the credential for this request could not be had",
            );
        }
        Category::Module => {
            return new("denied", "a header of this request is for the host to set");
        }
        Category::Network => {}
    }
    let network = |message: &str| new("network", message);
    match error {
        TransportError::RetryLater { status, after, .. } => FetchError {
            retry_after_seconds: Some(u32::try_from(after.as_secs()).unwrap_or(u32::MAX)),
            details: Some(serde_json::json!({ "status": status }).to_string()),
            ..new("rate-limited", "the server asks to wait")
        },
        TransportError::LoginRedirect { .. } => new(
            "unauthorized",
            "the server offers its login page instead of an answer",
        ),
        TransportError::Resolve { .. } => network("the server's name cannot be resolved"),
        TransportError::Connect { .. } => network("the server cannot be connected to"),
        TransportError::Tls { .. } => network("there is no trustworthy connection to the server"),
        TransportError::Timeout { .. } => network("the server took too long"),
        TransportError::TooManyRedirects { .. } | TransportError::BadRedirect { .. } => {
            network("the server's redirects lead nowhere")
        }
        TransportError::Truncated { .. }
        | TransportError::TooLong { .. }
        | TransportError::Changed { .. } => network("the answer broke off"),
        _ => network("the request failed"),
    }
}

/// The kind of an error that [`of_transport`] made, as the guest would hand it on.
pub(crate) fn kind(error: &FetchError) -> ErrorKind {
    ErrorKind::of(&error.kind)
}

/// A temporary file that cannot be written: the host's trouble, which ends the fetch.
pub(crate) fn temporary(error: ArtifactError) -> wasmtime::Error {
    HostTrouble(error.to_string()).into()
}

/// The host could not do its part. The text is for the user, never for the guest.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct HostTrouble(pub(crate) String);

/// A guest's error as the user sees it.
pub(crate) fn reported(error: FetchError) -> Reported {
    let details = error
        .details
        .filter(|details| details.len() <= DETAILS_BYTES)
        .and_then(|details| serde_json::from_str(&details).ok());
    let kind = ErrorKind::of(&error.kind);
    let mut message = cut(error.message.trim(), MESSAGE_CHARS);
    if kind == ErrorKind::Other && message.is_empty() {
        message = format!("the fetcher failed with `{}`", shown(&error.kind));
    }
    let retry_after = error
        .retry_after_seconds
        .map(|s| std::time::Duration::from_secs(s.into()));
    Reported {
        kind,
        message,
        retry_after,
        details,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_failed_request_tells_the_guest_nothing_of_the_host() {
        let error = TransportError::Resolve {
            host: "internal.example".to_owned(),
            detail: "resolver 10.0.0.53 timed out".to_owned(),
        };
        let told = of_transport(&error);
        assert_eq!(told.kind, "network");
        assert!(!told.message.contains("10.0.0.53") && !told.message.contains("internal"));
    }

    #[test]
    fn a_guests_error_is_escaped_and_cut() {
        let error = FetchError {
            kind: "rate-limited".to_owned(),
            message: format!("\x1b[2J{}", "a".repeat(2 * MESSAGE_CHARS)),
            retry_after_seconds: Some(7),
            details: Some("[1]".to_owned()),
        };
        let reported = reported(error);
        assert_eq!(reported.kind, ErrorKind::RateLimited);
        assert!(reported.message.starts_with("\\u{1b}[2J"));
        assert!(reported.message.chars().count() < 2 * MESSAGE_CHARS);
        assert_eq!(reported.retry_after, Some(Duration::from_secs(7)));
        assert_eq!(
            reported.details, None,
            "details that are no object are left out"
        );
    }

    #[test]
    fn a_silent_error_of_an_unknown_kind_shows_its_kind() {
        assert_eq!(
            reported(new("quota", "")).message,
            "the fetcher failed with `quota`"
        );
    }
}
