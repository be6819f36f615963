//! The archive of something that a place has already, for the places that lack it.

use std::fs::File;
use std::io::{self, BufRead, BufReader, PipeReader, Read};
use std::path::PathBuf;
use std::thread::JoinHandle;

use fetchhost_formats::Compression;
use liblzma::read::XzDecoder;
use nix_archive::nar::{CaseHack, encode_path};

/// Bytes that wait for whoever decodes the archive.
const BUFFER: usize = 128 * 1024;

/// The bytes of an archive. Reading blocks.
pub type Archive = Box<dyn BufRead + Send>;

/// Undoes the compression of a cache's NAR; `None` for those that only Nix undoes.
pub(crate) fn decompressed(file: File, compression: Compression) -> io::Result<Option<Archive>> {
    let file = BufReader::with_capacity(BUFFER, file);
    Ok(Some(match compression {
        Compression::None => Box::new(file),
        Compression::Xz => buffered(XzDecoder::new_multi_decoder(file)),
        Compression::Zstd => buffered(zstd::Decoder::with_buffer(file)?),
        _ => return Ok(None),
    }))
}

fn buffered(reader: impl Read + Send + 'static) -> Archive {
    Box::new(BufReader::with_capacity(BUFFER, reader))
}

/// The archive of a file or folder, made while it is read. `kept` lives as long as the reader.
pub(crate) fn packed(path: PathBuf, kept: impl Send + 'static) -> io::Result<Archive> {
    let (reader, mut writer) = io::pipe()?;
    let packer = std::thread::Builder::new()
        .name("pack".to_owned())
        .spawn(move || {
            encode_path(&mut writer, &path, CaseHack::Disabled).map_err(io::Error::other)
        })?;
    Ok(buffered(Packed {
        reader,
        packer: Some(packer),
        _kept: kept,
    }))
}

/// Reads what the thread writes, and ends as the thread ends.
struct Packed<T> {
    reader: PipeReader,
    packer: Option<JoinHandle<io::Result<()>>>,
    _kept: T,
}

impl<T> Read for Packed<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let amount = self.reader.read(buffer)?;
        if amount == 0
            && !buffer.is_empty()
            && let Some(packer) = self.packer.take()
        {
            packer
                .join()
                .unwrap_or_else(|_| Err(io::Error::other("its thread failed")))?;
        }
        Ok(amount)
    }
}
