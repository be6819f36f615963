//! `nix-fetchhost credential`

pub(crate) mod list;
pub(crate) mod remove;
pub(crate) mod set;
pub(crate) mod test;

use std::path::{Path, PathBuf};

use fetchhost_policy::{CredentialName, IdError};

use crate::failure::Failure;

/// Reads NAME.
fn name(text: &str) -> Result<CredentialName, Failure> {
    text.parse()
        .map_err(|error: IdError| Failure::usage(error.to_string()))
}

/// The file that `set` writes for NAME, below the folder of the configuration.
fn sealed_file(folder: &Path, name: &CredentialName) -> PathBuf {
    folder.join(sealed_name(name))
}

/// The same, as the configuration names it.
fn sealed_name(name: &CredentialName) -> PathBuf {
    Path::new("credentials").join(format!("{name}.age"))
}
