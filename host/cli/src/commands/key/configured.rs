//! `nix-fetchhost key list` and `show`: the keys of the configuration.

use std::pin::pin;
use std::time::Duration;

use fetchhost_credentials::ask_hidden;
use fetchhost_keys::{KeyError, KeyProblem, PublicKey, Signers};
use fetchhost_policy::{KeyName, KeySource, KeySpec, PolicyError, printable};
use schemars::JsonSchema;
use serde::Serialize;

use crate::context::Context;
use crate::failure::Failure;
use crate::report::SCHEMA_VERSION;
use crate::signals::Stops;

/// How long a question that is given up may take to restore the terminal.
const TIDYING: Duration = Duration::from_secs(2);

/// What `key list --json` prints.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(title = "nix-fetchhost keys")]
struct KeysReport {
    /// 1.
    schema_version: u32,
    /// The configured keys, by name.
    keys: Vec<KeyReport>,
}

/// One configured key.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct KeyReport {
    /// What the configuration calls it.
    name: String,
    /// Where it lies: `file`, `age`, `agent` or `pkcs11`.
    source: &'static str,
    /// What it may sign.
    uses: Vec<String>,
    /// Its public half's fingerprint, where that shows without a question.
    fingerprint: Option<String>,
    /// Why it does not.
    problem: Option<String>,
}

/// Lists the configured keys. None is unlocked.
pub(super) async fn list(context: &Context) -> Result<(), Failure> {
    let specs: Vec<KeySpec> = context.settings.config.keys.values().cloned().collect();
    let (looked, is_any_locked) = blocking(move || {
        let signers = Signers::new();
        let mut is_any_locked = false;
        let looked: Vec<KeyReport> = specs
            .iter()
            .map(|spec| {
                let public = signers.public_key(spec);
                is_any_locked |= public
                    .as_ref()
                    .is_err_and(|error| matches!(error.problem, KeyProblem::Locked));
                KeyReport::new(spec, public)
            })
            .collect();
        (looked, is_any_locked)
    })
    .await?;
    if context.printer.json {
        return context.printer.json(&KeysReport {
            schema_version: SCHEMA_VERSION,
            keys: looked,
        });
    }
    if looked.is_empty() {
        context
            .printer
            .note("no key is configured; `[key.NAME]` in `config.toml` defines one");
    }
    looked.iter().try_for_each(|key| {
        let public = key.fingerprint.as_ref().or(key.problem.as_ref());
        context.printer.result(&format!(
            "{}  {}  {}  {}",
            key.name,
            key.source,
            key.uses.join(","),
            public.map_or("", String::as_str)
        ))
    })?;
    if is_any_locked {
        context.printer.note(
            "`nix-fetchhost key show NAME` unlocks a key and prints its public half, to be written as `public-key`",
        );
    }
    Ok(())
}

impl KeyReport {
    fn new(spec: &KeySpec, public: Result<PublicKey, KeyError>) -> Self {
        Self {
            name: spec.name.to_string(),
            source: match &spec.source {
                KeySource::File(_) => "file",
                KeySource::Age(_) => "age",
                KeySource::Agent { .. } => "agent",
                KeySource::Pkcs11 { .. } => "pkcs11",
            },
            uses: spec.uses.iter().map(|one| one.to_string()).collect(),
            fingerprint: public.as_ref().ok().map(PublicKey::fingerprint),
            problem: public
                .err()
                .map(|error| printable(&error.problem.to_string()).into_owned()),
        }
    }
}

/// Prints the public half of a configured key in each form that it has, unlocking it if it must be.
pub(super) async fn show(context: &Context, name: &str) -> Result<(), Failure> {
    let spec = find(context, name)?;
    let signers = Signers::new().asking(ask_hidden);
    let (cancel, mut stops) = (signers.cancel(), Stops::listen());
    let mut looked = pin!(blocking(move || {
        signers.public_key(&spec).or_else(|_| {
            let key = signers.unlock(&spec)?;
            Ok::<_, KeyError>(key.public_key().clone())
        })
    }));
    let looked = tokio::select! {
        looked = &mut looked => looked,
        stop = stops.next() => {
            // The terminal is as it was when this has ended; an agent or a token may never answer.
            cancel.fire();
            let _ = tokio::time::timeout(TIDYING, looked).await;
            return Err(Failure::stopped(stop));
        }
    };
    let public = looked?.map_err(|error| of_key(&error))?;
    let mut text = format!("fingerprint  {}", public.fingerprint());
    for (form, written) in forms(&public) {
        text.push_str(&format!("\n{form}{}", written.trim_end()));
    }
    context.printer.result(&text)
}

/// The texts that others know the key by.
fn forms(public: &PublicKey) -> Vec<(&'static str, String)> {
    match public.to_minisign() {
        Some(text) => vec![("minisign     ", text)],
        None => vec![
            ("openssh      ", public.to_openssh()),
            ("", public.to_pem()),
        ],
    }
}

/// The configured key of this name.
pub(crate) fn find(context: &Context, name: &str) -> Result<KeySpec, Failure> {
    let keys = &context.settings.config.keys;
    let key: KeyName = name
        .parse()
        .map_err(|error| Failure::usage(format!("`{}`: {error}", printable(name))))?;
    let found = keys.get(&key).cloned();
    Ok(found.ok_or_else(|| PolicyError::UnknownKey {
        key,
        known: keys.keys().cloned().collect(),
    })?)
}

/// A key that cannot be had.
pub(crate) fn of_key(error: &KeyError) -> Failure {
    Failure {
        kind: "key",
        hint: error.hint(),
        ..Failure::usage(error.to_string())
    }
}

/// An agent, a token or the user may take their time.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| Failure::usage("the keys could not be looked at; this is a defect"))
}

#[cfg(test)]
mod tests {
    use crate::report::tests::is_published;

    use super::*;

    #[test]
    fn the_schema_is_the_published_one() {
        is_published::<KeysReport>(include_str!("../../../../../docs/schema/keys.schema.json"));
    }
}
