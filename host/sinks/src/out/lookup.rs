//! Whether what is at a path is the output already.
//!
//! Only bytes that were read now and have the declared hash count. Whatever cannot be read, changes
//! meanwhile or is no file or folder is not the output: what becomes of it is for
//! [`open`](super::open) to say.

use std::fs::{self, File};
use std::io::{self, Read as _, Write};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use fetchhost_formats::nar::{Encoder, Event, file_size_as_nar};
use fetchhost_formats::{Compression, FixedOutput, Hash, HashAlgorithm, Hasher, OutputMode};
use nix_archive::nar::{CaseHack, encode_path};
use rustix::fs::OFlags;

use crate::staged::{Existing, SinkKind};

/// Bytes of a file that are read at once.
const CHUNK: usize = 128 * 1024;

/// Reads what is at `path`, if it may be `output`, and says so if it is.
pub(crate) fn lookup(label: String, path: &Path, output: &FixedOutput) -> Option<Existing> {
    let found = fs::symlink_metadata(path).ok()?.file_type();
    let algorithm = output.hash.algorithm();
    let measured = match output.mode {
        OutputMode::Flat if found.is_file() => flat(path, algorithm)?,
        OutputMode::Nar if found.is_file() || found.is_dir() => nar(path, algorithm)?,
        OutputMode::Flat | OutputMode::Nar => return None,
    };
    (measured.declared == output.hash).then(|| Existing {
        label,
        kind: SinkKind::Out,
        narinfo: None,
        nar: path.to_owned(),
        compression: Compression::None,
        nar_hash: measured.nar_sha256,
        nar_size: measured.nar_size,
    })
}

/// What one reading of a file or folder says.
struct Measured {
    /// By the algorithm and of the bytes that the output's hash is over.
    declared: Hash,
    nar_sha256: Hash,
    nar_size: u64,
}

/// Measures a plain file. An executable one is no flat output.
fn flat(path: &Path, algorithm: HashAlgorithm) -> Option<Measured> {
    // Neither a link nor a pipe that came to be there since we looked.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let mut file = File::options()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
        .ok()?;
    let metadata = file.metadata().ok()?;
    if !metadata.is_file() || metadata.permissions().mode() & 0o111 != 0 {
        return None;
    }
    let mut declared = Hasher::new(algorithm);
    let mut nar_sha256 = Hasher::new(HashAlgorithm::Sha256);
    let mut encoder = Encoder::new();
    let (executable, size) = (false, metadata.len());
    let mut archive = |event| {
        nar_sha256.update(&encoder.push(event).ok()?.nar);
        Some(())
    };
    archive(Event::File { executable, size })?;
    loop {
        let mut chunk = Vec::with_capacity(CHUNK);
        (&mut file)
            .take(CHUNK as u64)
            .read_to_end(&mut chunk)
            .ok()?;
        if chunk.is_empty() {
            break;
        }
        declared.update(&chunk);
        archive(Event::Data(chunk.into()))?;
    }
    archive(Event::EndFile)?;
    Some(Measured {
        declared: declared.finish(),
        nar_sha256: nar_sha256.finish(),
        nar_size: file_size_as_nar(size, executable),
    })
}

/// Measures a file or folder as its archive. No link in it is followed, and a device or pipe in it
/// ends this.
fn nar(path: &Path, algorithm: HashAlgorithm) -> Option<Measured> {
    let mut archive = Archive {
        sha256: Hasher::new(HashAlgorithm::Sha256),
        other: (algorithm != HashAlgorithm::Sha256).then(|| Hasher::new(algorithm)),
        size: 0,
    };
    encode_path(&mut archive, path, CaseHack::Disabled).ok()?;
    let nar_sha256 = archive.sha256.finish();
    Some(Measured {
        declared: archive
            .other
            .map_or_else(|| nar_sha256.clone(), Hasher::finish),
        nar_sha256,
        nar_size: archive.size,
    })
}

/// An archive of which only the hashes and the length are kept.
struct Archive {
    sha256: Hasher,
    other: Option<Hasher>,
    size: u64,
}

impl Write for Archive {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.sha256.update(bytes);
        if let Some(other) = &mut self.other {
            other.update(bytes);
        }
        self.size += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
