//! Giving files their final names: whole, synced, readable by all.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tempfile::{NamedTempFile, TempPath};

use crate::temporary;

/// Files in a cache can be read by everybody: that is what a cache is for.
const MODE: u32 = 0o644;

/// Puts `file`, so far at `temporary`, at `path`, over whatever is there.
pub(super) fn replace(file: &File, temporary: TempPath, path: &Path) -> io::Result<()> {
    seal(file)?;
    temporary.persist(path)?;
    sync_folder(path)
}

/// Writes `text` to a temporary file in the folder of `path`, ready for a final name.
pub(super) fn prepare(path: &Path, text: &str) -> io::Result<NamedTempFile> {
    let mut file = temporary::name()
        .tempfile_in(folder_of(path))
        .map_err(temporary::without_name)?;
    file.write_all(text.as_bytes())?;
    seal(file.as_file())?;
    Ok(file)
}

/// Puts `file` at `path`; gives it back when there is something already.
pub(super) fn create(file: NamedTempFile, path: &Path) -> io::Result<Result<(), NamedTempFile>> {
    match file.persist_noclobber(path) {
        Ok(_) => sync_folder(path).map(Ok),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(Err(error.file)),
        Err(error) => Err(error.error),
    }
}

/// Puts `file` at `path`, over whatever is there.
pub(super) fn overwrite(file: NamedTempFile, path: &Path) -> io::Result<()> {
    file.persist(path)?;
    sync_folder(path)
}

fn seal(file: &File) -> io::Result<()> {
    file.set_permissions(fs::Permissions::from_mode(MODE))?;
    file.sync_all()
}

/// A name is on disk when its folder is.
fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(folder_of(path))?.sync_all()
}

fn folder_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("/"))
}
