//! What is sent back.

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use fetchhost_policy::printable;
use futures_util::stream;
use http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, LOCATION, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::accounts::Caller;
use crate::activity::Active;
use crate::cache::Content;
use crate::fetches::Failed;
use crate::metrics::{Metrics, add};

/// Bytes of content that are read at once.
const CHUNK: usize = 256 * 1024;
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
pub(crate) fn archive(nar: Content, metrics: Arc<Metrics>, active: Active) -> Response {
    let mut answer = content(Arc::new(nar), metrics, active);
    answer.headers_mut().insert(CONTENT_TYPE, NAR);
    answer
}

/// The bytes of content, read as they are sent.
pub(crate) fn content(content: Arc<Content>, metrics: Arc<Metrics>, active: Active) -> Response {
    let length = content.length;
    let start = (content, 0, metrics, active);
    let chunks = stream::try_unfold(start, |(content, at, metrics, active)| async move {
        if at >= content.length {
            return Ok::<_, std::io::Error>(None);
        }
        let reader = Arc::clone(&content);
        let read = tokio::task::spawn_blocking(move || reader.read(at, CHUNK)).await;
        let bytes = Bytes::from(read.map_err(std::io::Error::other)??);
        let sent = bytes.len() as u64;
        add(&metrics.bytes_sent, sent);
        Ok(Some((bytes, (content, at + sent, metrics, active))))
    });
    let mut answer = response(StatusCode::OK, BYTES, Body::from_stream(chunks));
    answer
        .headers_mut()
        .insert(CONTENT_LENGTH, HeaderValue::from(length));
    answer
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
