//! What is sent back.

use std::io;
use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use fetchhost_policy::printable;
use futures_util::{Stream, StreamExt as _};
use http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, LOCATION, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::accounts::Caller;
use crate::activity::Active;
use crate::cache::{Content, chunks};
use crate::fetches::Failed;
use crate::metrics::{Metrics, add};
use crate::upstream::Opened;

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const BYTES: HeaderValue = HeaderValue::from_static("application/octet-stream");
const NAR: HeaderValue = HeaderValue::from_static("application/x-nix-nar");
const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName =
    HeaderName::from_static("cross-origin-resource-policy");

/// A line of text.
pub(crate) fn text(status: StatusCode, text: &str) -> Response {
    response(status, TEXT, Body::from(format!("{text}\n")))
}

/// On to another URL of ours.
pub(crate) fn redirect(path: &str) -> Response {
    let mut answer = text(StatusCode::FOUND, "the fetch goes on");
    if let Ok(path) = HeaderValue::from_str(path) {
        answer.headers_mut().insert(LOCATION, path);
    }
    answer
}

/// That a fetch failed. All but the owner get the same whatever happened: it must not tell whether the
/// content exists, what its hash is, or what the server said.
pub(crate) fn failure(failed: &Failed, caller: Caller) -> Response {
    let ticket = &failed.ticket;
    let what = match caller {
        Caller::Owner => {
            let lines: Vec<_> = failed.reason.lines().map(printable).collect();
            format!(
                "{}\n\n'nix-fetchhost log {ticket}' shows the whole record",
                lines.join("\n")
            )
        }
        Caller::Daemon | Caller::Stranger => {
            format!("fetch failed; the owner runs 'nix-fetchhost log {ticket}'")
        }
    };
    text(StatusCode::NOT_FOUND, &what)
}

/// A text of a binary cache, as it is.
pub(crate) fn record(kind: &'static str, text: String) -> Response {
    response(
        StatusCode::OK,
        HeaderValue::from_static(kind),
        Body::from(text),
    )
}

/// A NAR, read as it is sent.
pub(crate) fn archive(nar: Opened, metrics: Arc<Metrics>, active: Active) -> Response {
    let body = metered(nar.body, metrics, active);
    let mut answer = response(StatusCode::OK, NAR, Body::from_stream(body));
    if let Some(length) = nar.length {
        answer
            .headers_mut()
            .insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    answer
}

/// The bytes of content, read as they are sent.
pub(crate) fn content(content: Arc<Content>, metrics: Arc<Metrics>, active: Active) -> Response {
    let length = content.length;
    let body = metered(chunks(content), metrics, active);
    let mut answer = response(StatusCode::OK, BYTES, Body::from_stream(body));
    answer
        .headers_mut()
        .insert(CONTENT_LENGTH, HeaderValue::from(length));
    answer
}

/// Counts bytes as they are sent; that counts as something that goes on.
fn metered(
    chunks: impl Stream<Item = io::Result<Bytes>>,
    metrics: Arc<Metrics>,
    active: Active,
) -> impl Stream<Item = io::Result<Bytes>> {
    chunks.inspect(move |chunk| {
        let _active = &active;
        if let Ok(bytes) = chunk {
            add(&metrics.bytes_sent, bytes.len() as u64);
        }
    })
}

fn response(status: StatusCode, kind: HeaderValue, body: Body) -> Response {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    *answer.headers_mut() = HeaderMap::from_iter([
        (CONTENT_TYPE, kind),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (
            CROSS_ORIGIN_RESOURCE_POLICY,
            HeaderValue::from_static("same-origin"),
        ),
    ]);
    answer
}
