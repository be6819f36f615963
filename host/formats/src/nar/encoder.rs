//! From events to pieces.

use bytes::{BufMut, Bytes, BytesMut};

use super::error::NarError;
use super::event::{Event, Piece};
use super::framing::{
    CLOSE, DIRECTORY, ENTRY, EXECUTABLE, FILE, MAGIC, NODE, SYMLINK, end_of_file, put_token,
};

/// How deep a tree may nest, the root counted as the first level. Nix has no such limit today, but
/// readers of the format do; a deeper archive could be written and not be read again.
pub const MAX_DEPTH: usize = 64;

/// Longest name of an entry, in bytes: what the file systems of a store can hold.
pub const MAX_NAME_LEN: usize = 255;

/// Longest target of a symlink, in bytes: what the kernel takes.
pub const MAX_TARGET_LEN: usize = 4095;

/// Framing is cut from buffers of this size, so that a tree of small files does not cost one
/// allocation for every name.
const SCRATCH: usize = 32 * 1024;

/// Room for the longest framing that one event needs: a symlink with the longest target.
const LONGEST: usize = MAX_TARGET_LEN + 256;

/// Turns a sequence of [`Event`]s into [`Piece`]s and refuses a sequence that is no archive.
///
/// A refused event leaves the encoder as it was.
#[derive(Debug)]
pub struct Encoder {
    place: Place,
    /// The name written last in each open directory, outermost first.
    open: Vec<Option<Bytes>>,
    /// How many may be open, files and symlinks counted.
    max_depth: usize,
    /// Whether the next piece carries the magic.
    fresh: bool,
    scratch: BytesMut,
}

/// Where in the archive the next event falls.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// A node must follow: the root, or what an entry holds.
    Node,
    /// An entry of the open directory or its end must follow.
    Entries,
    /// Contents of the open file must follow, or its end.
    File { size: u64, written: u64 },
    /// The node of an entry is complete.
    EntryEnd,
    /// The archive is complete.
    Done,
}

impl Place {
    const fn expected(self) -> &'static str {
        match self {
            Self::Node => "a directory, file or symlink",
            Self::Entries => "an entry or the end of the directory",
            Self::File { size, written } if written < size => "the rest of a file",
            Self::File { .. } => "the end of the file",
            Self::EntryEnd => "the end of the entry",
            Self::Done => "nothing more",
        }
    }
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Encoder {
    /// An encoder at the beginning of an archive.
    #[must_use]
    pub fn new() -> Self {
        Self {
            place: Place::Node,
            open: Vec::new(),
            max_depth: MAX_DEPTH,
            fresh: true,
            scratch: BytesMut::new(),
        }
    }

    /// The same for a tree that Nix has already, which may be of any depth.
    #[must_use]
    pub fn of_any_depth() -> Self {
        Self {
            max_depth: usize::MAX,
            ..Self::new()
        }
    }

    /// Takes the next event and returns it with its bytes.
    ///
    /// # Errors
    ///
    /// When the event cannot follow here, when a name or target is none, when names are not in
    /// strictly rising byte order, when a file's contents do not fit its size, or when the tree is
    /// deeper than [`MAX_DEPTH`] and this is not an encoder [of any depth](Self::of_any_depth).
    pub fn push(&mut self, event: Event) -> Result<Piece, NarError> {
        let nar = match (&event, self.place) {
            (Event::Directory, Place::Node) => {
                self.check_depth()?;
                self.open.push(None);
                self.place = Place::Entries;
                self.fixed(&DIRECTORY)
            }
            (Event::File { executable, size }, Place::Node) => {
                self.check_depth()?;
                self.place = Place::File {
                    size: *size,
                    written: 0,
                };
                self.framed(|out| {
                    out.put_slice(if *executable { &EXECUTABLE } else { &FILE });
                    out.put_u64_le(*size);
                })
            }
            (Event::Symlink { target }, Place::Node) => {
                self.check_depth()?;
                check_target(target)?;
                self.place = self.after_node();
                self.framed(|out| {
                    out.put_slice(&SYMLINK);
                    put_token(out, target);
                    out.put_slice(&CLOSE);
                })
            }
            (Event::Entry { name }, Place::Entries) => {
                self.enter(name)?;
                self.place = Place::Node;
                self.framed(|out| {
                    out.put_slice(&ENTRY);
                    put_token(out, name);
                    out.put_slice(&NODE);
                })
            }
            (Event::EndDirectory, Place::Entries) => {
                self.open.pop();
                self.place = self.after_node();
                Bytes::from_static(&CLOSE)
            }
            (Event::Data(data), Place::File { size, written }) => {
                let got = written.saturating_add(data.len() as u64);
                if got > size {
                    return Err(NarError::Size {
                        declared: size,
                        got,
                    });
                }
                self.place = Place::File { size, written: got };
                data.clone()
            }
            (Event::EndFile, Place::File { size, written }) => {
                if written < size {
                    return Err(NarError::Size {
                        declared: size,
                        got: written,
                    });
                }
                self.place = self.after_node();
                Bytes::from_static(end_of_file(size))
            }
            (Event::EndEntry, Place::EntryEnd) => {
                self.place = Place::Entries;
                Bytes::from_static(&CLOSE)
            }
            (event, place) => {
                return Err(NarError::Unexpected {
                    event: event.label(),
                    expected: place.expected(),
                });
            }
        };
        Ok(Piece { event, nar })
    }

    /// Ends the archive.
    ///
    /// # Errors
    ///
    /// When its tree is not complete.
    pub fn finish(self) -> Result<(), NarError> {
        match self.place {
            Place::Done => Ok(()),
            place => Err(NarError::Unfinished {
                expected: place.expected(),
            }),
        }
    }

    /// A node in `open.len()` directories is at that depth, the root at 0.
    fn check_depth(&self) -> Result<(), NarError> {
        if self.open.len() < self.max_depth {
            Ok(())
        } else {
            Err(NarError::TooDeep)
        }
    }

    /// Checks `name` and remembers it as the last one of the open directory.
    fn enter(&mut self, name: &Bytes) -> Result<(), NarError> {
        check_name(name)?;
        let Some(last) = self.open.last_mut() else {
            return Err(NarError::Unexpected {
                event: "an entry",
                expected: Place::Node.expected(),
            });
        };
        if let Some(previous) = last.as_ref().filter(|previous| name <= *previous) {
            let shown = shown(name);
            return Err(if name == previous {
                NarError::Duplicate { name: shown }
            } else {
                NarError::Unsorted {
                    name: shown,
                    previous: self::shown(previous),
                }
            });
        }
        *last = Some(name.clone());
        Ok(())
    }

    fn after_node(&self) -> Place {
        if self.open.is_empty() {
            Place::Done
        } else {
            Place::EntryEnd
        }
    }

    /// Bytes that never change, after the magic when they open the archive.
    fn fixed(&mut self, bytes: &'static [u8]) -> Bytes {
        if self.fresh {
            self.framed(|out| out.put_slice(bytes))
        } else {
            Bytes::from_static(bytes)
        }
    }

    /// Bytes written into the scratch buffer, after the magic when they open the archive.
    fn framed(&mut self, write: impl FnOnce(&mut BytesMut)) -> Bytes {
        if self.scratch.capacity() < LONGEST {
            self.scratch.reserve(SCRATCH);
        }
        if std::mem::take(&mut self.fresh) {
            self.scratch.put_slice(&MAGIC);
        }
        write(&mut self.scratch);
        self.scratch.split().freeze()
    }
}

fn check_name(name: &[u8]) -> Result<(), NarError> {
    if name.len() > MAX_NAME_LEN {
        return Err(NarError::NameTooLong { got: name.len() });
    }
    if matches!(name, b"" | b"." | b"..") || name.iter().any(|byte| matches!(byte, b'/' | 0)) {
        return Err(NarError::InvalidName { name: shown(name) });
    }
    Ok(())
}

fn check_target(target: &[u8]) -> Result<(), NarError> {
    if target.len() > MAX_TARGET_LEN {
        return Err(NarError::TargetTooLong { got: target.len() });
    }
    if target.is_empty() || target.contains(&0) {
        return Err(NarError::InvalidTarget);
    }
    Ok(())
}

/// A name as an error shows it.
fn shown(name: &[u8]) -> String {
    name.escape_ascii().to_string()
}
