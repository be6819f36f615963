//! From the file that is kept to its NAR.

use std::io::{self, BufRead, BufReader, Read};

use bzip2::bufread::MultiBzDecoder;
use fetchhost_formats::Compression;
use flate2::bufread::MultiGzDecoder;
use liblzma::bufread::XzDecoder;
use liblzma::stream::{CONCATENATED, Stream};

/// Bytes that wait for whoever decodes the archive.
const BUFFER: usize = 128 * 1024;

/// What a decompressor may need, in bytes: as much as for what is fetched.
const WINDOW: u64 = 128 * 1024 * 1024;

/// What zstd says where a window is beyond its limit, and where it gets no memory.
const ZSTD_LIMITS: [&str; 2] = [
    "Frame requires too much memory for decoding",
    "Allocation error : not enough memory",
];

/// The bytes of an archive. Reading blocks.
pub type Archive = Box<dyn BufRead + Send>;

/// Undoes the compression of a cache's NAR, which is `size` bytes long without it; `None` for those that
/// only Nix undoes. What is longer than that ends one byte later: enough to notice it.
///
/// # Errors
/// When the decompressor cannot be had.
pub fn decompressed(
    file: impl Read + Send + 'static,
    compression: Compression,
    size: u64,
) -> io::Result<Option<Archive>> {
    let size = size.saturating_add(1);
    let file = BufReader::with_capacity(BUFFER, file);
    Ok(Some(match compression {
        Compression::None => Box::new(file.take(size)),
        Compression::Xz => {
            let stream = Stream::new_stream_decoder(WINDOW, CONCATENATED)?;
            buffered(Limited(XzDecoder::new_stream(file, stream)).take(size))
        }
        Compression::Zstd => {
            let mut decoder = zstd::Decoder::with_buffer(file)?;
            decoder.window_log_max(WINDOW.ilog2())?;
            buffered(Limited(decoder).take(size))
        }
        Compression::Gzip => buffered(MultiGzDecoder::new(file).take(size)),
        Compression::Bzip2 => buffered(MultiBzDecoder::new(file).take(size)),
        _ => return Ok(None),
    }))
}

/// A decompressor whose limit is told from damage: what needs more memory is [`io::ErrorKind::OutOfMemory`].
struct Limited<R>(R);

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(|error| {
            let inner = error.get_ref();
            let of_xz = inner.and_then(|inner| inner.downcast_ref::<liblzma::stream::Error>());
            let is_limit = match of_xz {
                Some(error) => matches!(
                    error,
                    liblzma::stream::Error::MemLimit | liblzma::stream::Error::Mem
                ),
                // The binding keeps the library's text alone.
                None => inner.is_some_and(|inner| ZSTD_LIMITS.contains(&&*inner.to_string())),
            };
            match is_limit {
                true => io::Error::new(io::ErrorKind::OutOfMemory, error),
                false => error,
            }
        })
    }
}

fn buffered(reader: impl Read + Send + 'static) -> Archive {
    Box::new(BufReader::with_capacity(BUFFER, reader))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn file(bytes: &[u8]) -> io::Cursor<Vec<u8>> {
        io::Cursor::new(bytes.to_vec())
    }

    #[test]
    fn a_bomb_ends_one_byte_after_the_length_that_the_record_names() {
        let zeros = vec![0; 1 << 20];
        let mut xz = Vec::new();
        let mut encoder = liblzma::read::XzEncoder::new(zeros.as_slice(), 1);
        encoder.read_to_end(&mut xz).unwrap();
        let zstd = zstd::encode_all(zeros.as_slice(), 1).unwrap();
        let (mut gzip, mut bzip2) = (Vec::new(), Vec::new());
        flate2::read::GzEncoder::new(zeros.as_slice(), flate2::Compression::fast())
            .read_to_end(&mut gzip)
            .unwrap();
        bzip2::read::BzEncoder::new(zeros.as_slice(), bzip2::Compression::fast())
            .read_to_end(&mut bzip2)
            .unwrap();
        for (compression, packed) in [
            (Compression::None, &zeros),
            (Compression::Xz, &xz),
            (Compression::Zstd, &zstd),
            (Compression::Gzip, &gzip),
            (Compression::Bzip2, &bzip2),
        ] {
            let mut archive = decompressed(file(packed), compression, 100)
                .unwrap()
                .unwrap();
            let mut read = Vec::new();
            archive.read_to_end(&mut read).unwrap();
            assert_eq!(read, zeros[..101]);
        }
    }

    #[test]
    fn a_window_beyond_the_limit_is_refused() {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(28).unwrap();
        encoder.write_all(&[0; 1000]).unwrap();
        let packed = encoder.finish().unwrap();
        let mut archive = decompressed(file(&packed), Compression::Zstd, 1000)
            .unwrap()
            .unwrap();
        let error = archive.read_to_end(&mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::OutOfMemory, "{error}");

        // Its dictionary is what the header says, however little is packed.
        let mut options = liblzma::stream::LzmaOptions::new_preset(1).unwrap();
        options.dict_size(512 << 20);
        let mut filters = liblzma::stream::Filters::new();
        filters.lzma2(&options);
        let check = liblzma::stream::Check::Crc64;
        let stream = Stream::new_stream_encoder(&filters, check).unwrap();
        let mut encoder = liblzma::write::XzEncoder::new_stream(Vec::new(), stream);
        encoder.write_all(&[0; 1000]).unwrap();
        let packed = encoder.finish().unwrap();
        let mut archive = decompressed(file(&packed), Compression::Xz, 1000)
            .unwrap()
            .unwrap();
        let error = archive.read_to_end(&mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::OutOfMemory, "{error}");

        // Damage is none of that.
        for compression in [Compression::Xz, Compression::Zstd] {
            let mut archive = decompressed(file(&[1; 100]), compression, 1000)
                .unwrap()
                .unwrap();
            let error = archive.read_to_end(&mut Vec::new()).unwrap_err();
            assert_ne!(error.kind(), io::ErrorKind::OutOfMemory, "{error}");
        }
    }
}
