//! Failures, remembered for a while, so that asking again costs nobody anything.
//!
//! **The threat.** A build of somebody else's asks for the owner's content with one hash after the other,
//! or makes the owner's credentials hammer a server.
//!
//! **The rule.** For builds of a daemon, what failed fails again without a fetch:
//!
//! | | for |
//! |---|---|
//! | these parameters, with any hash but the one that the content had | 5 min after a mismatch |
//! | this very fetch | 30 s after another failure |
//! | anything that is not at hand | while 60 fetches for such builds failed within a minute |
//!
//! The owner is never held up: what he asks for is tried.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use fetchhost_formats::{HashAlgorithm, OutputMode};
use serde_json::Value;

use crate::fetches::Failed;
use crate::url::FetchUrl;

const MISMATCH: Duration = Duration::from_secs(5 * 60);
const OTHER: Duration = Duration::from_secs(30);
const RATE_WINDOW: Duration = Duration::from_secs(60);
const RATE: usize = 60;
/// Failures that are remembered at once.
const MAX_REMEMBERED: usize = 1024;

/// What is told when too much failed.
pub(crate) const TOO_MANY: &str = "too many fetches for builds of the Nix daemon failed within a minute; \
    for the rest of it such builds get only what is at hand";

/// What a fetch asks of upstream: all but the name and the hash.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Question {
    fetcher: String,
    params: String,
    executable: bool,
    mode: OutputMode,
    algorithm: HashAlgorithm,
}

impl Question {
    fn of(url: &FetchUrl) -> Self {
        Self {
            fetcher: url.fetcher.clone(),
            params: Value::Object(url.params.clone()).to_string(),
            executable: url.executable,
            mode: url.output.mode,
            algorithm: url.output.hash.algorithm(),
        }
    }
}

/// The failures of late.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    mismatches: HashMap<Question, (Instant, Failed)>,
    others: HashMap<String, (Instant, Failed)>,
    /// When fetches for builds of a daemon failed, the latest last.
    recent: VecDeque<Instant>,
    /// The record of having held up somebody in this window.
    held_up: Option<(Instant, Failed)>,
}

impl Failures {
    /// The failure that this fetch would end with, as far as one remembers.
    pub(crate) fn known(&self, url: &FetchUrl, now: Instant) -> Option<Failed> {
        let mismatch = self
            .mismatches
            .get(&Question::of(url))
            .filter(|(at, failed)| {
                now - *at < MISMATCH && failed.got.as_ref() != Some(&url.output.hash)
            });
        let other = self
            .others
            .get(&url.to_string())
            .filter(|(at, _)| now - *at < OTHER);
        mismatch.or(other).map(|(_, failed)| failed.clone())
    }

    /// Whether so much failed of late that no more is tried for builds of a daemon; with the record of
    /// it, if there is one already.
    pub(crate) fn is_too_much(&mut self, now: Instant) -> Option<Option<Failed>> {
        while self
            .recent
            .front()
            .is_some_and(|at| now - *at >= RATE_WINDOW)
        {
            self.recent.pop_front();
        }
        if self.recent.len() < RATE {
            self.held_up = None;
            return None;
        }
        let held_up = self.held_up.as_ref();
        Some(
            held_up
                .filter(|(at, _)| now - *at < RATE_WINDOW)
                .map(|(_, failed)| failed.clone()),
        )
    }

    /// Notes that somebody was held up, and how that was recorded.
    pub(crate) fn held_up(&mut self, failed: Failed, now: Instant) {
        self.held_up = Some((now, failed));
    }

    /// Remembers how a fetch failed.
    pub(crate) fn remember(
        &mut self,
        url: &FetchUrl,
        failed: &Failed,
        is_owners: bool,
        now: Instant,
    ) {
        let entry = (now, failed.clone());
        if failed.got.is_some() {
            insert(&mut self.mismatches, Question::of(url), entry);
        } else {
            insert(&mut self.others, url.to_string(), entry);
        }
        if !is_owners {
            if self.recent.len() >= RATE {
                self.recent.pop_front();
            }
            self.recent.push_back(now);
        }
    }
}

/// Adds an entry, in the place of the oldest when there are too many.
fn insert<K: Clone + Eq + std::hash::Hash>(
    map: &mut HashMap<K, (Instant, Failed)>,
    key: K,
    entry: (Instant, Failed),
) {
    if map.len() >= MAX_REMEMBERED && !map.contains_key(&key) {
        let oldest = map.iter().min_by_key(|(_, (at, _))| *at);
        if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
            map.remove(&oldest);
        }
    }
    map.insert(key, entry);
}

#[cfg(test)]
mod tests {
    use fetchhost_formats::Hash;

    use super::*;

    fn url(name: &str, hash: u8) -> FetchUrl {
        FetchUrl {
            fetcher: "f".to_owned(),
            output: fetchhost_formats::FixedOutput {
                name: name.parse().unwrap(),
                mode: OutputMode::Flat,
                hash: Hash::new(HashAlgorithm::Sha256, &[hash; 32]).unwrap(),
            },
            params: serde_json::Map::from_iter([("p".to_owned(), Value::from(1))]),
            executable: false,
            owner: None,
        }
    }

    fn failed(got: Option<u8>) -> Failed {
        Failed {
            ticket: "t".to_owned(),
            reason: "r".to_owned(),
            got: got.map(|byte| Hash::new(HashAlgorithm::Sha256, &[byte; 32]).unwrap()),
        }
    }

    #[test]
    fn after_a_mismatch_only_the_right_hash_is_tried() {
        let (mut failures, now) = (Failures::default(), Instant::now());
        failures.remember(&url("a", 1), &failed(Some(9)), false, now);
        assert!(failures.known(&url("a", 1), now).is_some());
        assert!(failures.known(&url("b", 2), now).is_some(), "another guess");
        assert!(failures.known(&url("a", 9), now).is_none(), "the right one");
        let mut other = url("a", 1);
        other.params.clear();
        assert!(failures.known(&other, now).is_none(), "other parameters");
        assert!(failures.known(&url("a", 1), now + MISMATCH).is_none());
    }

    #[test]
    fn another_failure_holds_for_this_fetch_and_a_short_while() {
        let (mut failures, now) = (Failures::default(), Instant::now());
        failures.remember(&url("a", 1), &failed(None), false, now);
        assert!(failures.known(&url("a", 1), now).is_some());
        assert!(failures.known(&url("a", 2), now).is_none());
        assert!(failures.known(&url("a", 1), now + OTHER).is_none());
    }

    #[test]
    fn many_failures_hold_daemons_up_for_the_rest_of_a_minute() {
        let (mut failures, now) = (Failures::default(), Instant::now());
        for number in 0..RATE * 2 {
            failures.remember(&url(&format!("o{number}"), 1), &failed(None), true, now);
        }
        assert_eq!(failures.is_too_much(now), None, "the owner's do not count");
        for number in 0..RATE {
            assert_eq!(failures.is_too_much(now), None);
            failures.remember(&url(&format!("d{number}"), 1), &failed(None), false, now);
        }
        assert_eq!(failures.is_too_much(now), Some(None));
        failures.held_up(failed(None), now);
        assert_eq!(failures.is_too_much(now), Some(Some(failed(None))));
        assert_eq!(failures.is_too_much(now + RATE_WINDOW), None);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (mut failures, now) = (Failures::default(), Instant::now());
        for number in 0..MAX_REMEMBERED as u64 + 10 {
            let at = now + Duration::from_millis(number);
            failures.remember(&url(&format!("n{number}"), 1), &failed(None), false, at);
        }
        assert_eq!(failures.others.len(), MAX_REMEMBERED);
        assert!(
            failures.known(&url("n0", 1), now).is_none(),
            "the oldest went"
        );
    }
}
