//! Finding and unlocking keys, each once in the life of the process.

use std::{
    ffi::OsString,
    fmt, io,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use fetchhost_credentials::{
    Cancel, Environment, Secret, ask_hidden, leave_no_core_file, read_age_file, read_private,
};
use fetchhost_policy::{KeySource, KeySpec, printable};
use zeroize::Zeroizing;

use crate::{
    Key, KeyError, KeyProblem, PublicKey, agent,
    error::ContentProblem,
    file,
    key::{Kind, Material, Unlocked},
};

type Ask = dyn Fn(&str, &Cancel) -> io::Result<Option<Secret>> + Send + Sync;

/// Unlocks keys and keeps them, in memory only, for the life of the process: nobody is asked twice for one
/// passphrase, however many contents are signed side by side. A failure is not remembered.
pub struct Signers {
    environment: Box<Environment>,
    ask: Box<Ask>,
    cancel: Cancel,
    known: Mutex<Vec<(KeySource, Arc<Unlocked>)>>,
    /// Held while a key is unlocked.
    unlocking: Mutex<()>,
}

impl Signers {
    /// Signers over the process's own environment.
    #[must_use]
    pub fn new() -> Self {
        Self::with_environment(|name| std::env::var_os(name))
    }

    /// Signers for which `environment` stands in for the process's own: where the agent and the user's age
    /// identity are, and what a PIN's variable holds.
    #[must_use]
    pub fn with_environment(
        environment: impl Fn(&str) -> Option<OsString> + Send + Sync + 'static,
    ) -> Self {
        Self {
            environment: Box::new(environment),
            ask: Box::new(ask_hidden),
            cancel: Cancel::new(),
            known: Mutex::default(),
            unlocking: Mutex::default(),
        }
    }

    /// With `ask` in place of [`ask_hidden`], for a program that draws on the terminal itself.
    #[must_use]
    pub fn asking(
        mut self,
        ask: impl Fn(&str, &Cancel) -> io::Result<Option<Secret>> + Send + Sync + 'static,
    ) -> Self {
        self.ask = Box::new(ask);
        self
    }

    /// What ends every question at once.
    #[must_use]
    pub fn cancel(&self) -> Cancel {
        self.cancel.clone()
    }

    /// The key that `spec` names, from memory or from its source. Blocks: on the file system, an agent, a token,
    /// on the user at the terminal.
    ///
    /// # Errors
    /// [`KeyError`], when it cannot be had, is another key than `spec` says, or is for what its kind is never
    /// used for.
    pub fn unlock(&self, spec: &KeySpec) -> Result<Key, KeyError> {
        let refuse = |problem| KeyError {
            key: spec.name.clone(),
            problem,
        };
        leave_no_core_file();
        let unlocked = match self.known(&spec.source) {
            Some(unlocked) => unlocked,
            None => {
                let _one_at_a_time = lock(&self.unlocking);
                // Somebody else may have unlocked it while this waited.
                match self.known(&spec.source) {
                    Some(unlocked) => unlocked,
                    None => {
                        let unlocked = self.read(spec).map(Arc::new).map_err(refuse)?;
                        lock(&self.known).push((spec.source.clone(), Arc::clone(&unlocked)));
                        unlocked
                    }
                }
            }
        };
        check(spec, unlocked.kind, &unlocked.public).map_err(refuse)?;
        Ok(Key {
            name: spec.name.clone(),
            uses: spec.uses.clone(),
            unlocked,
        })
    }

    /// The public half of the key that `spec` names, without unlocking it: as `spec` says, or as its source shows it
    /// without a question.
    ///
    /// # Errors
    /// [`KeyError`], with [`KeyProblem::Locked`] when nothing shows it.
    pub fn public_key(&self, spec: &KeySpec) -> Result<PublicKey, KeyError> {
        self.find_public(spec).map_err(|problem| KeyError {
            key: spec.name.clone(),
            problem,
        })
    }

    fn find_public(&self, spec: &KeySpec) -> Result<PublicKey, KeyProblem> {
        if let Some(told) = &spec.public_key {
            return told.parse().map_err(KeyProblem::Public);
        }
        if let Some(unlocked) = self.known(&spec.source) {
            return Ok(unlocked.public.clone());
        }
        match &spec.source {
            KeySource::File(path) => {
                let content = read_private(path, file::MAX_BYTES).map_err(KeyProblem::File)?;
                file::public(&content)
                    .map_err(|problem| of_content(path, problem))?
                    .ok_or(KeyProblem::Locked)
            }
            KeySource::Age(_) => Err(KeyProblem::Locked),
            KeySource::Agent { socket, key } => {
                agent::find(socket.as_deref(), key, &*self.environment).map(|(_, public)| public)
            }
            #[cfg(feature = "pkcs11")]
            KeySource::Pkcs11 {
                library,
                token,
                key,
                ..
            } => crate::pkcs11::public(library, token, key),
            #[cfg(not(feature = "pkcs11"))]
            KeySource::Pkcs11 { .. } => Err(KeyProblem::NoPkcs11),
        }
    }

    fn known(&self, source: &KeySource) -> Option<Arc<Unlocked>> {
        lock(&self.known)
            .iter()
            .find(|(known, _)| known == source)
            .map(|(_, unlocked)| Arc::clone(unlocked))
    }

    fn read(&self, spec: &KeySpec) -> Result<Unlocked, KeyProblem> {
        match &spec.source {
            KeySource::File(path) => {
                let content = read_private(path, file::MAX_BYTES).map_err(KeyProblem::File)?;
                self.unlock_file(path, &content)
            }
            KeySource::Age(path) => {
                let content = self.read_age(path)?;
                self.unlock_file(path, &content)
            }
            KeySource::Agent { socket, key } => {
                let (key, public) = agent::find(socket.as_deref(), key, &*self.environment)?;
                Ok(Unlocked {
                    kind: Kind::Agent,
                    material: Material::Agent(key),
                    public,
                })
            }
            #[cfg(feature = "pkcs11")]
            KeySource::Pkcs11 {
                library,
                token,
                key,
                pin,
            } => crate::pkcs11::open(library, token, key, &|| self.pin(token, pin)),
            #[cfg(not(feature = "pkcs11"))]
            KeySource::Pkcs11 { .. } => Err(KeyProblem::NoPkcs11),
        }
    }

    fn unlock_file(&self, path: &Path, content: &[u8]) -> Result<Unlocked, KeyProblem> {
        let passphrase = || {
            let question = format!("Passphrase of {}: ", printable(&path.to_string_lossy()));
            (self.ask)(&question, &self.cancel)
                .map_err(ContentProblem::NotEntered)?
                .ok_or(ContentProblem::NoTerminal)
        };
        file::unlock(content, &passphrase).map_err(|problem| of_content(path, problem))
    }

    fn read_age(&self, path: &Path) -> Result<Zeroizing<Vec<u8>>, KeyProblem> {
        let ask = |question: &str| (self.ask)(question, &self.cancel);
        read_age_file(path, &*self.environment, &ask).map_err(KeyProblem::Age)
    }

    /// The PIN of a token.
    #[cfg(feature = "pkcs11")]
    fn pin(&self, token: &str, pin: &fetchhost_policy::Pin) -> Result<Secret, KeyProblem> {
        use fetchhost_policy::Pin;

        use crate::TokenProblem;

        let problem = |problem: TokenProblem| KeyProblem::Token(problem);
        let bytes = match pin {
            Pin::Ask => {
                let question = format!("PIN of the token {}: ", printable(token));
                return (self.ask)(&question, &self.cancel)
                    .map_err(|_| problem(TokenProblem::NotEntered(token.to_owned())))?
                    .ok_or_else(|| problem(TokenProblem::NoTerminal(token.to_owned())));
            }
            Pin::Env(name) => (self.environment)(name)
                .map(|value| Zeroizing::new(value.into_encoded_bytes()))
                .ok_or_else(|| {
                    KeyProblem::Pin(format!("the environment variable `{name}` is not set"))
                })?,
            Pin::File(path) => read_private(path, file::MAX_BYTES).map_err(KeyProblem::File)?,
            Pin::Age(path) => self.read_age(path)?,
        };
        let secret = Secret::read(bytes.as_slice())
            .map_err(|error| KeyProblem::Pin(error.to_string()))?
            .map_err(|problem| KeyProblem::Pin(format!("its source {problem}")))?;
        if secret.expose().is_empty() {
            return Err(KeyProblem::Pin("its source is empty".to_owned()));
        }
        Ok(secret)
    }
}

/// Whether an unlocked key is the one that `spec` speaks of, and for what its kind is used for.
fn check(spec: &KeySpec, kind: Kind, public: &PublicKey) -> Result<(), KeyProblem> {
    if let Some(told) = &spec.public_key {
        let told: PublicKey = told.parse().map_err(KeyProblem::Public)?;
        if told != *public {
            return Err(KeyProblem::OtherPublicKey);
        }
    }
    match spec.uses.iter().find(|asked| !kind.allows(*asked)) {
        Some(asked) => Err(KeyProblem::Use {
            kind: kind.name(),
            asked,
        }),
        None => Ok(()),
    }
}

fn of_content(path: &Path, problem: ContentProblem) -> KeyProblem {
    KeyProblem::Content {
        path: path.to_owned(),
        problem,
    }
}

/// What is locked here is whole at every moment, so a panic elsewhere does not spoil it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Default for Signers {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Signers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signers").finish_non_exhaustive()
    }
}
