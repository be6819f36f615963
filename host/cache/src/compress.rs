//! From NAR to the file that is kept, hashed on the way.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

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
    encoder: Encoder,
    label: String,
    failure: Failure,
}

/// Why the place did not take something: an encoder passes on no more than an I/O error.
type Failure = Arc<Mutex<Option<CacheError>>>;

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
        let failure = Failure::default();
        let hashed = |upload| HashedUpload {
            upload,
            hasher: Hasher::new(HashAlgorithm::Sha256),
            size: 0,
            failure: Arc::clone(&failure),
        };
        let encoder = match writing.compression {
            Compression::Xz => xz(writing, hashed(upload), nar_size),
            Compression::Zstd => zstd(writing, hashed(upload), nar_size),
            Compression::None => Ok(Encoder::None(upload)),
            _ => Err(io::ErrorKind::Unsupported.into()),
        };
        match encoder {
            Ok(encoder) => Ok(Self {
                encoder,
                label,
                failure,
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
        written.map_err(|source| failed(&self.label, &self.failure, source))
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
        let hashed = hashed.map_err(|source| failed(&self.label, &self.failure, source))?;
        Ok(Compressed {
            upload: hashed.upload,
            file: Some((hashed.hasher.finish(), hashed.size)),
        })
    }
}

fn failed(label: &str, failure: &Failure, source: io::Error) -> CacheError {
    let failure = failure
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take();
    failure.unwrap_or_else(|| CacheError::Compression {
        label: label.to_owned(),
        source,
    })
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
    failure: Failure,
}

impl Write for HashedUpload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.upload.write(bytes).map_err(|error| {
            let kind = error.kind();
            if kind == io::ErrorKind::Interrupted {
                return error;
            }
            let failure = self.upload.failure(error);
            *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure);
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
