//! Files that a secret comes from, and who may have written or read them.

use std::{
    fs::{self, File, Metadata},
    io::{self, Read},
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::{Path, PathBuf},
};

use rustix::fs::Access;
use zeroize::Zeroizing;

use super::Looked;
use crate::leave_no_core_file;

/// Permission bits that let anybody but the owner read, write or execute.
const OTHERS: u32 = 0o077;

/// Permission bits that let anybody but the owner write.
const OTHERS_WRITE: u32 = 0o022;

/// How far a file's permissions are looked at. Its owner always counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// Nobody but the owner may read or write it.
    Private,
    /// Nobody but the owner may write it: what is in it is encrypted.
    Sealed,
    /// Whoever may: something else guards it, or the user said so.
    Owner,
}

impl Trust {
    pub(crate) const fn private_unless(insecure_permissions: bool) -> Self {
        if insecure_permissions {
            Self::Owner
        } else {
            Self::Private
        }
    }

    const fn forbidden(self) -> u32 {
        match self {
            Self::Private => OTHERS,
            Self::Sealed => OTHERS_WRITE,
            Self::Owner => 0,
        }
    }
}

/// Why a file gives no secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// It cannot be opened or read.
    #[error("cannot read `{}`: {error}", .path.display())]
    Unreadable {
        /// The file as named.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// It is a folder, a socket or a block device.
    #[error("`{}` is not a file", .path.display())]
    NotAFile {
        /// The file as named.
        path: PathBuf,
    },
    /// It belongs to somebody who is neither the user nor root.
    #[error("`{}` belongs to uid {owner}, who is neither you nor root", .path.display())]
    Owner {
        /// The file as named.
        path: PathBuf,
        /// The owner found.
        owner: u32,
    },
    /// Others than the owner may read or write it.
    #[error("`{}` is open to others (mode {mode:04o})", .path.display())]
    Permissions {
        /// The file as named.
        path: PathBuf,
        /// The permission bits found.
        mode: u32,
    },
}

impl FileError {
    /// What the user can do about it. `may_be_insecure`: the configuration has a word for it.
    #[must_use]
    pub fn hint(&self, may_be_insecure: bool) -> Option<String> {
        match self {
            Self::Unreadable { error, path } if error.kind() == io::ErrorKind::PermissionDenied => {
                Some(format!(
                    "you may not read it: check `ls -ld` of `{}` and of the folders above it",
                    path.display()
                ))
            }
            Self::Unreadable { path, .. } => Some(format!(
                "check that `{}` is a file that `cat` reads",
                path.display()
            )),
            Self::NotAFile { .. } => Some(String::from("name the file itself")),
            Self::Owner { path, .. } => Some(format!(
                "whoever owns the file decides what is sent: copy the secret to a file of yours, or `chown` `{}`",
                path.display()
            )),
            Self::Permissions { path, .. } if may_be_insecure => Some(format!(
                "run `chmod 600 {}`, or allow it in the configuration with `insecure-permissions = true` in `source`",
                path.display()
            )),
            Self::Permissions { path, .. } => Some(format!("run `chmod 600 {}`", path.display())),
        }
    }
}

/// Up to one byte more than `limit` of a file that nobody but `user` or root could have written.
/// Links are followed (that is how secret managers lay files out) and the opened file is judged, so
/// it cannot be swapped between the check and the read. A pipe is a file too: `file:/dev/fd/63` is
/// what `<(command)` becomes.
pub(crate) fn read_file(
    path: &Path,
    trust: Trust,
    user: u32,
    limit: usize,
) -> Result<Zeroizing<Vec<u8>>, FileError> {
    let unreadable = |error: io::Error| FileError::Unreadable {
        path: path.to_owned(),
        error,
    };
    let file = File::open(path).map_err(unreadable)?;
    judge(path, &file.metadata().map_err(unreadable)?, trust, user)?;
    // Room for all of it at once: a vector that grows leaves unwiped copies behind.
    let mut content = Zeroizing::new(Vec::with_capacity(limit + 1));
    file.take(limit as u64 + 1)
        .read_to_end(&mut content)
        .map_err(unreadable)?;
    Ok(content)
}

/// All of a file that is private: the user's own or root's, and open to nobody else. At most one byte
/// more than `limit` of it.
///
/// # Errors
/// [`FileError`].
pub fn read_private(path: &Path, limit: usize) -> Result<Zeroizing<Vec<u8>>, FileError> {
    leave_no_core_file();
    let user = rustix::process::geteuid().as_raw();
    read_file(path, Trust::Private, user, limit)
}

/// What [`read_file`] would find wrong with the file, without opening it. What a pipe holds is known
/// only by taking it.
pub(crate) fn look(path: &Path, trust: Trust, user: u32) -> Result<Looked, FileError> {
    let unreadable = |error: io::Error| FileError::Unreadable {
        path: path.to_owned(),
        error,
    };
    let metadata = fs::metadata(path).map_err(unreadable)?;
    judge(path, &metadata, trust, user)?;
    rustix::fs::access(path, Access::READ_OK).map_err(|error| unreadable(error.into()))?;
    Ok(if metadata.is_file() {
        Looked::Ready
    } else {
        Looked::Unknown
    })
}

/// Whether it is a file that nobody but `user` or root could have written.
fn judge(path: &Path, metadata: &Metadata, trust: Trust, user: u32) -> Result<(), FileError> {
    if !metadata.is_file() && !metadata.file_type().is_fifo() {
        return Err(FileError::NotAFile {
            path: path.to_owned(),
        });
    }
    check_access(path, (metadata.uid(), metadata.mode()), trust, user)
}

/// Whether a file with this `metadata` is private: the user's own or root's, and open to nobody else.
///
/// # Errors
/// [`FileError::Owner`] and [`FileError::Permissions`], which name `path`.
pub fn check_private(path: &Path, metadata: &Metadata) -> Result<(), FileError> {
    let user = rustix::process::geteuid().as_raw();
    let found = (metadata.uid(), metadata.mode());
    check_access(path, found, Trust::Private, user)
}

fn check_access(
    path: &Path,
    (owner, mode): (u32, u32),
    trust: Trust,
    user: u32,
) -> Result<(), FileError> {
    let path = path.to_owned();
    if owner != user && owner != 0 {
        return Err(FileError::Owner { path, owner });
    }
    let mode = mode & 0o7777;
    if mode & trust.forbidden() != 0 {
        return Err(FileError::Permissions { path, mode });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_file_belongs_to_the_user_or_root_and_is_open_to_nobody_else() {
        let check =
            |owner, mode| check_access(Path::new("key.pem"), (owner, mode), Trust::Private, 1000);
        check(1000, 0o100_600).unwrap();
        check(0, 0o100_400).unwrap();
        let error = check(1001, 0o100_600).unwrap_err();
        assert!(error.to_string().contains("uid 1001"), "{error}");
        assert!(error.hint(false).unwrap().contains("`chown` `key.pem`"));
        for mode in [0o640, 0o604, 0o620, 0o601] {
            let error = check(1000, 0o100_000 | mode).unwrap_err();
            let refused =
                matches!(error, FileError::Permissions { mode: told, .. } if told == mode);
            assert!(refused, "{error}");
        }
    }
}
