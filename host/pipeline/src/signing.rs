//! The one place where a key is made to sign.
//!
//! **The threat.** A module asks for a signature that nobody wants, or for another one each time.
//!
//! **The rule.** What was signed once is remembered, and what is remembered is used if it verifies; a key is
//! unlocked only for what is not remembered, and only by the leave that the policy gives.
//!
//! | | remembered, and verifies | anything else |
//! |---|---|---|
//! | [`Leave::Sign`] | what is remembered | signs |
//! | [`Leave::SignApproved`] | what is remembered | signs if the digest is approved for the key; otherwise a denial |
//! | [`Leave::LookUp`] | what is remembered | a denial |

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use fetchhost_engine::{Desk, SigningError, SigningErrorKind};
use fetchhost_formats::{FixedOutput, Hash, HashAlgorithm, Hasher, OutputMode, hex};
use fetchhost_keys::{
    Content, Envelope, Key, KeyError, KeyProblem, PublicKey, SignError, Signers, VerifyError,
};
use fetchhost_memo::{Found, Memo, MemoError, SignatureKey};
use fetchhost_policy::{Denial, KeyName, KeyPermit, KeySpec, Leave, SigningPolicy, SlotName};

/// One signature that a module was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// What the configuration calls the key.
    pub key: String,
    /// Its public half.
    pub fingerprint: String,
    /// The envelope: `minisign`, `sshsig` or `raw`.
    pub format: &'static str,
    /// What belongs to the envelope.
    pub parameters: BTreeMap<String, String>,
    /// The SHA-256 of the content.
    pub content: [u8; 32],
    /// Whether it was remembered; otherwise the key signed.
    pub is_remembered: bool,
    /// What it is remembered under.
    pub memo: String,
}

/// Keys that are unlocked once in the life of a command, by whichever fetch needs them first. So is a failure
/// told: nobody is asked again and again for a passphrase that was not known the first time.
pub struct Unlocking {
    signers: Signers,
    failed: Mutex<Vec<(KeyName, SigningError)>>,
}

impl Unlocking {
    /// Keys that nobody has unlocked yet.
    pub fn new(signers: Signers) -> Self {
        Self {
            signers,
            failed: Mutex::default(),
        }
    }

    fn unlock(&self, spec: &KeySpec) -> Result<Key, SigningError> {
        // Held while somebody is asked: the others learn what came of it.
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, error)) = failed.iter().find(|(name, _)| *name == spec.name) {
            return Err(error.clone());
        }
        self.signers.unlock(spec).map_err(|error| {
            let error = of_key(&error);
            failed.push((spec.name.clone(), error.clone()));
            error
        })
    }
}

/// What a user types to have made what was only looked up.
type Command = dyn Fn() -> String + Send + Sync;

/// Signs for one fetch, or looks up what was signed.
pub struct SigningDesk {
    policy: SigningPolicy,
    keys: Arc<Unlocking>,
    memo: Arc<Memo>,
    command: Box<Command>,
    signed: Mutex<Vec<Signed>>,
    /// The hash of each signature that was given.
    given: Mutex<BTreeSet<Hash>>,
}

impl SigningDesk {
    /// A desk by `policy`. `command` is what a user types to have signed what this fetch only looks up.
    pub fn new(
        policy: SigningPolicy,
        keys: Arc<Unlocking>,
        memo: Arc<Memo>,
        command: impl Fn() -> String + Send + Sync + 'static,
    ) -> Self {
        Self {
            policy,
            keys,
            memo,
            command: Box::new(command),
            signed: Mutex::default(),
            given: Mutex::default(),
        }
    }

    /// Whether an output is a signature that was given here, and so was verified, and nothing else.
    pub fn gave(&self, output: &FixedOutput) -> bool {
        let given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        output.mode == OutputMode::Flat && given.contains(&output.hash)
    }

    /// What was signed or looked up so far.
    pub fn signed(&self) -> Vec<Signed> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Signed>> {
        self.signed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The key's public half. Only a key that may sign is unlocked for it.
    fn public(&self, key: &KeySpec, leave: Leave) -> Result<PublicKey, SigningError> {
        match self.keys.signers.public_key(key) {
            Err(KeyError {
                problem: KeyProblem::Locked,
                ..
            }) if leave == Leave::Sign => self.keys.unlock(key).map(|key| key.public_key().clone()),
            found => found.map_err(|error| of_key(&error)),
        }
    }

    /// Why a signature that is not remembered is not made.
    fn refuse(
        &self,
        permit: &KeyPermit<'_>,
        memo: &SignatureKey,
        forgotten: Option<SystemTime>,
    ) -> SigningError {
        let (key, digest) = (&permit.key.name, hex(&memo.content));
        let what = format!(
            "a signature `{}` of sha256:{digest} by the key `{key}`",
            memo.format
        );
        let state = match forgotten {
            Some(time) => format!(
                "{what} was forgotten at {}",
                humantime::format_rfc3339_seconds(time)
            ),
            None => format!("{what} is not remembered"),
        };
        let run = || format!("to sign it, run\n\n  {}", (self.command)());
        let (reason, hint) = match permit.leave {
            Leave::LookUp => ("this route only looks up, and never signs", run()),
            Leave::Sign | Leave::SignApproved if forgotten.is_some() => {
                ("it is signed anew where the key's name is typed", run())
            }
            Leave::Sign | Leave::SignApproved => (
                "the key's name was not typed, and the digest is not approved",
                format!(
                    "to approve this content, run\n\n  nix-fetchhost approve --key {key} sha256:{digest}"
                ),
            ),
        };
        SigningError {
            kind: SigningErrorKind::Denied,
            message: format!("{state}; {reason}"),
            hint: Some(hint),
        }
    }

    fn make(
        &self,
        permit: &KeyPermit<'_>,
        public: &PublicKey,
        envelope: &Envelope,
        content: &Content,
    ) -> Result<Vec<u8>, SigningError> {
        let key = self.keys.unlock(permit.key)?;
        // What is remembered stands under the public half that was told beforehand.
        if key.public_key() != public {
            return Err(of_key(&KeyError {
                key: permit.key.name.clone(),
                problem: KeyProblem::OtherPublicKey,
            }));
        }
        key.sign(envelope, content)
            .map_err(|error| of_signing(&error))
    }
}

impl Desk for SigningDesk {
    fn public_key(&self, slot: &SlotName) -> Result<PublicKey, SigningError> {
        let permit = self.policy.any(slot).map_err(|denial| of_denial(&denial))?;
        self.public(permit.key, permit.leave)
    }

    fn sign(
        &self,
        slot: &SlotName,
        envelope: &Envelope,
        content: &Content,
    ) -> Result<Vec<u8>, SigningError> {
        let signature = self.find_or_make(slot, envelope, content)?;
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        given.insert(Hasher::digest(HashAlgorithm::Sha256, &signature));
        Ok(signature)
    }
}

impl SigningDesk {
    fn find_or_make(
        &self,
        slot: &SlotName,
        envelope: &Envelope,
        content: &Content,
    ) -> Result<Vec<u8>, SigningError> {
        let permit = self
            .policy
            .judge(slot, envelope.asks())
            .map_err(|denial| of_denial(&denial))?;
        let public = self.public(permit.key, permit.leave)?;
        let memo = SignatureKey::new(permit.domain.clone(), content.digests(), &public, envelope);
        let verify = |signature: &[u8]| -> Result<(), VerifyError> {
            public.verify(envelope, content, signature)
        };
        let may_sign = match permit.leave {
            Leave::Sign => true,
            Leave::LookUp => false,
            Leave::SignApproved => self
                .memo
                .is_approved(&memo.key, &memo.content)
                .map_err(|error| of_memo(&error))?,
        };
        // Who may sign learns now whether it could be remembered, before a key is unlocked.
        let found = match may_sign {
            true => self.memo.signature_before_signing(&memo, &verify),
            false => self.memo.signature(&memo, &verify),
        }
        .map_err(|error| of_memo(&error))?;
        let used = |is_remembered| {
            self.lock().push(Signed {
                key: permit.key.name.to_string(),
                fingerprint: memo.key.clone(),
                format: envelope.asks().name(),
                parameters: memo.parameters.clone(),
                content: memo.content,
                is_remembered,
                memo: memo.id().to_string(),
            });
        };
        match found {
            Found::Remembered(signature) => {
                used(true);
                Ok(signature)
            }
            missing => {
                let forgotten = match &missing {
                    Found::Forgotten { at } => Some(*at),
                    _ => None,
                };
                // What was forgotten comes back by nobody's approval of before.
                let is_left_out = permit.leave == Leave::SignApproved && forgotten.is_some();
                if !may_sign || is_left_out {
                    return Err(self.refuse(&permit, &memo, forgotten));
                }
                let made = self.make(&permit, &public, envelope, content)?;
                // Whatever becomes of the signature, the key was used.
                used(false);
                verify(&made).map_err(|_| of_signing(&SignError::Failed))?;
                self.memo
                    .remember_signature(&memo, &made, &verify)
                    .map_err(|error| of_memo(&error))
            }
        }
    }
}

fn of_denial(denial: &Denial) -> SigningError {
    SigningError {
        kind: SigningErrorKind::Denied,
        message: denial.to_string(),
        hint: denial.hint(),
    }
}

fn of_key(error: &KeyError) -> SigningError {
    SigningError {
        kind: SigningErrorKind::Key,
        message: error.to_string(),
        hint: error.hint(),
    }
}

fn of_signing(error: &SignError) -> SigningError {
    let kind = match error {
        SignError::NotForUse { .. } | SignError::Danger(_) => SigningErrorKind::Denied,
        SignError::OtherKind(_) => SigningErrorKind::Unsupported,
        _ => SigningErrorKind::Key,
    };
    SigningError {
        kind,
        message: error.to_string(),
        hint: error.hint(),
    }
}

fn of_memo(error: &MemoError) -> SigningError {
    SigningError {
        kind: match error.is_ungranted() {
            true => SigningErrorKind::Denied,
            false => SigningErrorKind::Memo,
        },
        message: error.to_string(),
        hint: error.hint(),
    }
}
