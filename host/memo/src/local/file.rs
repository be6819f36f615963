//! The file itself: made for its owner alone, and used only where nobody else could have changed it.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::Path;

use crate::error::MemoError;

/// What others may not have: the right to write.
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// Makes the file if it is not there, mode 0600 in a folder of mode 0700, and refuses one that others can change.
///
/// It is never opened here: closing it would let go of the locks that SQLite holds on it in other threads.
pub(super) fn prepare(path: &Path) -> Result<(), MemoError> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(failed("create the folder", folder))?;
    check(
        folder,
        &fs::metadata(folder).map_err(failed("look at", folder))?,
    )?;
    let found = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make(folder, path)?;
            fs::symlink_metadata(path)
        }
        found => found,
    };
    let found = found.map_err(failed("look at", path))?;
    if !found.is_file() {
        return Err(exposed(path, "it is no plain file"));
    }
    check(path, &found)
}

/// Puts an empty file there, unless another process does: that is a database without tables.
fn make(folder: &Path, path: &Path) -> Result<(), MemoError> {
    let failed = failed("create", path);
    // Of mode 0600 from its first moment, and closed before it has its name.
    let empty = tempfile::NamedTempFile::new_in(folder)
        .map_err(failed)?
        .into_temp_path();
    match empty.persist_noclobber(path) {
        Err(error) if error.error.kind() != io::ErrorKind::AlreadyExists => {
            Err(failed(error.error))
        }
        _ => Ok(()),
    }
}

fn check(path: &Path, found: &fs::Metadata) -> Result<(), MemoError> {
    if found.uid() != rustix::process::geteuid().as_raw() {
        return Err(exposed(path, "it belongs to another user"));
    }
    if found.mode() & WRITABLE_BY_OTHERS != 0 {
        return Err(exposed(path, "others than its owner can change it"));
    }
    Ok(())
}

fn exposed(path: &Path, reason: &'static str) -> MemoError {
    MemoError::Exposed {
        path: path.to_owned(),
        reason,
    }
}

fn failed<'a>(
    action: &'static str,
    path: &'a Path,
) -> impl Fn(io::Error) -> MemoError + Copy + use<'a> {
    move |source| MemoError::Io {
        action,
        path: path.to_owned(),
        source,
    }
}
