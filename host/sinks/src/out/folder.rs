//! Unpacking a tree into a folder of our own.
//!
//! # Threat
//!
//! The names and links of a tree are chosen by whoever made the archive. He tries to have a file
//! written outside of the folder: through a link of the tree itself, or on a file system that
//! takes two different names for one.
//!
//! # Rule
//!
//! Every node is created in an open folder by its one name, and never over something: a folder is
//! entered only after it was created here, and by a handle that follows no link. The names
//! themselves were checked when the archive was made: none holds a `/`, none is `.` or `..`.
//!
//! | tree | what happens |
//! |---|---|
//! | a link to `/etc` | the link is made, and never followed |
//! | `a` a link, then `a/x` | not possible: `a` is one entry |
//! | `A` a link, then `a/x`, where case does not count | an error: `a` exists |

use std::fs::File;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use fetchhost_formats::nar::{Event, Piece};
use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat, symlinkat};

use crate::error::{SinkError, failed};

/// A folder that is being filled.
pub(super) struct Folder {
    label: String,
    /// The open folders, outermost first. The first one exists before the tree begins.
    open: Vec<OwnedFd>,
    /// Whether the event that opens the outermost folder has come.
    begun: bool,
    /// The names that lead to the node being written.
    names: Vec<Vec<u8>>,
    /// The file being written.
    file: Option<File>,
}

impl Folder {
    /// Fills the folder at `root`, which was just made.
    pub(super) fn open(label: String, root: &Path) -> Result<Self, SinkError> {
        let handle =
            open_folder(CWD, root.as_os_str().as_bytes()).map_err(failed(&label, "open", root))?;
        Ok(Self {
            label,
            open: vec![handle],
            begun: false,
            names: Vec::new(),
            file: None,
        })
    }

    /// Takes the next pieces of the tree.
    pub(super) fn write(&mut self, batch: &[Piece]) -> Result<(), SinkError> {
        batch.iter().try_for_each(|piece| self.step(&piece.event))
    }

    fn step(&mut self, event: &Event) -> Result<(), SinkError> {
        match event {
            Event::Directory if !self.begun => self.begun = true,
            Event::Entry { name } => self.names.push(name.to_vec()),
            Event::EndEntry => drop(self.names.pop()),
            Event::EndDirectory => drop(self.open.pop()),
            Event::EndFile => self.file = None,
            Event::Directory => {
                let (folder, name) = self.place()?;
                let made = mkdirat(folder, name, Mode::from_raw_mode(0o777))
                    .and_then(|()| open_folder(folder, name));
                let made = made.map_err(|error| self.failed("create the folder", error))?;
                self.open.push(made);
            }
            Event::Symlink { target } => {
                let (folder, name) = self.place()?;
                symlinkat(target.as_ref(), folder, name)
                    .map_err(|error| self.failed("create the symlink", error))?;
            }
            Event::File { executable, .. } => {
                let mode = Mode::from_raw_mode(if *executable { 0o777 } else { 0o666 });
                let flags = OFlags::WRONLY
                    | OFlags::CREATE
                    | OFlags::EXCL
                    | OFlags::NOFOLLOW
                    | OFlags::CLOEXEC;
                let (folder, name) = self.place()?;
                let made = openat(folder, name, flags, mode)
                    .map_err(|error| self.failed("create the file", error))?;
                self.file = Some(File::from(made));
            }
            Event::Data(bytes) => {
                let written = match &mut self.file {
                    Some(file) => file.write_all(bytes),
                    None => Err(std::io::ErrorKind::InvalidInput.into()),
                };
                written.map_err(|error| self.failed("write the file", error))?;
            }
        }
        Ok(())
    }

    /// The folder and the name of the node that comes now.
    fn place(&self) -> Result<(&OwnedFd, &[u8]), SinkError> {
        match (self.open.last(), self.names.last()) {
            (Some(folder), Some(name)) => Ok((folder, name)),
            _ => Err(self.failed("place a part of", std::io::ErrorKind::InvalidInput)),
        }
    }

    fn failed(&self, action: &'static str, error: impl Into<std::io::Error>) -> SinkError {
        let path: PathBuf = self
            .names
            .iter()
            .map(|name| OsStr::from_bytes(name))
            .collect();
        failed(&self.label, action, &path)(error)
    }
}

fn open_folder(above: impl std::os::fd::AsFd, name: &[u8]) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(above, name, flags, Mode::empty())
}
