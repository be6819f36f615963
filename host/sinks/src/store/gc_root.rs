//! The symlink that keeps something from Nix's garbage collector.

use std::fs;
use std::io;
use std::path::{Path, PathBuf, absolute};

use fetchhost_formats::{STORE_DIR, StorePath};

use super::error::StoreError;
use crate::temporary;

/// Where the link will be, and that nothing of the user's is there. A link into the store is an
/// older root, which a new one replaces, as with `nix-build`.
pub(super) fn check(path: &Path) -> Result<PathBuf, StoreError> {
    let failed = |source| StoreError::Link {
        path: path.to_owned(),
        source,
    };
    let path = absolute(path).map_err(failed)?;
    let replaceable = match fs::symlink_metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => true,
        Err(error) => return Err(failed(error)),
        Ok(found) if found.is_symlink() => {
            fs::read_link(&path).map_err(failed)?.starts_with(STORE_DIR)
        }
        Ok(_) => false,
    };
    if replaceable {
        Ok(path)
    } else {
        Err(StoreError::Occupied { path })
    }
}

/// Makes `path`, or an older root there, a link to `target`, at once.
pub(super) fn link(path: &Path, target: &StorePath) -> Result<PathBuf, StoreError> {
    let path = check(path)?;
    let failed = |source| StoreError::Link {
        path: path.clone(),
        source,
    };
    let folder = path.parent().unwrap_or(Path::new("/"));
    temporary::name()
        .make_in(folder, |link| {
            std::os::unix::fs::symlink(target.to_string(), link)
        })
        .map_err(failed)?
        .persist(&path)
        .map_err(|error| failed(error.error))?;
    Ok(path)
}
