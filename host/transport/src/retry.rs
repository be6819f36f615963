//! What is tried again, and when.

use std::time::{Duration, SystemTime};

use fetchhost_policy::Method;
use http::{
    HeaderMap, StatusCode,
    header::{DATE, RETRY_AFTER},
};

use crate::{ProxyProblem, Settings, Stage, TransportError};

/// Whether a request answered with `status` is worth another try.
///
/// 501 and 505 say that the server will never do it. A request that changes something is repeated
/// only where the status says that it was not carried out.
pub(crate) fn status_is_temporary(status: StatusCode, method: Method) -> bool {
    match status.as_u16() {
        425 | 429 => true,
        501 | 505 => false,
        408 | 500..=599 => is_idempotent(method),
        _ => false,
    }
}

/// Whether a request that failed with `error` is worth another try.
pub(crate) fn error_is_temporary(error: &TransportError, method: Method) -> bool {
    match error {
        TransportError::Timeout {
            stage: Stage::Connecting,
            ..
        } => true,
        TransportError::Resolve { detail, .. } => name_may_be_found_later(detail),
        // Nothing was sent to the origin yet, whatever the method.
        TransportError::Proxy {
            problem: ProxyProblem::Passing,
            ..
        } => true,
        TransportError::Reset { .. }
        | TransportError::Timeout {
            stage: Stage::FirstByte,
            ..
        } => is_idempotent(method),
        _ => false,
    }
}

/// Whether a resolver's `detail` is what those of glibc and musl say when the fault may pass.
pub(crate) fn name_may_be_found_later(detail: &str) -> bool {
    detail.contains("Temporary failure") || detail.contains("Try again")
}

fn is_idempotent(method: Method) -> bool {
    !matches!(method, Method::Post | Method::Patch)
}

/// The pause that an answer asks for, as seconds or as a date. A date is counted from the server's
/// own clock where it gives one.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = httpdate::parse_http_date(text).ok()?;
    let now = headers
        .get(DATE)
        .and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok())
        .unwrap_or_else(SystemTime::now);
    Some(until.duration_since(now).unwrap_or_default())
}

/// The pause after failed attempt number `failed` (1 is the first).
pub(crate) fn backoff(settings: &Settings, failed: u32) -> Duration {
    let doubled = settings.backoff.saturating_mul(
        1_u32
            .checked_shl(failed.saturating_sub(1))
            .unwrap_or(u32::MAX),
    );
    let pause = doubled.min(settings.max_backoff);
    pause.mul_f64(1.0 - rand::random::<f64>() / 4.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(http::HeaderName, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.clone(), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn retry_after_is_read_as_seconds_or_as_a_date_by_the_servers_clock() {
        assert_eq!(
            retry_after(&headers(&[(RETRY_AFTER, " 7 ")])),
            Some(Duration::from_secs(7))
        );
        let dated = headers(&[
            (DATE, "Tue, 03 Mar 2026 10:00:00 GMT"),
            (RETRY_AFTER, "Tue, 03 Mar 2026 10:00:30 GMT"),
        ]);
        assert_eq!(retry_after(&dated), Some(Duration::from_secs(30)));
        let past = headers(&[(RETRY_AFTER, "Sun, 06 Nov 1994 08:49:37 GMT")]);
        assert_eq!(retry_after(&past), Some(Duration::ZERO));
        for nonsense in ["", "-1", "soon", "1.5", "99999999999999999999999"] {
            assert_eq!(
                retry_after(&headers(&[(RETRY_AFTER, nonsense)])),
                None,
                "{nonsense}"
            );
        }
    }

    #[test]
    fn pauses_double_up_to_their_limit_and_never_exceed_it() {
        let settings = Settings {
            backoff: Duration::from_millis(100),
            max_backoff: Duration::from_millis(350),
            ..Settings::default()
        };
        for (failed, most) in [(1, 100), (2, 200), (3, 350), (30, 350), (99, 350)] {
            let pause = backoff(&settings, failed);
            let most = Duration::from_millis(most);
            assert!(
                pause <= most && pause >= most.mul_f64(0.74),
                "{failed}: {pause:?}"
            );
        }
    }

    #[test]
    fn only_what_was_not_carried_out_is_repeated_for_a_post() {
        let temporary =
            |status, method| status_is_temporary(StatusCode::from_u16(status).unwrap(), method);
        for status in [408, 425, 429, 500, 502, 503, 504, 520] {
            assert!(temporary(status, Method::Get), "{status}");
        }
        for status in [200, 302, 400, 401, 403, 404, 410, 416, 501, 505] {
            assert!(!temporary(status, Method::Get), "{status}");
        }
        assert!(temporary(429, Method::Post));
        assert!(!temporary(500, Method::Post));
    }
}
