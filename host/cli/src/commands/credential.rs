//! `nix-fetchhost credential`

pub(crate) mod list;
pub(crate) mod remove;
pub(crate) mod set;
pub(crate) mod test;

use std::path::Path;

use fetchhost_policy::{Config, CredentialName, IdError};

use crate::failure::{Failure, meant};

/// Reads NAME.
fn name(text: &str) -> Result<CredentialName, Failure> {
    text.parse()
        .map_err(|error: IdError| Failure::usage(error.to_string()))
}

/// Refuses a name that no credential has.
pub(crate) fn check_known(config: &Config, name: &CredentialName) -> Result<(), Failure> {
    if config.place_of(name).is_some() {
        return Ok(());
    }
    let hint = meant(name.as_str(), names(config), || {
        "`nix-fetchhost credential list` shows those that are; `credential set` makes one"
            .to_owned()
    });
    Err(Failure::usage(format!("no credential `{name}` is configured")).with_hint(hint))
}

/// The names of all that are configured.
pub(crate) fn names(config: &Config) -> impl Iterator<Item = &str> {
    let known = config.credentials.keys().chain(config.certificates.keys());
    known.map(CredentialName::as_str)
}

/// The folder of the files that `set` writes, as the configuration names it.
fn sealed_folder() -> &'static Path {
    Path::new("credentials")
}

/// Whether `set` wrote this file for NAME: `NAME.TICKET.age`, or `NAME.age` of earlier versions.
fn is_sealed_file(path: &Path, name: &CredentialName) -> bool {
    let file = path.file_name().and_then(|file| file.to_str());
    let middle = file
        .and_then(|file| file.strip_prefix(name.as_str()))
        .and_then(|file| file.strip_suffix("age"));
    let is_in_folder = path
        .parent()
        .is_some_and(|folder| folder.ends_with(sealed_folder()));
    is_in_folder
        && middle.is_some_and(|middle| {
            let ticket = middle.trim_matches('.');
            middle.starts_with('.')
                && middle.ends_with('.')
                && ticket.bytes().all(|byte| byte.is_ascii_hexdigit())
        })
}
