//! What lies in a cache, by one listing, held compactly: a hundred thousand entries take some 20 MB.

use std::collections::BTreeMap;
use std::fmt;
use std::time::SystemTime;

use fetchhost_formats::{CacheInfo, StorePath};

use crate::error::CacheError;
use crate::memo::is_memo;
use crate::objects::{Key, Objects};
use crate::temporary::is_temporary;

/// The characters of a hash part, which is how a cache names a path.
const HASH_PART: usize = 32;

/// Nix's own letters for hashes.
const LETTERS: &[u8] = b"0123456789abcdfghijklmnpqrsvwxyz";

/// The hash part of a store path, which names its record.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HashPart([u8; HASH_PART]);

impl HashPart {
    /// Reads a hash part.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes: [u8; HASH_PART] = text.as_bytes().try_into().ok()?;
        let is_one = bytes.iter().all(|byte| LETTERS.contains(byte));
        is_one.then_some(Self(bytes))
    }

    /// That of a path.
    #[must_use]
    pub fn of(path: &StorePath) -> Self {
        let mut bytes = [0; HASH_PART];
        bytes.copy_from_slice(path.hash_part().as_bytes());
        Self(bytes)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Its letters are ASCII.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The record that it names.
    #[must_use]
    pub fn record(&self) -> Key {
        Key::of_parts(self.as_str(), ".narinfo")
    }

    /// The listing that it names.
    #[must_use]
    pub fn listing(&self) -> Key {
        Key::of_parts(self.as_str(), ".ls")
    }
}

impl fmt::Debug for HashPart {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// One object, as it was listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its length, in bytes.
    pub size: u64,
    /// When it was written.
    pub modified: SystemTime,
}

/// What lies in a cache. What is none of its parts (logs, realisations, a page for people) is left out, and
/// left alone.
#[derive(Debug, Default)]
pub struct Inventory {
    /// Whether it has a `nix-cache-info`.
    pub has_info: bool,
    /// Its records.
    pub records: BTreeMap<HashPart, Seen>,
    /// What ends as a record does, and has a name that no path gives.
    pub misnamed: Vec<Key>,
    /// Its listings of what is in a NAR.
    pub listings: BTreeMap<HashPart, Seen>,
    /// What lies where NARs do, with a name as they have.
    pub nars: BTreeMap<Box<str>, Seen>,
    /// What is remembered, which is never taken away: each may name a path.
    pub memo: BTreeMap<Key, Seen>,
    /// What publishers write to before it has its name: ours, and Nix's.
    pub temporary: Vec<(Key, Seen)>,
}

impl Inventory {
    /// Lists a cache.
    ///
    /// # Errors
    /// When it cannot be listed.
    pub fn of(objects: &dyn Objects) -> Result<Self, CacheError> {
        let mut found = Self::default();
        objects.list(&mut |listed| {
            let seen = Seen {
                size: listed.size,
                modified: listed.modified,
            };
            found.put(&listed.name, seen);
            Ok(())
        })?;
        Ok(found)
    }

    fn put(&mut self, name: &str, seen: Seen) {
        // What is no key was not written by a publisher, and no record can name it.
        let Some(key) = Key::parse(name) else {
            return;
        };
        if name == CacheInfo::FILE {
            self.has_info = true;
        } else if is_temporary(name) {
            self.temporary.push((key, seen));
        } else if let Some(stem) = name.strip_suffix(".narinfo") {
            match HashPart::parse(stem) {
                Some(hash_part) => drop(self.records.insert(hash_part, seen)),
                // What lies deeper is another cache's.
                None if !stem.contains('/') => self.misnamed.push(key),
                None => {}
            }
        } else if let Some(hash_part) = name.strip_suffix(".ls").and_then(HashPart::parse) {
            self.listings.insert(hash_part, seen);
        } else if is_nar(&key) {
            self.nars.insert(name.into(), seen);
        } else if is_memo(&key) {
            self.memo.insert(key, seen);
        }
    }

    /// The listings that belong to no record.
    pub fn orphaned_listings(&self) -> impl Iterator<Item = (HashPart, Seen)> {
        let records = &self.records;
        let listings = self.listings.iter();
        listings
            .filter(|(hash_part, _)| !records.contains_key(hash_part))
            .map(|(hash_part, seen)| (*hash_part, *seen))
    }
}

/// Whether something lies where NARs do, with a name as they have: nothing else is ever taken for one that
/// can go, whatever a record says.
#[must_use]
pub(crate) fn is_nar(key: &Key) -> bool {
    let name = key.as_str().strip_prefix("nar/");
    name.is_some_and(|name| !name.contains('/') && name.contains(".nar") && !is_temporary(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "0c0bhl1hk5hz6v0jfbmhzgqyxpsr5cba";

    #[test]
    fn each_name_is_what_it_looks_like_and_no_more() {
        let mut found = Inventory::default();
        let seen = Seen {
            size: 1,
            modified: SystemTime::UNIX_EPOCH,
        };
        for name in [
            "nix-cache-info".to_owned(),
            format!("{HASH}.narinfo"),
            format!("{HASH}.ls"),
            format!("{HASH}.narinfo.tmp.7.1"),
            "e.narinfo".to_owned(),
            format!("sub/{HASH}.narinfo"),
            "nar/1.nar.xz".to_owned(),
            "nar/1.nar.xz.tmp.12.3".to_owned(),
            "nar/.nix-fetchhost-Ab3.tmp".to_owned(),
            "nar/README".to_owned(),
            "log/x.drv".to_owned(),
            "index.html".to_owned(),
            format!("memo/{}.json", "0a".repeat(32)),
            format!("memo/{}.json", "0A".repeat(32)),
            "memo/x.json".to_owned(),
            format!("sub/memo/{}.json", "0a".repeat(32)),
            "../nar/2.nar".to_owned(),
        ] {
            found.put(&name, seen);
        }
        assert!(found.has_info);
        assert_eq!(found.records.len(), 1);
        assert_eq!(found.listings.len(), 1);
        assert_eq!(found.misnamed, [Key::parse("e.narinfo").unwrap()]);
        let nars: Vec<_> = found.nars.keys().map(|name| &**name).collect();
        assert_eq!(nars, ["nar/1.nar.xz"]);
        assert_eq!(found.temporary.len(), 3);
        assert_eq!(found.memo.len(), 1);
        assert_eq!(found.orphaned_listings().count(), 0);
    }

    #[test]
    fn a_hash_part_has_the_letters_of_nix() {
        assert_eq!(HashPart::parse(HASH).unwrap().as_str(), HASH);
        for text in ["", "e", &HASH.replace('0', "e"), &format!("{HASH}0")] {
            assert_eq!(HashPart::parse(text), None, "{text}");
        }
    }
}
