//! Many outputs for one store.
//!
//! A connection is not free: where no daemon runs, each is a process of its own. So one connection does all
//! the looking up, and keeps the garbage collector from all that was looked up, valid or not yet, as long as
//! the session lasts; and a connection over which an output was added is used again for the next one.
//! A connection that is given up in the middle of an output is never the one that protects others.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fetchhost_formats::FixedOutput;

use super::daemon::Connection;
use super::gc_root::Root;
use super::{Place, Store};
use crate::destination::Destination;
use crate::error::SinkError;

/// About what a new connection costs where it is a process of its own. Whoever waits this long for another's
/// waits for a server or a large output, and gets one of his own.
const COST: Duration = Duration::from_millis(25);

/// One store, for many outputs. While it lives, Nix's garbage collector keeps off those that were
/// [held](Self::hold).
pub struct StoreSession {
    store: Store,
    keeper: Mutex<Connection>,
}

impl StoreSession {
    /// Connects. May block.
    ///
    /// # Errors
    ///
    /// When the store cannot be reached.
    pub fn open(store: Store) -> Result<Self, SinkError> {
        let label = store.label();
        let (_, keeper) = store.connect().map_err(SinkError::of_store(&label))?;
        Ok(Self {
            store: Store {
                spare: Some(Spare::default()),
                ..store
            },
            keeper: Mutex::new(keeper),
        })
    }

    /// Keeps the garbage collector from an output, and says whether it is valid. May block.
    ///
    /// # Errors
    ///
    /// When the store cannot be asked.
    pub fn hold(&self, output: &FixedOutput) -> Result<bool, SinkError> {
        let path = output.store_path();
        self.ask(|keeper| {
            // First: what is valid stays so.
            keeper.protect(&path)?;
            let info = keeper.query(&path)?;
            Ok(info.is_some_and(|info| info.is(output)))
        })
    }

    /// Makes a GC root of an output that is valid. May block.
    ///
    /// # Errors
    ///
    /// When it cannot be made.
    pub fn add_root(&self, output: &FixedOutput, link: &Path) -> Result<(), SinkError> {
        let path = output.store_path();
        self.ask(|keeper| Root::prepare(link, Some(&path))?.add(&path, keeper))
    }

    /// The store as the destination of an output, which gets this GC root.
    #[must_use]
    pub fn destination(&self, gc_root: Option<PathBuf>) -> Destination {
        Destination::Store(Store {
            gc_root,
            ..self.store.clone()
        })
    }

    fn ask<T>(
        &self,
        question: impl FnOnce(&mut Connection) -> Result<T, super::StoreError>,
    ) -> Result<T, SinkError> {
        // What another question broke is said to this one too.
        let mut keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        keeper.rest();
        question(&mut keeper).map_err(SinkError::of_store(&self.store.label()))
    }
}

impl fmt::Debug for StoreSession {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("StoreSession");
        shown.field("store", &self.store).finish_non_exhaustive()
    }
}

/// Connections that have done what they were for.
#[derive(Clone, Default)]
pub struct Spare(Arc<Pool>);

#[derive(Default)]
struct Pool {
    state: Mutex<State>,
    returned: Condvar,
}

#[derive(Default)]
struct State {
    idle: Vec<(Place, Connection)>,
    /// Whether one was ever asked for, that may come back.
    is_used: bool,
    /// Whether somebody makes a new one.
    is_growing: bool,
}

impl Spare {
    /// One that is idle, or is so soon; else the leave to make a new one. One is made at a time: what comes
    /// all at once is done with before a process for each could have started.
    pub(super) fn take(&self) -> Result<(Place, Connection), Growing<'_>> {
        let mut state = self.lock();
        loop {
            if state.is_used {
                let has_none = |state: &mut State| state.idle.is_empty();
                let waited = self.0.returned.wait_timeout_while(state, COST, has_none);
                (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
            }
            state.is_used = true;
            // Its end shows only here: a daemon that was started anew takes what comes over a new one.
            while let Some((place, mut connection)) = state.idle.pop() {
                if connection.is_open() {
                    return Ok((place, connection));
                }
            }
            if !state.is_growing {
                state.is_growing = true;
                return Err(Growing(self));
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        let state = self.0.state.lock();
        state.unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a connection that waits for its next operation.
    pub(super) fn put(&self, place: Place, mut connection: Connection) {
        connection.rest();
        self.lock().idle.push((place, connection));
        self.0.returned.notify_one();
    }
}

/// The leave to make a new connection. Others get it when this is dropped.
pub(super) struct Growing<'a>(&'a Spare);

impl Drop for Growing<'_> {
    fn drop(&mut self) {
        self.0.lock().is_growing = false;
    }
}

impl fmt::Debug for Spare {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Spare").finish_non_exhaustive()
    }
}

/// The same connections, or others.
impl PartialEq for Spare {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Spare {}
