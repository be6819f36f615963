//! Files for the user alone, whole or not there at all.

use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::DirBuilderExt,
    path::Path,
};

use tempfile::NamedTempFile;

/// What becomes of a file that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// It is replaced.
    Replace,
    /// It stays as it is.
    Keep,
}

/// Writes `content` to `path`, mode 0600, and makes its folder if need be, mode 0700. After a crash
/// the file is whole or as before. Returns whether it was written.
///
/// # Errors
/// What the system says.
pub fn write_private(path: &Path, content: &[u8], existing: Existing) -> io::Result<bool> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    // 0600 from its first moment.
    let mut file = NamedTempFile::new_in(folder)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    let placed = match existing {
        Existing::Replace => file.persist(path),
        Existing::Keep => file.persist_noclobber(path),
    };
    match placed {
        Ok(_) => {}
        Err(error)
            if existing == Existing::Keep && error.error.kind() == io::ErrorKind::AlreadyExists =>
        {
            return Ok(false);
        }
        Err(error) => return Err(error.error),
    }
    File::open(folder)?.sync_all()?;
    Ok(true)
}
