//! Which records of a cache may be signed.
//!
//! **The threat.** Whoever may write to a cache may write a record that says anything, and change it while it
//! is looked at. A signature is over the path, the hash and the length of its NAR and its references, and holds
//! for ever: one that was given to a lie makes every reader who trusts the key accept what the liar wrote.
//!
//! **The rule.** A statement is signed that somebody trusted has made before, or that follows from the path.
//!
//! | the record | signed |
//! |---|---|
//! | its content address makes the path and fixes the NAR's hash | yes |
//! | the same, but the NAR's hash is another | never |
//! | a valid signature of a trusted key | yes |
//! | the local store holds the path valid, with the same NAR and references | yes |
//! | its content address makes the path, and fixes the contents only | after the NAR was read |
//! | anything else | only where the user says so |
//! | no record, or one that is named after another path | never |

use std::collections::BTreeSet;

use fetchhost_formats::{
    Hash, MAX_NARINFO_BYTES, NarInfo, NarInfoError, Proof, PublicKey, StorePath, Unproved,
};
use thiserror::Error;

use crate::cache::Recorded;
use crate::measure::Mismeasured;
use crate::objects::Object;

/// Why a record may be signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ground {
    /// The path follows from the NAR's hash.
    Address,
    /// The path follows from the contents, which were read.
    Content,
    /// This trusted key has signed it.
    Key(String),
    /// The local store holds the same.
    Store,
    /// The user said so.
    Unverified,
}

/// What can be said of a record without its NAR.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judged {
    /// It may be signed.
    Proved(Ground),
    /// It may be signed once its NAR was read, and is what record and content address say.
    ToBeRead,
}

/// What a trusted store knows of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// SHA-256 of its NAR.
    pub nar_hash: Hash,
    /// Length of its NAR, in bytes.
    pub nar_size: u64,
    /// The paths that it mentions.
    pub references: BTreeSet<StorePath>,
}

/// What a store says of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// There is no store to ask.
    Nothing,
    /// The path is not valid there.
    Invalid,
    /// What it knows.
    Known(Known),
}

/// Why a record is not signed.
#[derive(Debug, Error)]
pub enum Doubt {
    /// No record was there when it was read.
    #[error("there is no such record")]
    Gone,
    /// Its name is none of a record.
    #[error("a record is named by the 32 characters of a path's hash")]
    Name,
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Unread(String),
    /// It is too long.
    #[error("it is longer than {MAX_NARINFO_BYTES} bytes")]
    TooLong,
    /// It is no text.
    #[error("it is no text")]
    NoText,
    /// It is no record.
    #[error("it is no record that Nix could use: {0}")]
    NoRecord(#[source] NarInfoError),
    /// It is about another path than its name says.
    #[error("it is about `{about}`, which is not what it is named after")]
    Misnamed {
        /// What it is about.
        about: StorePath,
    },
    /// It contradicts itself.
    #[error("it is false: {0}")]
    False(#[source] Unproved),
    /// Nobody trusted says the same.
    #[error("{address}, {}, and {}", store.as_words(), if *.has_trusted { "no trusted key has signed it" } else { "no trusted key is named" })]
    Unproved {
        /// What its content address does not do.
        address: Unproved,
        /// What the store does not do.
        store: StoreDoubt,
        /// Whether there are trusted keys.
        has_trusted: bool,
    },
    /// Its NAR is not what it says.
    #[error("{0}")]
    Nar(#[source] Mismeasured),
    /// The contents cannot be compared with the content address.
    #[error("its content address cannot be compared with its NAR")]
    Incomparable,
    /// There is no room for a signature.
    #[error("it cannot take a signature: {0}")]
    Full(#[source] NarInfoError),
    /// Others change it again and again.
    #[error("others keep changing it")]
    Contended,
}

impl Doubt {
    /// Whether the record was seen to be false, and is not only unproved.
    #[must_use]
    pub fn is_false(&self) -> bool {
        match self {
            Self::Misnamed { .. } | Self::False(_) => true,
            Self::Nar(wrong) => wrong.is_false(),
            _ => false,
        }
    }
}

/// Why the store does not vouch for a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreDoubt {
    /// There is none.
    NotAsked,
    /// It does not hold the path.
    Invalid,
    /// It knows another NAR.
    Nar,
    /// It knows other references.
    References,
}

impl StoreDoubt {
    const fn as_words(self) -> &'static str {
        match self {
            Self::NotAsked => "no store was asked",
            Self::Invalid => "the store does not hold it",
            Self::Nar => "the store holds it with another NAR",
            Self::References => "the store holds it with other references",
        }
    }
}

/// Reads a record that is named after a path's hash part.
///
/// # Errors
/// When it is none, or about another path.
pub fn record_named(hash_part: &str, object: Object) -> Result<Recorded, Doubt> {
    if object.bytes.len() > MAX_NARINFO_BYTES {
        return Err(Doubt::TooLong);
    }
    let text = String::from_utf8(object.bytes).map_err(|_| Doubt::NoText)?;
    let record = NarInfo::parse(&text).map_err(Doubt::NoRecord)?;
    if record.store_path.hash_part() != hash_part {
        return Err(Doubt::Misnamed {
            about: record.store_path,
        });
    }
    Ok(Recorded {
        record,
        text,
        version: object.version,
    })
}

/// Judges a record by what it says, by whom it is signed, and by what the store says, which is asked last.
///
/// # Errors
/// Why it may not be signed. [`Doubt::False`] is for ever.
pub fn judge(
    record: &NarInfo,
    trusted: &[PublicKey],
    store: impl FnOnce(&StorePath) -> Said,
) -> Result<Judged, Doubt> {
    let proof = record.proof();
    match proof {
        Ok(Proof::Archive) => return Ok(Judged::Proved(Ground::Address)),
        // The path is that of another NAR, whoever has signed this one.
        Err(false_ @ Unproved::NarHash) => return Err(Doubt::False(false_)),
        _ => {}
    }
    if let Some(signer) = record.signers(trusted).first() {
        return Ok(Judged::Proved(Ground::Key(signer.name().to_owned())));
    }
    let doubt = match store(&record.store_path) {
        Said::Nothing => StoreDoubt::NotAsked,
        Said::Invalid => StoreDoubt::Invalid,
        Said::Known(known) => {
            let is_same_nar =
                known.nar_hash == record.nar_hash && known.nar_size == record.nar_size;
            match (is_same_nar, known.references == record.references) {
                (true, true) => return Ok(Judged::Proved(Ground::Store)),
                (true, false) => StoreDoubt::References,
                (false, _) => StoreDoubt::Nar,
            }
        }
    };
    match proof {
        Ok(_) => Ok(Judged::ToBeRead),
        Err(address) => Err(Doubt::Unproved {
            address,
            store: doubt,
            has_trusted: !trusted.is_empty(),
        }),
    }
}
