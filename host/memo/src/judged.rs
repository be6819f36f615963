//! What an entry is to whoever asked.

use crate::error::{Flaw, MemoError};
use crate::id::MemoId;
use crate::memo::Found;
use crate::record::{Record, Tombstone};
use crate::time::Time;

/// Where an entry was found.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Here,
    Together,
}

/// What an entry is to whoever asked.
pub(crate) enum Judged<T> {
    Nothing,
    /// What it is, and as it is written.
    Entry(T, Box<Record>),
    Forgotten(Tombstone),
    /// Why, and the tombstone that it comes after.
    Refused(Flaw, Option<Time>),
}

/// Judges a record from this side.
pub(crate) type Accept<'a, T> = dyn Fn(Record, Side) -> Result<Result<T, Flaw>, MemoError> + 'a;

impl<T> Judged<T> {
    /// The last tombstone that is known here: what does not come after it does not come back.
    pub(crate) fn floor(&self) -> Option<Time> {
        match self {
            Self::Nothing => None,
            Self::Entry(_, record) => record.supersedes(),
            Self::Forgotten(tombstone) => Some(tombstone.forgotten),
            Self::Refused(_, supersedes) => *supersedes,
        }
    }

    /// Whether a shared entry is what was forgotten here: it does not come after that, or is the same signature,
    /// whatever it says. That one comes back when it is made anew here.
    pub(crate) fn forbids(&self, record: &Record) -> bool {
        let is_same = match self {
            Self::Forgotten(tombstone) if tombstone.sha256.is_some() => {
                tombstone.sha256 == record.sha256()
            }
            _ => false,
        };
        is_same || record.supersedes() < self.floor()
    }

    /// The tombstone here where there is one together.
    pub(crate) fn buried_by(&self, theirs: Tombstone) -> Tombstone {
        let floor = self.floor();
        Tombstone {
            id: theirs.id,
            forgotten: floor.map_or(theirs.forgotten, |floor| floor.max(theirs.forgotten)),
            sha256: match self {
                Self::Forgotten(tombstone) => tombstone.sha256,
                _ => None,
            },
        }
    }

    /// Whether these bytes are the same entry.
    pub(crate) fn is_written_as(&self, bytes: Option<&[u8]>) -> bool {
        match (self, bytes) {
            (Self::Entry(_, record), Some(bytes)) => record.to_json().as_bytes() == bytes,
            _ => false,
        }
    }

    /// What a lookup gives.
    pub(crate) fn found(self) -> Found<T> {
        match self {
            Self::Entry(entry, _) => Found::Remembered(entry),
            Self::Forgotten(tombstone) => Found::Forgotten {
                at: tombstone.forgotten(),
            },
            Self::Nothing | Self::Refused(..) => Found::Nothing,
        }
    }
}

/// What is written under the name `id`.
pub(crate) fn judge<T>(
    bytes: Option<&[u8]>,
    id: MemoId,
    side: Side,
    accept: &Accept<'_, T>,
) -> Result<Judged<T>, MemoError> {
    let Some(bytes) = bytes else {
        return Ok(Judged::Nothing);
    };
    let record = match Record::parse_as(bytes, id) {
        Ok(Record::Forgotten(tombstone)) => return Ok(Judged::Forgotten(tombstone)),
        Ok(record) => record,
        Err(flaw) => return Ok(Judged::Refused(flaw, None)),
    };
    let supersedes = record.supersedes();
    Ok(match accept(record.clone(), side)? {
        Ok(entry) => Judged::Entry(entry, Box::new(record)),
        Err(flaw) => Judged::Refused(flaw, supersedes),
    })
}

/// Whether what is wrong with a shared entry keeps all from agreeing.
pub(crate) fn is_in_the_way(flaw: &Flaw) -> bool {
    !matches!(flaw, Flaw::Expired | Flaw::Untrusted)
}
