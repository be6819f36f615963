//! Signatures on a record: who made them, and adding more to one that is in a cache already.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::{ADDRESS, MAX_NARINFO_BYTES, NarInfo, NarInfoError};
use crate::signing::{PublicKey, Signature, SigningKey};

/// How many signatures of one key's name are tried. A key makes one of a record; thousands are there to
/// keep readers busy.
const MAX_TRIED: usize = 64;

/// The field of a signature.
const SIGNATURE: &str = "Sig: ";

/// The fields that Nix writes before the signatures.
const BEFORE: [&str; 9] = [
    "StorePath: ",
    "URL: ",
    "Compression: ",
    "FileHash: ",
    "FileSize: ",
    "NarHash: ",
    "NarSize: ",
    "References: ",
    "Deriver: ",
];

impl NarInfo {
    /// Adds the signature of `key`.
    pub fn sign(&mut self, key: &SigningKey) {
        self.signatures.push(key.sign(&self.fingerprint()));
    }

    /// Those of `keys` that have signed the record, by one of the first 64 signatures of their name.
    #[must_use]
    pub fn signers<'keys>(&self, keys: &'keys [PublicKey]) -> Vec<&'keys PublicKey> {
        let fingerprint = self.fingerprint();
        let signed = |key: &&PublicKey| {
            let signatures = self.signatures.iter();
            let own = signatures.filter(|signature| signature.key_name() == key.name());
            own.take(MAX_TRIED)
                .any(|signature| key.verify(&fingerprint, signature))
        };
        keys.iter().filter(signed).collect()
    }
}

/// The text of a record with more signatures; the same text when it has all of them.
///
/// Signatures stand where the first one stood, or where Nix writes them: each once, sorted by their text, as
/// Nix 2.8 and 2.26 do. 2.34 sorts by the name of the key first; all read any order. Every other line is
/// kept to the byte, known or not, and so are signatures that this program cannot read. Whether the
/// signatures hold is not asked.
///
/// # Errors
/// When the text is no record, or would be too long for one.
pub fn add_signatures<'text>(
    text: &'text str,
    signatures: &[Signature],
) -> Result<Cow<'text, str>, NarInfoError> {
    NarInfo::parse(text)?;
    let found: BTreeSet<_> = signatures_of(text).collect();
    let added: Vec<_> = signatures.iter().map(Signature::to_string).collect();
    if added.iter().all(|added| found.contains(added.as_str())) {
        return Ok(Cow::Borrowed(text));
    }
    let sorted: BTreeSet<_> = found
        .into_iter()
        .chain(added.iter().map(String::as_str))
        .collect();

    let place = place(text);
    let mut signed = String::with_capacity(text.len() + added.len() * 128);
    for (index, line) in text.split_inclusive('\n').enumerate() {
        if index == place {
            write(&sorted, &mut signed);
        }
        if !line.starts_with(SIGNATURE) {
            signed.push_str(line);
        }
    }
    if place == text.split_inclusive('\n').count() {
        write(&sorted, &mut signed);
    }
    if signed.len() > MAX_NARINFO_BYTES {
        return Err(NarInfoError::TooLarge { got: signed.len() });
    }
    Ok(Cow::Owned(signed))
}

fn signatures_of(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| line.strip_prefix(SIGNATURE))
}

fn write(signatures: &BTreeSet<&str>, text: &mut String) {
    for signature in signatures {
        text.extend([SIGNATURE, signature, "\n"]);
    }
}

/// Before which line the signatures go: the first one's, that of the content address, or the one after the
/// last line that Nix writes before them.
fn place(text: &str) -> usize {
    let first = |field: &str| text.lines().position(|line| line.starts_with(field));
    let known = |line: &str| BEFORE.iter().any(|field| line.starts_with(field));
    let after_known = || {
        let numbered = text.lines().enumerate();
        let known = numbered.filter(|(_, line)| known(line));
        known.map(|(index, _)| index + 1).last()
    };
    first(SIGNATURE)
        .or_else(|| first(ADDRESS))
        .or_else(after_known)
        .unwrap_or(0)
}
