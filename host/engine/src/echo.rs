//! Whether an answer sends a credential back to the module.
//!
//! **The threat.** A module never sees a secret, but it chooses what is asked of a server that the
//! secret is sent to. A debugging page, a verbose error, a link with the token in it: the server shows
//! the request's headers, and the module reads the secret in the answer. Byte by byte it would even
//! have all but the last of it before anybody noticed.
//!
//! **The rule.** What a module can see of an answer is searched for every secret that was sent since
//! the fetch began. No byte is given out while a secret that began before it could still be complete:
//! of a body in transit the last bytes wait for their successors or for the end. A hit ends the run,
//! and is told with the origin that answered and the name of the credential.
//!
//! | searched | when |
//! |---|---|
//! | URL and headers of an answer | before the module gets the answer |
//! | a body that is read | before the bytes are given, across the borders of chunks |
//! | a body in a temporary file (`send-all`, `blob.append`) | when a part of it is read, with its surroundings |
//! | what a plan names (a request, an unread response, a blob) | **not**: the module does not see it |
//!
//! | form of the secret | found |
//! |---|---|
//! | as it is; what follows its first space, when it is a whole header (`Bearer …`) | yes |
//! | base64, standard and URL-safe, at each of the three offsets: also inside of `Basic …` | yes |
//! | either of these percent-encoded, in whole or in part; spaces as `+` | yes |
//! | encoded twice | no |
//! | shorter than [`SHORTEST`] bytes | no: it would be found by accident |
//! | in pieces, reversed, hashed, encrypted, compressed | no: only a server that helps the module does that, and it has the secret anyway |

//!
//! What is searched with holds the forms of the secrets for as long as the fetch lasts, and is not
//! wiped.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aho_corasick::AhoCorasick;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use fetchhost_artifact::SpooledBlob;
use fetchhost_policy::{CredentialName, Origin};
use fetchhost_transport::Sent;

use crate::host::error;
use crate::trap::Stop;

/// Secrets of fewer bytes are not searched for.
const SHORTEST: usize = 8;

/// What was given of a body is forgotten in steps of this many bytes.
const FORGOTTEN_BYTES: usize = 64 * 1024;

/// What was sent during one fetch, and how to recognise it.
#[derive(Default)]
pub(crate) struct Echo(Mutex<Known>);

#[derive(Default)]
struct Known {
    sent: Vec<Sent>,
    patterns: Option<Arc<Patterns>>,
}

impl Echo {
    /// Remembers what was sent.
    pub(crate) fn learn(&self, sent: Vec<Sent>) {
        let mut known = self.lock();
        let before = known.sent.len();
        for sent in sent {
            if !known
                .sent
                .iter()
                .any(|old| Arc::ptr_eq(&old.secret, &sent.secret))
            {
                known.sent.push(sent);
            }
        }
        if known.sent.len() > before {
            known.patterns = Patterns::of(&known.sent).map(Arc::new);
        }
    }

    /// What to search for; nothing as long as nothing was sent.
    pub(crate) fn patterns(&self) -> Option<Arc<Patterns>> {
        self.lock().patterns.clone()
    }

    /// Searches what is there at once.
    pub(crate) fn check(&self, bytes: &[u8], origin: &Origin) -> Result<(), Stop> {
        match self.patterns() {
            Some(patterns) => patterns.check(bytes, |_| origin.clone()),
            None => Ok(()),
        }
    }

    /// Searches a part of a file, together with what could begin before it or end after it. `origin`
    /// says who sent the byte at a position.
    pub(crate) fn check_part(
        &self,
        blob: &SpooledBlob,
        offset: u64,
        length: usize,
        origin: impl Fn(u64) -> Origin,
    ) -> wasmtime::Result<()> {
        let Some(patterns) = self.patterns() else {
            return Ok(());
        };
        let margin = patterns.margin() as u64;
        let start = offset.saturating_sub(margin);
        let end = (offset + length as u64 + margin).min(blob.len());
        let length = usize::try_from(end - start).unwrap_or(usize::MAX);
        let bytes = blob.read(start, length).map_err(error::temporary)?;
        patterns.check(&bytes, |position| origin(start + position as u64))?;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Every form of every secret.
pub(crate) struct Patterns {
    search: AhoCorasick,
    /// The credential that each pattern is a form of.
    owners: Vec<CredentialName>,
    /// Bytes of the longest form with every byte percent-encoded.
    longest: usize,
}

impl Patterns {
    /// `None` when there is nothing to search for.
    fn of(sent: &[Sent]) -> Option<Self> {
        let mut forms = Vec::new();
        let mut owners = Vec::new();
        for Sent { credential, secret } in sent {
            for form in forms_of(secret.expose()) {
                forms.push(form);
                owners.push(credential.clone());
            }
        }
        let longest = forms.iter().map(Vec::len).max()? * 3;
        // It fails for more patterns than memory can hold only.
        let search = AhoCorasick::new(&forms).ok()?;
        Some(Self {
            search,
            owners,
            longest,
        })
    }

    /// How many bytes of a secret can have been seen without its last one.
    fn margin(&self) -> usize {
        self.longest - 1
    }

    fn check(&self, bytes: &[u8], origin: impl Fn(usize) -> Origin) -> Result<(), Stop> {
        let mut found = self.search.find(bytes);
        if found.is_none() && bytes.contains(&b'%') {
            found = self.search.find(&percent_decoded(bytes));
        }
        match found {
            None => Ok(()),
            Some(found) => Err(Stop::Echoed {
                origin: origin(found.end() - 1),
                credential: self.owners[found.pattern().as_usize()].clone(),
            }),
        }
    }
}

/// The forms that are searched for.
fn forms_of(secret: &str) -> Vec<Vec<u8>> {
    let after_scheme = secret.split_once(' ').map(|(_, value)| value.trim_start());
    let mut forms = Vec::new();
    for text in std::iter::once(secret).chain(after_scheme) {
        if text.len() < SHORTEST {
            continue;
        }
        forms.push(text.as_bytes().to_vec());
        forms.push(text.replace(' ', "+").into_bytes());
        for offset in 0..3 {
            for alphabet in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
                let shifted = [&[0; 2][..offset], text.as_bytes()].concat();
                let encoded = alphabet.encode(&shifted).into_bytes();
                // Characters that hold bits of the neighbours depend on those.
                let first = (offset * 8).div_ceil(6);
                let last = shifted.len() * 8 / 6;
                forms.push(encoded[first..last].to_vec());
            }
        }
    }
    forms.sort();
    forms.dedup();
    forms
}

/// `bytes` with every percent-encoding undone, whatever an encoder thought worth encoding.
fn percent_decoded(bytes: &[u8]) -> Vec<u8> {
    let digit = |position: usize| char::from(*bytes.get(position)?).to_digit(16);
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut position = 0;
    while position < bytes.len() {
        let pair = (bytes[position] == b'%').then(|| digit(position + 1).zip(digit(position + 2)));
        match pair.flatten() {
            Some((high, low)) => {
                decoded.push((high * 16 + low) as u8);
                position += 3;
            }
            None => {
                decoded.push(bytes[position]);
                position += 1;
            }
        }
    }
    decoded
}

/// A body on its way to a module: what has arrived and is not yet given, and what was given last.
#[derive(Default)]
pub(crate) struct Passage {
    bytes: Vec<u8>,
    /// How many of `bytes` the module has.
    given: usize,
    ended: bool,
    /// What all of `bytes` was searched for.
    patterns: Option<Arc<Patterns>>,
}

impl Passage {
    /// Takes in what has arrived.
    pub(crate) fn push(&mut self, chunk: &[u8], echo: &Echo, origin: &Origin) -> Result<(), Stop> {
        let before = self.bytes.len();
        self.bytes.extend_from_slice(chunk);
        self.renew(echo, origin)?;
        if let Some(patterns) = &self.patterns {
            let start = before.saturating_sub(patterns.margin());
            patterns.check(&self.bytes[start..], |_| origin.clone())?;
        }
        Ok(())
    }

    /// Notes that nothing more arrives.
    pub(crate) fn end(&mut self) {
        self.ended = true;
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }

    /// The next bytes, at most `max`. None at all: nothing can be given before more has arrived, or
    /// everything was given.
    pub(crate) fn take(
        &mut self,
        max: usize,
        echo: &Echo,
        origin: &Origin,
    ) -> Result<Vec<u8>, Stop> {
        // Another request may have sent another secret in the meantime.
        self.renew(echo, origin)?;
        let margin = self.margin();
        let held_back = if self.ended { 0 } else { margin };
        let free = self.bytes.len().saturating_sub(held_back);
        let end = free.min(self.given.saturating_add(max)).max(self.given);
        let taken = self.bytes[self.given..end].to_vec();
        self.given = end;
        let forgotten = self.given.saturating_sub(margin);
        if forgotten > FORGOTTEN_BYTES {
            self.bytes.drain(..forgotten);
            self.given -= forgotten;
        }
        Ok(taken)
    }

    fn margin(&self) -> usize {
        self.patterns
            .as_ref()
            .map_or(0, |patterns| patterns.margin())
    }

    /// Searches everything again when there is more to search for.
    fn renew(&mut self, echo: &Echo, origin: &Origin) -> Result<(), Stop> {
        let now = echo.patterns();
        if let Some(patterns) = &now
            && !self
                .patterns
                .as_ref()
                .is_some_and(|old| Arc::ptr_eq(old, patterns))
        {
            patterns.check(&self.bytes, |_| origin.clone())?;
            self.patterns = now;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
