//! Decompressors, each with a bounded window, each counted.

use std::io::{self, BufRead, BufReader, Read};

use liblzma::stream::{CONCATENATED, Stream};

use crate::error::ArtifactError;
use crate::meter::Meter;
use crate::reader::BoxReader;

/// What an xz decoder needs beside its window, generously.
const XZ_OVERHEAD_BYTES: u64 = 4 * 1024 * 1024;

/// Size of the buffer in which decompressed bytes wait for the archive reader.
const DECODED_BUFFER_BYTES: usize = 128 * 1024;

/// Smallest and largest logarithm of a window that zstd can be told.
const ZSTD_WINDOW_LOGS: (u32, u32) = (10, 31);

/// What zstd calls a window that is larger than it was told to accept.
const ZSTD_WINDOW_ERROR: &str = "too much memory";

/// A compression that is undone here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Codec {
    Gzip,
    /// The `deflate` of HTTP: zlib by its RFC, raw deflate by some servers.
    Deflate,
    Bzip2,
    Xz,
    Zstd,
}

impl Codec {
    fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Bzip2 => "bzip2",
            Self::Xz => "xz",
            Self::Zstd => "zstd",
        }
    }

    /// The codec of a `Content-Encoding` header: `None` when there is nothing to undo.
    pub(crate) fn of_content_encoding(value: &str) -> Result<Option<Self>, ArtifactError> {
        match value.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Ok(None),
            "gzip" | "x-gzip" => Ok(Some(Self::Gzip)),
            "deflate" => Ok(Some(Self::Deflate)),
            "zstd" => Ok(Some(Self::Zstd)),
            _ => Err(ArtifactError::UnsupportedEncoding {
                encoding: crate::error::shown(value.as_bytes()),
            }),
        }
    }

    /// Puts the decompressor over a reader.
    pub(crate) fn decode(
        self,
        reader: BoxReader,
        meter: &Meter,
    ) -> Result<BoxReader, ArtifactError> {
        let broken = |error: &io::Error| self.explain(error, meter);
        let inner: Box<dyn Read + Send> = match self {
            Self::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(reader)),
            Self::Deflate => {
                deflate(reader).map_err(|error| ArtifactError::from_io(error, broken))?
            }
            Self::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(reader)),
            Self::Xz => {
                let memory = meter.window().saturating_add(XZ_OVERHEAD_BYTES);
                let stream = Stream::new_stream_decoder(memory, CONCATENATED)
                    .map_err(ArtifactError::worker)?;
                Box::new(liblzma::bufread::XzDecoder::new_stream(reader, stream))
            }
            Self::Zstd => Box::new(zstd(reader, meter)?),
        };
        let expanding = Expanding {
            inner,
            codec: self,
            made: 0,
            meter: meter.clone(),
        };
        Ok(Box::new(BufReader::with_capacity(
            DECODED_BUFFER_BYTES,
            expanding,
        )))
    }

    /// What an error of this decompressor means.
    pub(crate) fn explain(self, error: &io::Error, meter: &Meter) -> ArtifactError {
        let memory = match self {
            Self::Xz => error
                .get_ref()
                .and_then(|inner| inner.downcast_ref::<liblzma::stream::Error>())
                .is_some_and(|inner| matches!(inner, liblzma::stream::Error::MemLimit)),
            Self::Zstd => error.to_string().contains(ZSTD_WINDOW_ERROR),
            _ => false,
        };
        if memory {
            return meter.window_overrun();
        }
        let detail = match error.kind() {
            io::ErrorKind::UnexpectedEof => "it ends too early".to_owned(),
            _ => error.to_string(),
        };
        ArtifactError::Damaged {
            what: self.name(),
            detail,
        }
    }
}

/// A zstd decoder that accepts windows up to the limit.
pub(crate) fn zstd<R: BufRead>(
    reader: R,
    meter: &Meter,
) -> Result<::zstd::stream::read::Decoder<'static, R>, ArtifactError> {
    let mut decoder =
        ::zstd::stream::read::Decoder::with_buffer(reader).map_err(ArtifactError::worker)?;
    let log = meter
        .window()
        .max(1)
        .ilog2()
        .clamp(ZSTD_WINDOW_LOGS.0, ZSTD_WINDOW_LOGS.1);
    decoder.window_log_max(log).map_err(ArtifactError::worker)?;
    Ok(decoder)
}

/// A zlib header is a multiple of 31 whose low half byte is 8; anything else is raw deflate.
fn deflate(mut reader: BoxReader) -> io::Result<Box<dyn Read + Send>> {
    let mut head = [0; 2];
    let length = crate::reader::read_full(&mut reader, &mut head)?;
    let zlib = length == 2 && head[0] & 0x0f == 8 && u16::from_be_bytes(head) % 31 == 0;
    let whole = io::Cursor::new(head[..length].to_vec()).chain(reader);
    Ok(if zlib {
        Box::new(flate2::bufread::ZlibDecoder::new(whole))
    } else {
        Box::new(flate2::bufread::DeflateDecoder::new(whole))
    })
}

/// Counts what a decompressor makes and gives its errors their meaning.
struct Expanding {
    inner: Box<dyn Read + Send>,
    codec: Codec,
    made: u64,
    meter: Meter,
}

impl Read for Expanding {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let amount = self.inner.read(buffer).map_err(|error| {
            let explain = |error: &io::Error| self.codec.explain(error, &self.meter);
            io::Error::other(ArtifactError::from_io(error, explain))
        })?;
        self.made += amount as u64;
        self.meter.ratio(self.made).map_err(io::Error::other)?;
        Ok(amount)
    }
}

/// Undoes the content encoding of an input, where it has one.
pub(crate) fn undo_encoding(
    encoding: Option<Codec>,
    reader: BoxReader,
    meter: &Meter,
) -> Result<BoxReader, ArtifactError> {
    match encoding {
        Some(codec) => codec.decode(reader, meter),
        None => Ok(reader),
    }
}

/// Reads to the end, so that what is wrong after the part of interest is found as well.
pub(crate) fn drain(reader: &mut dyn BufRead) -> io::Result<u64> {
    let mut total = 0;
    loop {
        let amount = reader.fill_buf()?.len();
        if amount == 0 {
            return Ok(total);
        }
        reader.consume(amount);
        total += amount as u64;
    }
}
