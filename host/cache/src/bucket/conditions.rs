//! Which conditions of writing a server honours.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use object_store::{PutMode, UpdateVersion};

use super::{Bucket, BucketError};
use crate::error::CacheError;
use crate::objects::{Key, Kind, Object, Objects as _, Version};

/// The longest `nix-cache-info` that conditions of writing are tried with, in bytes.
const MAX_INFO: u64 = 64 * 1024;
/// A state that no object is in.
const NO_STATE: &str = "\"00000000000000000000000000000000\"";

/// What the server makes of conditions of writing, as far as that was tried: each when it is first needed,
/// because each try is a request, and may be one more version of the object.
#[derive(Debug, Default)]
pub(super) struct Conditions {
    create: OnceLock<Condition>,
    update: OnceLock<Update>,
    /// Held while something is tried.
    trying: Mutex<()>,
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

/// What the server makes of the condition to write only over a certain state.
#[derive(Clone, Copy, Debug)]
pub(super) struct Update {
    pub(super) condition: Condition,
    /// Whether it compares states without the quotes that it told them with, as Ceph 16 does.
    is_bare: bool,
}

impl Update {
    const UNKNOWN: Self = Self {
        condition: Condition::Unknown,
        is_bare: false,
    };

    /// The state of an object as the server compares it.
    pub(super) fn state(self, version: &Version) -> PutMode {
        state(if self.is_bare {
            version.0.trim_matches('"')
        } else {
            &version.0
        })
    }
}

impl Bucket {
    /// Whether the server honours the condition to write only where nothing is.
    pub(super) fn create_condition(&self) -> Result<Condition, CacheError> {
        let conditions = &self.0.conditions;
        let _one = lock(&conditions.trying);
        if let Some(known) = conditions.create.get() {
            return Ok(*known);
        }
        let Some(info) = self.own_words()? else {
            return Ok(Condition::Unknown);
        };
        let found = self.tried(&info, PutMode::Create)?;
        Ok(*conditions.create.get_or_init(|| found))
    }

    /// Whether the server honours the condition to write only over a certain state: that it refuses another
    /// one, and lets through the one that is there.
    pub(super) fn update_condition(&self) -> Result<Update, CacheError> {
        let conditions = &self.0.conditions;
        let _one = lock(&conditions.trying);
        if let Some(known) = conditions.update.get() {
            return Ok(*known);
        }
        let Some(info) = self.own_words()? else {
            return Ok(Update::UNKNOWN);
        };
        let mut found = Update {
            condition: self.tried(&info, state(NO_STATE))?,
            is_bare: false,
        };
        if let (Condition::Honoured, Some(version)) = (found.condition, &info.version) {
            let refuses = |found: Update| -> Result<bool, CacheError> {
                Ok(self.tried(&info, found.state(version))? == Condition::Honoured)
            };
            found.is_bare = refuses(found)?;
            if found.is_bare && refuses(found)? {
                return Ok(Update::UNKNOWN);
            }
        }
        Ok(*conditions.update.get_or_init(|| found))
    }

    /// What conditions are tried with: what the bucket says about itself, which is written as it is.
    fn own_words(&self) -> Result<Option<Object>, CacheError> {
        let info = match self.get(&Key::info(), MAX_INFO) {
            Err(error) if error.is_denied() => None,
            found => found?,
        };
        // What was not read to its end is not written back.
        Ok(info.filter(|info| info.bytes.len() as u64 <= MAX_INFO))
    }

    fn tried(&self, info: &Object, mode: PutMode) -> Result<Condition, CacheError> {
        let key = Key::info();
        let found = match self.write(&key, Kind::Info, &info.bytes, mode) {
            Ok(()) => Condition::Ignored,
            Err(error) if is_unmet(&error) => Condition::Honoured,
            Err(error) if is_unsupported(&error) => Condition::Unsupported,
            Err(error) => match self.failed("write", key.as_str())(error) {
                error if error.is_denied() => Condition::Unknown,
                // It may be otherwise the next time.
                error => return Err(error),
            },
        };
        tracing::debug!(
            bucket = self.0.label,
            ?found,
            "tried a condition of writing"
        );
        Ok(found)
    }
}

fn lock(mutex: &Mutex<()>) -> MutexGuard<'_, ()> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn state(tag: &str) -> PutMode {
    PutMode::Update(UpdateVersion {
        e_tag: Some(tag.to_owned()),
        version: None,
    })
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
