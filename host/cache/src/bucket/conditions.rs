//! Which conditions of writing a server honours.

use std::sync::PoisonError;

use object_store::{PutMode, UpdateVersion};

use super::{Bucket, BucketError, state};
use crate::error::CacheError;
use crate::objects::{Key, Kind, Objects as _, Version};

/// The longest `nix-cache-info` that conditions of writing are tried with, in bytes.
const MAX_INFO: u64 = 64 * 1024;
/// A state that no object is in.
const NO_STATE: &str = "\"00000000000000000000000000000000\"";

/// What the server makes of conditions of writing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Conditions {
    /// To write only where nothing is.
    pub(super) create: Condition,
    /// To write only over a certain state.
    pub(super) update: Condition,
    /// Whether it compares states without the quotes that it told them with, as Ceph 16 does.
    pub(super) is_bare: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    Honoured,
    /// It writes nevertheless.
    Ignored,
    /// It writes nothing that has such a condition.
    Unsupported,
    /// Nobody can tell: these access keys may not write what it is tried with, or there is no such thing.
    Unknown,
}

impl Conditions {
    const UNKNOWN: Self = Self {
        create: Condition::Unknown,
        update: Condition::Unknown,
        is_bare: false,
    };

    /// The state of an object as the server compares it.
    pub(super) fn state(&self, version: &Version) -> UpdateVersion {
        let tag = &version.0;
        let tag = if self.is_bare {
            tag.trim_matches('"')
        } else {
            tag
        };
        state(tag)
    }
}

impl Bucket {
    /// What conditions of writing the server honours. It is tried with what the bucket says about itself,
    /// which is written as it is: nothing changes, and nothing is left behind.
    pub(super) fn conditions(&self) -> Result<Conditions, CacheError> {
        let _one = self
            .0
            .probing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = self.0.conditions.get() {
            return Ok(*known);
        }
        let key = Key::info();
        let info = match self.get(&key, MAX_INFO) {
            Err(error) if error.is_denied() => None,
            found => found?,
        };
        // What was not read to its end is not written back.
        let Some(info) = info.filter(|info| info.bytes.len() as u64 <= MAX_INFO) else {
            return Ok(Conditions::UNKNOWN);
        };
        let tried = |mode: PutMode| match self.write(&key, Kind::Info, &info.bytes, mode) {
            Ok(()) => Ok(Condition::Ignored),
            Err(error) if is_unmet(&error) => Ok(Condition::Honoured),
            Err(error) if is_unsupported(&error) => Ok(Condition::Unsupported),
            Err(error) => match self.failed("write", key.as_str())(error) {
                error if error.is_denied() => Ok(Condition::Unknown),
                // It may be otherwise the next time.
                error => Err(error),
            },
        };
        let mut found = Conditions {
            create: tried(PutMode::Create)?,
            update: tried(PutMode::Update(state(NO_STATE)))?,
            is_bare: false,
        };
        // The state that it is in has to be let through, too.
        if let (Condition::Honoured, Some(version)) = (found.update, &info.version) {
            let refuses = |found: &Conditions| -> Result<bool, CacheError> {
                let there = PutMode::Update(found.state(version));
                Ok(tried(there)? == Condition::Honoured)
            };
            if refuses(&found)? {
                found.is_bare = true;
                if refuses(&found)? {
                    found.update = Condition::Unknown;
                    return Ok(found);
                }
            }
        }
        tracing::debug!(bucket = self.0.label, ?found, "conditions of writing");
        Ok(*self.0.conditions.get_or_init(|| found))
    }
}

/// Whether the server did not write because of the condition.
pub(super) fn is_unmet(error: &object_store::Error) -> bool {
    use object_store::Error::{AlreadyExists, Precondition};
    matches!(error, AlreadyExists { .. } | Precondition { .. })
}

/// Whether the server knows no such condition.
pub(super) fn is_unsupported(error: &object_store::Error) -> bool {
    matches!(
        *BucketError::in_error(error),
        BucketError::Refused { status: 501, .. }
    )
}
