//! What the caller of a fetch provides, and what the fetch has used so far.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fetchhost_policy::{Broker, Limit, Limits, SlotName};
use fetchhost_transport as transport;

use crate::progress::Progress;
use crate::trap::Stop;
use crate::verdict::Verdict;

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

/// A session in use: what the host functions work with.
pub(crate) struct Fetch {
    pub(crate) session: Session,
    /// The slots that the fetcher's description names.
    pub(crate) slots: BTreeSet<SlotName>,
    pub(crate) progress: Arc<Progress>,
    pub(crate) verdict: Verdict,
    pub(crate) spooled: Arc<Spooled>,
    requests: u64,
    read: u64,
    logged: u64,
    held: u64,
}

impl Fetch {
    pub(crate) fn new(session: Session, slots: BTreeSet<SlotName>) -> Self {
        Self {
            spooled: Arc::new(Spooled {
                limits: session.limits.clone(),
                bytes: AtomicU64::new(0),
            }),
            session,
            slots,
            progress: Arc::new(Progress::new()),
            verdict: Verdict::default(),
            requests: 0,
            read: 0,
            logged: 0,
            held: 0,
        }
    }

    /// Counts a request.
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

    /// Counts bytes that the guest leaves with the host: URLs, headers, bodies, contents, paths.
    ///
    /// They leave the guest's memory, where they are bounded, and would not be bounded here.
    /// What was given back counts on: nothing but an attack leaves that much.
    pub(crate) fn count_held(&mut self, bytes: usize) -> Result<(), Stop> {
        spend(
            &mut self.held,
            bytes as u64,
            Limit::Memory,
            &self.session.limits,
        )
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
