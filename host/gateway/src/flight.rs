//! Fetches on their way: each once, however many ask, and not given up when nobody waits.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream};
use tokio::sync::{Semaphore, watch};

use crate::accounts::Caller;
use crate::activity::Activity;
use crate::cache::{Cache, Content};
use crate::failures::{Failures, TOO_MANY, TOO_MANY_REFUSED};
use crate::fetches::{Failed, Fetches};
use crate::metrics::{Metrics, add};
use crate::url::FetchUrl;

/// Fetches that run or wait for their turn.
const MAX_QUEUED: usize = 1024;
/// How long somebody who was sent on to wait may take to come back after the fetch ended.
const LINGER: Duration = Duration::from_secs(10 * 60);
/// How often content that was removed as soon as it came is fetched again.
const ATTEMPTS: usize = 2;

/// How a fetch ended.
pub(crate) type Landing = Result<Arc<Content>, Failed>;

/// A fetch on its way.
#[derive(Debug)]
pub(crate) struct Flight {
    /// Names it in the URLs of those who were sent on to wait.
    pub(crate) id: String,
    /// Nothing until it ended.
    landing: watch::Receiver<Option<Landing>>,
    /// When it ended, if somebody was sent on to wait for it.
    landed: Mutex<Option<Instant>>,
}

impl Flight {
    /// Waits until it ends. None when it was given up because the gateway ends.
    pub(crate) async fn landing(&self) -> Option<Landing> {
        let mut landing = self.landing.clone();
        let landed = landing.wait_for(Option::is_some).await.ok()?;
        landed.clone()
    }

    fn is_over(&self, now: Instant) -> bool {
        let mut landed = lock(&self.landed);
        if landed.is_none() && self.landing.borrow().is_some() {
            *landed = Some(now);
        }
        landed.is_some_and(|landed| now - landed >= LINGER)
    }
}

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
            table: Mutex::default(),
        }
    }

    /// Joins the fetch for this URL, or starts it.
    pub(crate) fn ask(self: &Arc<Self>, url: &FetchUrl, caller: Caller) -> Asked {
        let key = url.for_any_owner();
        let now = Instant::now();
        let mut table = lock(&self.table);
        table.waited_for.retain(|_, flight| !flight.is_over(now));
        if let Some(flight) = table.flying.get(&key) {
            return Asked::Flying(Arc::clone(flight));
        }
        if table.flying.len() >= MAX_QUEUED {
            drop(table);
            let reason = format!("{MAX_QUEUED} other fetches wait for their turn");
            return Asked::Failed(self.fetches.fail(url, caller, &reason));
        }
        let Some(id) = random_id() else {
            drop(table);
            let reason = "the system gives no random numbers";
            return Asked::Failed(self.fetches.fail(url, caller, reason));
        };
        let (sender, landing) = watch::channel(None);
        let flight = Arc::new(Flight {
            id,
            landing,
            landed: Mutex::default(),
        });
        table.flying.insert(key.clone(), Arc::clone(&flight));
        drop(table);
        let (flights, url) = (Arc::clone(self), url.clone());
        let active = self.activity.begin();
        // A task of its own: whoever asked may hang up.
        tokio::spawn(async move {
            let _active = active;
            let _flying = Flying {
                flights: &flights,
                key,
            };
            let flying = tokio::spawn({
                let (flights, url) = (Arc::clone(&flights), url.clone());
                async move { flights.fly(&url, caller).await }
            });
            let landing = flying.await.unwrap_or_else(|_| {
                let reason = "the fetch broke down, which is a defect of this program";
                Err(flights.fetches.fail(&url, caller, reason))
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
    pub(crate) fn keep(&self, flight: &Arc<Flight>) {
        let mut table = lock(&self.table);
        table
            .waited_for
            .insert(flight.id.clone(), Arc::clone(flight));
    }

    /// The fetch that is called `id` in a URL.
    pub(crate) fn waited_for(&self, id: &str) -> Option<Arc<Flight>> {
        lock(&self.table).waited_for.get(id).cloned()
    }

    async fn fly(self: &Arc<Self>, url: &FetchUrl, caller: Caller) -> Landing {
        let mut fetched = false;
        for _ in 0..ATTEMPTS {
            let fetch = match self.fetches.prepare(url, caller).await {
                Ok(fetch) => fetch,
                Err(unfit) => {
                    self.hold_up(url, caller)?;
                    return Err(self.failed(url, caller, unfit()));
                }
            };
            match self.find(url, caller).await? {
                Some(content) => {
                    if fetched {
                        self.sweep();
                    } else {
                        add(&self.metrics.cache_hits, 1);
                    }
                    return Ok(Arc::new(content));
                }
                None => self.hold_up(url, caller)?,
            }
            let running = Running::new(&self.metrics);
            let ended = match self.turns.acquire().await {
                Ok(_turn) => fetch.run(self.cache.destination()).await,
                Err(_) => Err(self.fetches.fail(url, caller, "the gateway ends")),
            };
            drop(running);
            if let Err(failed) = ended {
                return Err(self.failed(url, caller, failed));
            }
            add(&self.metrics.fetched, 1);
            fetched = true;
            if let Some(content) = self.find(url, caller).await? {
                self.sweep();
                return Ok(Arc::new(content));
            }
        }
        let reason =
            "what was fetched was removed from the gateway's cache before it could be sent";
        Err(self.fetches.fail(url, caller, reason))
    }

    /// Looks into the cache.
    async fn find(&self, url: &FetchUrl, caller: Caller) -> Result<Option<Content>, Failed> {
        let (cache, output) = (Arc::clone(&self.cache), url.output.clone());
        let found = match tokio::task::spawn_blocking(move || cache.find(&output)).await {
            Ok(found) => found,
            Err(_) => Ok(None),
        };
        found.map_err(|error| {
            let reason = format!("the gateway's cache cannot be read: {error}");
            self.fetches.fail(url, caller, &reason)
        })
    }

    /// Makes room, while others go on.
    fn sweep(&self) {
        let cache = Arc::clone(&self.cache);
        drop(tokio::task::spawn_blocking(move || cache.sweep()));
    }

    /// Fails what is known to fail, and everything when too much failed of late, for anybody but the
    /// owner.
    fn hold_up(&self, url: &FetchUrl, caller: Caller) -> Result<(), Failed> {
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

    fn failed(&self, url: &FetchUrl, caller: Caller, failed: Failed) -> Failed {
        add(&self.metrics.failed, 1);
        let is_owners = caller == Caller::Owner;
        let mut table = lock(&self.table);
        table
            .failures
            .remember(url, &failed, is_owners, Instant::now());
        failed
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

/// 128 bits that nobody guesses.
fn random_id() -> Option<String> {
    let mut bytes = [0; 16];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()).ok()?;
    Some(format!("{:032x}", u128::from_be_bytes(bytes)))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
