//! What is remembered, for people; and what they approved.

use crate::error::{Flaw, MemoError};
use crate::id::MemoId;
use crate::local::Approved;
use crate::memo::Memo;
use crate::record::Record;

/// One entry of the local file.
#[derive(Debug)]
pub struct Listed {
    /// Its name, as the file has it.
    pub id: String,
    /// What it is, or why it is none.
    pub record: Result<Record, Flaw>,
}

/// What there is under one name. No signature was verified.
#[derive(Debug)]
pub struct Shown {
    /// Here.
    pub here: Option<Result<Record, Flaw>>,
    /// Where it is shared.
    pub together: Option<Result<Record, Flaw>>,
}

impl Memo {
    /// All entries of the local file, in the order of their names.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn list(&self) -> Result<Vec<Listed>, MemoError> {
        let mut all = Vec::new();
        self.local.each(|id, text| {
            let record = match id.parse() {
                Ok(id) => Record::parse_as(text, id),
                Err(_) => Err(Flaw::OtherId),
            };
            let id = id.to_owned();
            all.push(Listed { id, record });
            Ok(())
        })?;
        Ok(all)
    }

    /// What there is under one name, here and where it is shared.
    ///
    /// # Errors
    /// When the local file or the shared place cannot be read.
    pub fn show(&self, id: MemoId) -> Result<Shown, MemoError> {
        let parsed = |bytes: Vec<u8>| Record::parse_as(&bytes, id);
        let together = match &self.shared {
            Some(shared) => shared.get(id)?.map(|held| parsed(held.bytes)),
            None => None,
        };
        Ok(Shown {
            here: self.local.get(id)?.map(parsed),
            together,
        })
    }

    /// Approves contents, by their SHA-256, for the key with this fingerprint: all or none. How many were not approved
    /// before.
    ///
    /// # Errors
    /// When the local file cannot be written to.
    pub fn approve(&self, key: &str, contents: &[[u8; 32]]) -> Result<usize, MemoError> {
        self.local.approve(key, contents)
    }

    /// Takes approvals back. How many there were.
    ///
    /// # Errors
    /// When the local file cannot be written to.
    pub fn withdraw(&self, key: &str, contents: &[[u8; 32]]) -> Result<usize, MemoError> {
        self.local.withdraw(key, contents)
    }

    /// Whether a content is approved for a key.
    ///
    /// # Errors
    /// When the local file cannot be read. Nothing is approved then.
    pub fn is_approved(&self, key: &str, content: &[u8; 32]) -> Result<bool, MemoError> {
        self.local.is_approved(key, content)
    }

    /// All approvals, by keys.
    ///
    /// # Errors
    /// When the local file cannot be read.
    pub fn approvals(&self) -> Result<Vec<Approved>, MemoError> {
        self.local.approvals()
    }
}
