//! An answer and its body.

use std::fmt;

use bytes::{Buf, Bytes};
use fetchhost_policy::{CredentialName, DisplayUrl, Method, Origin, headers as rules};
use futures_util::stream::{BoxStream, StreamExt, try_unfold};
use http::{
    HeaderMap, StatusCode,
    header::{CONTENT_ENCODING, CONTENT_TYPE},
};
use url::Url;

use crate::{
    Client, NotContinued, Stage, TransportError,
    exchange::{Answer, Request},
    failure,
    resume::{self, Original, Refusal, Rest},
    retry,
};

/// After this many more bytes a body that breaks again starts with all its attempts anew: a long
/// transfer over a bad line may break often, as long as it gets on.
const PROGRESS_BYTES: u64 = 1024 * 1024;

/// The longest name of an encoding that is passed on, and shown.
const ENCODING_BYTES: usize = 16;

/// The answer to a request. Its body comes piece by piece from [`chunk`](Self::chunk), straight from
/// the connection; what is not read is not fetched.
pub struct Response {
    client: Client,
    request: Request,
    status: StatusCode,
    headers: HeaderMap,
    url: Url,
    origin: Origin,
    redirected: bool,
    /// What the body has to be; `None` when the answer has none, as to `HEAD`.
    original: Option<Original>,
    body: Body,
}

/// How far the body has come.
struct Body {
    /// The connection it comes from; `None` at its end and while it is broken.
    source: Option<reqwest::Response>,
    /// Its length, as soon as any answer told it.
    expected: Option<u64>,
    /// Bytes handed to the caller.
    received: u64,
    /// Bytes to throw away before the next one counts.
    skip: u64,
    /// Breaks since the last real progress.
    breaks: u32,
    /// Where the body was when the breaks were last forgiven.
    progress_mark: u64,
    finished: bool,
}

impl Body {
    /// Whether nothing is missing. Where the length is known it alone decides: an end that comes
    /// early is none, and what should follow the last byte does not matter.
    fn is_complete(&self, ended: bool) -> bool {
        match self.expected {
            Some(expected) => self.received == expected,
            None => ended && self.skip == 0,
        }
    }
}

impl Response {
    pub(crate) fn new(client: Client, request: Request, answer: Answer) -> Self {
        let status = answer.response.status();
        let headers = answer.response.headers().clone();
        let bodyless = answer.method == Method::Head
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let original = (!bodyless).then(|| Original::of(&headers));
        Self {
            client,
            request,
            status,
            headers,
            url: answer.url,
            origin: answer.origin,
            redirected: answer.redirected,
            body: Body {
                source: Some(answer.response),
                expected: original.as_ref().and_then(|original| original.length),
                received: 0,
                skip: 0,
                breaks: 0,
                progress_mark: 0,
                finished: bodyless,
            },
            original,
        }
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status.as_u16()
    }

    /// Where the answer came from, after all redirects. **Its query may be a credential** (presigned
    /// URLs): show it as [`DisplayUrl`] only, and never to a guest unless it is not
    /// [`redirected`](Self::redirected).
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Who gave the answer.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Whether a redirect led to the answer.
    #[must_use]
    pub fn redirected(&self) -> bool {
        self.redirected
    }

    /// Whom the original request asked, before any redirect.
    #[must_use]
    pub fn first_origin(&self) -> &Origin {
        self.request.permit.origin()
    }

    /// The credential that went with the original request.
    #[must_use]
    pub fn credential(&self) -> Option<&CredentialName> {
        self.request.permit.credential().map(|spec| &spec.name)
    }

    /// The headers that a guest may see: names in lower case, values as text (bytes that are not
    /// UTF-8 replaced).
    #[must_use]
    pub fn guest_headers(&self) -> Vec<(String, String)> {
        self.headers
            .iter()
            .filter(|(name, _)| !rules::hidden_from_guests_in_response(name.as_str()))
            .map(|(name, value)| {
                let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
                (name.as_str().to_owned(), value)
            })
            .collect()
    }

    /// The first header called `name`, if it is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        str::from_utf8(self.headers.get(name)?.as_bytes()).ok()
    }

    /// The announced size of the body in bytes, as it travels. For `HEAD`: of the body that a `GET`
    /// would bring. A body that does not keep to it ends in an error; one whose length is not
    /// announced, and that ends with its connection over plain `http`, cannot be checked.
    #[must_use]
    pub fn content_length(&self) -> Option<u64> {
        resume::content_length(&self.headers)
    }

    /// What the body is encoded in, `identity` aside, `unknown` where that is no name of an encoding.
    /// The transport asks for `identity` and decodes nothing.
    #[must_use]
    pub fn content_encoding(&self) -> Option<String> {
        let encoding = self.header(CONTENT_ENCODING.as_str())?.trim();
        let none = encoding.is_empty() || encoding.eq_ignore_ascii_case("identity");
        let is_name = |word: &str| {
            word.len() <= ENCODING_BYTES
                && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        let is_shown = encoding.split(',').map(str::trim).all(is_name);
        (!none).then(|| match is_shown {
            true => encoding.to_ascii_lowercase(),
            false => String::from("unknown"),
        })
    }

    /// What the server says the body is.
    #[must_use]
    pub fn content_type(&self) -> Option<&str> {
        self.header(CONTENT_TYPE.as_str())
    }

    /// The pause that the server asks for, in seconds or as a date.
    #[must_use]
    pub fn retry_after(&self) -> Option<std::time::Duration> {
        retry::retry_after(&self.headers)
    }

    /// The next piece of the body, `None` at its end. A body that breaks off is continued without
    /// the caller noticing.
    ///
    /// A call may be dropped while it waits; the next one goes on where it was.
    ///
    /// # Errors
    /// [`TransportError`] when the body broke off and cannot be continued, or is not as long as
    /// announced. Everything handed out before was right.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, TransportError> {
        loop {
            if self.body.finished {
                return Ok(None);
            }
            let (ended, cause) = match self.read().await? {
                Piece::Bytes(bytes) => match self.accept(bytes)? {
                    Some(bytes) => return Ok(Some(bytes)),
                    None => continue,
                },
                Piece::End => (true, String::from("it ended early")),
                Piece::Broken(cause) => (false, cause),
            };
            self.body.source = None;
            if self.body.is_complete(ended) {
                self.body.finished = true;
                return Ok(None);
            }
            self.resume(cause).await?;
        }
    }

    /// The body as a stream.
    #[must_use]
    pub fn into_stream(self) -> BoxStream<'static, Result<Bytes, TransportError>> {
        try_unfold(self, |mut response| async move {
            let chunk = response.chunk().await?;
            Ok(chunk.map(|bytes| (bytes, response)))
        })
        .boxed()
    }

    async fn read(&mut self) -> Result<Piece, TransportError> {
        let Some(source) = &mut self.body.source else {
            return Ok(Piece::Broken(String::from("the connection was lost")));
        };
        let idle = self.client.shared.settings.idle_timeout;
        let read = self
            .request
            .deadline
            .bound(idle, Stage::Idle, &self.origin, source.chunk())
            .await;
        match read {
            Ok(Ok(Some(bytes))) => Ok(Piece::Bytes(bytes)),
            Ok(Ok(None)) => Ok(Piece::End),
            Ok(Err(error)) => Ok(Piece::Broken(failure::of_body(error))),
            Err(TransportError::Timeout {
                stage: Stage::Idle,
                after,
                ..
            }) => Ok(Piece::Broken(failure::timed_out(Stage::Idle, after))),
            Err(error) => Err(error),
        }
    }

    /// Counts `bytes`, without what is to be skipped of them; `None` when nothing is left.
    fn accept(&mut self, mut bytes: Bytes) -> Result<Option<Bytes>, TransportError> {
        let body = &mut self.body;
        let skipped = body.skip.min(bytes.len() as u64);
        bytes.advance(usize::try_from(skipped).unwrap_or(bytes.len()));
        body.skip -= skipped;
        if bytes.is_empty() {
            return Ok(None);
        }
        body.received += bytes.len() as u64;
        if body.received - body.progress_mark >= PROGRESS_BYTES {
            body.progress_mark = body.received;
            body.breaks = 0;
        }
        if let Some(expected) = self.body.expected
            && self.body.received > expected
        {
            return Err(TransportError::TooLong {
                url: self.asked(),
                expected,
            });
        }
        Ok(Some(bytes))
    }

    /// Asks for the rest of the body, with a fresh redirect from the original URL.
    async fn resume(&mut self, cause: String) -> Result<(), TransportError> {
        let (from, expected, url) = (self.body.received, self.body.expected, self.asked());
        let broken = |reason| TransportError::Truncated {
            url: url.clone(),
            received: from,
            expected,
            cause: cause.clone(),
            reason,
        };
        let continuable =
            self.request.permit.method() == Method::Get && self.status == StatusCode::OK;
        let Some(original) = self.original.as_ref().filter(|_| continuable) else {
            return Err(broken(NotContinued::NotAContent));
        };
        let rest = match original.strong_validator() {
            _ if from == 0 => None,
            Some(validator) => Some(Rest {
                from,
                validator: validator.clone(),
            }),
            None => return Err(broken(NotContinued::NoStrongValidator)),
        };
        let settings = &self.client.shared.settings;
        self.body.breaks += 1;
        let breaks = self.body.breaks;
        if breaks >= settings.attempts {
            return Err(broken(NotContinued::AttemptsExhausted));
        }
        tracing::info!(url, from, cause, "continuing");
        // The first break is most often a connection's end; a second one is a server in trouble.
        if breaks > 1 {
            let pause = retry::backoff(settings, breaks - 1);
            self.request.deadline.pause(pause, &self.origin).await?;
        }
        let answer = self.client.exchange(&self.request, rest.as_ref()).await?;
        let continuation = original
            .continuation(answer.response.status(), answer.response.headers(), from)
            .map_err(|refusal| match refusal {
                Refusal::Changed(detail) => TransportError::Changed {
                    url: url.clone(),
                    detail,
                },
                Refusal::WrongPart(detail) => TransportError::WrongPart {
                    url: url.clone(),
                    detail,
                },
                Refusal::Status(status) => broken(NotContinued::Status(status)),
            })?;
        self.body.skip = continuation.skip;
        self.body.expected = continuation.length;
        self.body.source = Some(answer.response);
        Ok(())
    }

    /// Whether the answer came from another origin than the one that was asked, so that no
    /// credential was sent there.
    #[must_use]
    pub fn came_from_elsewhere(&self) -> bool {
        self.origin != *self.first_origin()
    }

    /// The URL that was asked for, fit to be shown.
    fn asked(&self) -> String {
        DisplayUrl(self.request.permit.url()).to_string()
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("url", &DisplayUrl(&self.url))
            .field("received", &self.body.received)
            .finish_non_exhaustive()
    }
}

/// What reading a body brings.
enum Piece {
    Bytes(Bytes),
    End,
    Broken(String),
}
