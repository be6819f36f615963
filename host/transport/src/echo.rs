//! Whether an answer sends a credential back.
//!
//! **The threat.** A module never sees a secret, but it chooses what is asked of a server that the
//! secret is sent to. A debugging page, a verbose error, a link with the token in it: the server shows
//! the request's headers, and the module reads the secret in the answer, or has it written into an
//! output that everybody can read. Byte by byte it would even have all but the last of it before
//! anybody noticed.
//!
//! **The rule.** What is used of an answer is searched for every secret that was sent since the run
//! began, whatever became of the request that it was sent with: a secret is noted before it leaves. No
//! byte is given to a module while a secret that began before it could still be complete: of a body in
//! transit the last bytes wait for their successors or for the end. A hit ends the run, and is told
//! with the origin that answered and the name of the credential.
//!
//! | searched | when |
//! |---|---|
//! | the target of a redirect, its query included | before it is judged, followed, logged or recorded |
//! | URL and headers of an answer | before the module gets the answer |
//! | a body that is read | before the bytes are given, across the borders of chunks |
//! | a body in a temporary file (`send-all`, `blob.append`) | when a part of it is read, with its surroundings |
//! | what a plan names (a request, an unread response, a blob) | the first [`SEARCHED_BYTES`] of each answer from an origin that a secret was sent to, before anything is made of them |
//!
//! An echo is small; searching all of a large artifact would cost as much as hashing it. What a plan
//! names and travels compressed is searched as it travels.
//!
//! | form of the secret | found |
//! |---|---|
//! | as it is | yes |
//! | after the scheme, where the user's credential is a whole header (`Bearer …`, `Basic …`) | yes, with the password inside of `Basic …` |
//! | base64, standard and URL-safe, at each of the three offsets: also inside of `Basic …` | yes |
//! | either of these percent-encoded, in whole or in part; spaces as `+` | yes |
//! | the login of a proxy, where requests carry it (`http` only), as `proxy` | yes |
//! | encoded twice; with escapes of JSON or HTML inside | no |
//! | shorter than [`SHORTEST`] bytes | only with its user name or scheme: alone it would be found by accident |
//! | in pieces, reversed, hashed, encrypted, compressed | no: only a server that helps the module does that, and it has the secret anyway |
//!
//! What is searched with holds the forms of the secrets in memory for as long as the run lasts, and is
//! not wiped.

mod forms;
mod passage;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aho_corasick::{AhoCorasick, MatchKind};
use fetchhost_policy::{CredentialName, Origin};

use crate::TransportError;

pub(crate) use forms::Sent;
pub use passage::Passage;

/// Secrets of fewer bytes are not searched for.
const SHORTEST: usize = 8;

/// How much of an answer is searched that no module reads.
pub const SEARCHED_BYTES: usize = 1024 * 1024;

/// A server sent a credential back.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{origin}` sent credential `{credential}` back")]
pub struct Echoed {
    /// Who answered.
    pub origin: Origin,
    /// Which credential.
    pub credential: CredentialName,
}

impl From<Echoed> for TransportError {
    fn from(Echoed { origin, credential }: Echoed) -> Self {
        Self::Echoed { origin, credential }
    }
}

/// What was sent during one run, and how to recognise it. Clones share it.
#[derive(Clone, Default)]
pub struct Echo(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    sent: Vec<Sent>,
    receivers: Vec<Origin>,
    patterns: Option<Arc<Patterns>>,
}

impl Echo {
    /// Notes what is about to be sent to `receiver`.
    pub(crate) fn note(&self, sent: Sent, receiver: &Origin) {
        let mut known = self.lock();
        if !known.receivers.contains(receiver) {
            known.receivers.push(receiver.clone());
        }
        if !known.sent.contains(&sent) {
            known.sent.push(sent);
            known.patterns = Patterns::of(&known.sent).map(Arc::new);
        }
    }

    /// What to search for; nothing as long as nothing was sent.
    #[must_use]
    pub fn patterns(&self) -> Option<Arc<Patterns>> {
        self.lock().patterns.clone()
    }

    /// Whether a secret was sent to `origin`.
    #[must_use]
    pub fn went_to(&self, origin: &Origin) -> bool {
        self.lock().receivers.contains(origin)
    }

    /// Searches what is there at once.
    ///
    /// # Errors
    /// [`Echoed`] when a secret is in it.
    pub fn check(&self, bytes: &[u8], origin: &Origin) -> Result<(), Echoed> {
        match self.patterns() {
            Some(patterns) => patterns.check(bytes, |_| origin.clone()),
            None => Ok(()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Echo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Echo").finish_non_exhaustive()
    }
}

/// Every form of every secret.
pub struct Patterns {
    search: AhoCorasick,
    /// The credential that each pattern is a form of.
    owners: Vec<CredentialName>,
    /// Bytes of the longest form with every byte percent-encoded.
    longest: usize,
}

impl Patterns {
    /// `None` when there is nothing to search for.
    fn of(sent: &[Sent]) -> Option<Self> {
        let mut patterns = Vec::new();
        let mut owners = Vec::new();
        for sent in sent {
            for form in sent.forms() {
                patterns.push(form);
                owners.push(sent.credential.clone());
            }
        }
        let longest = patterns.iter().map(Vec::len).max()? * 3;
        // It fails for more patterns than memory can hold only. The kind of match makes it use the
        // vector instructions.
        let search = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostFirst)
            .build(&patterns)
            .ok()?;
        Some(Self {
            search,
            owners,
            longest,
        })
    }

    /// How many bytes of a secret can have been seen without its last one.
    #[must_use]
    pub fn margin(&self) -> usize {
        self.longest - 1
    }

    /// Searches `bytes`; `origin` says who sent the byte at a position.
    ///
    /// # Errors
    /// [`Echoed`] when a secret is in them.
    pub fn check(&self, bytes: &[u8], origin: impl Fn(usize) -> Origin) -> Result<(), Echoed> {
        let (pattern, last) = if let Some(found) = self.search.find(bytes) {
            (found.pattern(), found.end() - 1)
        } else if bytes.contains(&b'%')
            && let Some(found) = self.search.find(&forms::percent_decoded(bytes))
        {
            (
                found.pattern(),
                forms::encoded_position(bytes, found.end() - 1),
            )
        } else {
            return Ok(());
        };
        Err(Echoed {
            origin: origin(last),
            credential: self.owners[pattern.as_usize()].clone(),
        })
    }
}

impl fmt::Debug for Patterns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Patterns").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
