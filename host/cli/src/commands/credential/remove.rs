//! `nix-fetchhost credential remove`

use fetchhost_policy::{CredentialName, SourceSpec};

use super::{check_known, is_sealed_file, name, sealed_folder};
use crate::context::Context;
use crate::failure::Failure;
use crate::settings::draft::Draft;

/// Removes a credential from the user's configuration, with the age file that `set` wrote for it.
/// Files of other making stay.
pub(crate) fn remove(context: &Context, text: &str) -> Result<(), Failure> {
    let name = name(text)?;
    let mut draft = Draft::open(&context.environment)?;
    let known = draft.before();
    let source = match known.credentials.get(&name) {
        Some(spec) => Some(spec.source.clone()),
        None if known.certificates.contains_key(&name) => None,
        None => return Err(unknown(context, &name)),
    };
    let users = known
        .grants
        .iter()
        .filter(|grant| grant.credentials.values().any(|used| *used == name));
    let places: Vec<String> = users.map(|grant| grant.from.to_string()).collect();
    if !places.is_empty() {
        return Err(Failure::usage(format!(
            "credential `{name}` fills a slot of the grant at {}",
            places.join(" and at ")
        ))
        .with_hint(
            "remove that grant first, with `nix-fetchhost grant remove`, or its `credentials`",
        ));
    }
    draft.remove_credential(&name)?;
    draft.save()?;
    let removed = format!(
        "removed credential `{name}` from {}",
        draft.path().display()
    );
    let own = draft.folder().join(sealed_folder());
    let file = match source {
        Some(SourceSpec::Age(file))
            if file.parent() == Some(&own) && is_sealed_file(&file, &name) =>
        {
            file
        }
        Some(source @ (SourceSpec::File { .. } | SourceSpec::Age(_))) => {
            let note = format!("{removed}; its secret stays, in {source}");
            context.printer.note(&note);
            return Ok(());
        }
        _ => {
            context.printer.note(&removed);
            return Ok(());
        }
    };
    // The configuration no longer names it, so what is left of a failure here is a file of no use.
    match std::fs::remove_file(&file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Failure::usage(format!(
            "`{}` cannot be removed: {error}",
            file.display()
        ))
        .with_hint("remove it by hand; the configuration no longer names it")),
        _ => {
            let file = file.display();
            context.printer.note(&format!("{removed}, and {file}"));
            Ok(())
        }
    }
}

fn unknown(context: &Context, name: &CredentialName) -> Failure {
    let config = &context.settings.config;
    match (check_known(config, name), config.place_of(name)) {
        (Err(failure), _) => failure,
        (Ok(()), place) => Failure::usage(format!(
            "credential `{name}` is defined at {}, which is not your file",
            place.map(ToString::to_string).unwrap_or_default()
        )),
    }
}
