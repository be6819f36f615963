//! What a place for a cache can do.

use std::fmt;
use std::io::{self, Read, Write};
use std::time::SystemTime;

use fetchhost_formats::{NarUrl, StorePath};
use rand::Rng as _;

use crate::error::CacheError;

/// The longest key that is taken from a record or a listing, in bytes; S3's own limit.
const MAX_KEY: usize = 1024;

/// Where NARs are.
const NAR_FOLDER: &str = "nar/";
/// Letters of a name that is chosen: fewer than a hash of contents has.
const CHOSEN_LENGTH: usize = 32;
/// Nix's own letters for hashes.
const LETTERS: &[u8; 32] = b"0123456789abcdfghijklmnpqrsvwxyz";

/// The name of something in a cache, relative to its root: segments of visible ASCII between single slashes,
/// none of them `.` or `..`, and nothing that a URL would read otherwise, or that some encode and others do
/// not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(String);

impl Key {
    /// Reads a key; none when the text could lie elsewhere, or be read as something else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_plain = |byte: u8| {
            byte.is_ascii_graphic()
                && !matches!(
                    byte,
                    b':' | b'?'
                        | b'#'
                        | b'%'
                        | b'\\'
                        | b'"'
                        | b'<'
                        | b'>'
                        | b'`'
                        | b'{'
                        | b'}'
                        | b'|'
                        | b'^'
                        | b'['
                        | b']'
                        | b'&'
                        | b';'
                        | b'~'
                        | b'*'
                )
        };
        let is_key = text.len() <= MAX_KEY
            && text.bytes().all(is_plain)
            && text.split('/').all(|part| !matches!(part, "" | "." | ".."));
        is_key.then(|| Self(text.to_owned()))
    }

    /// What a cache says about itself.
    #[must_use]
    pub fn info() -> Self {
        Self("nix-cache-info".to_owned())
    }

    /// A name that is put together from parts that are plain.
    pub(crate) fn of_parts(stem: &str, extension: &str) -> Self {
        Self(format!("{stem}{extension}"))
    }

    /// The record of a path.
    #[must_use]
    pub fn record(path: &StorePath) -> Self {
        Self(format!("{}.narinfo", path.hash_part()))
    }

    /// The listing of what is in a path's NAR.
    #[must_use]
    pub fn listing(path: &StorePath) -> Self {
        Self(format!("{}.ls", path.hash_part()))
    }

    /// The NAR that a record names; none when it is not plainly below the cache's root.
    #[must_use]
    pub fn nar(url: &NarUrl) -> Option<Self> {
        Self::parse(url.as_str())
    }

    /// A name for a NAR whose contents are not known yet, ending with `suffix`: at random.
    pub(crate) fn chosen(suffix: &str) -> Option<Self> {
        let mut random = rand::rng();
        let letters = (0..CHOSEN_LENGTH).map(|_| LETTERS[random.random_range(0..LETTERS.len())]);
        let name: String = letters.map(char::from).collect();
        Self::parse(&format!("{NAR_FOLDER}{name}{suffix}"))
    }

    /// Whether it is a name that was chosen at random, and not by contents.
    pub(crate) fn is_chosen(&self) -> bool {
        let name = self.0.strip_prefix(NAR_FOLDER).unwrap_or_default();
        let stem = name.split('.').next().unwrap_or_default();
        stem.len() == CHOSEN_LENGTH && stem.bytes().all(|byte| LETTERS.contains(&byte))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// What an object holds, as readers of a bucket are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `nix-cache-info`.
    Info,
    /// A narinfo.
    Record,
    /// A NAR.
    Nar,
    /// JSON.
    Json,
}

impl Kind {
    /// The media type, as Nix itself sets it.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Info => "text/x-nix-cache-info",
            Self::Record => "text/x-nix-narinfo",
            Self::Nar => "application/x-nix-nar",
            Self::Json => "application/json",
        }
    }
}

/// Which state of an object was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version(pub(crate) String);

/// A small object.
#[derive(Clone, Debug)]
pub struct Object {
    /// All of it, or as much as was asked for and one byte more.
    pub bytes: Vec<u8>,
    /// Its state; none where the place tells none.
    pub version: Option<Version>,
}

/// One object of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its name, which may be none that a cache gives.
    pub name: String,
    /// Its length in bytes.
    pub size: u64,
    /// When it was written.
    pub modified: SystemTime,
}

/// An upload in parts that has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnfinishedUpload {
    /// What it was to be.
    pub key: String,
    /// The server's name for it.
    pub id: String,
    /// When it was begun.
    pub begun: SystemTime,
}

/// A place for a cache. Its methods block.
///
/// What is written appears whole under its name or not at all.
pub trait Objects: fmt::Debug + Send + Sync {
    /// The place, as errors and results name it.
    fn label(&self) -> String;

    /// Where `key` is, for people and other programs: a file's path, or a URL.
    fn place_of(&self, key: &Key) -> String;

    /// A small object; none when there is none. Of what is longer than `limit` bytes it gives one more, and no
    /// state.
    ///
    /// # Errors
    /// When the place cannot be read.
    fn get(&self, key: &Key, limit: u64) -> Result<Option<Object>, CacheError>;

    /// The length of an object in bytes.
    ///
    /// # Errors
    /// When the place cannot be asked.
    fn size(&self, key: &Key) -> Result<Option<u64>, CacheError>;

    /// An object, to be read as it comes.
    ///
    /// # Errors
    /// When the place cannot be read.
    fn open(&self, key: &Key) -> Result<Option<Box<dyn Read + Send>>, CacheError>;

    /// Writes a small object unless there is one of its name. Whether it was written.
    ///
    /// # Errors
    /// When the place cannot be written to, or cannot tell whether there was one.
    fn create(&self, key: &Key, kind: Kind, bytes: &[u8]) -> Result<bool, CacheError>;

    /// Writes a small object over whatever is there.
    ///
    /// # Errors
    /// When the place cannot be written to.
    fn put(&self, key: &Key, kind: Kind, bytes: &[u8]) -> Result<(), CacheError>;

    /// Writes a small object over the state `of` it. Whether it was still in that state.
    ///
    /// # Errors
    /// When the place cannot be written to, or cannot tell whether it was.
    fn replace(
        &self,
        key: &Key,
        kind: Kind,
        bytes: &[u8],
        of: &Version,
    ) -> Result<bool, CacheError>;

    /// Takes an object away, if it is there.
    ///
    /// # Errors
    /// When the place does not let it.
    fn delete(&self, key: &Key) -> Result<(), CacheError>;

    /// Names all objects, in no order.
    ///
    /// # Errors
    /// When the place cannot be listed, or the error of `each`.
    fn list(
        &self,
        each: &mut dyn FnMut(Listed) -> Result<(), CacheError>,
    ) -> Result<(), CacheError>;

    /// Begins a large object, whose name need not be known yet; where one has to be chosen, it ends with
    /// `suffix`. Dropping it leaves nothing that anybody sees.
    ///
    /// # Errors
    /// When the place cannot be written to.
    fn upload(&self, kind: Kind, suffix: &str) -> Result<Box<dyn Upload>, CacheError>;

    /// What publishers began in parts and neither ended nor gave up, which costs and which nobody sees; nothing
    /// where there is no such thing.
    ///
    /// # Errors
    /// When the place cannot be asked.
    fn unfinished_uploads(&self) -> Result<Vec<UnfinishedUpload>, CacheError> {
        Ok(Vec::new())
    }

    /// Takes away what has arrived of an upload, if it is there.
    ///
    /// # Errors
    /// When the place does not let it.
    fn give_up(&self, _: &UnfinishedUpload) -> Result<(), CacheError> {
        Ok(())
    }

    /// Whether the place honours conditions of writing: to create only, and to change only a certain state;
    /// none where that is no question, or cannot be told.
    fn conditional_writes(&self) -> Option<[bool; 2]> {
        None
    }

    /// Sees to it that what was written so far outlasts a crash of the machine.
    ///
    /// # Errors
    /// When that cannot be had.
    fn settle(&self) -> Result<(), CacheError>;
}

/// A large object on its way.
pub trait Upload: Write + Send {
    /// What an error that writing gave means.
    fn failure(&mut self, error: io::Error) -> CacheError;

    /// Makes it appear as `wanted`, or, where its name had to be chosen before all of it was known, under
    /// that; returns the name.
    ///
    /// # Errors
    /// When it cannot appear.
    fn finish(self: Box<Self>, wanted: &Key) -> Result<Key, CacheError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_lies_below_the_root_and_nowhere_else() {
        for text in [
            "nix-cache-info",
            "nar/0abc.nar.zst",
            "a/b/c",
            "x+y=z@,!$'()_-.",
        ] {
            assert_eq!(Key::parse(text).unwrap().as_str(), text);
        }
        let long = "a".repeat(MAX_KEY + 1);
        for text in [
            "", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "./a", "a\\b", "a:b", "a?b", "a#b",
            "a%2fb", "a b", "é", "a\n", "a\0", &long,
        ] {
            assert_eq!(Key::parse(text), None, "{text:?}");
        }
    }
}
