//! Failures, remembered for a while, so that asking again costs nobody anything.
//!
//! **The threat.** A build of somebody else's asks for the owner's content with one hash after the other,
//! or makes the owner's credentials hammer a server.
//!
//! **The rule.** For builds of a daemon, what failed fails again without a fetch:
//!
//! | what | for |
//! |---|---|
//! | these parameters, whatever the reason was, with any hash but the one that the content had | a minute |
//! | anything that is not at hand | while 60 fetches for such builds failed within a minute |
//!
//! What is not approved for such builds is refused without a fetch, and is no failure of the fetch that the
//! owner approved; of more than 60 refusals within a minute, the rest share one record.
//!
//! The failure of a fetch that is given files is not remembered: it looks a signature up, and is to work as soon as
//! the owner has signed. It counts among the failures within a minute like any other.
//!
//! Every reason counts alike: were a wrong hash remembered in another way than missing content, asking
//! twice would tell whether there is content.
//!
//! The owner is never held up: what he asks for is tried.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use fetchhost_formats::{HashAlgorithm, Hasher, OutputMode};
use serde_json::Value;

use crate::fetches::Failed;
use crate::url::FetchUrl;

const REMEMBERED: Duration = Duration::from_secs(60);
const RATE_WINDOW: Duration = Duration::from_secs(60);
const RATE: usize = 60;
/// Failures that are remembered at once.
const MAX_REMEMBERED: usize = 1024;

/// What is told when too much failed.
pub(crate) const TOO_MANY: &str = "too many fetches for builds of the Nix daemon failed within a minute; \
    for the rest of it such builds get only what is at hand";

/// What is told when too much was asked for that is not approved.
pub(crate) const TOO_MANY_REFUSED: &str = "builds of the Nix daemon asked for too much within a minute that they do not get; \
    no more of it is recorded for the rest of that minute";

/// What a fetch asks of upstream: all but the name and the hash.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Question {
    fetcher: String,
    /// Their hash, since they may be long and many are remembered.
    params: String,
    executable: bool,
    mode: OutputMode,
    algorithm: HashAlgorithm,
}

impl Question {
    fn of(url: &FetchUrl) -> Self {
        let mut params = Hasher::new(HashAlgorithm::Sha256);
        params.update(Value::Object(url.params.clone()).to_string().as_bytes());
        Self {
            fetcher: url.fetcher.clone(),
            params: params.finish().hex(),
            executable: url.executable,
            mode: url.output.mode,
            algorithm: url.output.hash.algorithm(),
        }
    }
}

/// How often something happened of late.
#[derive(Debug, Default)]
pub(crate) struct Rate {
    /// When it did, the latest last.
    recent: VecDeque<Instant>,
    /// The record of having held up somebody in this window.
    held_up: Option<(Instant, Failed)>,
}

impl Rate {
    /// Whether it was too often; with the record of having said so, if there is one already.
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

    /// Notes that it happened.
    pub(crate) fn count(&mut self, now: Instant) {
        if self.recent.len() >= RATE {
            self.recent.pop_front();
        }
        self.recent.push_back(now);
    }
}

/// The failures of late.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    answers: HashMap<Question, (Instant, Failed)>,
    /// Fetches for builds of a daemon that failed.
    pub(crate) fetches: Rate,
    /// What such builds asked for that is not approved.
    pub(crate) refusals: Rate,
}

impl Failures {
    /// The failure that this fetch would end with, as far as one remembers.
    pub(crate) fn known(&self, url: &FetchUrl, now: Instant) -> Option<Failed> {
        let (at, failed) = self.answers.get(&Question::of(url))?;
        let is_right = failed.got.as_ref() == Some(&url.output.hash);
        (now - *at < REMEMBERED && !is_right).then(|| failed.clone())
    }

    /// Remembers how a fetch failed.
    pub(crate) fn remember(
        &mut self,
        url: &FetchUrl,
        failed: &Failed,
        is_owners: bool,
        now: Instant,
    ) {
        if url.inputs.is_empty() {
            let entry = (now, failed.clone());
            insert(&mut self.answers, Question::of(url), entry);
        }
        if !is_owners {
            self.fetches.count(now);
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
    use crate::url::StoreInputs;

    fn url(name: &str, hash: u8) -> FetchUrl {
        FetchUrl {
            fetcher: "f".to_owned(),
            output: fetchhost_formats::FixedOutput {
                name: name.parse().unwrap(),
                mode: OutputMode::Flat,
                hash: Hash::new(HashAlgorithm::Sha256, &[hash; 32]).unwrap(),
            },
            params: serde_json::Map::from_iter([("p".to_owned(), Value::from(1))]),
            inputs: StoreInputs::default(),
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
    fn only_the_right_hash_is_tried_again() {
        let (mut failures, now) = (Failures::default(), Instant::now());
        failures.remember(&url("a", 1), &failed(Some(9)), false, now);
        assert!(failures.known(&url("a", 1), now).is_some());
        assert!(failures.known(&url("b", 2), now).is_some(), "another guess");
        assert!(failures.known(&url("a", 9), now).is_none(), "the right one");
        let mut other = url("a", 1);
        other.params.clear();
        assert!(failures.known(&other, now).is_none(), "other parameters");
        assert!(failures.known(&url("a", 1), now + REMEMBERED).is_none());
    }

    #[test]
    fn another_failure_is_remembered_in_the_same_way() {
        let (mut failures, now) = (Failures::default(), Instant::now());
        failures.remember(&url("a", 1), &failed(None), false, now);
        assert!(failures.known(&url("b", 2), now).is_some());
        assert!(failures.known(&url("a", 1), now + REMEMBERED).is_none());
    }

    #[test]
    fn what_is_signed_meanwhile_is_found_at_once() {
        let (mut failures, now) = (Failures::default(), Instant::now());
        let mut signature = url("a", 1);
        let path = "/nix/store/00000000000000000000000000000000-x".to_owned();
        let inputs = [("content".parse().unwrap(), path)];
        signature.inputs = StoreInputs::new(inputs.into()).unwrap();
        // Whatever the reason was: it must not show which it was.
        for got in [None, Some(9)] {
            failures.remember(&signature, &failed(got), false, now);
            assert_eq!(failures.known(&signature, now), None);
        }
        assert_eq!(failures.known(&url("a", 1), now), None);
        for _ in 0..RATE {
            failures.remember(&signature, &failed(None), false, now);
        }
        assert_eq!(failures.fetches.is_too_much(now), Some(None));
    }

    #[test]
    fn many_failures_hold_daemons_up_for_the_rest_of_a_minute() {
        let (mut failures, now) = (Failures::default(), Instant::now());
        for number in 0..RATE * 2 {
            failures.remember(&url(&format!("o{number}"), 1), &failed(None), true, now);
        }
        assert_eq!(
            failures.fetches.is_too_much(now),
            None,
            "the owner's do not count"
        );
        for number in 0..RATE {
            assert_eq!(failures.fetches.is_too_much(now), None);
            failures.remember(&url(&format!("d{number}"), 1), &failed(None), false, now);
        }
        assert_eq!(failures.fetches.is_too_much(now), Some(None));
        failures.fetches.held_up(failed(None), now);
        assert_eq!(failures.fetches.is_too_much(now), Some(Some(failed(None))));
        assert_eq!(failures.fetches.is_too_much(now + RATE_WINDOW), None);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (mut failures, now) = (Failures::default(), Instant::now());
        let asked = |number: u64| {
            let mut url = url("a", 1);
            url.params.insert("p".to_owned(), number.into());
            url
        };
        for number in 0..MAX_REMEMBERED as u64 + 10 {
            let at = now + Duration::from_millis(number);
            failures.remember(&asked(number), &failed(None), false, at);
        }
        assert_eq!(failures.answers.len(), MAX_REMEMBERED);
        assert!(failures.known(&asked(0), now).is_none(), "the oldest went");
        let latest = MAX_REMEMBERED as u64 + 9;
        assert!(failures.known(&asked(latest), now).is_some());
    }
}
