//! Misbehaviour on demand.

use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::answer::Answer;
use crate::record::headers_of;
use crate::{Content, Side};

/// One way for an origin to misbehave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// 429 `Retry later`: with `Retry-After` in seconds and the `RateLimit-` headers when given, as
    /// GitLab's front answers; without, as its application limits do.
    Throttle {
        /// The value of `Retry-After`.
        retry_after_seconds: Option<u64>,
    },
    /// This status with GitLab's JSON body for it.
    Status(u16),
    /// The right answer, whose connection is closed after so many bytes of body.
    CutAfter(u64),
    /// The right answer, of which nothing more comes after so many bytes of body.
    StallAfter(u64),
    /// No answer at all; the connection stays open.
    Silence,
    /// The right bytes under a wrong `Content-Length`.
    DeclareLength(u64),
    /// Other bytes of the same length: a wrong file.
    WrongContent,
    /// 200 with a login page in HTML instead of what was asked for.
    LoginPage,
    /// 302 to GitLab's own sign-in page.
    SignIn,
    /// 302 to this URL.
    RedirectTo(String),
    /// 200 with all request headers as text: a server that hands the credential back.
    EchoHeaders,
}

/// A fault waiting for its request.
#[derive(Debug)]
pub(crate) struct Scripted {
    pub(crate) side: Side,
    pub(crate) path_prefix: String,
    pub(crate) fault: Fault,
    pub(crate) times: usize,
}

/// Takes the first fault that waits for a request of this path.
pub(crate) fn next(script: &mut [Scripted], side: Side, path: &str) -> Option<Fault> {
    let waiting = script.iter_mut().find(|scripted| {
        scripted.times > 0 && scripted.side == side && path.starts_with(&scripted.path_prefix)
    })?;
    waiting.times = waiting.times.saturating_sub(1);
    Some(waiting.fault.clone())
}

impl Fault {
    /// The answer that this fault gives instead of the right one, if it does not need that.
    pub(crate) fn instead(&self, asked: &HeaderMap) -> Option<Answer> {
        Some(match self {
            Self::Throttle {
                retry_after_seconds,
            } => {
                let mut answer = Answer::text(
                    StatusCode::TOO_MANY_REQUESTS,
                    "text/plain",
                    "Retry later\n".to_owned(),
                );
                let Some(seconds) = retry_after_seconds else {
                    // GitLab's application limits say nothing more.
                    return Some(answer);
                };
                answer
                    .headers
                    .insert(header::RETRY_AFTER, HeaderValue::from(*seconds));
                for (name, value) in [
                    ("ratelimit-limit", "5"),
                    ("ratelimit-name", "throttle_authenticated_api"),
                    ("ratelimit-observed", "6"),
                    ("ratelimit-remaining", "0"),
                    ("ratelimit-reset", "4102444800"),
                    ("ratelimit-resettime", "Fri, 01 Jan 2100 00:00:00 GMT"),
                ] {
                    let value = HeaderValue::from_static(value);
                    answer.headers.insert(name, value);
                }
                answer
            }
            Self::Status(status) => Answer::failure(
                StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            ),
            Self::LoginPage => Answer::text(StatusCode::OK, "text/html; charset=utf-8", {
                "<!DOCTYPE html>\n<html><head><title>Sign in</title></head></html>\n".to_owned()
            }),
            Self::SignIn => Answer::redirect("/users/sign_in"),
            Self::RedirectTo(url) => Answer::redirect(url),
            Self::EchoHeaders => {
                let lines = headers_of(asked).into_iter();
                let text = lines
                    .map(|(name, value)| format!("{name}: {value}\n"))
                    .collect();
                Answer::text(StatusCode::OK, "text/plain", text)
            }
            Self::CutAfter(_)
            | Self::StallAfter(_)
            | Self::Silence
            | Self::DeclareLength(_)
            | Self::WrongContent => return None,
        })
    }
}

/// Sends an answer, spoilt by `fault` if there is one.
pub(crate) fn respond(mut answer: Answer, fault: Option<&Fault>) -> Response {
    if fault == Some(&Fault::WrongContent) {
        answer.content = Content::Bytes(vec![b'?'; answer.content.len() as usize].into());
    }
    let length = answer.part.end - answer.part.start;
    let declared = match fault {
        Some(Fault::DeclareLength(declared)) => *declared,
        _ => length,
    };
    let pieces = answer.content.pieces(answer.part);
    let body = match fault {
        Some(Fault::CutAfter(bytes)) => Body::from_stream(first(pieces, *bytes).chain(cut())),
        Some(Fault::StallAfter(bytes)) => {
            Body::from_stream(first(pieces, *bytes).chain(stream::pending()))
        }
        // Where more was declared than there is, the connection must end for the client to notice.
        _ if declared > length => Body::from_stream(first(pieces, length).chain(cut())),
        _ => Body::from_stream(first(pieces, declared)),
    };
    let mut response = Response::new(body);
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    if answer.is_announced || declared != length {
        response
            .headers_mut()
            .insert(header::CONTENT_LENGTH, HeaderValue::from(declared));
    }
    response
}

type Piece = std::io::Result<Bytes>;

/// The first `bytes` of the pieces.
fn first(pieces: impl Iterator<Item = Bytes>, bytes: u64) -> impl Stream<Item = Piece> {
    let mut left = bytes;
    stream::iter(pieces.map_while(move |piece| {
        let take = left.min(piece.len() as u64);
        left -= take;
        (take > 0).then(|| Ok(piece.slice(..take as usize)))
    }))
}

/// Closes the connection, after what was sent before has left.
fn cut() -> impl Stream<Item = Piece> {
    stream::once(async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        Err(std::io::ErrorKind::ConnectionReset.into())
    })
}
