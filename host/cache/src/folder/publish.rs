//! Giving files their final names: whole, synced, readable by all.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tempfile::{NamedTempFile, TempPath};

use crate::temporary;

/// Files in a cache can be read by everybody: that is what a cache is for.
const MODE: u32 = 0o644;

/// When what is written is brought to the disk.
#[derive(Clone, Copy, Debug)]
pub(super) enum Synced {
    /// Each file before it gets its name, and its folder after.
    Each,
    /// All of them later.
    Together,
}

/// Puts `file`, so far at `temporary`, at `path`, over whatever is there.
pub(super) fn replace(
    file: &File,
    temporary: TempPath,
    path: &Path,
    synced: Synced,
) -> io::Result<()> {
    seal(file, synced)?;
    temporary.persist(path)?;
    sync_folder(path, synced)
}

/// Writes `bytes` to a temporary file in the folder of `path`, ready for a final name.
pub(super) fn prepare(path: &Path, bytes: &[u8], synced: Synced) -> io::Result<NamedTempFile> {
    let mut file = temporary::name()
        .tempfile_in(folder_of(path))
        .map_err(temporary::without_name)?;
    file.write_all(bytes)?;
    seal(file.as_file(), synced)?;
    Ok(file)
}

/// Puts `file` at `path`, unless there is something already. Whether it was put there.
pub(super) fn create(file: NamedTempFile, path: &Path, synced: Synced) -> io::Result<bool> {
    match file.persist_noclobber(path) {
        Ok(_) => sync_folder(path, synced).map(|()| true),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error.error),
    }
}

/// Puts `file` at `path`, over whatever is there.
pub(super) fn overwrite(file: NamedTempFile, path: &Path, synced: Synced) -> io::Result<()> {
    file.persist(path)?;
    sync_folder(path, synced)
}

fn seal(file: &File, synced: Synced) -> io::Result<()> {
    file.set_permissions(fs::Permissions::from_mode(MODE))?;
    match synced {
        Synced::Each => file.sync_all(),
        Synced::Together => Ok(()),
    }
}

/// A name is on disk when its folder is.
fn sync_folder(path: &Path, synced: Synced) -> io::Result<()> {
    match synced {
        Synced::Each => File::open(folder_of(path))?.sync_all(),
        Synced::Together => Ok(()),
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("/"))
}
