//! The keyring: reads each source when it is first needed, and again when what it gave expires.

use std::{
    ffi::OsString,
    fmt, io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use fetchhost_policy::{CredentialSpec, Origin, Scheme, SourceSpec};

use crate::{
    Cancel, CredentialError, KeyAnswer, KeyFailure, KeyRequest, Looked, Secret,
    secret::leave_no_core_file,
    source::{self, Surroundings},
    terminal::ask_hidden,
};

/// Reads secrets from their sources and remembers them, in memory only, for the life of the process
/// or until they expire.
///
/// Nothing is read before the first request that needs it, so a credential that is configured but
/// not used can be broken without harm. A source is read once, however many requests want it at the
/// same time: nobody is asked twice for one passphrase. A failure is not remembered.
pub struct Keyring {
    surroundings: Surroundings,
    known: Mutex<Vec<Known>>,
    /// Held while a source is read.
    reading: Mutex<()>,
}

/// A secret that was read, and what it answers.
struct Known {
    source: SourceSpec,
    /// For sources whose answer depends on the origin and on how it is to be sent.
    asked: Option<(Origin, Scheme)>,
    secret: Arc<Secret>,
    until: Option<SystemTime>,
}

impl Keyring {
    /// A keyring over the process's own environment.
    #[must_use]
    pub fn new() -> Self {
        Self::with_environment(|name| std::env::var_os(name))
    }

    /// A keyring for which `environment` stands in for the process's own: in `env:` sources, and
    /// where other sources look for the user's files.
    #[must_use]
    pub fn with_environment(
        environment: impl Fn(&str) -> Option<OsString> + Send + Sync + 'static,
    ) -> Self {
        Self::with_surroundings(Surroundings {
            environment: Box::new(environment),
            ask: Box::new(ask_hidden),
            servers: None,
            clock: Box::new(SystemTime::now),
            cancel: Cancel::new(),
        })
    }

    /// With `ask` in place of [`ask_hidden`], for a program that draws on the terminal itself: it
    /// takes its drawing away while it asks.
    #[must_use]
    pub fn asking(
        mut self,
        ask: impl Fn(&str, &Cancel) -> io::Result<Option<Secret>> + Send + Sync + 'static,
    ) -> Self {
        self.surroundings.ask = Box::new(ask);
        self
    }

    /// With `ask` to send a question to a server that gives access keys; without it there are none from
    /// servers. It blocks, sends to the server in the question alone, and ends when the [`Cancel`] is fired.
    #[must_use]
    pub fn asking_servers(
        mut self,
        ask: impl Fn(KeyRequest, &Cancel) -> Result<KeyAnswer, KeyFailure> + Send + Sync + 'static,
    ) -> Self {
        self.surroundings.servers = Some(Box::new(ask));
        self
    }

    /// What ends every question and every program of this keyring at once. To be fired before the
    /// process ends, so that the terminal is left as it was and no program is left behind.
    #[must_use]
    pub fn cancel(&self) -> Cancel {
        self.surroundings.cancel.clone()
    }

    fn with_surroundings(surroundings: Surroundings) -> Self {
        Self {
            surroundings,
            known: Mutex::default(),
            reading: Mutex::default(),
        }
    }

    /// The secret that `spec` names for `origin`, from memory or from its source. Blocks: on the
    /// file system, on a program, on the user at the terminal.
    ///
    /// # Errors
    /// [`CredentialError`] when the source cannot be read, is not to be trusted, or holds nothing
    /// that `spec`'s scheme could send. No error quotes the content.
    pub fn resolve(
        &self,
        spec: &CredentialSpec,
        origin: &Origin,
    ) -> Result<Arc<Secret>, CredentialError> {
        // The broker permits no other; a mistake there must not cost a token.
        if !spec.is_for(origin) {
            return Err(CredentialError::NotForOrigin {
                credential: spec.name.clone(),
                origin: origin.clone(),
            });
        }
        let secret = match self.remembered(spec, origin) {
            Some(secret) => secret,
            None => {
                let _one_at_a_time = lock(&self.reading);
                // Somebody else may have read it while this waited.
                match self.remembered(spec, origin) {
                    Some(secret) => secret,
                    None => self.read(spec, origin)?,
                }
            }
        };
        source::check(spec, &secret)?;
        Ok(secret)
    }

    /// What can be told of `spec`'s source without a question, a program, the network, or (but for
    /// `aws`) reading a secret from a file: whether the variable is set, and whether the file is there, belongs to
    /// whom it should, and, when age encrypted it, is for an identity of the user.
    ///
    /// # Errors
    /// [`CredentialError`], as [`Keyring::resolve`] would.
    pub fn look(&self, spec: &CredentialSpec) -> Result<Looked, CredentialError> {
        leave_no_core_file();
        source::look(spec, &self.surroundings)
    }

    fn remembered(&self, spec: &CredentialSpec, origin: &Origin) -> Option<Arc<Secret>> {
        let now = (self.surroundings.clock)();
        lock(&self.known)
            .iter()
            .find(|known| known.answers(spec, origin))
            .filter(|known| known.until.is_none_or(|until| now < until))
            .map(|known| Arc::clone(&known.secret))
    }

    fn read(&self, spec: &CredentialSpec, origin: &Origin) -> Result<Arc<Secret>, CredentialError> {
        leave_no_core_file();
        let found = source::read(spec, origin, &self.surroundings)?;
        let secret = Arc::new(found.secret);
        let mut known = lock(&self.known);
        known.retain(|known| !known.answers(spec, origin));
        known.push(Known {
            source: spec.source.clone(),
            asked: asked(spec, origin),
            secret: Arc::clone(&secret),
            until: found.until,
        });
        Ok(secret)
    }
}

impl Known {
    fn answers(&self, spec: &CredentialSpec, origin: &Origin) -> bool {
        self.source == spec.source && self.asked == asked(spec, origin)
    }
}

fn asked(spec: &CredentialSpec, origin: &Origin) -> Option<(Origin, Scheme)> {
    spec.source
        .is_per_origin()
        .then(|| (origin.clone(), spec.scheme.clone()))
}

/// What is locked here is whole at every moment, so a panic elsewhere does not spoil it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Default for Keyring {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
