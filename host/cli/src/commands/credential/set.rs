//! `nix-fetchhost credential set`

use std::io::{self, IsTerminal, Read};

use fetchhost_credentials::{Identities, IdentityError, Secret, ask_hidden, identity_path};
use fetchhost_policy::{
    CredentialName, CredentialSpec, Origin, OriginError, Scheme, SchemeError, SourceSpec,
};
use zeroize::Zeroizing;

use super::{name, sealed_file, sealed_name};
use crate::context::Context;
use crate::failure::{Failure, with_causes};
use crate::settings::draft::{Draft, write_atomically};

/// No token is larger.
const MAX_BYTES: usize = 64 * 1024;

/// Stores a secret, encrypted to the user's identity, and defines the credential. Nothing is
/// written before it is known that all of it can be.
pub(crate) fn set(
    context: &Context,
    text: &str,
    origins: &[String],
    scheme: Option<&str>,
) -> Result<(), Failure> {
    let name = name(text)?;
    let spec = {
        let mut draft = Draft::open(&context.environment)?;
        let spec = spec(&draft, name, origins, scheme)?;
        draft.put_credential(&spec)?;
        draft.check()?;
        spec
    };
    // Nothing is held while the user types, so that other edits need not wait.
    let secret = read_secret(&spec.name)?;
    secret
        .check(&spec.scheme)
        .map_err(|problem| Failure::usage(format!("the secret {problem}")))?;

    let mut draft = Draft::open(&context.environment)?;
    draft.put_credential(&spec)?;
    draft.check()?;
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
    let file = sealed_file(draft.folder(), &spec.name);
    write_atomically(&file, &identities.seal(&secret).map_err(no_identity)?)?;
    draft.save()?;
    context.printer.note(&format!(
        "credential {} is in {}, sent as {} to {}",
        spec.name,
        file.display(),
        spec.scheme,
        spec.origins
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(" and ")
    ));
    Ok(())
}

/// The credential as it is to be: what was typed, else what it was.
fn spec(
    draft: &Draft,
    name: CredentialName,
    origins: &[String],
    scheme: Option<&str>,
) -> Result<CredentialSpec, Failure> {
    let before = draft.before().credentials.get(&name);
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
        // The user name was the old source's to know.
        (None, Some(before)) if before.scheme != Scheme::BasicLogin => before.scheme.clone(),
        (None, _) => return Err(missing("--scheme", "header:PRIVATE-TOKEN")),
    };
    Ok(CredentialSpec {
        source: SourceSpec::Age(sealed_name(&name)),
        name,
        scheme,
        origins,
    })
}

/// The secret, from the terminal without showing it, or all of stdin without the line ends at its
/// end.
fn read_secret(name: &CredentialName) -> Result<Secret, Failure> {
    let failed = |error: io::Error| Failure::usage(format!("the secret cannot be read: {error}"));
    let mut stdin = io::stdin().lock();
    if stdin.is_terminal() {
        return ask_hidden(&format!("Secret of {name}: "))
            .map_err(failed)?
            .ok_or_else(|| {
                Failure::usage("there is no terminal to ask for the secret on").with_hint(
                    "give it on stdin, as in `pass show gitlab | nix-fetchhost credential set …`",
                )
            });
    }
    // Room for all of it at once: a vector that grows leaves unwiped copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_BYTES + 1));
    stdin
        .by_ref()
        .take(MAX_BYTES as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() > MAX_BYTES {
        return Err(Failure::usage(
            "the secret is larger than 64 KiB, which no token is",
        ));
    }
    let text =
        str::from_utf8(&bytes).map_err(|_| Failure::usage("the secret is not UTF-8 text"))?;
    let text = text.trim_end_matches(['\n', '\r']);
    Ok(Secret::from(Zeroizing::new(text.to_owned())))
}

fn no_identity(error: IdentityError) -> Failure {
    let mut failure = Failure::usage(with_causes(&error));
    failure.hint = error.hint();
    failure
}
