//! Where the bytes of one file or archive come from.

use bytes::Bytes;

use crate::decode::Codec;
use crate::error::ArtifactError;
use crate::spool::SpooledBlob;

/// An error of whoever provides a stream. It can be downcast by who gave the stream.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Bytes that arrive piece by piece.
pub type BoxStream = futures_util::stream::BoxStream<'static, Result<Bytes, BoxError>>;

/// The content of one file or archive, not yet read.
pub struct Input {
    /// Number of bytes that the stream promises, before any content encoding is undone.
    pub(crate) length: Option<u64>,
    /// The HTTP content encoding that must be undone.
    pub(crate) encoding: Option<String>,
    pub(crate) body: Body,
}

pub(crate) enum Body {
    Bytes(Bytes),
    Spooled(SpooledBlob),
    Stream(BoxStream),
}

impl Input {
    /// Content that arrives piece by piece.
    ///
    /// `length` is the promised number of bytes as they arrive: more or fewer are an error.
    /// `encoding` is the value of `Content-Encoding`, where there is one.
    #[must_use]
    pub fn stream(length: Option<u64>, encoding: Option<String>, stream: BoxStream) -> Self {
        Self {
            length,
            encoding,
            body: Body::Stream(stream),
        }
    }

    /// Content that is in memory.
    #[must_use]
    pub fn bytes(content: impl Into<Bytes>) -> Self {
        let content = content.into();
        Self {
            length: Some(content.len() as u64),
            encoding: None,
            body: Body::Bytes(content),
        }
    }

    /// Content that lies in a spool already; it is read where it lies.
    #[must_use]
    pub fn spooled(blob: SpooledBlob) -> Self {
        Self {
            length: Some(blob.len()),
            encoding: None,
            body: Body::Spooled(blob),
        }
    }

    /// Number of bytes, where it is known before reading.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// What must be undone before these bytes are the content.
    pub(crate) fn codec(&self) -> Result<Option<Codec>, ArtifactError> {
        self.encoding
            .as_deref()
            .map_or(Ok(None), Codec::of_content_encoding)
    }

    /// The blob that the content lies in as it is.
    pub(crate) fn lying(&self) -> Result<Option<SpooledBlob>, ArtifactError> {
        Ok(match (&self.body, self.codec()?) {
            (Body::Spooled(blob), None) => Some(blob.clone()),
            _ => None,
        })
    }
}
