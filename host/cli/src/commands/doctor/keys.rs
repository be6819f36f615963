//! The configured signing keys, as far as they show without being unlocked.

use fetchhost_keys::{KeyError, KeyProblem, PublicKey, Signers};
use fetchhost_policy::{KeyName, KeySpec, printable};

use super::{Checks, Finding};
use crate::context::Context;

/// Each key by its name. Where none is configured, nobody misses one.
pub(super) async fn check(context: &Context) -> Checks {
    let specs: Vec<KeySpec> = context.settings.config.keys.values().cloned().collect();
    // An agent or a token may take its time.
    let looked = tokio::task::spawn_blocking(move || {
        let signers = Signers::new();
        specs
            .into_iter()
            .map(|spec| {
                let public = signers.public_key(&spec);
                finding(&spec.name, public)
            })
            .collect::<Vec<_>>()
    });
    let found = looked.await.unwrap_or_default();
    found.into_iter().map(|one| ("keys", one)).collect()
}

fn finding(name: &KeyName, public: Result<PublicKey, KeyError>) -> Finding {
    match public {
        Ok(public) => Finding::Good(format!("`{name}` is {}", public.fingerprint())),
        Err(error) => {
            let text = printable(&error.to_string()).into_owned();
            let hint = error.hint().unwrap_or_else(|| "correct it".to_owned());
            match error.problem {
                KeyProblem::Locked => Finding::Note(format!("{text}; {hint}")),
                _ => Finding::Bad(text, hint),
            }
        }
    }
}
