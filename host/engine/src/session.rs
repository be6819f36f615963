//! What the caller of a fetch provides, and what the fetch has used so far.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fetchhost_policy::describe::{FetcherDescription, KeySlotDescription};
use fetchhost_policy::{Broker, InputName, Limit, Limits, SlotName};
use fetchhost_transport as transport;

use crate::progress::Progress;
use crate::signing::{Desk, Input};
use crate::trap::Stop;
use crate::verdict::Verdict;

/// What a call of a host function counts as, in the engine's fuel units: about as many instructions as
/// the cheapest call takes. A guest burns no fuel while the host works for it, so one that does nothing
/// but call would go on for a minute. A tree of a million entries stays possible.
const FUEL_PER_CALL: u64 = 5_000;

/// What one fetch may use. A session serves one call of [`Module::fetch`](crate::Module::fetch).
pub struct Session {
    /// Sends what the broker permits.
    pub client: transport::Client,
    /// Decides what may be sent.
    pub broker: Arc<Broker>,
    /// The limits of this fetch.
    pub limits: Limits,
    /// A folder for temporary files, which have no names in it.
    pub tmp: PathBuf,
    /// Takes what the module logs.
    pub log: Arc<dyn Fn(LogLine) + Send + Sync>,
    /// The files that the user gives the fetcher.
    pub inputs: BTreeMap<InputName, Arc<Input>>,
    /// Signs for the fetcher. Without one nothing is signed.
    pub desk: Option<Arc<dyn Desk>>,
}

/// One message of a module, with control characters escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// For whom it is.
    pub level: LogLevel,
    /// The text, in one line.
    pub message: String,
}

/// For whom a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// For the author of the module.
    Debug,
    /// For the user, in passing.
    Info,
    /// For the user, who should know.
    Warn,
    /// Not a message: what the module does from now on, for the progress line.
    Phase,
}

/// What the fetcher's description names. What it does not name is not there for it.
pub(crate) struct Declared {
    pub(crate) slots: BTreeSet<SlotName>,
    pub(crate) inputs: BTreeSet<InputName>,
    pub(crate) keys: BTreeMap<SlotName, KeySlotDescription>,
}

impl Declared {
    pub(crate) fn of(description: &FetcherDescription) -> Self {
        Self {
            slots: description.slots.keys().cloned().collect(),
            inputs: description.inputs.keys().cloned().collect(),
            keys: description.keys.clone(),
        }
    }
}

/// A session in use: what the host functions work with.
pub(crate) struct Fetch {
    pub(crate) session: Session,
    pub(crate) declared: Declared,
    pub(crate) progress: Arc<Progress>,
    pub(crate) verdict: Verdict,
    pub(crate) spooled: Arc<Spooled>,
    pub(crate) echo: transport::Echo,
    /// The slots whose keys could not be had: nobody is asked for a passphrase again because a guest insists.
    pub(crate) lost_keys: BTreeSet<SlotName>,
    called: u64,
    requests: u64,
    read: u64,
    logged: u64,
    held: Arc<AtomicU64>,
}

impl Fetch {
    pub(crate) fn new(session: Session, declared: Declared) -> Self {
        Self {
            spooled: Arc::new(Spooled {
                limits: session.limits.clone(),
                bytes: AtomicU64::new(0),
            }),
            echo: session.client.echo(),
            session,
            declared,
            lost_keys: BTreeSet::new(),
            progress: Arc::new(Progress::new()),
            verdict: Verdict::default(),
            called: 0,
            requests: 0,
            read: 0,
            logged: 0,
            held: Arc::default(),
        }
    }

    /// Counts a call of a host function. The fuel that the guest itself burns is counted apart.
    pub(crate) fn count_call(&mut self) -> Result<(), Stop> {
        spend(
            &mut self.called,
            FUEL_PER_CALL,
            Limit::Fuel,
            &self.session.limits,
        )
    }

    /// Counts a request, to a server or for a signature.
    pub(crate) fn count_request(&mut self) -> Result<(), Stop> {
        spend(&mut self.requests, 1, Limit::Requests, &self.session.limits)
    }

    /// Counts bytes given to the guest.
    pub(crate) fn count_read(&mut self, bytes: usize) -> Result<(), Stop> {
        spend(
            &mut self.read,
            bytes as u64,
            Limit::ReadBytes,
            &self.session.limits,
        )
    }

    /// Counts bytes logged.
    pub(crate) fn count_logged(&mut self, bytes: usize) -> Result<(), Stop> {
        spend(
            &mut self.logged,
            bytes as u64,
            Limit::LogBytes,
            &self.session.limits,
        )
    }

    /// Counts bytes that the guest leaves with the host (URLs, headers, bodies, contents, paths)
    /// until what is returned is dropped.
    ///
    /// They leave the guest's memory, where they are bounded, and would not be bounded here.
    pub(crate) fn hold(&self, bytes: usize) -> Result<Held, Stop> {
        let mut held = Held {
            bytes: 0,
            all: Arc::clone(&self.held),
        };
        held.grow(bytes, &self.session.limits)?;
        Ok(held)
    }
}

/// Bytes in the host's memory that belong to something of the guest's. Dropped along with it.
pub(crate) struct Held {
    bytes: u64,
    /// The bytes of everything that the guest has left.
    all: Arc<AtomicU64>,
}

impl Held {
    /// Counts more bytes.
    pub(crate) fn grow(&mut self, bytes: usize, limits: &Limits) -> Result<(), Stop> {
        let more = bytes as u64;
        let before = self.all.fetch_add(more, Ordering::Relaxed);
        self.bytes += more;
        if before.saturating_add(more) > limits.memory {
            return Err(limits.overrun(Limit::Memory).into());
        }
        Ok(())
    }

    /// Counts fewer bytes.
    pub(crate) fn shrink(&mut self, bytes: usize) {
        let fewer = self.bytes.min(bytes as u64);
        self.bytes -= fewer;
        self.all.fetch_sub(fewer, Ordering::Relaxed);
    }

    /// Takes over what `other` counts.
    pub(crate) fn absorb(&mut self, mut other: Self) {
        self.bytes += std::mem::take(&mut other.bytes);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.all.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

fn spend(used: &mut u64, more: u64, limit: Limit, limits: &Limits) -> Result<(), Stop> {
    *used = used.saturating_add(more);
    if *used > limits.get(limit) {
        Err(limits.overrun(limit).into())
    } else {
        Ok(())
    }
}

/// Bytes in temporary files, counted by calls that may run side by side.
pub(crate) struct Spooled {
    limits: Limits,
    bytes: AtomicU64,
}

impl Spooled {
    pub(crate) fn count(&self, bytes: usize) -> Result<(), Stop> {
        let before = self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        if before.saturating_add(bytes as u64) > self.limits.output_bytes {
            return Err(self.limits.overrun(Limit::OutputBytes).into());
        }
        Ok(())
    }
}
