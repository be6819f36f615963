//! The configured credentials, as far as nobody has to be asked for them, and the age identity.

use fetchhost_credentials::{
    CredentialError, Identities, IdentityError, Keyring, Looked, identity_path,
};
use fetchhost_policy::{CredentialSpec, SourceSpec};

use super::{Checks, Finding};
use crate::context::Context;
use crate::failure::with_causes;

const SUBJECT: &str = "credentials";

/// The identity, then each credential. Of a broken configuration none is known.
pub(super) fn check(context: &Context) -> Checks {
    let config = &context.settings.config;
    let keyring = Keyring::new();
    let looked: Vec<_> = config
        .credentials
        .values()
        .map(|spec| (spec, keyring.look(spec)))
        .collect();
    let needs_identity = looked
        .iter()
        .any(|(_, looked)| matches!(looked, Err(CredentialError::Identity { .. })));
    let mut checks = vec![("age identity", identity(needs_identity))];
    checks.extend(
        looked
            .into_iter()
            .map(|(spec, looked)| (SUBJECT, credential(spec, looked))),
    );
    checks.extend(config.certificates.values().map(|spec| {
        let finding = match fetchhost_transport::check_certificate(spec) {
            Ok(()) => Finding::Good(format!(
                "`{}` is a client certificate in {}",
                spec.name,
                spec.certificate.display()
            )),
            Err(error) => bad(&error, error.hint()),
        };
        (SUBJECT, finding)
    }));
    if checks.len() == 1 {
        let text = match &context.broken {
            Some(_) => "not looked at, because the configuration cannot be used",
            None => "none is configured; `nix-fetchhost credential set` makes one",
        };
        checks.push((SUBJECT, Finding::Note(text.to_owned())));
    }
    checks
}

fn identity(is_needed: bool) -> Finding {
    let Some(path) = identity_path(&|name| std::env::var_os(name)) else {
        let error = IdentityError::NoHome;
        return if is_needed {
            bad(&error, error.hint())
        } else {
            Finding::Note(with_causes(&error))
        };
    };
    // A link that leads nowhere is there.
    let is_missing = std::fs::symlink_metadata(&path)
        .is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound);
    if is_missing && !is_needed {
        return Finding::Note(format!(
            "none at {}; the first `nix-fetchhost credential set` makes it",
            path.display()
        ));
    }
    match Identities::load(&path) {
        Ok(_) => Finding::Good(path.display().to_string()),
        Err(error) => bad(&error, error.hint()),
    }
}

fn credential(spec: &CredentialSpec, looked: Result<Looked, CredentialError>) -> Finding {
    let (name, source) = (&spec.name, &spec.source);
    match looked {
        Ok(Looked::Ready) => Finding::Good(format!("`{name}` is there, in {source}")),
        Ok(Looked::Unknown) => {
            let why = match source {
                SourceSpec::Age(_) => "a passphrase opens it",
                SourceSpec::Aws(_) => "a server of AWS gives it for a token, which is there",
                SourceSpec::AwsImds => "a metadata service gives it",
                SourceSpec::Command { .. } | SourceSpec::Helper(_) => "a program knows it",
                _ => "it is a pipe",
            };
            Finding::Note(format!(
                "`{name}`, in {source}, was not asked for: {why}; `nix-fetchhost credential test {name}` asks"
            ))
        }
        // The finding about the identity says what is wrong and what to do.
        Err(CredentialError::Identity { .. }) => Finding::Note(format!(
            "`{name}`, in {source}, cannot be read without the age identity"
        )),
        Err(error) => bad(&error, error.hint()),
    }
}

fn bad(error: &dyn std::error::Error, hint: Option<String>) -> Finding {
    let remedy = hint.unwrap_or_else(|| "correct it in the configuration".to_owned());
    Finding::Bad(with_causes(error), remedy)
}
