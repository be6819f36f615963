//! `out:` to a device, pipe or socket, which cannot be replaced by rename.
//!
//! What was written to one cannot be taken back, so the bytes are held in a file without a name, in
//! the system's folder for temporary files, until they are verified. The null device is the
//! exception: nobody reads from it, so it takes the bytes as they come.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use fetchhost_artifact::Verified;
use fetchhost_cache::write_all_slices;
use fetchhost_formats::nar::{Event, Piece};

use super::contents;
use crate::error::{SinkError, failed};
use crate::held::Kept;
use crate::staged::{Committed, SinkKind, Staged, archive_len, check_complete};

/// A file's bytes on their way to a device.
pub(super) struct Device {
    label: String,
    path: PathBuf,
    written: u64,
    /// The null device itself, or the nameless file.
    bytes: File,
    /// Whether the bytes wait in a nameless file.
    held: bool,
}

impl Device {
    pub(super) fn open(label: String, path: PathBuf) -> Result<Self, SinkError> {
        let held = !is_null(&path);
        let opened = if held {
            tempfile::tempfile()
        } else {
            for_writing(&path)
        };
        let bytes = opened.map_err(failed(&label, "open", &path))?;
        Ok(Self {
            label,
            path,
            written: 0,
            bytes,
            held,
        })
    }
}

impl Staged for Device {
    fn write(&mut self, batch: &[Piece]) -> Result<(), SinkError> {
        // Trees and links are known by their first piece, and only a file may go on.
        if self.written == 0
            && batch
                .first()
                .is_some_and(|piece| !matches!(piece.event, Event::File { .. }))
        {
            return Err(SinkError::NotAFile {
                label: self.label.clone(),
                path: self.path.clone(),
            });
        }
        self.written += archive_len(batch);
        write_all_slices(&mut self.bytes, contents(batch)).map_err(failed(
            &self.label,
            "write",
            &self.path,
        ))
    }

    fn commit(mut self: Box<Self>, verified: &Verified) -> Result<(Committed, Kept), SinkError> {
        check_complete(&self.label, self.written, verified)?;
        if self.held {
            let copied = self
                .bytes
                .rewind()
                .and_then(|()| io::copy(&mut self.bytes, &mut for_writing(&self.path)?));
            copied.map_err(failed(&self.label, "write", &self.path))?;
        }
        let committed = Committed {
            label: self.label,
            kind: SinkKind::Out,
            physical: self.path,
            narinfo: None,
        };
        Ok((committed, Kept::without()))
    }
}

fn for_writing(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).open(path)
}

/// Whether `path` is the null device, by whatever name.
fn is_null(path: &Path) -> bool {
    match (fs::metadata(path), fs::metadata("/dev/null")) {
        (Ok(found), Ok(null)) => found.file_type().is_char_device() && found.rdev() == null.rdev(),
        _ => false,
    }
}
