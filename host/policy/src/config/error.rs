//! What can be wrong with a configuration, and where.

use std::fmt;
use std::path::PathBuf;

use crate::{Provenance, printable};

/// One thing that is wrong with a configuration file. Shown as
/// `file:line:column: message`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    place: Provenance,
    message: String,
    hint: Option<String>,
}

impl ConfigError {
    pub(crate) fn at(place: Provenance, message: impl Into<String>) -> Self {
        Self {
            place,
            message: message.into(),
            hint: None,
        }
    }

    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        self.hint.clone()
    }

    /// The file that is wrong.
    #[must_use]
    pub const fn file(&self) -> Option<&PathBuf> {
        match &self.place {
            Provenance::File { file, .. } => Some(file),
            Provenance::Argv | Provenance::BuiltIn => None,
        }
    }

    /// Line and column, both counted from 1, the column in characters.
    #[must_use]
    pub const fn line_column(&self) -> Option<(usize, usize)> {
        match self.place {
            Provenance::File { line, column, .. } => Some((line, column)),
            Provenance::Argv | Provenance::BuiltIn => None,
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, printable(&self.message))
    }
}

impl std::error::Error for ConfigError {}
