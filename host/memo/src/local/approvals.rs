//! Contents that the user approved for a key.

use std::time::SystemTime;

use rusqlite::{TransactionBehavior, params};

use super::Local;
use crate::error::MemoError;
use crate::time::Time;

/// A content that may be signed with a key without being asked for again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approved {
    /// The public key's fingerprint.
    pub key: String,
    /// The SHA-256 of the content.
    pub content: [u8; 32],
    /// When it was approved.
    pub at: SystemTime,
}

impl Local {
    /// Approves contents: all or none. How many were not approved before.
    pub(crate) fn approve(&self, key: &str, contents: &[[u8; 32]]) -> Result<usize, MemoError> {
        let at = Time::now().to_string();
        self.change(
            "INSERT INTO approval (key, content, at) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
            contents,
            |content| (key, content, Some(at.as_str())),
        )
    }

    /// Takes approvals back. How many there were.
    pub(crate) fn withdraw(&self, key: &str, contents: &[[u8; 32]]) -> Result<usize, MemoError> {
        self.change(
            "DELETE FROM approval WHERE key = ?1 AND content = ?2 AND ?3 IS NULL",
            contents,
            |content| (key, content, None),
        )
    }

    fn change<'a>(
        &self,
        statement: &str,
        contents: &'a [[u8; 32]],
        values: impl Fn(&'a [u8]) -> (&'a str, &'a [u8], Option<&'a str>),
    ) -> Result<usize, MemoError> {
        let failed = self.failed("write");
        let mut connection = self.connection();
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(failed)?;
        let mut changed = 0;
        for content in contents {
            let (key, content, at) = values(content);
            changed += transaction
                .execute(statement, params![key, content, at])
                .map_err(failed)?;
        }
        transaction.commit().map_err(failed)?;
        Ok(changed)
    }

    /// Whether a content is approved for a key.
    pub(crate) fn is_approved(&self, key: &str, content: &[u8; 32]) -> Result<bool, MemoError> {
        let connection = self.connection();
        let mut statement = connection
            .prepare("SELECT 1 FROM approval WHERE key = ?1 AND content = ?2")
            .map_err(self.failed("read"))?;
        statement
            .exists(params![key, content.as_slice()])
            .map_err(self.failed("read"))
    }

    /// All approvals.
    pub(crate) fn approvals(&self) -> Result<Vec<Approved>, MemoError> {
        let connection = self.connection();
        let failed = self.failed("read");
        let mut statement = connection
            .prepare("SELECT key, content, at FROM approval ORDER BY key, content")
            .map_err(failed)?;
        let rows = statement
            .query_map([], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get::<_, String>(2)?))
            })
            .map_err(failed)?;
        let approved = rows.map(|row| {
            let (key, content, at) = row.map_err(failed)?;
            let at = Time::parse(&at);
            let at = at.ok_or_else(|| super::damaged(&self.path, "an approval has no time"))?;
            Ok(Approved {
                key,
                content,
                at: at.system(),
            })
        });
        approved.collect()
    }
}
