//! The archive of something that a place has already, for the places that lack it.

use std::io::{self, BufReader, PipeReader, Read};
use std::path::PathBuf;
use std::thread::JoinHandle;

use fetchhost_cache::Archive;
use nix_archive::nar::{CaseHack, Error, encode_path};

/// Bytes that wait for whoever decodes the archive.
const BUFFER: usize = 128 * 1024;

/// The archive of a file or folder, made while it is read.
pub(crate) fn packed(path: PathBuf) -> io::Result<Archive> {
    let (reader, mut writer) = io::pipe()?;
    let packer = std::thread::Builder::new()
        .name("pack".to_owned())
        .spawn(move || {
            encode_path(&mut writer, &path, CaseHack::Disabled).map_err(|error| match error {
                // Whoever reads tells what the system refuses from what is damaged.
                Error::Io(source) => source,
                other => io::Error::other(other),
            })
        })?;
    let packed = Packed {
        reader,
        packer: Some(packer),
    };
    Ok(Box::new(BufReader::with_capacity(BUFFER, packed)))
}

/// Reads what the thread writes, and ends as the thread ends.
struct Packed {
    reader: PipeReader,
    packer: Option<JoinHandle<io::Result<()>>>,
}

impl Read for Packed {
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
