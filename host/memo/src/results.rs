//! Remembered results of other fetchers: hashes that nobody declared.

use std::time::SystemTime;

use crate::error::{Flaw, MemoError};
use crate::judged::Side;
use crate::key::ResultKey;
use crate::memo::{Entry, Found, Memo, Then};
use crate::record::{Record, RememberedResult, ResultRecord};
use crate::shared::Shared;
use crate::time::Time;

impl Memo {
    /// The remembered result, until it expires. One from the shared place counts when a trusted key has signed it, here
    /// too after that.
    ///
    /// # Errors
    /// When the local file cannot be read.
    pub fn result(&self, key: &ResultKey) -> Result<Found<RememberedResult>, MemoError> {
        let found = self.look_up(key.id(), Then::Use, &|record, side| {
            Ok(self.accept_result(record, side))
        })?;
        Ok(found.map(|record| record.0.result))
    }

    /// Remembers a result unless another one is remembered that has not expired; gives back the one that is. It is
    /// shared where there is a secret key to sign it with.
    ///
    /// # Errors
    /// When the local file cannot be written to, or the shared place cannot, or cannot decide who was first, or has
    /// something at this name that is not used.
    pub fn remember_result(
        &self,
        key: &ResultKey,
        result: &RememberedResult,
    ) -> Result<RememberedResult, MemoError> {
        let record = ResultRecord {
            key: key.clone(),
            result: RememberedResult {
                expires: Time::at(result.expires).system(),
                ..result.clone()
            },
            made: Time::now(),
            supersedes: None,
            signatures: Vec::new(),
        };
        let accept = |record: Record, side: Side| Ok(self.accept_result(record, side));
        let id = key.id();
        let first = match (&self.secret, &self.shared) {
            (Some(secret), Some(_)) => self.remember(id, Outcome(record, Some(secret)), &accept)?,
            // What nobody signs nobody else could use.
            _ => self.remember_here(id, Outcome(record, None), &accept)?,
        };
        Ok(first.0.result)
    }

    fn accept_result(&self, record: Record, side: Side) -> Result<Outcome<'_>, Flaw> {
        let Record::Result(record) = record else {
            return Err(Flaw::OtherKind);
        };
        if record.result.expires <= SystemTime::now() {
            return Err(Flaw::Expired);
        }
        let is_own = side == Side::Here && record.signatures.is_empty();
        if !is_own && !record.is_signed_by(&self.trusted) && !self.is_own(&record) {
            return Err(Flaw::Untrusted);
        }
        Ok(Outcome(record, self.secret.as_ref()))
    }

    /// Whether our own secret key signed it.
    fn is_own(&self, record: &ResultRecord) -> bool {
        let own = self.secret.as_ref().map(|secret| secret.public_key());
        record.is_signed_by(own.as_slice())
    }
}

/// A result that is used, and what signs it anew.
#[derive(Clone)]
struct Outcome<'a>(ResultRecord, Option<&'a fetchhost_formats::SigningKey>);

impl Entry for Outcome<'_> {
    const BY_TRUST: bool = true;

    fn record(&self, supersedes: Option<Time>) -> Record {
        let record = ResultRecord {
            supersedes: self.0.supersedes.max(supersedes),
            ..self.0.clone()
        };
        // What somebody else signed stays theirs; what is ours is signed as it is written.
        let is_as_signed = !self.0.signatures.is_empty() && record == self.0;
        Record::Result(match self.1 {
            Some(secret) if !is_as_signed => record.signed(secret),
            _ => record,
        })
    }

    /// Its files are wherever they were put.
    fn publish(&self, _: &Shared) -> Result<(), MemoError> {
        Ok(())
    }
}
