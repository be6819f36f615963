//! Checking one entry of a cache.

use std::fmt;

use fetchhost_formats::{Compression, NarInfo, PublicKey, StorePath, Unproved};

use super::fault::Fault;
use super::measure::measure;
use crate::cache::{Cache, MAX_RECORD};
use crate::error::CacheError;
use crate::inventory::{HashPart, Inventory};
use crate::objects::{Key, Version};

/// What is to be checked.
#[derive(Clone, Debug, Default)]
pub struct Checks {
    /// Whose signatures have to hold.
    pub keys: Vec<PublicKey>,
    /// Whether one of them, or a content address that proves the path, has to be there.
    pub require_signature: bool,
    /// Only whether what has to be there is there, and as long as it should be.
    pub fast: bool,
}

/// One entry, as it was found.
#[derive(Clone, Debug)]
pub struct Checked {
    /// Where its record is.
    pub key: Key,
    /// What its record says, as far as that can be read.
    pub record: Option<NarInfo>,
    /// What is wrong with it; nothing, when it is sound as far as it was checked.
    pub faults: Vec<Fault>,
    /// Why its content was not checked, though it was to be.
    pub unchecked: Option<Unchecked>,
    /// Whether its origin is shown: by a trusted key's signature, or without trusted keys by any, or by its
    /// content address.
    pub is_signed: bool,
    /// What it refers to and the cache does not have.
    pub dangling: Vec<StorePath>,
    /// How many bytes of its NAR's file were read.
    pub read: u64,
    /// The state of its record.
    pub(super) version: Option<Version>,
}

/// Why content was not checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unchecked {
    /// Only Nix can undo this compression.
    Compression(Compression),
    /// The NAR lies on another server.
    Elsewhere,
}

impl fmt::Display for Unchecked {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Compression(compression) => {
                write!(formatter, "`{compression}` cannot be undone here")
            }
            Self::Elsewhere => formatter.write_str("its NAR lies on another server"),
        }
    }
}

/// Something that could not be read, which proves nothing about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// The record.
    pub key: Key,
    /// Why not.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Unread {
    pub(super) fn new(key: &Key, error: &CacheError) -> Self {
        Self {
            key: key.clone(),
            message: error.to_string(),
            hint: error.hint(),
        }
    }
}

/// Checks the entry of a record; none when there is none.
pub(super) fn check(
    cache: &Cache,
    checks: &Checks,
    inventory: &Inventory,
    hash_part: &HashPart,
) -> Result<Option<Checked>, Unread> {
    let key = hash_part.record();
    let objects = cache.objects();
    let unread = |error: CacheError| Unread::new(&key, &error);
    let Some(found) = objects.get(&key, MAX_RECORD).map_err(unread)? else {
        return Ok(None);
    };
    let mut checked = Checked {
        key: key.clone(),
        record: None,
        faults: Vec::new(),
        unchecked: None,
        is_signed: false,
        dangling: Vec::new(),
        read: 0,
        version: found.version,
    };
    let record = match read(&found.bytes) {
        Ok(record) => record,
        Err(fault) => {
            checked.faults.push(*fault);
            return Ok(Some(checked));
        }
    };
    if HashPart::of(&record.store_path) != *hash_part {
        checked.faults.push(Fault::Name {
            path: record.store_path.clone(),
        });
    }
    checked.is_signed = judge_origin(&record, checks, &mut checked.faults);
    let is_missing = |path: &&StorePath| !inventory.records.contains_key(&HashPart::of(path));
    let references = record.references.iter();
    checked.dangling = references.filter(is_missing).cloned().collect();
    check_nar(cache, checks, inventory, &record, &mut checked)?;
    checked.record = Some(record);
    Ok(Some(checked))
}

/// Reads a record's bytes.
pub(crate) fn read(bytes: &[u8]) -> Result<NarInfo, Box<Fault>> {
    let text = std::str::from_utf8(bytes).map_err(|_| Fault::NotText)?;
    NarInfo::parse(text).map_err(|error| Fault::Record(error).into())
}

/// Checks the content address and the signatures. Whether the origin is shown.
pub(super) fn judge_origin(record: &NarInfo, checks: &Checks, faults: &mut Vec<Fault>) -> bool {
    let is_proved = match record.proof() {
        Ok(_) => true,
        Err(Unproved::Path { computed }) => {
            faults.push(Fault::Address { computed });
            false
        }
        Err(_) => false,
    };
    let signers = record.signers(&checks.keys);
    for key in &checks.keys {
        let has_name =
            |signature: &&_| fetchhost_formats::Signature::key_name(signature) == key.name();
        let is_named = record
            .signatures
            .iter()
            .any(|signature| has_name(&signature));
        // Two keys may have one name while one takes over from the other.
        let is_signed = signers.iter().any(|signer| signer.name() == key.name());
        let fault = Fault::Signature {
            key: key.name().to_owned(),
        };
        if is_named && !is_signed && !faults.contains(&fault) {
            faults.push(fault);
        }
    }
    let is_signed = match checks.keys.is_empty() {
        true => !record.signatures.is_empty(),
        false => !signers.is_empty(),
    };
    if checks.require_signature && !is_signed && !is_proved {
        faults.push(Fault::Unsigned);
    }
    is_signed || is_proved
}

fn check_nar(
    cache: &Cache,
    checks: &Checks,
    inventory: &Inventory,
    record: &NarInfo,
    checked: &mut Checked,
) -> Result<(), Unread> {
    let Some(nar) = Key::nar(&record.url) else {
        // Nix takes a URL as it is.
        if record.url.as_str().contains("://") {
            checked.unchecked = Some(Unchecked::Elsewhere);
        } else {
            checked.faults.push(Fault::Elsewhere {
                url: record.url.to_string(),
            });
        }
        return Ok(());
    };
    let key = checked.key.clone();
    let objects = cache.objects();
    if checks.fast {
        let said = record
            .file_size
            .filter(|&size| size != 0)
            .or_else(|| (record.compression == Compression::None).then_some(record.nar_size));
        let fits = |size: u64| said.is_none_or(|said| said == size);
        let listed = inventory.nars.get(nar.as_str());
        if listed.is_some_and(|seen| fits(seen.size)) {
            return Ok(());
        }
        // It was written since, lies elsewhere, or is a link.
        let size = objects
            .size(&nar)
            .map_err(|error| Unread::new(&key, &error))?;
        match (size, said) {
            (None, _) => checked.faults.push(Fault::Missing { nar }),
            (Some(found), Some(said)) if found != said => {
                checked.faults.push(Fault::FileSize { said, found });
            }
            _ => {}
        }
        return Ok(());
    }
    let file = objects
        .open(&nar)
        .map_err(|error| Unread::new(&key, &error))?;
    let Some(file) = file else {
        checked.faults.push(Fault::Missing { nar });
        return Ok(());
    };
    let measured = measure(record, file).map_err(|error| Unread {
        key: key.clone(),
        message: format!(
            "`{}`: cannot read `{}`: {error}",
            cache.label(),
            objects.place_of(&nar)
        ),
        hint: None,
    })?;
    checked.read = measured.read;
    checked.faults.extend(measured.faults);
    if measured.is_packed {
        checked.unchecked = Some(Unchecked::Compression(record.compression));
    }
    Ok(())
}

impl Checked {
    /// What has the name of no path's record.
    pub(super) fn misnamed(key: &Key) -> Self {
        Self {
            key: key.clone(),
            record: None,
            faults: vec![Fault::Misnamed],
            unchecked: None,
            is_signed: false,
            dangling: Vec::new(),
            read: 0,
            version: None,
        }
    }
}
