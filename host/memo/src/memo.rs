//! What is remembered, here and together, and the agreement about who was first.
//!
//! | here | together | looked up | remembered |
//! |---|---|---|---|
//! | nothing | nothing | nothing | written, together first |
//! | an entry | nothing | that one | that one is written together |
//! | any | an entry | that one, which replaces another one here | that one is given back |
//! | any | a tombstone | forgotten | written over it |
//! | a result | a tombstone | that result, and a warning | that one is given back |
//! | a tombstone, or an entry that came after one | an entry that does not come after that | as without it, and a warning | written over it |
//! | any | something that is not used | as without it, and a warning | an error: nobody can agree |
//! | any | cannot be reached | as without it, and a warning | an error |
//!
//! An entry comes after a tombstone when it says so (`supersedes`): it was made anew by somebody who saw that the one
//! before was forgotten. So nobody who may write there brings back what was forgotten here; and where the user had it
//! forgotten here, not even by saying so: the same signature is known by its digest.
//! What is here alone, from before the place was configured, is written together by the lookup before signing
//! and whenever it is remembered, and by no other lookup.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fetchhost_cache::Cache;
use fetchhost_formats::{PublicKey, SigningKey};
use fetchhost_policy::printable;

use crate::error::{Flaw, MemoError};
use crate::id::MemoId;
use crate::judged::{Accept, Judged, Side, is_in_the_way, judge};
use crate::local::Local;
use crate::record::Record;
use crate::shared::{Held, Shared};
use crate::time::Time;

/// How often an entry that others change meanwhile is tried again.
pub(crate) const ATTEMPTS: usize = 50;
/// And after which pause, where it is shared.
pub(crate) const PAUSE: Duration = Duration::from_millis(20);

/// Takes warnings: one line each.
pub type Warn = dyn Fn(&str) + Send + Sync;

/// What is remembered. Its methods block.
pub struct Memo {
    pub(crate) local: Local,
    pub(crate) shared: Option<Shared>,
    /// Whose results of other fetchers are taken from elsewhere.
    pub(crate) trusted: Vec<PublicKey>,
    /// Signs results for the shared place.
    pub(crate) secret: Option<SigningKey>,
    warn: Arc<Warn>,
}

/// What a lookup gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found<T = Vec<u8>> {
    /// This.
    Remembered(T),
    /// It was forgotten: only what is made anew comes in its place.
    Forgotten {
        /// When.
        at: SystemTime,
    },
    /// Nothing.
    Nothing,
}

impl<T> Found<T> {
    pub(crate) fn map<U>(self, change: impl FnOnce(T) -> U) -> Found<U> {
        match self {
            Self::Remembered(found) => Found::Remembered(change(found)),
            Self::Forgotten { at } => Found::Forgotten { at },
            Self::Nothing => Found::Nothing,
        }
    }
}

/// What is to become of a result of a lookup.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// It is used, if there is one.
    Use,
    /// Where there is none, one is made: so nothing may be in the way of agreeing about that.
    Make,
}

/// What can be remembered.
pub(crate) trait Entry: Clone {
    /// Whether it counts by somebody's trusted word. A tombstone is nobody's: whoever may write where entries are
    /// shared would choose when a hash is taken on trust anew.
    const BY_TRUST: bool;
    /// As it is written, coming after a tombstone of that time.
    fn record(&self, supersedes: Option<Time>) -> Record;
    /// Writes what belongs to it where it is shared, before it.
    fn publish(&self, shared: &Shared) -> Result<(), MemoError>;
}

impl Memo {
    /// Opens the file of what is remembered here, or makes it, for its owner alone.
    ///
    /// # Errors
    /// When it cannot be made or read, is damaged, was written by a newer version, or could be changed by others.
    pub fn open(file: &Path) -> Result<Self, MemoError> {
        Ok(Self {
            local: Local::open(file)?,
            shared: None,
            trusted: Vec::new(),
            secret: None,
            warn: Arc::new(|text| tracing::warn!("{text}")),
        })
    }

    /// Remembers together with all that use this cache, which decides who was first. Not opened for many files, since
    /// each entry is to outlast a crash.
    #[must_use]
    pub fn with_shared(mut self, cache: Cache) -> Self {
        self.shared = Some(Shared::new(cache));
        self
    }

    /// Takes results of other fetchers from elsewhere when one of `trusted` has signed them, and signs with `secret`
    /// those that are shared. Without it none are.
    #[must_use]
    pub fn with_keys(mut self, trusted: Vec<PublicKey>, secret: Option<SigningKey>) -> Self {
        self.trusted = trusted;
        self.secret = secret;
        self
    }

    /// Tells warnings to `warn`, and not to the log.
    #[must_use]
    pub fn with_warnings(mut self, warn: Arc<Warn>) -> Self {
        self.warn = warn;
        self
    }

    pub(crate) fn warn(&self, text: &str) {
        (self.warn)(text);
    }

    /// Finds an entry.
    pub(crate) fn look_up<T: Entry>(
        &self,
        id: MemoId,
        then: Then,
        accept: &Accept<'_, T>,
    ) -> Result<Found<T>, MemoError> {
        let here = self.here(id, accept)?;
        let Some(shared) = &self.shared else {
            return Ok(here.found());
        };
        // With an entry nothing is made.
        let must_agree = then == Then::Make && !matches!(here, Judged::Entry(..));
        let held = match shared.get(id) {
            Err(error) if must_agree => return Err(error.into()),
            Err(error) => {
                self.warn(&format!("what others remember is not asked: {error}"));
                return Ok(here.found());
            }
            Ok(held) => held,
        };
        if here.is_written_as(bytes_of(&held)) {
            // What was judged here need not be judged there: a content may be large.
            return Ok(here.found());
        }
        match judge(bytes_of(&held), id, Side::Together, accept)? {
            Judged::Entry(_, record) if here.forbids(&record) => {
                self.refused(&quoted(&shared.place(id)), &Flaw::Forgotten);
            }
            Judged::Entry(entry, record) => {
                self.copy(&record);
                return Ok(Found::Remembered(entry));
            }
            Judged::Forgotten(_) if T::BY_TRUST && matches!(here, Judged::Entry(..)) => {
                self.warn(&format!(
                    "{} was forgotten by somebody who may write there; what is remembered here stays until `memo forget {id}`",
                    quoted(&shared.place(id))
                ));
            }
            Judged::Forgotten(theirs) => {
                let tombstone = here.buried_by(theirs);
                self.copy(&Record::Forgotten(tombstone));
                return Ok(Judged::<T>::Forgotten(tombstone).found());
            }
            Judged::Refused(flaw, _) if must_agree && is_in_the_way(&flaw) => {
                return Err(poisoned(shared, id, flaw));
            }
            Judged::Refused(flaw, _) => self.refused(&quoted(&shared.place(id)), &flaw),
            Judged::Nothing => {
                if let (Judged::Entry(entry, _), Then::Make) = (&here, then) {
                    // From before the place was configured: whoever may write shares it.
                    match self.remember_together(shared, id, entry.clone(), accept) {
                        Ok(first) => return Ok(Found::Remembered(first)),
                        Err(error) => self.warn(&format!("this is not shared: {error}")),
                    }
                }
            }
        }
        if must_agree {
            shared.make_ready()?;
        }
        Ok(here.found())
    }

    /// Remembers `offered` unless another was first; gives what all have.
    pub(crate) fn remember<T: Entry>(
        &self,
        id: MemoId,
        offered: T,
        accept: &Accept<'_, T>,
    ) -> Result<T, MemoError> {
        match &self.shared {
            None => self.remember_here(id, offered, accept),
            Some(shared) => self.remember_together(shared, id, offered, accept),
        }
    }

    /// The same without the shared place.
    pub(crate) fn remember_here<T: Entry>(
        &self,
        id: MemoId,
        offered: T,
        accept: &Accept<'_, T>,
    ) -> Result<T, MemoError> {
        for _ in 0..ATTEMPTS {
            let before = self.local.get(id)?;
            let after = match judge(before.as_deref(), id, Side::Here, accept)? {
                Judged::Entry(first, _) => return Ok(first),
                Judged::Nothing => None,
                Judged::Forgotten(tombstone) => Some(tombstone.forgotten),
                Judged::Refused(flaw, supersedes) => {
                    self.refused(&named_here(id), &flaw);
                    supersedes
                }
            };
            let text = written(&offered.record(after))?;
            if self.local.swap(id, before.as_deref(), &text)? {
                return Ok(offered);
            }
        }
        Err(MemoError::Contended { id })
    }

    fn remember_together<T: Entry>(
        &self,
        shared: &Shared,
        id: MemoId,
        offered: T,
        accept: &Accept<'_, T>,
    ) -> Result<T, MemoError> {
        // What is too long for others is found before anything is written.
        written(&offered.record(None))?;
        shared.make_ready()?;
        let here = self.here(id, accept)?;
        let floor = here.floor();
        let first_here = match &here {
            Judged::Entry(first, _) => Some(first),
            _ => None,
        };
        for _ in 0..ATTEMPTS {
            let held = shared.get(id)?;
            let (offered, after) = match judge(bytes_of(&held), id, Side::Together, accept)? {
                Judged::Entry(first, record) if !here.forbids(&record) => {
                    self.overwrite(&record)?;
                    return Ok(first);
                }
                // What was forgotten is there again, or still.
                Judged::Nothing | Judged::Entry(..) => (first_here.unwrap_or(&offered), floor),
                Judged::Forgotten(theirs) => {
                    let first = first_here.filter(|_| T::BY_TRUST);
                    let after = floor.max(Some(theirs.forgotten));
                    (first.unwrap_or(&offered), after)
                }
                Judged::Refused(flaw, _) if is_in_the_way(&flaw) => {
                    return Err(poisoned(shared, id, flaw));
                }
                Judged::Refused(Flaw::Expired, supersedes) => (&offered, floor.max(supersedes)),
                Judged::Refused(flaw, _) => {
                    self.refused(&quoted(&shared.place(id)), &flaw);
                    return self.remember_here(id, offered, accept);
                }
            };
            offered.publish(shared)?;
            let record = offered.record(after);
            written(&record)?;
            if shared.swap(held.as_ref(), &record)? {
                self.overwrite(&record)?;
                return Ok(offered.clone());
            }
            std::thread::sleep(PAUSE);
        }
        Err(MemoError::Contended { id })
    }

    /// What is here, with a warning about what is not used.
    fn here<T>(&self, id: MemoId, accept: &Accept<'_, T>) -> Result<Judged<T>, MemoError> {
        let here = judge(self.local.get(id)?.as_deref(), id, Side::Here, accept)?;
        if let Judged::Refused(flaw, _) = &here {
            self.refused(&named_here(id), flaw);
        }
        Ok(here)
    }

    fn refused(&self, place: &str, flaw: &Flaw) {
        // That is no fault of anybody's.
        if !matches!(flaw, Flaw::Expired) {
            self.warn(&format!("{place} is not used: {flaw}"));
        }
    }

    /// Has here what all have. Who cannot write it looks there again.
    fn copy(&self, theirs: &Record) {
        if let Err(error) = self.overwrite(theirs) {
            self.warn(&format!("what others remember is not kept here: {error}"));
        }
    }

    /// Writes an entry here over whatever is there, but not over a later tombstone.
    pub(crate) fn overwrite(&self, record: &Record) -> Result<(), MemoError> {
        let (id, text) = (record.id(), written(record)?);
        for _ in 0..ATTEMPTS {
            let before = self.local.get(id)?;
            let there = before.as_deref().map(|text| Record::parse_as(text, id));
            if let Some(Ok(Record::Forgotten(tombstone))) = there
                && !matches!(record, Record::Forgotten(_))
                && record.supersedes() < Some(tombstone.forgotten)
            {
                // Somebody has forgotten it meanwhile.
                return Ok(());
            }
            if before.as_deref() == Some(text.as_bytes())
                || self.local.swap(id, before.as_deref(), &text)?
            {
                return Ok(());
            }
        }
        Err(MemoError::Contended { id })
    }
}

impl fmt::Debug for Memo {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Memo")
            .field("local", &self.local)
            .field("shared", &self.shared)
            .finish_non_exhaustive()
    }
}

/// An entry of the local file in a message.
fn named_here(id: MemoId) -> String {
    format!("the entry `{id}` of this user")
}

fn quoted(place: &str) -> String {
    format!("`{}`", printable(place))
}

fn bytes_of(held: &Option<Held>) -> Option<&[u8]> {
    held.as_ref().map(|held| &*held.bytes)
}

fn poisoned(shared: &Shared, id: MemoId, flaw: Flaw) -> MemoError {
    MemoError::Poisoned {
        id,
        place: shared.place(id),
        flaw,
    }
}

/// The text of an entry, if it can be read back.
fn written(record: &Record) -> Result<String, MemoError> {
    let text = record.to_json();
    match Record::parse(text.as_bytes()) {
        Ok(_) => Ok(text),
        Err(flaw) => Err(MemoError::Unwritable(flaw)),
    }
}
