//! Reading a store: what it knows of its paths, and their archives.
//!
//! One connection answers all questions, many at once, and keeps the garbage collector from what is in a
//! closure. Archives are made of the store's files, without Nix. Where this user does not get at them, Nix
//! sends them, over connections of their own.

use std::fmt;
use std::io::{self, BufRead as _};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use fetchhost_formats::{STORE_DIR, StoreEntry, StorePath};

use super::closure::closure;
use super::daemon::Connection;
use super::error::StoreError;
use super::gc_root::Root;
use super::resolve::resolve;
use super::sent::Sent;
use super::session::Spare;
use super::{Place, Store};
use crate::error::{SinkError, failed};
use crate::packing::Packing;
use fetchhost_cache::Archive;

/// A store that is read. All its methods may block, and may be called from several threads at once.
///
/// While it lives, Nix's garbage collector keeps off every path of a [`closure`](Self::closure) and all that was
/// [held](Self::hold).
pub struct StoreReader {
    store: Store,
    place: Place,
    keeper: Mutex<Keeper>,
}

struct Keeper {
    connection: Connection,
    /// Whether a question was asked and not answered to its end: what comes next may be its answer.
    is_out_of_step: bool,
}

impl StoreReader {
    /// Connects. Makes no store.
    ///
    /// # Errors
    ///
    /// When there is no store, or it cannot be reached.
    pub fn open(store: Store) -> Result<Self, SinkError> {
        let label = store.label();
        let failed = SinkError::of_source(&label);
        if let Some(place) = store.absence().map_err(failed)? {
            return Err(failed(StoreError::Absent { place }));
        }
        let (place, connection) = store.connect().map_err(failed)?;
        Ok(Self {
            store: Store {
                spare: Some(Spare::default()),
                ..store
            },
            place,
            keeper: Mutex::new(Keeper {
                connection,
                is_out_of_step: false,
            }),
        })
    }

    /// The store path that is meant by what a user types: a store path, a path inside one, or a link that
    /// leads there. It may not be valid.
    ///
    /// # Errors
    ///
    /// When it leads out of the store, or nowhere.
    pub fn resolve(&self, typed: &Path) -> Result<StorePath, SinkError> {
        let physical = self.place.below_root(STORE_DIR);
        resolve(typed, &physical).map_err(SinkError::of_source(&self.store.label()))
    }

    /// What the store knows of a path; `None` when it is not valid.
    ///
    /// # Errors
    ///
    /// When the store cannot be asked.
    pub fn info(&self, path: &StorePath) -> Result<Option<StoreEntry>, SinkError> {
        let mut infos = self.infos(std::slice::from_ref(path))?;
        Ok(infos.pop().flatten())
    }

    /// The same of many paths, in their order, much faster than one after the other.
    ///
    /// # Errors
    ///
    /// When the store cannot be asked.
    pub fn infos(&self, paths: &[StorePath]) -> Result<Vec<Option<StoreEntry>>, SinkError> {
        self.ask(paths, false)
            .map_err(SinkError::of_source(&self.store.label()))
    }

    /// The same, and keeps the garbage collector from all of them as from a closure.
    ///
    /// # Errors
    ///
    /// When the store cannot be asked.
    pub fn hold(&self, paths: &[StorePath]) -> Result<Vec<Option<StoreEntry>>, SinkError> {
        self.ask(paths, true)
            .map_err(SinkError::of_source(&self.store.label()))
    }

    /// All that these paths refer to, directly or not, and themselves: each once, and after what it refers
    /// to.
    ///
    /// # Errors
    ///
    /// When one of them is not valid, or the store cannot be asked.
    pub fn closure(&self, paths: &[StorePath]) -> Result<Vec<StoreEntry>, SinkError> {
        closure(paths, |paths| self.ask(paths, true))
            .map_err(SinkError::of_source(&self.store.label()))
    }

    /// What messages call the store.
    pub(super) fn label(&self) -> String {
        self.store.label()
    }

    /// Where its files lie.
    pub(super) const fn place(&self) -> &Place {
        &self.place
    }

    fn ask(
        &self,
        paths: &[StorePath],
        protect: bool,
    ) -> Result<Vec<Option<StoreEntry>>, StoreError> {
        let infos = self.on_connection(|connection| connection.query_all(paths, protect))?;
        let entries = paths.iter().zip(infos);
        entries
            .map(|(path, info)| info.map(|info| info.of(path.clone())).transpose())
            .collect()
    }

    /// Keeps the garbage collector from a path for as long as the link is there that is made to it. An older
    /// link into the store is replaced.
    ///
    /// # Errors
    ///
    /// When it cannot be made, or is not known to the store.
    pub fn add_root(&self, path: &StorePath, link: &Path) -> Result<(), SinkError> {
        self.on_connection(|connection| {
            connection.protect(path)?;
            Root::prepare(link, Some(path))?.add(path, connection)
        })
        .map_err(SinkError::of_source(&self.store.label()))
    }

    fn on_connection<T>(
        &self,
        question: impl FnOnce(&mut Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::replace(&mut keeper.is_out_of_step, true) {
            return Err(StoreError::OutOfStep);
        }
        let answer = question(&mut keeper.connection)?;
        keeper.is_out_of_step = false;
        Ok(answer)
    }

    /// The archive of a path, to be read once. It is made while it is read, in memory that does not grow with
    /// it, and by no thread of its own.
    ///
    /// What is read is **not proved** to be what the store knows of the path: that is for the caller, by
    /// [`nar_size`](StoreEntry::nar_size) and [`nar_hash`](StoreEntry::nar_hash), at its end. Only a path of a
    /// [`closure`](Self::closure), or one that is [held](Self::hold), is sure to stay as long as that takes. An error while
    /// it is read says why the store's files cannot be read, or what Nix said.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub fn archive(&self, entry: &StoreEntry) -> Result<Archive, SinkError> {
        let label = self.store.label();
        let path = self.place.physical(&entry.path);
        let mut packing = Packing::of(path.clone());
        match packing.fill_buf() {
            Ok(_) => Ok(Box::new(packing)),
            Err(error) if is_elsewhere(&error) => {
                let sent = Sent::request(&self.store, entry);
                Ok(Box::new(sent.map_err(SinkError::of_source(&label))?))
            }
            Err(error) => Err(failed(&label, "read", &path)(error)),
        }
    }
}

/// Whether a file of a store cannot be got at from here, while it may be from where the daemon runs.
fn is_elsewhere(error: &io::Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound, PermissionDenied};
    matches!(error.kind(), NotADirectory | NotFound | PermissionDenied)
}

impl fmt::Debug for StoreReader {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("StoreReader");
        shown.field("store", &self.store).finish_non_exhaustive()
    }
}
