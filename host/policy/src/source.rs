//! Where a secret lies. Reading it is the `credentials` crate's work.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::printable;

/// The kinds of source that exist, and whether this version reads them.
const KINDS: [(&str, bool); 10] = [
    ("env", true),
    ("file", true),
    ("age", false),
    ("command", false),
    ("helper", false),
    ("netrc", false),
    ("systemd", false),
    ("keyring", false),
    ("aws", false),
    ("sso", false),
];

/// Whether `word` is a kind of source, of this version or a later one.
pub(crate) fn is_source_kind(word: &str) -> bool {
    KINDS.iter().any(|(kind, _)| *kind == word)
}

/// Whether `word` is a kind of source that this version cannot read.
pub(crate) fn is_later_kind(word: &str) -> bool {
    KINDS.contains(&(word, false))
}

/// The kinds of source that this version cannot read.
pub(crate) fn later_kinds() -> Vec<&'static str> {
    KINDS
        .iter()
        .filter(|(_, now)| !now)
        .map(|(kind, _)| *kind)
        .collect()
}

/// A source that this version can read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SourceSpec {
    /// An environment variable of the user's own process.
    Env(String),
    /// A file that holds the secret and nothing else.
    File {
        /// The file.
        path: PathBuf,
        /// Whether the file may be readable by group and others.
        insecure_permissions: bool,
    },
}

/// A text that is no source. The text is not repeated: it may be a secret that
/// was typed in place of one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// Not `KIND:VALUE`.
    #[error("the source of a credential is written `env:NAME` or `file:PATH`")]
    Form,
    /// A kind that a later version reads.
    #[error(
        "a credential from `{0}` is not available in this version; use `env:NAME` or `file:PATH`"
    )]
    Later(String),
    /// Not the name of an environment variable.
    #[error(
        "`env:` needs the name of an environment variable: letters, digits and `_`, not starting with a digit"
    )]
    Variable,
    /// Not a path.
    #[error("`file:` needs the path of a file")]
    Path,
}

impl SourceSpec {
    /// The environment variable called `name`.
    ///
    /// # Errors
    /// When `name` is not made of letters, digits and `_`, or starts with a
    /// digit: no shell can set such a variable, so it is a slip.
    pub fn env(name: &str) -> Result<Self, SourceError> {
        let formed = !name.is_empty()
            && !name.starts_with(|c: char| c.is_ascii_digit())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if formed {
            Ok(Self::Env(name.to_owned()))
        } else {
            Err(SourceError::Variable)
        }
    }

    /// The file at `path`, which must not be readable by others.
    ///
    /// # Errors
    /// When `path` is empty or holds a NUL.
    pub fn file(path: &str) -> Result<Self, SourceError> {
        if path.is_empty() || path.contains('\0') {
            return Err(SourceError::Path);
        }
        Ok(Self::File {
            path: PathBuf::from(path),
            insecure_permissions: false,
        })
    }
}

impl fmt::Display for SourceSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "env:{name}"),
            Self::File { path, .. } => write!(f, "file:{}", printable(&path.to_string_lossy())),
        }
    }
}

impl FromStr for SourceSpec {
    type Err = SourceError;

    fn from_str(text: &str) -> Result<Self, SourceError> {
        match text.split_once(':') {
            Some(("env", name)) => Self::env(name),
            Some(("file", path)) => Self::file(path),
            Some((kind, _)) if is_later_kind(kind) => Err(SourceError::Later(kind.to_owned())),
            None if is_later_kind(text) => Err(SourceError::Later(text.to_owned())),
            _ => Err(SourceError::Form),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_and_files_are_read_back_as_written() {
        for text in ["env:GITLAB_TOKEN", "file:/run/secrets/t", "file:rel/a:b"] {
            assert_eq!(text.parse::<SourceSpec>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn later_sources_are_named_as_such() {
        for text in [
            "age:/x",
            "netrc",
            "systemd:tok",
            "command:pass",
            "aws:default",
        ] {
            let error = text.parse::<SourceSpec>().unwrap_err();
            assert!(matches!(error, SourceError::Later(_)), "{text}: {error}");
        }
    }

    #[test]
    fn what_is_no_source_is_refused() {
        for text in [
            "",
            "TOKEN",
            "env:",
            "env:A B",
            "env:1A",
            "env:A=B",
            "file:",
            "file:a\0b",
            "glpat-x:y",
        ] {
            assert!(text.parse::<SourceSpec>().is_err(), "{text}");
        }
    }
}
