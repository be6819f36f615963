//! From NAR to the file that is kept, hashed on the way.

use std::io::{self, Write};
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fetchhost_formats::{Compression, Hash, HashAlgorithm, Hasher};
use liblzma::stream::{Check, Filters, LzmaOptions, MtStreamBuilder, Stream};
use liblzma::write::XzEncoder;

use crate::error::CacheError;
use crate::objects::Upload;
use crate::url::Writing;
use crate::write::write_all_slices;

/// Level of zstd when none is asked for: fast enough not to be the slowest part of a fetch.
const ZSTD_LEVEL: i32 = 3;

/// Level of xz when none is asked for, as in Nix.
const XZ_LEVEL: u32 = 6;

/// The dictionaries of xz's levels, and the least that there is, in KiB.
const DICTIONARIES: [u32; 10] = [256, 1024, 2048, 4096, 4096, 8192, 8192, 16384, 32768, 65536];
const LEAST_DICTIONARY: u32 = 4;

/// The most threads for one NAR: each of xz's holds three times its dictionary.
const MAX_THREADS: u32 = 8;

/// Takes a NAR and sends it on compressed. Memory does not grow with the NAR.
pub struct Compressor {
    // Before the encoder: dropping that would end the compression, and send what it holds back.
    open: Open,
    encoder: Encoder,
    label: String,
}

/// Whether the place still takes something. When it did not: why, for an encoder passes on no more than an I/O
/// error.
#[derive(Clone, Default)]
struct Sending(Arc<Mutex<State>>);

#[derive(Default)]
enum State {
    #[default]
    Open,
    Failed(CacheError),
    Over,
}

impl Sending {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps the place open until it is dropped.
struct Open(Sending);

impl Drop for Open {
    fn drop(&mut self) {
        *self.0.state() = State::Over;
    }
}

enum Encoder {
    /// Not compressed: what is kept is the NAR, whose hash others compute already.
    None(Box<dyn Upload>),
    Xz(XzEncoder<HashedUpload>),
    Zstd(zstd::Encoder<'static, HashedUpload>),
}

/// All of a NAR, compressed, without a name yet.
pub struct Compressed {
    /// What is to be named.
    pub upload: Box<dyn Upload>,
    /// SHA-256 and length in bytes of what is kept; none where that is the NAR itself.
    pub file: Option<(Hash, u64)>,
}

impl Compressor {
    /// Compresses into `upload`, of the cache called `label`, as `writing` says; where the length of the NAR in
    /// bytes is known, with no more memory than that needs.
    ///
    /// # Errors
    /// When the compressor cannot be had.
    pub fn new(
        label: String,
        writing: &Writing,
        upload: Box<dyn Upload>,
        nar_size: Option<u64>,
    ) -> Result<Self, CacheError> {
        let sending = Sending::default();
        let hashed = |upload| HashedUpload {
            upload,
            hasher: Hasher::new(HashAlgorithm::Sha256),
            size: 0,
            sending: sending.clone(),
        };
        let encoder = match writing.compression {
            Compression::Xz => xz(writing, hashed(upload), nar_size),
            Compression::Zstd => zstd(writing, hashed(upload), nar_size),
            Compression::None => Ok(Encoder::None(upload)),
            _ => Err(io::ErrorKind::Unsupported.into()),
        };
        match encoder {
            Ok(encoder) => Ok(Self {
                open: Open(sending),
                encoder,
                label,
            }),
            Err(source) => Err(CacheError::Compression { label, source }),
        }
    }

    /// Takes the next bytes of the NAR. Without compression they are sent on as they are, many in one call.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn write<'a>(
        &mut self,
        mut slices: impl Iterator<Item = &'a [u8]>,
    ) -> Result<(), CacheError> {
        let written = match &mut self.encoder {
            Encoder::None(upload) => {
                return write_all_slices(upload, slices).map_err(|error| upload.failure(error));
            }
            Encoder::Xz(encoder) => slices.try_for_each(|bytes| encoder.write_all(bytes)),
            Encoder::Zstd(encoder) => slices.try_for_each(|bytes| encoder.write_all(bytes)),
        };
        written.map_err(|source| failed(&self.label, &self.open, source))
    }

    /// Ends the compression.
    ///
    /// # Errors
    /// When the last bytes cannot be written.
    pub fn finish(self) -> Result<Compressed, CacheError> {
        let hashed = match self.encoder {
            Encoder::None(upload) => return Ok(Compressed { upload, file: None }),
            Encoder::Xz(encoder) => encoder.finish(),
            Encoder::Zstd(encoder) => encoder.finish(),
        };
        let hashed = hashed.map_err(|source| failed(&self.label, &self.open, source))?;
        Ok(Compressed {
            upload: hashed.upload,
            file: Some((hashed.hasher.finish(), hashed.size)),
        })
    }
}

fn failed(label: &str, open: &Open, source: io::Error) -> CacheError {
    match mem::replace(&mut *open.0.state(), State::Over) {
        State::Failed(error) => error,
        State::Open | State::Over => CacheError::Compression {
            label: label.to_owned(),
            source,
        },
    }
}

/// How many threads compress one NAR.
fn threads(writing: &Writing) -> u32 {
    let available = || std::thread::available_parallelism().map_or(1, |count| count.get() as u32);
    if writing.parallel {
        available().min(MAX_THREADS)
    } else {
        1
    }
}

fn xz(writing: &Writing, upload: HashedUpload, nar_size: Option<u64>) -> io::Result<Encoder> {
    let level = writing.level.and_then(|level| u32::try_from(level).ok());
    let level = level.unwrap_or(XZ_LEVEL);
    let threads = threads(writing);
    Ok(Encoder::Xz(if threads > 1 {
        let stream = MtStreamBuilder::new()
            .preset(level)
            .threads(threads)
            .encoder()?;
        XzEncoder::new_stream(upload, stream)
    } else {
        let mut options = LzmaOptions::new_preset(level)?;
        // A dictionary that the NAR does not fill takes as long to clear as one that it does.
        let dictionary = DICTIONARIES.get(level as usize);
        let needed = nar_size.and_then(|size| u32::try_from(size.div_ceil(1024)).ok());
        if let Some((whole, needed)) = dictionary.zip(needed)
            && needed < *whole
        {
            options.dict_size(needed.max(LEAST_DICTIONARY) * 1024);
        }
        let stream = Stream::new_stream_encoder(Filters::new().lzma2(&options), Check::Crc64)?;
        XzEncoder::new_stream(upload, stream)
    }))
}

fn zstd(writing: &Writing, upload: HashedUpload, nar_size: Option<u64>) -> io::Result<Encoder> {
    let mut encoder = zstd::Encoder::new(upload, writing.level.unwrap_or(ZSTD_LEVEL))?;
    encoder.set_pledged_src_size(nar_size)?;
    let threads = threads(writing);
    if threads > 1 {
        encoder.multithread(threads)?;
    }
    Ok(Encoder::Zstd(encoder))
}

/// A large object whose bytes are hashed as they are written.
struct HashedUpload {
    upload: Box<dyn Upload>,
    hasher: Hasher,
    size: u64,
    sending: Sending,
}

impl Write for HashedUpload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !matches!(*self.sending.state(), State::Open) {
            return Err(io::ErrorKind::Other.into());
        }
        let written = self.upload.write(bytes).map_err(|error| {
            let kind = error.kind();
            if kind == io::ErrorKind::Interrupted {
                return error;
            }
            let failure = self.upload.failure(error);
            *self.sending.state() = State::Failed(failure);
            kind.into()
        })?;
        self.hasher.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.upload.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::Key;

    /// Counts what it is given.
    #[derive(Clone, Default)]
    struct Counted(Arc<Mutex<usize>>);

    impl Write for Counted {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            *self.0.lock().unwrap() += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Upload for Counted {
        fn failure(&mut self, source: io::Error) -> CacheError {
            let label = String::new();
            CacheError::Compression { label, source }
        }

        fn finish(self: Box<Self>, wanted: &Key) -> Result<Key, CacheError> {
            Ok(wanted.clone())
        }
    }

    /// It may be dropped where nothing may block.
    #[test]
    fn what_is_given_up_sends_nothing_more() {
        for compression in [Compression::Xz, Compression::Zstd] {
            for parallel in [false, true] {
                let counted = Counted::default();
                let writing = Writing {
                    compression,
                    level: Some(1),
                    parallel,
                    ..Writing::default()
                };
                let upload = Box::new(counted.clone());
                let mut compressor =
                    Compressor::new(String::new(), &writing, upload, None).unwrap();
                let noise: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
                compressor.write([noise.as_slice()].into_iter()).unwrap();
                let before = *counted.0.lock().unwrap();
                drop(compressor);
                assert_eq!(*counted.0.lock().unwrap(), before, "{compression:?}");
            }
        }
    }
}
