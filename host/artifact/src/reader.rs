//! From an input to [`BufRead`]: decompressors and archive readers block, the network does not.
//!
//! A stream is read by the async side and handed through a small channel to a blocking thread. If
//! the future is dropped, the channel closes and the thread ends with the next read. Errors of the
//! stream cross the channel too and come out of the reader as themselves.

use std::io::{self, BufRead, Read};

use bytes::{Buf as _, Bytes};
use futures_util::StreamExt as _;
use tokio::sync::mpsc;

use crate::error::ArtifactError;
use crate::input::{Body, BoxStream, Input};
use crate::meter::Meter;
use crate::spool::SpooledBlob;

/// Pieces that may wait between the network and the blocking thread.
const WAITING_PIECES: usize = 8;

/// How much of a blob is read at once.
const BLOB_READ_BYTES: u64 = 128 * 1024;

/// The reader that a blocking function gets.
pub(crate) type BoxReader = Box<dyn BufRead + Send>;

/// One message of the async side; `None` is the end, which a closed channel is not.
type Piece = Result<Option<Bytes>, ArtifactError>;

/// Runs `work` on a blocking thread with a reader of the input's bytes as they arrive.
pub(crate) async fn read_blocking<T, F>(
    input: Input,
    meter: &Meter,
    work: F,
) -> Result<T, ArtifactError>
where
    T: Send + 'static,
    F: FnOnce(BoxReader) -> Result<T, ArtifactError> + Send + 'static,
{
    let meter = meter.clone();
    let length = input.length;
    let stream = match input.body {
        Body::Stream(stream) => stream,
        Body::Bytes(bytes) => {
            meter.arrived(bytes.len() as u64)?;
            return run(move || work(Box::new(bytes.reader()))).await;
        }
        Body::Spooled(blob) => {
            meter.arrived(blob.len())?;
            return run(move || work(Box::new(BlobReader::new(blob)))).await;
        }
    };
    let (sender, receiver) = mpsc::channel(WAITING_PIECES);
    let mut working = Box::pin(run(move || {
        work(Box::new(PieceReader::new(receiver, meter)))
    }));
    tokio::select! {
        // A worker that gave up must not wait for a server that stalls.
        biased;
        result = &mut working => return result,
        () = feed(stream, length, sender) => {}
    }
    working.await
}

async fn run<T, F>(work: F) -> Result<T, ArtifactError>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, ArtifactError> + Send + 'static,
{
    tokio::task::spawn_blocking(work)
        .await
        .map_err(ArtifactError::worker)?
}

/// Hands the stream over piece by piece, holding it to its promised length.
async fn feed(mut stream: BoxStream, length: Option<u64>, to: mpsc::Sender<Piece>) {
    let mut counted = Counted::new(length);
    loop {
        let piece = counted.next(&mut stream).await;
        let last = !matches!(piece, Ok(Some(_)));
        if to.send(piece).await.is_err() || last {
            return;
        }
    }
}

/// Holds a stream to its promised length.
pub(crate) struct Counted {
    promised: Option<u64>,
    received: u64,
}

impl Counted {
    pub(crate) fn new(promised: Option<u64>) -> Self {
        Self {
            promised,
            received: 0,
        }
    }

    /// The next piece that is not empty, `None` at an end that comes where it should.
    pub(crate) async fn next(&mut self, stream: &mut BoxStream) -> Piece {
        loop {
            let Some(piece) = stream.next().await else {
                break;
            };
            let piece = piece.map_err(|source| ArtifactError::Upstream { source })?;
            if piece.is_empty() {
                continue;
            }
            self.received += piece.len() as u64;
            match self.promised {
                Some(promised) if self.received > promised => {
                    return Err(ArtifactError::Length {
                        promised,
                        received: self.received,
                    });
                }
                _ => return Ok(Some(piece)),
            }
        }
        match self.promised {
            Some(promised) if self.received < promised => Err(ArtifactError::Length {
                promised,
                received: self.received,
            }),
            _ => Ok(None),
        }
    }
}

/// Reads what [`feed`] sends.
struct PieceReader {
    pieces: mpsc::Receiver<Piece>,
    current: Bytes,
    ended: bool,
    meter: Meter,
}

impl PieceReader {
    fn new(pieces: mpsc::Receiver<Piece>, meter: Meter) -> Self {
        Self {
            pieces,
            current: Bytes::new(),
            ended: false,
            meter,
        }
    }
}

impl BufRead for PieceReader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.current.is_empty() && !self.ended {
            match self.pieces.blocking_recv() {
                Some(Ok(Some(piece))) => {
                    self.meter
                        .arrived(piece.len() as u64)
                        .map_err(io::Error::other)?;
                    self.current = piece;
                }
                Some(Ok(None)) => self.ended = true,
                Some(Err(error)) => return Err(io::Error::other(error)),
                None => return Err(io::Error::other(ArtifactError::worker("cancelled"))),
            }
        }
        Ok(&self.current)
    }

    fn consume(&mut self, amount: usize) {
        self.current.advance(amount);
    }
}

impl Read for PieceReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        read_buffered(self, buffer)
    }
}

/// Reads a part of a blob from its beginning to its end.
pub(crate) struct BlobReader {
    blob: SpooledBlob,
    current: Bytes,
    offset: u64,
    end: u64,
}

impl BlobReader {
    pub(crate) fn new(blob: SpooledBlob) -> Self {
        let end = blob.len();
        Self::range(blob, 0, end)
    }

    /// The bytes from `offset` to just before `end`.
    pub(crate) fn range(blob: SpooledBlob, offset: u64, end: u64) -> Self {
        Self {
            blob,
            current: Bytes::new(),
            offset,
            end,
        }
    }
}

impl BufRead for BlobReader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.current.is_empty() && self.offset < self.end {
            let length = (self.end - self.offset).min(BLOB_READ_BYTES);
            self.current = self
                .blob
                .read(self.offset, length as usize)
                .map_err(io::Error::other)?;
            self.offset += length;
        }
        Ok(&self.current)
    }

    fn consume(&mut self, amount: usize) {
        self.current.advance(amount);
    }
}

impl Read for BlobReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        read_buffered(self, buffer)
    }
}

fn read_buffered(reader: &mut impl BufRead, buffer: &mut [u8]) -> io::Result<usize> {
    let available = reader.fill_buf()?;
    let amount = available.len().min(buffer.len());
    buffer[..amount].copy_from_slice(&available[..amount]);
    reader.consume(amount);
    Ok(amount)
}

/// Reads until `buffer` is full or the end has come; returns how many bytes are in it.
pub(crate) fn read_full(reader: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(amount) => filled += amount,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
