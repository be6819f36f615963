//! `out:PATH`: a plain file, or a folder when the artifact is a tree.
//!
//! A file or folder at PATH that has the declared hash is left alone. Otherwise, nothing is ever
//! written through what is already there:
//!
//! | at PATH | a file comes | a folder comes | a symlink comes |
//! |---|---|---|---|
//! | nothing | it appears by rename | it appears by rename | it appears by rename |
//! | a file | it is replaced by rename | refused | replaced by rename |
//! | an empty folder | refused | it is replaced by rename | refused |
//! | a folder with something in it | refused | refused | refused |
//! | a symlink | refused | refused | refused |
//! | a device, pipe or socket | its bytes are written to it, once verified | refused | refused |
//!
//! Permissions follow the umask, as with any program that makes files; the executable bit is the
//! archive's. Nothing is synced to disk: the file is the user's, and he decides what it is worth.

mod device;
mod folder;
mod lookup;

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use fetchhost_artifact::Verified;
use fetchhost_cache::{temporary_name, without_temporary_name, write_all_slices};
use fetchhost_formats::nar::{Event, Piece};
use rustix::fs::Access;
use tempfile::{NamedTempFile, TempDir};

use crate::error::{SinkError, failed};
use crate::held::Kept;
use crate::staged::{Committed, SinkKind, Staged, archive_len, check_complete};
use device::Device;
use folder::Folder;
pub(crate) use lookup::lookup;

/// Prepares to write to `path`.
pub(crate) fn open(label: String, path: &Path) -> Result<Box<dyn Staged>, SinkError> {
    match occupant(&label, path)? {
        Occupant::Device => Ok(Box::new(Device::open(label, path.to_owned())?)),
        Occupant::Folder if !is_empty(&label, path)? => Err(SinkError::NotEmpty {
            label,
            path: path.to_owned(),
        }),
        occupant => {
            // Only the first piece says what to make here; that something can be made is known now.
            let probe = temporary_name().tempfile_in(above(path));
            drop(probe.map_err(cannot_create(&label, above(path)))?);
            Ok(Box::new(Out {
                label,
                path: path.to_owned(),
                occupant,
                written: 0,
                held: None,
            }))
        }
    }
}

/// Whether [`open`] would find a place at `path`, as far as that shows without making something.
pub(crate) fn check(label: &str, path: &Path) -> Result<(), SinkError> {
    match occupant(label, path)? {
        Occupant::Device => return Ok(()),
        Occupant::Folder if !is_empty(label, path)? => {
            return Err(SinkError::NotEmpty {
                label: label.to_owned(),
                path: path.to_owned(),
            });
        }
        Occupant::Nothing | Occupant::File | Occupant::Folder => {}
    }
    let folder = above(path);
    let found = fs::metadata(folder).and_then(|found| {
        if !found.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(rustix::fs::access(
            folder,
            Access::WRITE_OK | Access::EXEC_OK,
        )?)
    });
    found.map_err(cannot_create(label, folder))
}

/// The folder that `path` is in.
fn above(path: &Path) -> &Path {
    match path.parent() {
        Some(above) if !above.as_os_str().is_empty() => above,
        _ => Path::new("."),
    }
}

/// Says that nothing temporary can be made in `folder`.
fn cannot_create(label: &str, folder: &Path) -> impl Fn(io::Error) -> SinkError + Copy {
    let failed = failed(label, "create a file in", folder);
    move |error| failed(without_temporary_name(error))
}

/// What is at a path.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Occupant {
    Nothing,
    File,
    Folder,
    Device,
}

fn occupant(label: &str, path: &Path) -> Result<Occupant, SinkError> {
    let failed = failed(label, "look at", path);
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Occupant::Nothing),
        Err(error) => return Err(failed(error)),
    };
    if !found.is_symlink() {
        return Ok(kind(&found));
    }
    // `/dev/stdout` and its like are symlinks to devices and pipes; a link to anything else is
    // somebody's arrangement, and replacing it or writing through it would both be surprises.
    match fs::metadata(path).map(|behind| kind(&behind)) {
        Ok(Occupant::Device) => Ok(Occupant::Device),
        _ => {
            let target = fs::canonicalize(path).or_else(|_| fs::read_link(path));
            let target = target.map_err(failed)?;
            Err(SinkError::Symlink {
                label: label.to_owned(),
                path: path.to_owned(),
                target,
            })
        }
    }
}

fn kind(found: &fs::Metadata) -> Occupant {
    if found.is_dir() {
        Occupant::Folder
    } else if found.is_file() {
        Occupant::File
    } else {
        Occupant::Device
    }
}

fn is_empty(label: &str, path: &Path) -> Result<bool, SinkError> {
    let mut entries = fs::read_dir(path).map_err(failed(label, "look into", path))?;
    Ok(entries.next().is_none())
}

/// An artifact on its way to a path, beside it and under another name.
struct Out {
    label: String,
    path: PathBuf,
    occupant: Occupant,
    /// Bytes of the archive so far.
    written: u64,
    /// What the first piece said that the artifact is.
    held: Option<Held>,
}

enum Held {
    File(NamedTempFile),
    Folder(TempDir, Folder),
    Symlink(NamedTempFile<()>),
}

impl Out {
    /// Makes the file, folder or link that `root` begins.
    fn begin(&self, root: &Event) -> Result<Held, SinkError> {
        let above = above(&self.path);
        let failed = cannot_create(&self.label, above);
        match root {
            Event::Directory => {
                self.refuse_unless(&[Occupant::Nothing, Occupant::Folder])?;
                let root = temporary_name()
                    .permissions(fs::Permissions::from_mode(0o777))
                    .tempdir_in(above)
                    .map_err(failed)?;
                let folder = Folder::open(self.label.clone(), root.path())?;
                Ok(Held::Folder(root, folder))
            }
            Event::Symlink { target } => {
                self.refuse_unless(&[Occupant::Nothing, Occupant::File])?;
                let target = std::ffi::OsStr::from_bytes(target);
                let link = temporary_name()
                    .make_in(above, |path| std::os::unix::fs::symlink(target, path));
                Ok(Held::Symlink(link.map_err(failed)?))
            }
            root => {
                self.refuse_unless(&[Occupant::Nothing, Occupant::File])?;
                let executable = matches!(
                    root,
                    Event::File {
                        executable: true,
                        ..
                    }
                );
                let mode = if executable { 0o777 } else { 0o666 };
                let file = temporary_name()
                    .permissions(fs::Permissions::from_mode(mode))
                    .tempfile_in(above);
                Ok(Held::File(file.map_err(failed)?))
            }
        }
    }

    fn refuse_unless(&self, replaceable: &[Occupant]) -> Result<(), SinkError> {
        if replaceable.contains(&self.occupant) {
            return Ok(());
        }
        let (label, path) = (self.label.clone(), self.path.clone());
        Err(match self.occupant {
            Occupant::Folder => SinkError::IsAFolder { label, path },
            _ => SinkError::NotAFolder { label, path },
        })
    }
}

impl Staged for Out {
    fn write(&mut self, batch: &[Piece]) -> Result<(), SinkError> {
        let Some(first) = batch.first() else {
            return Ok(());
        };
        self.written += archive_len(batch);
        if self.held.is_none() {
            self.held = Some(self.begin(&first.event)?);
        }
        match &mut self.held {
            Some(Held::File(file)) => write_all_slices(file.as_file_mut(), contents(batch))
                .map_err(failed(&self.label, "write", &self.path)),
            Some(Held::Folder(_, folder)) => folder.write(batch),
            Some(Held::Symlink(_)) | None => Ok(()),
        }
    }

    fn commit(self: Box<Self>, verified: &Verified) -> Result<(Committed, Kept), SinkError> {
        check_complete(&self.label, self.written, verified)?;
        let failed = failed(&self.label, "create", &self.path);
        match self.held {
            Some(Held::File(file)) => {
                file.persist(&self.path)
                    .map_err(|error| failed(error.error))?;
            }
            Some(Held::Symlink(link)) => {
                link.persist(&self.path)
                    .map_err(|error| failed(error.error))?;
            }
            Some(Held::Folder(root, _)) => {
                fs::rename(root.path(), &self.path).map_err(|error| match error.kind() {
                    io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists => {
                        SinkError::NotEmpty {
                            label: self.label.clone(),
                            path: self.path.clone(),
                        }
                    }
                    _ => failed(error),
                })?;
                // It has another name now: there is nothing left to remove.
                let _ = root.keep();
            }
            None => return Err(SinkError::Empty { label: self.label }),
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

/// The bytes of the files in a batch.
fn contents(batch: &[Piece]) -> impl Iterator<Item = &[u8]> {
    batch.iter().filter_map(|piece| match &piece.event {
        Event::Data(bytes) => Some(bytes.as_ref()),
        _ => None,
    })
}
