//! Counters, in the text format of Prometheus. They tell nothing of what was asked for.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RequestOutcome {
    /// Content is sent.
    Served,
    /// Sent on, to wait.
    Redirected,
    /// The fetch failed.
    Failed,
    /// Not answered: who or what asked, or how.
    Refused,
    /// Nothing is there.
    NotFound,
    /// `/healthz` and `/metrics`.
    Status,
}

impl RequestOutcome {
    const ALL: [Self; 6] = [
        Self::Served,
        Self::Redirected,
        Self::Failed,
        Self::Refused,
        Self::NotFound,
        Self::Status,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Served => "served",
            Self::Redirected => "redirected",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::NotFound => "not-found",
            Self::Status => "status",
        }
    }
}

/// All counters of one gateway.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    requests: [AtomicU64; RequestOutcome::ALL.len()],
    pub(crate) fetched: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) running: AtomicU64,
    pub(crate) cache_hits: AtomicU64,
    pub(crate) remembered_failures: AtomicU64,
    pub(crate) bytes_sent: AtomicU64,
}

impl Metrics {
    pub(crate) fn request(&self, outcome: RequestOutcome) {
        add(&self.requests[outcome as usize], 1);
    }

    /// The text, with what the cache holds now in bytes.
    pub(crate) fn text(&self, cache_bytes: u64) -> String {
        let mut text = String::new();
        let head = |text: &mut String, name: &str, kind: &str, help: &str| {
            // Writing to a string cannot fail.
            let _ = write!(
                text,
                "# HELP fetchhost_gateway_{name} {help}\n# TYPE fetchhost_gateway_{name} {kind}\n"
            );
        };
        head(
            &mut text,
            "requests_total",
            "counter",
            "Requests by how they ended.",
        );
        for outcome in RequestOutcome::ALL {
            let number = self.requests[outcome as usize].load(Ordering::Relaxed);
            let _ = writeln!(
                text,
                "fetchhost_gateway_requests_total{{outcome=\"{}\"}} {number}",
                outcome.name()
            );
        }
        head(
            &mut text,
            "fetches_total",
            "counter",
            "Fetches by how they ended.",
        );
        for (outcome, number) in [("fetched", &self.fetched), ("failed", &self.failed)] {
            let number = number.load(Ordering::Relaxed);
            let _ = writeln!(
                text,
                "fetchhost_gateway_fetches_total{{outcome=\"{outcome}\"}} {number}"
            );
        }
        let one = |number: &AtomicU64| number.load(Ordering::Relaxed);
        for (name, kind, number, help) in [
            (
                "fetches_running",
                "gauge",
                one(&self.running),
                "Fetches that run or wait for their turn.",
            ),
            (
                "cache_hits_total",
                "counter",
                one(&self.cache_hits),
                "Requests answered without a fetch.",
            ),
            (
                "remembered_failures_total",
                "counter",
                one(&self.remembered_failures),
                "Requests answered by a failure before.",
            ),
            (
                "sent_bytes_total",
                "counter",
                one(&self.bytes_sent),
                "Bytes of content that were sent.",
            ),
            (
                "cache_bytes",
                "gauge",
                cache_bytes,
                "Bytes of content that are kept.",
            ),
        ] {
            head(&mut text, name, kind, help);
            let _ = writeln!(text, "fetchhost_gateway_{name} {number}");
        }
        text
    }
}

pub(crate) fn add(counter: &AtomicU64, number: u64) {
    counter.fetch_add(number, Ordering::Relaxed);
}
