//! Notices a guest that gets nowhere.
//!
//! Fuel bounds what a guest computes, but a guest that sleeps burns none. So the time that passes
//! without progress is bounded too. Progress is an answer or a chunk that arrives; printing or
//! logging is not, else a guest could log and sleep in turn for ever. While the host itself waits
//! for a server the clock stands still: that time belongs to the transport, which has time-outs of
//! its own, and a slow server must not be reported as a misbehaving module. It stands still as well while
//! the host reads a file, signs, or waits for a passphrase; but that is no progress, for a guest could ask for the
//! same byte and sleep in turn.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// When a guest last made progress. Shared by the guest's host functions and its watchdog.
pub(crate) struct Progress {
    start: Instant,
    /// Milliseconds after `start`.
    last: AtomicU64,
    /// Number of host calls that wait for others.
    waiting: AtomicUsize,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self {
            start: Instant::now(),
            last: AtomicU64::new(0),
            waiting: AtomicUsize::new(0),
        }
    }

    /// Marks the time until the guard is dropped as the network's.
    pub(crate) fn waiting(&self) -> Waiting<'_> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        Waiting(self)
    }

    /// Marks the time until the guard is dropped as the host's own.
    pub(crate) fn working(&self) -> Working<'_> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        Working {
            progress: self,
            since: Instant::now(),
        }
    }

    /// Returns when the guest has made no progress for `limit`.
    pub(crate) async fn stalled(&self, limit: Duration) {
        loop {
            let idle = self.idle();
            if idle >= limit {
                return;
            }
            tokio::time::sleep(limit - idle).await;
        }
    }

    fn idle(&self) -> Duration {
        if self.waiting.load(Ordering::Relaxed) > 0 {
            return Duration::ZERO;
        }
        let last = Duration::from_millis(self.last.load(Ordering::Relaxed));
        self.start.elapsed().saturating_sub(last)
    }

    fn bump(&self) {
        let now = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(now, Ordering::Relaxed);
    }
}

/// A host call that waits for the network. Its end is progress.
pub(crate) struct Waiting<'a>(&'a Progress);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.bump();
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A host call that works for the guest. Its end is no progress, but its time is not the guest's.
pub(crate) struct Working<'a> {
    progress: &'a Progress,
    since: Instant,
}

impl Drop for Working<'_> {
    fn drop(&mut self) {
        let took = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.progress.last.fetch_add(took, Ordering::Relaxed);
        self.progress.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_millis(40);

    #[tokio::test]
    async fn a_guest_that_does_nothing_is_noticed() {
        let progress = Progress::new();
        tokio::time::timeout(Duration::from_secs(5), progress.stalled(LIMIT))
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn the_hosts_own_work_does_not_count_and_is_no_progress() {
        let progress = Progress::new();
        let start = Instant::now();
        let working = async {
            for _ in 0..3 {
                let _working = progress.working();
                tokio::time::sleep(LIMIT).await;
            }
        };
        let (stalled, ()) = tokio::join!(
            tokio::time::timeout(Duration::from_secs(5), progress.stalled(LIMIT)),
            working
        );
        stalled.unwrap();
        assert!(start.elapsed() >= 3 * LIMIT, "{:?}", start.elapsed());

        let progress = Progress::new();
        let sleeping = async {
            loop {
                drop(progress.working());
                tokio::time::sleep(LIMIT / 8).await;
            }
        };
        tokio::select! {
            stalled = tokio::time::timeout(Duration::from_secs(5), progress.stalled(LIMIT)) => stalled.unwrap(),
            () = sleeping => {}
        }
    }

    #[tokio::test]
    async fn time_spent_waiting_for_the_network_does_not_count() {
        let progress = Progress::new();
        let waiting = progress.waiting();
        let early = tokio::time::timeout(LIMIT * 5, progress.stalled(LIMIT)).await;
        assert!(early.is_err());
        drop(waiting);
        assert!(progress.idle() < LIMIT);
        tokio::time::timeout(Duration::from_secs(5), progress.stalled(LIMIT))
            .await
            .unwrap();
    }
}
