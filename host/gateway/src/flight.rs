//! Fetches on their way: each once, however many ask, and not given up when nobody waits.

mod one;

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use fetchhost_formats::{HashAlgorithm, Hasher};
use futures_util::{StreamExt as _, stream};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::accounts::Caller;
use crate::activity::Activity;
use crate::cache::{Cache, Content};
use crate::failures::{Failures, TOO_MANY, TOO_MANY_REFUSED};
use crate::fetches::{Failed, Fetches};
use crate::metrics::{Metrics, add};
use crate::url::FetchUrl;

pub(crate) use one::{Flight, Landing};

/// Fetches that run or wait for their turn.
const MAX_QUEUED: usize = 1024;
/// How many of them only builds of a daemon asked for: more than such builds have connections.
const MAX_QUEUED_FOR_DAEMONS: usize = 256;
/// How long somebody who was sent on to wait may take to come back after the fetch ended.
const LINGER: Duration = Duration::from_secs(10 * 60);
/// How often content that was removed as soon as it came is fetched again.
const ATTEMPTS: usize = 2;

/// How an asked-for fetch stands.
pub(crate) enum Asked {
    /// It is on its way.
    Flying(Arc<Flight>),
    /// It was not tried, because it would fail.
    Failed(Failed),
}

/// All fetches of one gateway.
pub(crate) struct Flights {
    fetches: Arc<dyn Fetches>,
    cache: Arc<Cache>,
    metrics: Arc<Metrics>,
    activity: Arc<Activity>,
    /// How many fetches may run at once.
    at_once: usize,
    /// One for each of them.
    turns: Semaphore,
    /// One for each of them that only builds of a daemon asked for: fewer, so that the owner's turn comes.
    turns_for_daemons: Semaphore,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    /// Those that have not ended, by what they are for.
    flying: HashMap<String, Arc<Flight>>,
    /// Those that somebody waits for, by their ids.
    waited_for: HashMap<String, Arc<Flight>>,
    failures: Failures,
}

impl Flights {
    pub(crate) fn new(
        fetches: Arc<dyn Fetches>,
        cache: Arc<Cache>,
        metrics: Arc<Metrics>,
        activity: Arc<Activity>,
        at_once: usize,
    ) -> Self {
        Self {
            fetches,
            cache,
            metrics,
            activity,
            at_once,
            turns: Semaphore::new(at_once),
            turns_for_daemons: Semaphore::new((at_once - at_once.div_ceil(4)).max(1)),
            table: Mutex::default(),
        }
    }

    /// Joins the fetch for this URL, or starts it.
    pub(crate) fn ask(self: &Arc<Self>, url: &FetchUrl, caller: Caller) -> Asked {
        let key = key(url);
        let is_owners = caller == Caller::Owner;
        let mut table = lock(&self.table);
        if let Some(flight) = table.flying.get(&key) {
            if is_owners {
                flight.make_owners();
            }
            return Asked::Flying(Arc::clone(flight));
        }
        if let Some(number) = table.is_full_for(caller) {
            drop(table);
            let reason = format!("{number} other fetches wait for their turn");
            return Asked::Failed(self.refuse(url, caller, &reason));
        }
        let Some((flight, sender)) = Flight::new(url, is_owners) else {
            drop(table);
            let reason = "the system gives no random numbers";
            return Asked::Failed(self.refuse(url, caller, reason));
        };
        table.flying.insert(key.clone(), Arc::clone(&flight));
        drop(table);
        let (flights, ours) = (Arc::clone(self), Arc::clone(&flight));
        let active = self.activity.begin();
        // A task of its own: whoever asked may hang up.
        tokio::spawn(async move {
            let _active = active;
            let _flying = Flying {
                flights: &flights,
                key,
            };
            let flying = tokio::spawn({
                let (flights, flight) = (Arc::clone(&flights), Arc::clone(&ours));
                async move { flights.fly(&flight).await }
            });
            let landing = flying.await.unwrap_or_else(|_| {
                let reason = "the fetch broke down, which is a defect of this program";
                let failed = flights.fetches.fail(&ours.url, ours.caller(), reason);
                Err(flights.failed(&ours, failed))
            });
            // Nobody may be waiting any more.
            sender.send_replace(Some(landing));
        });
        Asked::Flying(flight)
    }

    /// Starts fetches that somebody is about to ask for; never so many at once that others would wait long.
    /// What fails is recorded.
    pub(crate) fn expect(self: &Arc<Self>, urls: Vec<FetchUrl>) {
        let (flights, active) = (Arc::clone(self), self.activity.begin());
        tokio::spawn(async move {
            let _active = active;
            let fly = |url| {
                let flights = Arc::clone(&flights);
                async move {
                    // The owner approved it, so that it is for him.
                    if let Asked::Flying(flight) = flights.ask(&url, Caller::Owner) {
                        flight.landing().await;
                    }
                }
            };
            stream::iter(urls)
                .for_each_concurrent(flights.at_once, fly)
                .await;
        });
    }

    /// Records that a fetch is not for whoever asks.
    pub(crate) fn refuse(&self, url: &FetchUrl, caller: Caller, reason: &str) -> Failed {
        if caller == Caller::Owner {
            return self.fetches.fail(url, caller, reason);
        }
        let now = Instant::now();
        let limit = lock(&self.table).failures.refusals.is_too_much(now);
        match limit {
            Some(Some(failed)) => failed,
            Some(None) => {
                let failed = self.fetches.fail(url, caller, TOO_MANY_REFUSED);
                let mut table = lock(&self.table);
                table.failures.refusals.held_up(failed.clone(), now);
                failed
            }
            None => {
                lock(&self.table).failures.refusals.count(now);
                self.fetches.fail(url, caller, reason)
            }
        }
    }

    /// Keeps a fetch findable for those who are sent on to wait for it.
    pub(crate) fn keep(self: &Arc<Self>, flight: &Arc<Flight>) {
        let id = flight.id.clone();
        let mut table = lock(&self.table);
        if table
            .waited_for
            .insert(id.clone(), Arc::clone(flight))
            .is_some()
        {
            return;
        }
        drop(table);
        let (flights, flight) = (Arc::clone(self), Arc::clone(flight));
        tokio::spawn(async move {
            flight.landing().await;
            drop(flight);
            tokio::time::sleep(LINGER).await;
            lock(&flights.table).waited_for.remove(&id);
        });
    }

    /// The fetch that is called `id` in a URL.
    pub(crate) fn waited_for(&self, id: &str) -> Option<Arc<Flight>> {
        lock(&self.table).waited_for.get(id).cloned()
    }

    async fn fly(self: &Arc<Self>, flight: &Flight) -> Landing {
        let url = &flight.url;
        let mut fetched = false;
        for _ in 0..ATTEMPTS {
            let fetch = match self.fetches.prepare(url, flight.caller()).await {
                Ok(fetch) => fetch,
                Err(unfit) => {
                    self.hold_up(flight)?;
                    return Err(self.failed(flight, unfit()));
                }
            };
            match self.find(flight).await? {
                Some(content) => {
                    let content = Arc::new(content);
                    if fetched {
                        self.make_room(&content);
                    } else {
                        add(&self.metrics.cache_hits, 1);
                    }
                    return Ok(content);
                }
                None => self.hold_up(flight)?,
            }
            let running = Running::new(&self.metrics);
            let ended = {
                let _turns = self.turn(flight).await;
                fetch.run(self.cache.destination()).await
            };
            drop(running);
            if let Err(failed) = ended {
                return Err(self.failed(flight, failed));
            }
            add(&self.metrics.fetched, 1);
            fetched = true;
            if let Some(content) = self.find(flight).await? {
                let content = Arc::new(content);
                self.make_room(&content);
                return Ok(content);
            }
        }
        let reason =
            "what was fetched was removed from the gateway's cache before it could be sent";
        let failed = self.fetches.fail(url, flight.caller(), reason);
        Err(self.failed(flight, failed))
    }

    /// Waits until a fetch may run, as long as what is returned is kept.
    async fn turn(&self, flight: &Flight) -> [Option<SemaphorePermit<'_>>; 2] {
        // Neither semaphore is ever closed.
        let among_daemons = tokio::select! {
            biased;
            () = flight.becomes_owners() => None,
            turn = self.turns_for_daemons.acquire() => turn.ok(),
        };
        [among_daemons, self.turns.acquire().await.ok()]
    }

    /// Looks into the cache.
    async fn find(&self, flight: &Flight) -> Result<Option<Content>, Failed> {
        let (cache, output) = (Arc::clone(&self.cache), flight.url.output.clone());
        let found = match tokio::task::spawn_blocking(move || cache.find(&output)).await {
            Ok(found) => found,
            Err(_) => Ok(None),
        };
        found.map_err(|error| {
            let reason = format!("the gateway's cache cannot be read: {error}");
            let failed = self.fetches.fail(&flight.url, flight.caller(), &reason);
            self.failed(flight, failed)
        })
    }

    /// Makes room, while others go on.
    fn make_room(&self, added: &Arc<Content>) {
        let (cache, added) = (Arc::clone(&self.cache), Arc::clone(added));
        drop(tokio::task::spawn_blocking(move || cache.make_room(&added)));
    }

    /// Fails what is known to fail, and everything when too much failed of late, for anybody but the
    /// owner.
    fn hold_up(&self, flight: &Flight) -> Result<(), Failed> {
        let (url, caller) = (&flight.url, flight.caller());
        if caller == Caller::Owner {
            return Ok(());
        }
        let now = Instant::now();
        let mut table = lock(&self.table);
        let known = table.failures.known(url, now);
        match known.map_or_else(
            || table.failures.fetches.is_too_much(now),
            |known| Some(Some(known)),
        ) {
            None => return Ok(()),
            Some(Some(failed)) => {
                add(&self.metrics.remembered_failures, 1);
                return Err(failed);
            }
            Some(None) => drop(table),
        }
        let failed = self.fetches.fail(url, caller, TOO_MANY);
        let mut table = lock(&self.table);
        table.failures.fetches.held_up(failed.clone(), now);
        Err(failed)
    }

    /// Remembers how a fetch failed.
    fn failed(&self, flight: &Flight, failed: Failed) -> Failed {
        add(&self.metrics.failed, 1);
        let is_owners = flight.caller() == Caller::Owner;
        let mut table = lock(&self.table);
        table
            .failures
            .remember(&flight.url, &failed, is_owners, Instant::now());
        failed
    }
}

impl Table {
    /// How many fetches wait already, where that is as many as may for whoever asks for one more.
    fn is_full_for(&self, caller: Caller) -> Option<usize> {
        let for_daemons = |flight: &&Arc<Flight>| flight.caller() != Caller::Owner;
        let (number, most) = match caller {
            Caller::Owner => (self.flying.len(), MAX_QUEUED),
            Caller::Daemon | Caller::Stranger => {
                let number = self.flying.values().filter(for_daemons).count();
                (number, MAX_QUEUED_FOR_DAEMONS)
            }
        };
        (number >= most).then_some(number)
    }
}

/// A fetch that is counted as running.
struct Running<'a>(&'a Metrics);

impl<'a> Running<'a> {
    fn new(metrics: &'a Metrics) -> Self {
        metrics.running.fetch_add(1, Ordering::Relaxed);
        Self(metrics)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The place of a fetch among those that have not ended; given up however it ends.
struct Flying<'a> {
    flights: &'a Flights,
    key: String,
}

impl Drop for Flying<'_> {
    fn drop(&mut self) {
        lock(&self.flights.table).flying.remove(&self.key);
    }
}

/// What a fetch is found by: short, however long its parameters are.
fn key(url: &FetchUrl) -> String {
    let mut hasher = Hasher::new(HashAlgorithm::Sha256);
    hasher.update(url.for_any_owner().as_bytes());
    hasher.finish().hex()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
