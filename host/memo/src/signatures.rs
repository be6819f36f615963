//! Remembered signatures.

use fetchhost_keys::VerifyError;

use crate::error::{Flaw, MemoError};
use crate::judged::Side;
use crate::key::SignatureKey;
use crate::memo::{Entry, Found, Memo, Then};
use crate::record::{Record, SignatureRecord};
use crate::shared::Shared;
use crate::time::Time;

/// Judges the bytes of a signature: those of [`PublicKey::verify`](fetchhost_keys::PublicKey::verify).
pub type Verify<'a> = dyn Fn(&[u8]) -> Result<(), VerifyError> + 'a;

impl Memo {
    /// The remembered signature. `verify` judges each candidate; what it refuses is not used, and warned of. Nothing
    /// is signed, and nothing is written where it is shared; a shared place that cannot be reached is warned of.
    ///
    /// # Errors
    /// When the local file cannot be read, or the content cannot, to verify a signature of it.
    pub fn signature(&self, key: &SignatureKey, verify: &Verify<'_>) -> Result<Found, MemoError> {
        self.find_signature(key, Then::Use, verify)
    }

    /// The same for whoever makes a signature where there is none: finds out before a key is unlocked that it could
    /// not be remembered. A signature that is here alone is shared by this.
    ///
    /// # Errors
    /// As [`signature`](Self::signature); and where there is no signature, also when the shared place cannot be
    /// reached or cannot decide who was first, or has something at this name that is not used.
    pub fn signature_before_signing(
        &self,
        key: &SignatureKey,
        verify: &Verify<'_>,
    ) -> Result<Found, MemoError> {
        self.find_signature(key, Then::Make, verify)
    }

    fn find_signature(
        &self,
        key: &SignatureKey,
        then: Then,
        verify: &Verify<'_>,
    ) -> Result<Found, MemoError> {
        let accept = |record: Record, _: Side| accept(record, verify);
        let found = self.look_up(key.id(), then, &accept)?;
        Ok(found.map(|record| record.0.signature))
    }

    /// Remembers `signature` unless another one was remembered before, here or where it is shared: gives back the
    /// bytes that all have. What was forgotten before is remembered anew.
    ///
    /// # Errors
    /// When `signature` is not valid, the local file or the shared place cannot be written to, or that cannot decide
    /// who was first, or has something at this name that is not used.
    pub fn remember_signature(
        &self,
        key: &SignatureKey,
        signature: &[u8],
        verify: &Verify<'_>,
    ) -> Result<Vec<u8>, MemoError> {
        verify(signature).map_err(|error| match error {
            VerifyError::Read(error) => MemoError::Content(error),
            error => MemoError::NotValid(error),
        })?;
        let offered = Signature(SignatureRecord {
            key: key.clone(),
            signature: signature.to_vec(),
            made: Time::now(),
            supersedes: None,
        });
        let accept = |record: Record, _: Side| accept(record, verify);
        let first = self.remember(key.id(), offered, &accept)?;
        Ok(first.0.signature)
    }
}

/// A signature that was verified.
#[derive(Clone)]
struct Signature(SignatureRecord);

impl Entry for Signature {
    const BY_TRUST: bool = false;

    fn record(&self, supersedes: Option<Time>) -> Record {
        Record::Signature(SignatureRecord {
            supersedes: self.0.supersedes.max(supersedes),
            ..self.0.clone()
        })
    }

    fn publish(&self, shared: &Shared) -> Result<(), MemoError> {
        shared.publish(&self.0)?;
        Ok(())
    }
}

fn accept(record: Record, verify: &Verify<'_>) -> Result<Result<Signature, Flaw>, MemoError> {
    let Record::Signature(record) = record else {
        return Ok(Err(Flaw::OtherKind));
    };
    Ok(match verify(&record.signature) {
        Ok(()) => Ok(Signature(record)),
        // That is no fault of the entry's.
        Err(VerifyError::Read(error)) => return Err(MemoError::Content(error)),
        Err(error) => Err(Flaw::Signature(error)),
    })
}
