//! From the HTTP client's errors to ours.
//!
//! The client's errors can hold the whole URL, presigned query included. They are taken apart here
//! and nothing of them is kept but the texts of their causes.

use std::{error::Error as StdError, io, time::Duration};

use fetchhost_policy::{Origin, Proxy, printable};

use crate::{Stage, TlsProblem, TransportError, connection::LookupError, error::Seconds};

/// The error of a request that got no answer.
pub(crate) fn of_request(
    error: reqwest::Error,
    origin: &Origin,
    proxy: Option<&Proxy>,
    connect_timeout: Duration,
) -> TransportError {
    let error = error.without_url();
    let detail = describe(&error);
    if let Some(proxy) = proxy
        && !error.is_timeout()
        && is_proxys_fault(&error, origin)
    {
        return TransportError::Proxy {
            proxy: proxy.to_string(),
            origin: origin.clone(),
            detail,
        };
    }
    if let Some(lookup) = cause::<LookupError>(&error) {
        let host = origin.host();
        return match lookup {
            LookupError::Denied(denied) => TransportError::Address {
                host,
                denied: *denied,
            },
            LookupError::Failed(_) | LookupError::Nothing => TransportError::Resolve {
                host,
                detail: printable(&lookup.to_string()).into_owned(),
            },
        };
    }
    let origin = origin.clone();
    if let Some(tls) = cause::<rustls::Error>(&error) {
        return TransportError::Tls {
            origin,
            problem: tls_problem(tls),
            detail,
        };
    }
    if error.is_connect() {
        if error.is_timeout() {
            return TransportError::Timeout {
                origin,
                stage: Stage::Connecting,
                after: connect_timeout,
            };
        }
        return TransportError::Connect { origin, detail };
    }
    if is_broken_connection(&error) {
        return TransportError::Reset { origin, detail };
    }
    TransportError::Protocol { origin, detail }
}

/// Whether a request through a proxy failed before there was a connection to the origin.
fn is_proxys_fault(error: &reqwest::Error, origin: &Origin) -> bool {
    // The type is private; the tests of this crate notice when its text changes.
    let mut current: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = current {
        if error.to_string().starts_with("tunnel error: ") {
            return true;
        }
        current = error.source();
    }
    // Without a tunnel any TLS is with the proxy; within one it is with the origin.
    error.is_connect() && (!origin.is_https() || cause::<rustls::Error>(error).is_none())
}

fn tls_problem(error: &rustls::Error) -> TlsProblem {
    use rustls::CertificateError as Wrong;
    match error {
        rustls::Error::InvalidCertificate(wrong) => match wrong {
            // A bad signature: an authority of the same name as a trusted one, with another key.
            Wrong::UnknownIssuer | Wrong::BadSignature => TlsProblem::UnknownAuthority,
            Wrong::Expired
            | Wrong::ExpiredContext { .. }
            | Wrong::NotValidYet
            | Wrong::NotValidYetContext { .. } => TlsProblem::OutOfDate,
            Wrong::NotValidForName | Wrong::NotValidForNameContext { .. } => TlsProblem::OtherHost,
            _ => TlsProblem::Other,
        },
        _ => TlsProblem::Other,
    }
}

/// What broke a body, in words.
pub(crate) fn of_body(error: reqwest::Error) -> String {
    describe(&error.without_url())
}

/// What ran out of time, in words.
pub(crate) fn timed_out(stage: Stage, after: Duration) -> String {
    format!("timed out after {} {stage}", Seconds(after))
}

/// The text of the innermost cause: the ones around it only say that a request failed.
pub(crate) fn describe(error: &reqwest::Error) -> String {
    let mut innermost: &dyn StdError = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    printable(&innermost.to_string()).into_owned()
}

/// Whether the connection went away, as opposed to carrying nonsense.
fn is_broken_connection(error: &reqwest::Error) -> bool {
    let closed = cause::<hyper::Error>(error).is_some_and(|error| {
        error.is_incomplete_message() || error.is_closed() || error.is_canceled()
    });
    closed || cause::<io::Error>(error).is_some()
}

/// The first cause of type `E`, also when it is wrapped in an I/O error.
fn cause<'a, E: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a E> {
    let mut current = Some(error);
    while let Some(error) = current {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        // An I/O error's `source` skips the error that it wraps.
        if let Some(wrapped) = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
        {
            let wrapped: &(dyn StdError + 'static) = wrapped;
            if let Some(found) = cause::<E>(wrapped) {
                return Some(found);
            }
        }
        current = error.source();
    }
    None
}
