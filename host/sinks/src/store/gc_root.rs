//! The symlink that keeps something from Nix's garbage collector.
//!
//! | what is there | |
//! |---|---|
//! | nothing | the link appears there; folders that are missing are created, as with `nix-build -o` |
//! | a link into the store: an older root | it is replaced |
//! | anything else | refused, also when it comes while the artifact does |

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Component, Path, PathBuf, absolute};

use fetchhost_cache::{NewFolders, temporary_name};
use fetchhost_formats::{STORE_DIR, StorePath};
use tempfile::NamedTempFile;

use super::daemon::Connection;
use super::error::StoreError;

/// A root that waits for what it is a root of, and has all that it needs: dropping it removes that.
pub(super) struct Root {
    /// Where it will be.
    path: PathBuf,
    /// The link under a temporary name.
    link: NamedTempFile<()>,
    /// Where that points.
    target: String,
    // Dropped after the link that lies in them.
    _folders: NewFolders,
}

impl Root {
    /// Demands that there is nothing of the user's at `path` and makes a link beside it, to `target` if
    /// that is known.
    pub(super) fn prepare(path: &Path, target: Option<&StorePath>) -> Result<Self, StoreError> {
        let path = normal(path)?;
        occupant(&path)?;
        let failed = |source| StoreError::Link {
            path: path.clone(),
            source,
        };
        let folders = NewFolders::create(folder(&path)).map_err(failed)?;
        let target = target.map_or_else(|| STORE_DIR.to_owned(), ToString::to_string);
        Ok(Self {
            link: beside(&path, &target)?,
            target,
            _folders: folders,
            path,
        })
    }

    /// Makes it appear as a link to `target`, at once, and tells Nix of it.
    pub(super) fn add(
        self,
        target: &StorePath,
        connection: &mut Connection,
    ) -> Result<(), StoreError> {
        let Self {
            path,
            mut link,
            target: prepared,
            _folders,
        } = self;
        let target = target.to_string();
        if prepared != target {
            link = beside(&path, &target)?;
        }
        let failed = |source| StoreError::Link {
            path: path.clone(),
            source,
        };
        // What came meanwhile may be the root of another run.
        if let Occupant::Nothing = occupant(&path)? {
            match link.persist_noclobber(&path) {
                Ok(()) => return connection.add_indirect_root(&path),
                Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
                    occupant(&path)?;
                    link = error.file;
                }
                Err(error) => return Err(failed(error.error)),
            }
        }
        link.persist(&path).map_err(|error| failed(error.error))?;
        connection.add_indirect_root(&path)
    }
}

/// What a root may find in its place.
enum Occupant {
    Nothing,
    OlderRoot,
}

fn occupant(path: &Path) -> Result<Occupant, StoreError> {
    let failed = |source| StoreError::Link {
        path: path.to_owned(),
        source,
    };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Occupant::Nothing),
        Err(error) => return Err(failed(error)),
        Ok(found) if !found.is_symlink() => {}
        Ok(_) => match fs::read_link(path) {
            Ok(target) if target.starts_with(STORE_DIR) => return Ok(Occupant::OlderRoot),
            Ok(_) => {}
            Err(error) => return Err(failed(error)),
        },
    }
    Err(StoreError::Occupied {
        path: path.to_owned(),
    })
}

/// The path as Nix takes it: absolute, without `.`, `..` and slashes at the end. Its garbage collector
/// drops a `..` with the name before it, be that a symlink or not.
fn normal(path: &Path) -> Result<PathBuf, StoreError> {
    let absolute = absolute(path).map_err(|source| StoreError::Link {
        path: path.to_owned(),
        source,
    })?;
    let mut normal = PathBuf::new();
    for component in absolute.components() {
        match component {
            Component::ParentDir => drop(normal.pop()),
            other => normal.push(other),
        }
    }
    Ok(normal)
}

fn folder(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("/"))
}

/// A link to `target` in the folder of `path`, under a temporary name.
fn beside(path: &Path, target: &str) -> Result<NamedTempFile<()>, StoreError> {
    temporary_name()
        .make_in(folder(path), |link| symlink(target, link))
        .map_err(|source| StoreError::Link {
            path: path.to_owned(),
            source,
        })
}
