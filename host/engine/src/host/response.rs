//! Answers: what a guest sees of them, and how their bodies get out of its way.

use std::sync::Arc;

use fetchhost_artifact::{ArtifactError, Spool, SpooledBlob};
use fetchhost_policy::{DisplayUrl, Origin};
use fetchhost_transport::{self as transport, Echoed, Outgoing, Passage, TransportError};

use super::error;
use crate::bindings::nix_fetchhost::fetcher::types::FetchError;
use crate::echo::check_part;
use crate::session::{Fetch, Held};
use crate::trap::{Stop, shown};

/// Bytes given to a guest in one call.
pub(crate) const READ_BYTES: usize = 64 * 1024;

/// An answer as the guest sees it.
#[expect(unreachable_pub, reason = "the bindings re-export it")]
pub struct Response {
    pub(super) head: Head,
    body: Body,
}

/// What came before the body.
pub(super) struct Head {
    pub(super) status: u16,
    /// Without query: a presigned one is a credential.
    pub(super) url: String,
    /// Without those that carry credentials.
    pub(super) headers: Vec<(String, String)>,
    /// Never asked for, so guests are not prepared for it; plans are.
    encoding: Option<String>,
    /// Who answered.
    origin: Origin,
    /// URL and headers, for as long as the guest keeps the answer.
    _held: Held,
}

enum Body {
    Network {
        response: Box<transport::Response>,
        passage: Passage,
        touched: bool,
    },
    Spooled {
        blob: SpooledBlob,
        position: u64,
    },
}

/// The content of a response that nobody has read.
pub(crate) enum Unread {
    Network(Box<transport::Response>),
    Spooled(SpooledBlob),
}

/// Why a call to the network gave nothing.
pub(super) enum Failed {
    /// Known before anything was sent.
    Told(FetchError),
    Transport(TransportError),
    /// Ends the guest.
    Fatal(wasmtime::Error),
}

impl From<TransportError> for Failed {
    fn from(error: TransportError) -> Self {
        Self::Transport(error)
    }
}

impl From<ArtifactError> for Failed {
    fn from(error: ArtifactError) -> Self {
        Self::Fatal(error::temporary(error))
    }
}

impl From<Stop> for Failed {
    fn from(stop: Stop) -> Self {
        Self::Fatal(stop.into())
    }
}

impl From<Echoed> for Failed {
    fn from(echoed: Echoed) -> Self {
        Stop::from(echoed).into()
    }
}

impl Failed {
    /// What the guest is told; what the user may have to be told is remembered.
    pub(super) fn tell<T>(self, fetch: &mut Fetch) -> wasmtime::Result<Result<T, FetchError>> {
        match self {
            Self::Told(told) => Ok(Err(told)),
            Self::Fatal(error) => Err(error),
            Self::Transport(TransportError::Echoed { origin, credential }) => {
                Err(Stop::from(Echoed { origin, credential }).into())
            }
            Self::Transport(error) => {
                let told = error::of_transport(&error);
                fetch.verdict.failed(error, error::kind(&told));
                Ok(Err(told))
            }
        }
    }
}

impl Head {
    /// What a guest may see, after it was searched for what was sent.
    fn of(answer: &transport::Response, fetch: &Fetch) -> Result<Self, Stop> {
        let echo = &fetch.echo;
        // `DisplayUrl` marks a query that it leaves out; guests parse URLs.
        let url = DisplayUrl(answer.url())
            .to_string()
            .trim_end_matches("?…")
            .to_owned();
        let headers = answer.guest_headers();
        let bytes = headers.iter().map(|(name, value)| name.len() + value.len());
        let head = Self {
            _held: fetch.hold(url.len() + bytes.sum::<usize>())?,
            status: answer.status(),
            url,
            headers,
            encoding: answer.content_encoding(),
            origin: answer.origin().clone(),
        };
        echo.check(head.url.as_bytes(), &head.origin)?;
        for (name, value) in &head.headers {
            echo.check(name.as_bytes(), &head.origin)?;
            echo.check(value.as_bytes(), &head.origin)?;
        }
        Ok(head)
    }
}

impl Response {
    pub(super) fn new(answer: transport::Response, fetch: &Fetch) -> Result<Self, Stop> {
        let head = Head::of(&answer, fetch)?;
        let response = Box::new(answer);
        Ok(Self {
            head,
            body: Body::Network {
                response,
                passage: Passage::default(),
                touched: false,
            },
        })
    }

    /// Who answered.
    pub(super) fn origin(&self) -> &Origin {
        &self.head.origin
    }

    /// The next bytes for the guest, at most `max`; none at the end.
    pub(super) async fn read(&mut self, max: usize, fetch: &Fetch) -> Result<Vec<u8>, Failed> {
        if let Some(encoding) = &self.head.encoding {
            return Err(Failed::Told(unasked(encoding)));
        }
        match &mut self.body {
            Body::Spooled { blob, position } => {
                let left = usize::try_from(blob.len() - *position).unwrap_or(usize::MAX);
                let length = max.min(left);
                check_part(&fetch.echo, blob, *position, length, |_| {
                    self.head.origin.clone()
                })
                .map_err(Failed::Fatal)?;
                let bytes = blob.read(*position, length)?;
                *position += length as u64;
                Ok(bytes.into())
            }
            Body::Network {
                response,
                passage,
                touched,
            } => {
                *touched = true;
                let (echo, origin) = (&fetch.echo, &self.head.origin);
                loop {
                    let bytes = passage.take(max, echo, origin)?;
                    if !bytes.is_empty() || passage.has_ended() {
                        return Ok(bytes);
                    }
                    let waiting = fetch.progress.waiting();
                    let chunk = response.chunk().await;
                    drop(waiting);
                    match chunk? {
                        Some(chunk) => passage.push(&chunk, echo, origin)?,
                        None => passage.end(),
                    }
                }
            }
        }
    }

    /// The content, for a plan. What was read can no longer be planned: the host could not tell it
    /// from the rest.
    pub(crate) fn unread(self) -> Result<Unread, FetchError> {
        match self.body {
            Body::Network { touched: true, .. } | Body::Spooled { position: 1.., .. } => {
                Err(error::invalid("a response that was read cannot be content"))
            }
            Body::Network { response, .. } => Ok(Unread::Network(response)),
            Body::Spooled { .. } if !(200..300).contains(&self.head.status) => {
                Err(error::invalid(format!(
                    "an answer with status {} cannot be content",
                    self.head.status
                )))
            }
            Body::Spooled { blob, .. } => match self.head.encoding {
                Some(encoding) => Err(unasked(&encoding)),
                None => Ok(Unread::Spooled(blob)),
            },
        }
    }

    /// Passes the whole unread body to `take`, outside of the guest.
    pub(crate) async fn drain(
        self,
        fetch: &mut Fetch,
        mut take: impl FnMut(&[u8]) -> wasmtime::Result<()> + Send,
    ) -> wasmtime::Result<Result<(), FetchError>> {
        if let Some(encoding) = &self.head.encoding {
            return Ok(Err(unasked(encoding)));
        }
        match self.unread() {
            Err(told) => return Ok(Err(told)),
            Ok(Unread::Spooled(blob)) => {
                let mut position = 0;
                while position < blob.len() {
                    let left = usize::try_from(blob.len() - position).unwrap_or(usize::MAX);
                    let bytes = blob
                        .read(position, left.min(READ_BYTES))
                        .map_err(error::temporary)?;
                    position += bytes.len() as u64;
                    take(&bytes)?;
                }
            }
            Ok(Unread::Network(mut response)) => {
                let progress = Arc::clone(&fetch.progress);
                loop {
                    let waiting = progress.waiting();
                    let chunk = response.chunk().await;
                    drop(waiting);
                    match chunk {
                        Ok(Some(chunk)) => take(&chunk)?,
                        Ok(None) => break,
                        Err(error) => return Failed::Transport(error).tell(fetch),
                    }
                }
            }
        }
        Ok(Ok(()))
    }
}

fn unasked(encoding: &str) -> FetchError {
    let encoding = shown(encoding);
    let message = format!("the server sent `{encoding}` content, which was not asked for");
    error::new("unsupported", message)
}

/// Sends one of several requests and takes its body to a temporary file.
pub(super) async fn spooled(
    fetch: &Fetch,
    outgoing: Outgoing,
    max_body: u64,
) -> Result<Response, Failed> {
    let session = &fetch.session;
    let _waiting = fetch.progress.waiting();
    let broker = Arc::clone(&session.broker);
    let mut answer = session.client.send(broker, outgoing).await?;
    let head = Head::of(&answer, fetch)?;
    let mut spool = Spool::create(&session.tmp)?;
    while let Some(chunk) = answer.chunk().await? {
        if spool.len() + chunk.len() as u64 > max_body {
            let message = format!("the answer is longer than {max_body} bytes");
            return Err(Failed::Told(error::new("too-large", message)));
        }
        fetch.spooled.count(chunk.len())?;
        spool.append(&chunk)?;
    }
    let blob = spool.finish()?;
    Ok(Response {
        head,
        body: Body::Spooled { blob, position: 0 },
    })
}
