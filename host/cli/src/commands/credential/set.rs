//! `nix-fetchhost credential set`

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use fetchhost_credentials::{
    Cancel, Identities, IdentityError, Secret, ask_hidden, identity_path, leave_no_core_file,
};
use fetchhost_policy::{
    CredentialName, CredentialSpec, Origin, OriginError, Scheme, SchemeError, SourceSpec,
};

use super::{is_sealed_file, name, sealed_folder};
use crate::context::Context;
use crate::failure::{Failure, with_causes};
use crate::journal::ticket;
use crate::settings::draft::{Draft, write_atomically};
use crate::signals::Stops;

/// Stores a secret, encrypted to the user's identity, and defines the credential. Nothing is
/// written before it is known that all of it can be.
///
/// A new secret gets a new file. What takes it into force is the configuration's rename, so that a
/// crash in between leaves the old secret with its old origins, never the new one.
pub(crate) async fn set(
    context: &Context,
    text: &str,
    origins: &[String],
    scheme: Option<&str>,
) -> Result<(), Failure> {
    let name = name(text)?;
    let file = new_file(&name)?;
    let planned = |draft: &mut Draft| {
        let spec = spec(draft, &name, &file, origins, scheme)?;
        draft.put_credential(&spec)?;
        draft.check()?;
        Ok::<_, Failure>(spec)
    };
    planned(&mut Draft::open(&context.environment)?)?;
    leave_no_core_file();
    // Nothing is held while the user types, so that other edits need not wait.
    let secret = read_secret(&name).await?;

    // Another edit may have changed meanwhile what is kept of the old definition.
    let mut draft = Draft::open(&context.environment)?;
    let spec = planned(&mut draft)?;
    secret
        .check(&spec.scheme)
        .map_err(|problem| Failure::usage(format!("the secret {problem}")))?;
    let place = identity_path(&|name| std::env::var_os(name))
        .ok_or(IdentityError::NoHome)
        .map_err(no_identity)?;
    let (identities, made) = Identities::load_or_make(&place).map_err(no_identity)?;
    if made {
        context.printer.note(&format!(
            "made the age identity {}; whoever has it can read your credentials",
            place.display()
        ));
    }
    let path = draft.folder().join(&file);
    write_atomically(&path, &identities.seal(&secret).map_err(no_identity)?)?;
    draft.save()?;
    // Still under the lock, so that no other `set` has a file there that is not in force yet.
    remove_others(context, &path, &name);
    drop(draft);
    context.printer.note(&format!(
        "credential {} is in {}, sent as {} to {}",
        spec.name,
        path.display(),
        spec.scheme,
        spec.origins
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(" and ")
    ));
    Ok(())
}

/// A file for NAME that is not there yet, as the configuration names it.
fn new_file(name: &CredentialName) -> Result<PathBuf, Failure> {
    let random = ticket()
        .map_err(|error| Failure::usage(format!("the system gives no random bytes: {error}")))?;
    Ok(sealed_folder().join(format!("{name}.{random}.age")))
}

/// Removes what earlier calls left of the credential's secrets. They are of no use any more, but
/// they are secrets.
fn remove_others(context: &Context, current: &Path, name: &CredentialName) {
    let entries = current.parent().and_then(|folder| folder.read_dir().ok());
    for path in entries
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
    {
        if path == current || !is_sealed_file(&path, name) {
            continue;
        }
        if let Err(error) = std::fs::remove_file(&path) {
            context.printer.warning(&format!(
                "the old secret `{}` cannot be removed: {error}",
                path.display()
            ));
        }
    }
}

/// The credential as it is to be: what was typed, else what it was.
fn spec(
    draft: &Draft,
    name: &CredentialName,
    file: &Path,
    origins: &[String],
    scheme: Option<&str>,
) -> Result<CredentialSpec, Failure> {
    if draft.before().certificates.contains_key(name) {
        return Err(Failure::usage(format!(
            "`{name}` is a client certificate, which has no secret"
        ))
        .with_hint(format!(
            "choose another name, or remove it first with `nix-fetchhost credential remove {name}`"
        )));
    }
    let before = draft.before().credentials.get(name);
    let origins = origins
        .iter()
        .map(|text| {
            text.parse().map_err(|error: OriginError| {
                Failure::usage(format!("`--origin {text}`: {}", with_causes(&error)))
            })
        })
        .collect::<Result<Vec<Origin>, _>>()?;
    let scheme = scheme
        .map(|text| {
            text.parse()
                .map_err(|error: SchemeError| Failure::usage(format!("`--scheme`: {error}")))
        })
        .transpose()?;
    let missing = |flag: &str, example: &str| {
        Failure::usage(format!("credential `{name}` is new, so it needs `{flag}`"))
            .with_hint(format!("for example `{flag} {example}`"))
    };
    let origins = match (origins.is_empty(), before) {
        (false, _) => origins,
        (true, Some(before)) => before.origins.clone(),
        (true, None) => return Err(missing("--origin", "https://gitlab.example.com")),
    };
    let scheme: Scheme = match (scheme, before) {
        (Some(scheme), _) => scheme,
        (None, Some(before)) if before.scheme == Scheme::BasicLogin => {
            return Err(Failure::usage(format!(
                "credential `{name}` is sent as `basic` with the user name that its old source knows, so it needs `--scheme`"
            ))
            .with_hint("say the user name, as in `--scheme basic:USER`"));
        }
        (None, Some(before)) => before.scheme.clone(),
        (None, None) => return Err(missing("--scheme", "header:PRIVATE-TOKEN")),
    };
    Ok(CredentialSpec {
        source: SourceSpec::Age(file.to_owned()),
        name: name.clone(),
        scheme,
        origins,
    })
}

/// The secret, from the terminal without showing it, or all of stdin without the line ends at its
/// end.
async fn read_secret(name: &CredentialName) -> Result<Secret, Failure> {
    let failed = |error: io::Error| Failure::usage(format!("the secret cannot be read: {error}"));
    let stdin = io::stdin().lock();
    if !stdin.is_terminal() {
        return Secret::read(stdin)
            .map_err(failed)?
            .map_err(|problem| Failure::usage(format!("the secret {problem}")));
    }
    drop(stdin);
    let (question, cancel) = (format!("Secret of {name}: "), Cancel::new());
    let mut stops = Stops::listen();
    let asked = cancel.clone();
    let mut answer = tokio::task::spawn_blocking(move || ask_hidden(&question, &asked));
    let answer = tokio::select! {
        answer = &mut answer => answer,
        stop = stops.next() => {
            // The terminal is as it was when this has ended.
            cancel.fire();
            let _ = answer.await;
            return Err(Failure::stopped(stop));
        }
    };
    let hint = "give it on stdin, as in `pass show gitlab | nix-fetchhost credential set …`";
    answer
        .map_err(|error| failed(io::Error::other(error)))?
        .map_err(|error| failed(error).with_hint(hint))?
        .ok_or_else(|| {
            Failure::usage("there is no terminal to ask for the secret on").with_hint(hint)
        })
}

fn no_identity(error: IdentityError) -> Failure {
    let mut failure = Failure::usage(with_causes(&error));
    failure.hint = error.hint();
    failure
}
