//! What a session may be given to sign with: files of the user's, and a desk that signs them.
//!
//! **The threat.** A module gets at a key, or has it sign what its owner never saw.
//!
//! **The rule.** A module names a key's slot, an envelope and one of its inputs, and is handed a signature. What is
//! signed is built by the host over what the host has read itself; whether it is signed is the [`Desk`]'s to say.
//! Nothing of the key but its public half comes near a guest.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::{Mutex, PoisonError};

use fetchhost_keys::{Content, Envelope, PublicKey};
use fetchhost_policy::{InputName, SlotName};

/// Signs for a fetcher, where the user allows it.
///
/// Its methods block: on files, agents and tokens, on others who sign, on the user at the terminal.
pub trait Desk: Send + Sync {
    /// The public half of the key that the user gave for `slot`.
    ///
    /// # Errors
    /// When there is none, or it cannot be had.
    fn public_key(&self, slot: &SlotName) -> Result<PublicKey, SigningError>;

    /// The signature over `content` in `envelope`, by the key that the user gave for `slot`: one that is remembered,
    /// or one that is made.
    ///
    /// # Errors
    /// When it is not allowed or cannot be made.
    fn sign(
        &self,
        slot: &SlotName,
        envelope: &Envelope,
        content: &Content,
    ) -> Result<Vec<u8>, SigningError>;
}

/// Why there is no signature, for the user. A module is told no more of it than its kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SigningError {
    /// What kind of failure it is.
    pub kind: SigningErrorKind,
    /// What happened, to what.
    pub message: String,
    /// What to do next.
    pub hint: Option<String>,
}

/// The kinds of [`SigningError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SigningErrorKind {
    /// Nobody allowed it.
    Denied,
    /// The key cannot be had, or did not sign.
    Key,
    /// The key makes no such signatures, or the content is none to be signed like this.
    Unsupported,
    /// What is remembered cannot be read or written.
    Memo,
}

/// A file that the user gives a fetcher.
///
/// It stays open, so that it is the same file each time. It is hashed when that is first asked for, and once.
#[derive(Debug)]
pub struct Input {
    file: File,
    /// As it was when it was opened.
    stamp: Stamp,
    content: Mutex<Option<Content>>,
}

/// What changes when a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    bytes: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
}

impl Stamp {
    fn of(file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        Ok(Self {
            bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        })
    }
}

impl Input {
    /// The input that is this file.
    ///
    /// # Errors
    /// When it is no regular file: what cannot be read twice cannot be signed.
    pub fn new(file: File) -> io::Result<Self> {
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "it is no regular file",
            ));
        }
        Ok(Self {
            stamp: Stamp::of(&file)?,
            file,
            content: Mutex::default(),
        })
    }

    /// Its length in bytes, when it was opened.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.stamp.bytes
    }

    /// The content with its digests. Blocks: the first call reads all of it.
    ///
    /// # Errors
    /// When it cannot be read, or was written to since it was opened.
    pub fn content(&self) -> io::Result<Content> {
        // It is set at once or not at all, so a panic elsewhere does not spoil it.
        let mut known = self.content.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(content) = &*known {
            self.check_unchanged()?;
            return Ok(content.clone());
        }
        let content = Content::of_file(self.file.try_clone()?)?;
        self.check_unchanged()?;
        if content.digests().size() != self.size() {
            return Err(changed());
        }
        *known = Some(content.clone());
        Ok(content)
    }

    /// At most `length` bytes from `offset` on; fewer only at the end. Blocks.
    ///
    /// # Errors
    /// When it cannot be read, or was written to since it was opened.
    pub fn read(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let left = usize::try_from(self.size().saturating_sub(offset)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; length.min(left)];
        self.file
            .read_exact_at(&mut bytes, offset)
            .map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => changed(),
                _ => error,
            })?;
        self.check_unchanged()?;
        Ok(bytes)
    }

    fn check_unchanged(&self) -> io::Result<()> {
        if Stamp::of(&self.file)? == self.stamp {
            Ok(())
        } else {
            Err(changed())
        }
    }
}

fn changed() -> io::Error {
    io::Error::other("it was written to while it was used")
}

/// Why a fetcher does not get an input, for the user.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// The user gave none.
    #[error("input `{0}` was not given")]
    NotGiven(InputName),
    /// It cannot be read, or is another than when it was opened.
    #[error("input `{name}` cannot be used: {error}")]
    Unusable {
        /// Which one.
        name: InputName,
        /// Why not.
        error: io::Error,
    },
}

impl InputError {
    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotGiven(name) => Some(format!("add `--input {name}=PATH`")),
            Self::Unusable { .. } => None,
        }
    }
}
