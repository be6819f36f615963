//! Searching content for secrets on its way to the destinations.
//!
//! The module has not seen it, but it chose the page, and an output is for everybody to read.
//! `fetchhost_transport::Echo` has the rule and what is searched for.

use bytes::Bytes;
use fetchhost_artifact::BoxError;
use fetchhost_policy::Origin;
use fetchhost_transport::{Echo, Response, SEARCHED_BYTES, TransportError};
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};

/// The body of `response`. Where its origin received a secret, nothing of it comes out before its
/// first [`SEARCHED_BYTES`] were searched: what is made of a part of an echo would fail for a reason
/// that says nothing of it.
pub fn searched(response: Response, echo: Echo) -> BoxStream<'static, Result<Bytes, BoxError>> {
    let origin = response.origin().clone();
    let body = response.into_stream();
    if !echo.went_to(&origin) {
        return body.map(|chunk| chunk.map_err(BoxError::from)).boxed();
    }
    stream::once(begin(body, echo, origin))
        .flatten()
        .map(|chunk| chunk.map_err(BoxError::from))
        .boxed()
}

type Body = BoxStream<'static, Result<Bytes, TransportError>>;

/// Waits for the part that is searched, and gives the whole body if nothing is in it.
async fn begin(mut body: Body, echo: Echo, origin: Origin) -> Body {
    let mut chunks = Vec::new();
    let mut length = 0;
    while length < SEARCHED_BYTES {
        match body.next().await {
            Some(Ok(chunk)) => {
                length += chunk.len();
                chunks.push(Ok(chunk));
            }
            Some(Err(error)) => {
                chunks.push(Err(error));
                break;
            }
            None => break,
        }
    }
    let mut text = Vec::with_capacity(length);
    for chunk in chunks.iter().flatten() {
        text.extend_from_slice(chunk);
    }
    match echo.check(&text, &origin) {
        Ok(()) => stream::iter(chunks).chain(body).boxed(),
        Err(echoed) => stream::iter([Err(echoed.into())]).boxed(),
    }
}
