//! Pushing what is queued, until nothing is left.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use fetchhost_cache::Cache;
use fetchhost_formats::StorePath;
use fetchhost_policy::printable;

use super::Pusher;
use super::queue::{Entry, Queue};
use crate::args::cache::PushArgs;
use crate::caches::{self, Purpose, Stopping};
use crate::context::Context;
use crate::exit::ExitStatus;
use crate::failure::Failure;

/// How often a cache that fails is tried, and after which pauses: the first, which doubles up to the longest.
/// About seven minutes in all.
const ATTEMPTS: u32 = 9;
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(180);
/// How soon a pause ends when it is to.
const TICK: Duration = Duration::from_millis(100);

/// After this time what could not be pushed is given up.
const GIVEN_UP: Duration = Duration::from_secs(7 * 24 * 3600);

/// Pushes what is queued.
pub(super) async fn drain(context: &Context, args: &PushArgs) -> Result<(), Failure> {
    if args.detached {
        // Where it is the leader of a session already, it need not become one.
        let _ = rustix::process::setsid();
    }
    let queue = Queue::open(context, args)?;
    let cache = caches::of_command(context, &args.cache, Purpose::Many)?;
    let pusher = Pusher::new(context, args)?;
    let is_patient = !args.detached;
    caches::work(move |stopping| {
        let drain = Drain {
            queue: &queue,
            cache: &cache,
            pusher: &pusher,
            stopping,
        };
        drain.run(is_patient)
    })
    .await
}

struct Drain<'a> {
    queue: &'a Queue,
    cache: &'a Cache,
    pusher: &'a Pusher,
    stopping: &'a Stopping,
}

impl Drain<'_> {
    fn run(&self, is_patient: bool) -> Result<(), Failure> {
        // Whoever queued something while this one was about to end found the lock taken.
        let mut is_told = false;
        while !self.stopping.is_asked_for() && !self.queue.entries()?.is_empty() {
            match self.queue.lock()? {
                Some(_lock) => self.empty()?,
                None if !is_patient => return Ok(()),
                None => {
                    if !std::mem::replace(&mut is_told, true) {
                        self.pusher.printer.note(&format!(
                            "another process pushes what is queued in `{}`; waiting for it to end",
                            printable(&self.queue.folder().to_string_lossy())
                        ));
                    }
                    std::thread::sleep(TICK);
                }
            }
        }
        Ok(())
    }

    /// Pushes until nothing is queued.
    fn empty(&self) -> Result<(), Failure> {
        let (mut attempt, mut pause) = (1, FIRST_PAUSE);
        self.queue.remove_roots()?;
        loop {
            let entries = self.queue.entries()?;
            if entries.is_empty() || self.stopping.is_asked_for() {
                return Ok(());
            }
            let Err(failure) = self.push(entries) else {
                (attempt, pause) = (1, FIRST_PAUSE);
                continue;
            };
            if attempt == ATTEMPTS || failure.status == ExitStatus::Usage {
                self.give_up()?;
                return Err(failure);
            }
            self.tell(&failure);
            self.wait(pause);
            attempt += 1;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Pushes these, and takes away what is done. Fails where something is left that may go better.
    fn push(&self, entries: Vec<Entry>) -> Result<(), Failure> {
        let printer = self.pusher.printer;
        let now = humantime::format_rfc3339_seconds(SystemTime::now());
        printer.note(&format!("{now}: {} builds are queued", entries.len()));
        let reader = self.pusher.reader()?;
        let wanted: BTreeSet<_> = entries.iter().flat_map(|entry| &entry.paths).collect();
        let wanted: Vec<StorePath> = wanted.into_iter().cloned().collect();
        let held = reader.hold(&wanted).map_err(super::of_store)?;
        let mut valid = BTreeSet::new();
        for (path, held) in wanted.into_iter().zip(held) {
            if held.is_some() {
                valid.insert(path);
            } else {
                printer.warning(&format!("`{path}` is gone, and not pushed"));
            }
        }
        let named: Vec<_> = valid.iter().cloned().collect();
        let report = self
            .pusher
            .push(self.cache, &reader, &named, self.stopping)?;
        let settled = report.settled();
        let is_left =
            |path: &StorePath| valid.contains(path) && !settled.contains(&*path.to_string());
        let (left, done): (Vec<_>, Vec<_>) = entries
            .into_iter()
            .partition(|entry| entry.paths.iter().any(is_left));
        self.queue.remove(&done)?;
        let finished = report.finish(printer, false);
        match (left.is_empty(), finished) {
            (true, Err(failure)) => {
                // It would not go better another time.
                self.tell(&failure);
                Ok(())
            }
            (true, Ok(())) => Ok(()),
            (false, finished) => finished,
        }
    }

    /// Takes away what has waited for too long.
    fn give_up(&self) -> Result<(), Failure> {
        let entries = self.queue.entries()?.into_iter();
        let old: Vec<_> = entries.filter(|entry| entry.age > GIVEN_UP).collect();
        for path in old.iter().flat_map(|entry| &entry.paths) {
            let printer = self.pusher.printer;
            printer.warning(&format!("`{path}` is given up after seven days"));
        }
        self.queue.remove(&old)
    }

    fn tell(&self, failure: &Failure) {
        let hint = failure.hint.as_ref().map(|hint| format!(" ({hint})"));
        let text = format!("{}{}", failure.message, hint.unwrap_or_default());
        self.pusher.printer.error(&text);
    }

    fn wait(&self, pause: Duration) {
        let mut left = pause;
        while !left.is_zero() && !self.stopping.is_asked_for() {
            let tick = left.min(TICK);
            std::thread::sleep(tick);
            left -= tick;
        }
    }
}
