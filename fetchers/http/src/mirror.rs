//! Trying one place after the other.
//!
//! A place that cannot help now is passed over: it cannot be reached, is not granted, does not have the
//! file, or fails on its own side. Every other answer is one to stop at. A refused credential above all:
//! to go on would hide from the user that it does not work.
//!
//! If no place helps, a denial comes first, because the user can do something about it; the host tells how.
//! Otherwise the first answer is handed to the host, which judges it as it judges every answer in a
//! plan, and names the credential that was sent. A body that breaks off later is resumed where it came
//! from, and not from the next place, which may hold other bytes.

use fetchhost_sdk::{ErrorKind, FetchError, Response, log};
use serde::Deserialize;

use crate::request;

/// The answer of the first place that has the file.
pub(crate) fn first(places: &[&str]) -> Result<Response, FetchError> {
    let mut answered = None;
    let mut failed: Option<FetchError> = None;
    for place in places {
        match request(place)?.send() {
            Ok(answer) if !is_passed_over(answer.status()) => return Ok(answer),
            Ok(answer) => {
                log::warn(format!("`{}` answered {}", answer.url(), answer.status()));
                answered.get_or_insert(answer);
            }
            Err(error) if is_passing(&error) => {
                log::warn(format!("`{}`: {error}", without_query(place)));
                if failed.is_none() || error.kind() == ErrorKind::Denied {
                    failed = Some(error);
                }
            }
            Err(error) => return Err(error),
        }
    }
    match (answered, failed) {
        (_, Some(error)) if error.kind() == ErrorKind::Denied => Err(error),
        (Some(answer), _) => Ok(answer),
        (None, Some(error)) => Err(error),
        (None, None) => Err(FetchError::bad_params("there is no place to try")),
    }
}

/// Whether an answer of this status means that another place may help.
fn is_passed_over(status: u16) -> bool {
    matches!(status, 404 | 410 | 500..=599)
}

/// Whether a request that failed like this means that another place may help.
fn is_passing(error: &FetchError) -> bool {
    match error.kind() {
        ErrorKind::Network | ErrorKind::Denied => true,
        // A server that asks for a longer pause than the host waits; 503 does so, and 429.
        ErrorKind::RateLimited => status_of(error).is_some_and(is_passed_over),
        _ => false,
    }
}

/// The status that the host tells in an error's details.
fn status_of(error: &FetchError) -> Option<u16> {
    #[derive(Deserialize)]
    struct Details {
        status: u16,
    }
    let details: Details = serde_json::from_str(error.details()?).ok()?;
    Some(details.status)
}

/// A presigned query is a credential.
fn without_query(url: &str) -> &str {
    url.split('?').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{is_passed_over, is_passing};
    use fetchhost_sdk::FetchError;

    #[test]
    fn a_place_without_the_file_or_in_trouble_is_passed_over() {
        for status in [404, 410, 500, 502, 503, 599] {
            assert!(is_passed_over(status), "{status}");
        }
        for status in [200, 206, 204, 304, 400, 401, 403, 407, 429, 451] {
            assert!(!is_passed_over(status), "{status}");
        }
    }

    #[test]
    fn a_place_that_cannot_be_reached_is_passed_over_and_a_refused_credential_is_not() {
        assert!(is_passing(&FetchError::network("no route")));
        for error in [
            FetchError::unauthorized("a login page"),
            FetchError::denied_upstream("no"),
            FetchError::bad_params("no URL"),
            FetchError::other("?"),
        ] {
            assert!(!is_passing(&error), "{error}");
        }
    }

    #[test]
    fn a_server_that_wants_a_long_pause_is_passed_over_if_it_is_in_trouble() {
        let asks = |status: u16| {
            let mut details = serde_json::Map::new();
            details.insert("status".to_owned(), status.into());
            FetchError::rate_limited("later", None).with_details(&details)
        };
        assert!(is_passing(&asks(503)));
        assert!(!is_passing(&asks(429)));
        assert!(!is_passing(&FetchError::rate_limited("later", None)));
    }
}
