//! From the HTTP client's errors to ours.
//!
//! The client's errors can hold the whole URL, presigned query included. They are taken apart here
//! and nothing of them is kept but the texts of their causes.

use std::{error::Error as StdError, io, time::Duration};

use fetchhost_policy::{ClientCertificate, Origin, Proxy, ProxySource, printable};

use crate::{
    AuthorityFile, ProxyProblem, Stage, TransportError, connection::LookupError, error::Seconds,
    retry, tls,
};

/// What is known of a connection that failed.
pub(crate) struct Circumstances<'a> {
    pub(crate) origin: &'a Origin,
    pub(crate) proxy: Option<&'a Proxy>,
    /// Where proxies are named.
    pub(crate) proxies_named_by: &'a ProxySource,
    /// What would be shown to a server that asks.
    pub(crate) certificate: Option<&'a ClientCertificate>,
    pub(crate) authorities: &'a [AuthorityFile],
    pub(crate) connect_timeout: Duration,
}

/// The error of a request that got no answer.
pub(crate) fn of_request(error: reqwest::Error, about: &Circumstances<'_>) -> TransportError {
    let error = error.without_url();
    let tls = cause::<rustls::Error>(&error);
    let detail = tls.map_or_else(|| describe(&error), tls::describe);
    let origin = about.origin.clone();
    if let Some(proxy) = about.proxy
        && let Some(problem) = proxy_problem(&error, &origin, &detail)
    {
        let detail = if error.is_timeout() {
            timed_out(Stage::Connecting, about.connect_timeout)
        } else {
            detail
        };
        return TransportError::Proxy {
            proxy: proxy.to_string(),
            origin,
            problem,
            named_by: Box::new(about.proxies_named_by.clone()),
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
    if let Some(tls) = tls {
        let problem = tls::problem(tls);
        return TransportError::Tls {
            origin,
            problem,
            detail,
            hint: tls::hint(problem, about),
        };
    }
    if error.is_connect() {
        if error.is_timeout() {
            return TransportError::Timeout {
                origin,
                stage: Stage::Connecting,
                after: about.connect_timeout,
            };
        }
        return TransportError::Connect { origin, detail };
    }
    if is_broken_connection(&error) {
        return TransportError::Reset { origin, detail };
    }
    TransportError::Protocol { origin, detail }
}

/// What is wrong with the proxy, when a request through it failed before there was a connection to
/// the origin.
fn proxy_problem(error: &reqwest::Error, origin: &Origin, detail: &str) -> Option<ProxyProblem> {
    let tunnel = tunnel_problem(error);
    let tls = cause::<rustls::Error>(error);
    // All that happens before a tunnel is open is an error of the tunnel, but for running out of time;
    // what happens within it is the origin's. Without a tunnel there is the proxy alone.
    if tunnel.is_none() && !(error.is_connect() && (!origin.is_https() || error.is_timeout())) {
        return None;
    }
    Some(if let Some(tls) = tls {
        ProxyProblem::Tls(tls::problem(tls))
    } else if cause::<LookupError>(error).is_some() {
        match retry::name_may_be_found_later(detail) {
            true => ProxyProblem::Passing,
            false => ProxyProblem::Unreachable,
        }
    } else if error.is_timeout() {
        ProxyProblem::Passing
    } else {
        tunnel.unwrap_or(ProxyProblem::Unreachable)
    })
}

/// What the HTTP client says of a tunnel that was not opened. Its type is private; the tests of this
/// crate notice when its texts change.
fn tunnel_problem(error: &reqwest::Error) -> Option<ProxyProblem> {
    let mut current: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = current {
        if let Some(said) = error.to_string().strip_prefix("tunnel error: ") {
            return Some(match said {
                "proxy authorization required" => ProxyProblem::Authorization,
                "failed to create underlying connection" => ProxyProblem::Unreachable,
                _ => ProxyProblem::Passing,
            });
        }
        current = error.source();
    }
    None
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
    // Ended by the server, as opposed to by us for what it sent.
    let ended = cause::<h2::Error>(error)
        .is_some_and(|error| error.is_io() || (error.is_remote() && !error.is_library()));
    closed || ended || cause::<io::Error>(error).is_some()
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
