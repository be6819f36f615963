//! Hashes that nobody declared, remembered where a grant says so.
//!
//! **The threat.** Whoever answers first, or whoever writes into a shared cache, decides what is fetched from then on.
//!
//! **The rule.** Only a grant with `remember = true` has a hash remembered, for the time that it says; what is
//! remembered is from then on the declared hash, and every result says that nobody verified it. From a shared cache
//! only what a trusted key has signed is taken. Where an expression asks, nothing new is remembered.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use fetchhost_formats::{FixedOutput, HashAlgorithm, OutputMode};
use fetchhost_memo::{Found, Memo, MemoError, RememberedResult, ResultKey};
use fetchhost_pipeline::{Agreement, Category, Disagreement, Expectation};
use fetchhost_policy::{Remember, shell_word};
use serde_json::{Map, Value};

use super::{Session, effective_origin};
use crate::catalog::Selected;
use crate::context::Context;
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::signing;
use crate::wishes::check_public;

/// What is remembered of one fetch, or will be.
pub(crate) struct Remembering {
    memo: Arc<Memo>,
    key: ResultKey,
    lasts: Duration,
    /// What is remembered; none where this fetch is the first.
    known: Option<RememberedResult>,
    /// Whether the output is to be executable.
    executable: bool,
    /// Until when the first output, which came now, is remembered.
    agreed: OnceLock<SystemTime>,
}

impl Agreement for Remembering {
    /// Remembers what came, if it is the first.
    fn agree(&self, output: &FixedOutput) -> Result<(), Disagreement> {
        if self.known.is_some() {
            // That was the declared hash.
            return Ok(());
        }
        let offered = RememberedResult {
            hash: output.hash.clone(),
            mode: output.mode,
            name: output.name.clone(),
            executable: self.executable,
            expires: SystemTime::now() + self.lasts,
        };
        let first = self
            .memo
            .remember_result(&self.key, &offered)
            .map_err(|error| {
                let failure = Failure::from(error);
                Disagreement {
                    category: match failure.status {
                        ExitStatus::Denied => Category::Denied,
                        ExitStatus::Usage => Category::Usage,
                        _ => Category::Memo,
                    },
                    message: failure.message,
                    hint: failure.hint,
                }
            })?;
        if first.hash != output.hash {
            return Err(Disagreement {
                category: Category::HashMismatch,
                message: format!(
                    "another run was first, and remembered {}; this one got {}, and emitted nothing",
                    first.hash, output.hash
                ),
                hint: Some(format!(
                    "run it again, for what is remembered; {}",
                    self.forget()
                )),
            });
        }
        // It is asked once.
        let _ = self.agreed.set(first.expires);
        Ok(())
    }
}

impl Remembering {
    /// Looks up what is remembered of a fetch without a declared hash. Where nothing is, a person may be the first.
    pub(crate) async fn look_up(
        context: &Context,
        session: &Session,
        selected: &Selected,
        params: &Map<String, Value>,
        executable: bool,
        is_typed: bool,
    ) -> Result<Self, Failure> {
        let origin = effective_origin(selected, params)?;
        let config = &context.settings.config;
        let granted = origin.and_then(|origin| config.remembers(&selected.id, &origin));
        let Some(Remember { domain, lasts }) = granted else {
            // Somebody who has no hash yet must learn where it comes from.
            return Err(Failure::usage(format!(
                "`{}` needs the declared hash, `--hash HASH`",
                selected.fetcher
            ))
            .with_hint(
                "`nix-fetchhost prefetch` with the same parameters fetches once and prints it",
            ));
        };
        // They are written down, and shared.
        check_public(params)?;
        let key = ResultKey {
            domain,
            fetcher: selected.fetcher.clone(),
            parameters: params.clone(),
        };
        let memo = session.memo(context)?;
        let (asked, wanted) = (Arc::clone(&memo), key.clone());
        let known = match blocking(move || asked.result(&wanted)).await? {
            Found::Remembered(result) => Some(result),
            Found::Forgotten { .. } | Found::Nothing if is_typed => None,
            Found::Forgotten { .. } | Found::Nothing => {
                return Err(Failure {
                    status: ExitStatus::Denied,
                    kind: "denied",
                    ..Failure::usage(
                        "no hash is declared, and none is remembered; this route only looks up",
                    )
                }
                .with_hint(format!(
                    "to fetch it and remember its hash, run\n\n  {}",
                    signing::command(selected, params, std::iter::empty())
                )));
            }
        };
        Ok(Self {
            memo,
            key,
            lasts,
            known,
            executable,
            agreed: OnceLock::new(),
        })
    }

    /// What the output's hash must be.
    pub(crate) fn expectation(&self) -> Expectation {
        match &self.known {
            Some(known) => Expectation::Declared(known.hash.clone()),
            None => Expectation::Unknown(HashAlgorithm::Sha256),
        }
    }

    /// Refuses what was remembered of another kind of output.
    pub(super) fn check(&self, mode: OutputMode, executable: bool) -> Result<(), Failure> {
        match &self.known {
            Some(known) if (known.mode, known.executable) != (mode, executable) => {
                Err(Failure::usage(format!(
                    "what is remembered of this fetch is of the mode `{}`{}",
                    known.mode,
                    if known.executable {
                        ", and executable"
                    } else {
                        ""
                    }
                ))
                .with_hint(self.forget()))
            }
            _ => Ok(()),
        }
    }

    /// Says how sure what came is.
    pub(super) fn tell(&self, context: &Context) {
        let agreed = self.agreed.get().copied();
        if let Some(expires) = agreed.or(self.known.as_ref().map(|known| known.expires)) {
            context.printer.warning(&format!(
                "not verified: nobody declared this hash; it is remembered until {}",
                humantime::format_rfc3339_seconds(expires)
            ));
        }
    }

    /// What to add to the hint of a mismatch: the hash was nobody's word.
    pub(super) fn explain(&self, failure: &mut Failure) {
        if self.known.is_some() && failure.status == ExitStatus::HashMismatch {
            failure.hint = Some(format!(
                "the hash was remembered, not declared: if the new content is what you want, {}",
                self.forget()
            ));
        }
    }

    fn forget(&self) -> String {
        let id = self.key.id().to_string();
        format!("`nix-fetchhost memo forget {}` forgets it", shell_word(&id))
    }
}

/// The shared place may take its time.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, MemoError> + Send + 'static,
) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| Failure::usage("what is remembered could not be read; this is a defect"))?
        .map_err(Failure::from)
}
