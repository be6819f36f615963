//! The archive of a file or folder, made while it is read: no thread, no copy on disk.
//!
//! | what is there | in the archive |
//! |---|---|
//! | a file, executable for its owner or not | as it is |
//! | a symlink | as it is, never followed |
//! | a folder | its entries in byte order of their names, at any depth |
//! | a device, pipe or socket | an error |
//! | a file that becomes shorter while it is read | an error |
//!
//! What changes meanwhile may be read half before and half after: only a hash says what was read.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufRead, Read};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::PathBuf;
use std::vec;

use bytes::Bytes;
use fetchhost_formats::nar::{Encoder, Event};
use rustix::fs::OFlags;

/// Bytes of a file that are read at once, and about how many are handed on at once.
const CHUNK: usize = 128 * 1024;

/// From this length on, in bytes, what was read is handed on as it is; less is gathered first.
const LARGE: usize = 16 * 1024;

/// The executable bit that an archive knows.
const OWNER_EXECUTES: u32 = 0o100;

/// The archive of what lies at a path. Nothing is opened before the first byte is asked for.
///
/// After an error there is no more to read.
pub(crate) struct Packing {
    encoder: Encoder,
    next: Next,
    /// Where the next node is.
    path: PathBuf,
    /// Names that have yet to come, of each folder that is open.
    folders: Vec<vec::IntoIter<OsString>>,
    /// Parts of the archive that were made already.
    made: VecDeque<Bytes>,
}

/// What comes next in the archive.
enum Next {
    /// What lies at the path.
    Node,
    /// The rest of this file.
    Contents { file: File, left: u64 },
    /// What follows the node at the path.
    EndNode,
    /// The next entry of the folder at the path, or its end.
    Entry,
    /// Nothing.
    End,
}

impl Packing {
    pub(crate) fn of(path: PathBuf) -> Self {
        Self {
            encoder: Encoder::of_any_depth(),
            next: Next::Node,
            path,
            folders: Vec::new(),
            made: VecDeque::new(),
        }
    }

    /// Makes more of the archive, unless it is at its end.
    fn make(&mut self) -> io::Result<()> {
        let mut gathered = Vec::new();
        while gathered.len() < CHUNK {
            let bytes = match std::mem::replace(&mut self.next, Next::End) {
                Next::Node => self.node()?,
                Next::Contents { file, left } => self.contents(file, left)?,
                Next::EndNode if self.folders.is_empty() => break,
                Next::EndNode => {
                    self.path.pop();
                    self.next = Next::Entry;
                    self.encode(Event::EndEntry)?
                }
                Next::Entry => self.entry()?,
                Next::End => break,
            };
            if bytes.len() < LARGE {
                gathered.extend_from_slice(&bytes);
                continue;
            }
            self.hand_on(gathered.into());
            self.hand_on(bytes);
            return Ok(());
        }
        self.hand_on(gathered.into());
        Ok(())
    }

    fn hand_on(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.made.push_back(bytes);
        }
    }

    fn encode(&mut self, event: Event) -> io::Result<Bytes> {
        let piece = self.encoder.push(event).map_err(io::Error::other)?;
        Ok(piece.nar)
    }

    fn node(&mut self) -> io::Result<Bytes> {
        let kind = fs::symlink_metadata(&self.path)?.file_type();
        if kind.is_symlink() {
            let target = fs::read_link(&self.path)?.into_os_string().into_vec();
            self.next = Next::EndNode;
            self.encode(Event::Symlink {
                target: target.into(),
            })
        } else if kind.is_dir() {
            let names = fs::read_dir(&self.path)?.map(|entry| Ok(entry?.file_name()));
            let mut names = names.collect::<io::Result<Vec<_>>>()?;
            names.sort_unstable();
            self.folders.push(names.into_iter());
            self.next = Next::Entry;
            self.encode(Event::Directory)
        } else if kind.is_file() {
            self.file()
        } else {
            Err(io::Error::other("there is a device, pipe or socket in it"))
        }
    }

    fn file(&mut self) -> io::Result<Bytes> {
        // Neither a link nor a pipe that came to be there since it was looked at.
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file = File::options()
            .read(true)
            .custom_flags(flags.bits().cast_signed())
            .open(&self.path)?;
        let metadata = file.metadata()?;
        let size = metadata.len();
        self.next = Next::Contents { file, left: size };
        self.encode(Event::File {
            executable: metadata.mode() & OWNER_EXECUTES != 0,
            size,
        })
    }

    fn contents(&mut self, mut file: File, left: u64) -> io::Result<Bytes> {
        if left == 0 {
            self.next = Next::EndNode;
            return self.encode(Event::EndFile);
        }
        let length = left.min(CHUNK as u64);
        let mut data = Vec::with_capacity(length as usize);
        (&mut file).take(length).read_to_end(&mut data)?;
        if data.is_empty() {
            return Err(io::Error::other("a file in it became shorter meanwhile"));
        }
        let left = left - data.len() as u64;
        self.next = Next::Contents { file, left };
        self.encode(Event::Data(data.into()))
    }

    fn entry(&mut self) -> io::Result<Bytes> {
        let Some(name) = self.folders.last_mut().and_then(Iterator::next) else {
            self.folders.pop();
            self.next = Next::EndNode;
            return self.encode(Event::EndDirectory);
        };
        self.path.push(&name);
        self.next = Next::Node;
        self.encode(Event::Entry {
            name: name.into_vec().into(),
        })
    }
}

impl BufRead for Packing {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.made.is_empty() {
            self.make()?;
        }
        Ok(self.made.front().map_or(&[], |bytes| bytes))
    }

    fn consume(&mut self, amount: usize) {
        if let Some(bytes) = self.made.front_mut() {
            bytes::Buf::advance(bytes, amount);
            if bytes.is_empty() {
                self.made.pop_front();
            }
        }
    }
}

impl Read for Packing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.fill_buf()?.read(buffer)?;
        self.consume(length);
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::os::unix::net::UnixListener;

    use nix_archive::nar::{CaseHack, encode_path};

    use super::*;

    fn packed(path: &std::path::Path) -> io::Result<Vec<u8>> {
        let mut archive = Vec::new();
        Packing::of(path.to_owned()).read_to_end(&mut archive)?;
        Ok(archive)
    }

    #[test]
    fn it_is_what_another_implementation_makes() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        // Around what is handed on as it is, and what is read at once.
        for size in [
            0,
            1,
            8,
            LARGE - 1,
            LARGE,
            CHUNK - 1,
            CHUNK,
            CHUNK + 1,
            3 * CHUNK,
        ] {
            let path = root.join(format!("file-{size}"));
            fs::write(&path, vec![b'x'; size]).unwrap();
            if size % 2 == 1 {
                fs::set_permissions(&path, fs::Permissions::from_mode(0o555)).unwrap();
            }
        }
        // For others than its owner it makes no difference.
        fs::set_permissions(root.join("file-8"), fs::Permissions::from_mode(0o455)).unwrap();
        symlink("/nowhere", root.join("Link")).unwrap();
        fs::create_dir_all(root.join("folder/empty")).unwrap();
        fs::write(root.join("folder.d"), "sorted by bytes").unwrap();
        for index in 0..3000 {
            fs::write(root.join("folder").join(index.to_string()), "x").unwrap();
        }
        fs::write(
            root.join(OsString::from_vec(b"not \xff UTF-8".to_vec())),
            "",
        )
        .unwrap();
        let parts = ["", "folder", "folder/empty", "Link", "file-0", "file-16384"];
        for path in parts.map(|part| root.join(part).components().collect::<PathBuf>()) {
            let mut expected = Vec::new();
            encode_path(&mut expected, &path, CaseHack::Disabled).unwrap();
            assert!(packed(&path).unwrap() == expected, "{}", path.display());
        }
    }

    #[test]
    fn a_tree_may_be_of_any_depth() {
        let folder = tempfile::tempdir().unwrap();
        let deep = (0..200).fold(folder.path().join("0"), |path, _| path.join("x"));
        fs::create_dir_all(&deep).unwrap();
        assert!(packed(folder.path()).unwrap().ends_with(b")\0\0\0\0\0\0\0"));
    }

    #[test]
    fn what_no_archive_can_hold_is_an_error_and_nothing_waits_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let error = packed(&folder.path().join("missing")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        let _socket = UnixListener::bind(folder.path().join("socket")).unwrap();
        let error = packed(folder.path()).unwrap_err();
        assert!(error.to_string().contains("socket"), "{error}");
    }

    #[test]
    fn a_file_that_becomes_shorter_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, vec![0; 4 * CHUNK]).unwrap();
        let mut packing = Packing::of(path.clone());
        assert!(!packing.fill_buf().unwrap().is_empty());
        File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_len(9)
            .unwrap();
        let error = packing.read_to_end(&mut Vec::new()).unwrap_err();
        assert!(error.to_string().contains("shorter"), "{error}");
    }
}
