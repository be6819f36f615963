//! Forgetting: a tombstone in the place of an entry.

use crate::error::MemoError;
use crate::id::MemoId;
use crate::memo::{ATTEMPTS, Memo, PAUSE};
use crate::record::{Record, Tombstone};
use crate::time::Time;

/// Where something was forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buried {
    /// There was something in the local file.
    pub here: bool,
    /// There was something in the shared place.
    pub together: bool,
}

impl Memo {
    /// Writes a tombstone over an entry, here and where it is shared. Also over what is none, by its name.
    ///
    /// # Errors
    /// When it cannot be written. Where that is so for the shared place, it is forgotten here nevertheless, and does
    /// not come back from there.
    pub fn forget(&self, id: MemoId) -> Result<Buried, MemoError> {
        let mut here = false;
        let mut forgotten = Time::now();
        let mut sha256 = None;
        for attempt in 0.. {
            let Some(before) = self.local.get(id)? else {
                break;
            };
            match Record::parse_as(&before, id) {
                Ok(Record::Forgotten(tombstone)) => {
                    forgotten = forgotten.max(tombstone.forgotten);
                    sha256 = tombstone.sha256;
                    break;
                }
                Ok(record) => {
                    forgotten = later(forgotten, &record);
                    sha256 = record.sha256();
                }
                Err(_) => {}
            }
            let tombstone = Tombstone {
                id,
                forgotten,
                sha256,
            };
            let text = Record::Forgotten(tombstone).to_json();
            if self.local.swap(id, Some(&before), &text)? {
                here = true;
                break;
            }
            if attempt == ATTEMPTS {
                return Err(MemoError::Contended { id });
            }
        }
        let Some(shared) = &self.shared else {
            let together = false;
            return Ok(Buried { here, together });
        };
        for _ in 0..ATTEMPTS {
            let held = shared.get(id)?;
            let before = held.as_ref().map(|held| Record::parse_as(&held.bytes, id));
            match before {
                // It may still be here and there on other machines.
                None if here => {}
                None | Some(Ok(Record::Forgotten(_))) => {
                    let together = false;
                    return Ok(Buried { here, together });
                }
                Some(Ok(record)) => {
                    forgotten = later(forgotten, &record);
                    sha256 = record.sha256();
                }
                Some(Err(_)) => {}
            }
            shared.make_ready()?;
            let tombstone = Tombstone {
                id,
                forgotten,
                sha256: None,
            };
            if shared.bury(held.as_ref(), tombstone)? {
                // So that it does not come back from there.
                let own = Tombstone {
                    sha256,
                    ..tombstone
                };
                self.overwrite(&Record::Forgotten(own))?;
                let together = held.is_some();
                return Ok(Buried { here, together });
            }
            std::thread::sleep(PAUSE);
        }
        Err(MemoError::Contended { id })
    }
}

/// A time for a tombstone that `record` does not come after.
fn later(now: Time, record: &Record) -> Time {
    match record.supersedes() {
        Some(before) => now.max(before.after()),
        None => now,
    }
}
