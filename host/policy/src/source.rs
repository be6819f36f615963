//! Where a secret lies. Reading it is the `credentials` crate's work.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::printable;

/// The kinds of source that exist, and whether this version reads them.
const KINDS: [(&str, bool); 11] = [
    ("env", true),
    ("file", true),
    ("age", true),
    ("command", true),
    ("helper", true),
    ("netrc", true),
    ("systemd", true),
    ("keyring", false),
    ("aws", true),
    ("aws-imds", true),
    ("sso", false),
];

/// Whether `word` is a kind of source, of this version or a later one.
pub(crate) fn is_source_kind(word: &str) -> bool {
    KINDS.iter().any(|(kind, _)| *kind == word)
}

/// Whether `word` is a kind of source that this version cannot read.
fn is_later_kind(word: &str) -> bool {
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
    /// A file that age encrypted, to the user's identity or with a passphrase.
    Age(PathBuf),
    /// A program that prints the secret. Only the configuration names one.
    Command {
        /// What to run.
        program: Program,
        /// How long the secret may be used before the program is run again;
        /// `None`: as long as this process lives.
        refresh: Option<Duration>,
    },
    /// A credential helper, as Bazel and uv call them: asked for the headers of
    /// an origin. Only the configuration names one.
    Helper(Program),
    /// The password of the origin's host in a netrc file.
    Netrc {
        /// The file; `None`: `$NETRC`, else `.netrc` in the user's home.
        path: Option<PathBuf>,
        /// Whether a `default` entry may answer for hosts that have none.
        use_default: bool,
        /// Whether the file may be readable by group and others.
        insecure_permissions: bool,
    },
    /// A file in the folder that systemd hands to a unit,
    /// `$CREDENTIALS_DIRECTORY`, by its name.
    Systemd(String),
    /// Access keys where AWS's own tools look for them: the profile of this name,
    /// or `None` for the environment and then the profile that it names.
    Aws(Option<String>),
    /// Access keys of the machine's or container's own role, which its metadata service gives to whoever asks.
    /// Only the configuration names it.
    AwsImds,
}

/// A program of the user's that is asked for a secret. Its `Debug` shows no
/// arguments: one may be a secret of another place.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Program {
    /// The program and its arguments, never empty. No shell reads them.
    pub argv: Vec<String>,
    /// How long it may take.
    pub timeout: Duration,
}

impl Program {
    /// The time that a program has when nothing else is configured.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

    /// The program's own name, the only part that messages show.
    #[must_use]
    pub fn name(&self) -> &str {
        self.argv.first().map_or("", String::as_str)
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program")
            .field("name", &self.name())
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// A text that is no source. The text is not repeated: it may be a secret that
/// was typed in place of one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// Not `KIND:VALUE`.
    #[error(
        "the source of a credential is written `env:NAME`, `file:PATH`, `age:PATH`, `netrc`, `systemd:NAME` or `aws[:PROFILE]`"
    )]
    Form,
    /// A kind that a later version reads.
    #[error(
        "a credential from `{0}` is not available in this version; use `env:NAME`, `file:PATH`, `age:PATH`, `netrc`, `systemd:NAME` or `aws[:PROFILE]`"
    )]
    Later(String),
    /// A kind that does not fit on a command line.
    #[error("a credential from `{0}` is written in the configuration, not on the command line")]
    Configured(String),
    /// Not the name of an environment variable.
    #[error(
        "`env:` needs the name of an environment variable: letters, digits and `_`, not starting with a digit"
    )]
    Variable,
    /// Not a path.
    #[error("`{0}:` needs the path of a file")]
    Path(&'static str),
    /// Not the name of a systemd credential.
    #[error(
        "`systemd:` needs the name of a credential of the unit: letters, digits, `-`, `_` and `.`, not starting with a `.`"
    )]
    Systemd,
    /// Not the name of a profile.
    #[error("`aws:` needs the name of a profile, without brackets, line ends and outer spaces")]
    Profile,
}

/// The variables in which AWS's own tools look for access keys: id, secret access key, session token.
pub const AWS_KEY_VARIABLES: [&str; 3] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
];

impl SourceSpec {
    /// The environment variables that the secret may be read from, by name. They are not for programs that
    /// run what others wrote.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        let (one, several) = match self {
            Self::Env(name) => (Some(name.as_str()), &[][..]),
            Self::Aws(None) => (None, &AWS_KEY_VARIABLES[..]),
            _ => (None, &[][..]),
        };
        one.into_iter().chain(several.iter().copied())
    }

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
        Ok(Self::File {
            path: read_path("file", path)?,
            insecure_permissions: false,
        })
    }

    /// The age file at `path`.
    ///
    /// # Errors
    /// When `path` is empty or holds a NUL.
    pub fn age(path: &str) -> Result<Self, SourceError> {
        read_path("age", path).map(Self::Age)
    }

    /// The user's own netrc file.
    #[must_use]
    pub const fn netrc() -> Self {
        Self::Netrc {
            path: None,
            use_default: false,
            insecure_permissions: false,
        }
    }

    /// The credential that systemd hands over as `name`.
    ///
    /// # Errors
    /// When `name` could lead out of the unit's folder or is no name.
    pub fn systemd(name: &str) -> Result<Self, SourceError> {
        let formed = !name.is_empty()
            && name.len() <= 255
            && !name.starts_with('.')
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
        if formed {
            Ok(Self::Systemd(name.to_owned()))
        } else {
            Err(SourceError::Systemd)
        }
    }

    /// The access keys in AWS's profile called `name`.
    ///
    /// # Errors
    /// When no section of AWS's files can be called so.
    pub fn aws_profile(name: &str) -> Result<Self, SourceError> {
        let formed = !name.is_empty()
            && name.len() <= 255
            && name.trim() == name
            && !name.contains(|c: char| c.is_control() || matches!(c, '[' | ']'));
        if formed {
            Ok(Self::Aws(Some(name.to_owned())))
        } else {
            Err(SourceError::Profile)
        }
    }

    /// Whether the source also knows the user name that `basic` wants.
    #[must_use]
    pub const fn knows_login(&self) -> bool {
        matches!(self, Self::Netrc { .. })
    }

    /// Whether the secret depends on the origin that it is for.
    #[must_use]
    pub const fn is_per_origin(&self) -> bool {
        matches!(self, Self::Netrc { .. } | Self::Helper(_))
    }
}

fn read_path(kind: &'static str, path: &str) -> Result<PathBuf, SourceError> {
    if path.is_empty() || path.contains('\0') {
        return Err(SourceError::Path(kind));
    }
    Ok(PathBuf::from(path))
}

impl fmt::Display for SourceSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = |path: &PathBuf| printable(&path.to_string_lossy()).into_owned();
        match self {
            Self::Env(name) => write!(f, "env:{name}"),
            Self::File { path: file, .. } => write!(f, "file:{}", path(file)),
            Self::Age(file) => write!(f, "age:{}", path(file)),
            Self::Command { program, .. } => write!(f, "command:{}", printable(program.name())),
            Self::Helper(program) => write!(f, "helper:{}", printable(program.name())),
            Self::Netrc { path: None, .. } => f.write_str("netrc"),
            Self::Netrc {
                path: Some(file), ..
            } => write!(f, "netrc:{}", path(file)),
            Self::Systemd(name) => write!(f, "systemd:{name}"),
            Self::Aws(None) => f.write_str("aws"),
            Self::Aws(Some(profile)) => write!(f, "aws:{}", printable(profile)),
            Self::AwsImds => f.write_str("aws-imds"),
        }
    }
}

impl FromStr for SourceSpec {
    type Err = SourceError;

    /// Reads the form of the command line.
    fn from_str(text: &str) -> Result<Self, SourceError> {
        match text.split_once(':') {
            Some(("env", name)) => Self::env(name),
            Some(("file", path)) => Self::file(path),
            Some(("age", path)) => Self::age(path),
            Some(("systemd", name)) => Self::systemd(name),
            Some(("aws", profile)) => Self::aws_profile(profile),
            None if text == "netrc" => Ok(Self::netrc()),
            None if text == "aws" => Ok(Self::Aws(None)),
            Some((kind @ ("command" | "helper" | "netrc"), _)) => {
                Err(SourceError::Configured(kind.to_owned()))
            }
            None if matches!(text, "command" | "helper" | "aws-imds") => {
                Err(SourceError::Configured(text.to_owned()))
            }
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
    fn sources_of_the_command_line_are_read_back_as_written() {
        for text in [
            "env:GITLAB_TOKEN",
            "file:/run/secrets/t",
            "file:rel/a:b",
            "age:/x/token.age",
            "netrc",
            "systemd:gitlab-token",
            "aws",
            "aws:work",
        ] {
            assert_eq!(text.parse::<SourceSpec>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn later_sources_are_named_as_such() {
        for text in ["keyring:tok", "keyring", "sso:default", "sso"] {
            let error = text.parse::<SourceSpec>().unwrap_err();
            assert!(matches!(error, SourceError::Later(_)), "{text}: {error}");
        }
    }

    #[test]
    fn programs_and_other_netrc_files_belong_to_the_configuration() {
        for text in [
            "command:pass",
            "command",
            "helper:h",
            "netrc:/etc/netrc",
            "aws-imds",
        ] {
            let error = text.parse::<SourceSpec>().unwrap_err();
            assert!(
                matches!(error, SourceError::Configured(_)),
                "{text}: {error}"
            );
        }
    }

    #[test]
    fn a_program_is_shown_without_its_arguments() {
        let program = Program {
            argv: vec![
                "pass".to_owned(),
                "show".to_owned(),
                "--key=s3cret".to_owned(),
            ],
            timeout: Program::DEFAULT_TIMEOUT,
        };
        let source = SourceSpec::Helper(program);
        assert_eq!(source.to_string(), "helper:pass");
        assert!(!format!("{source:?}").contains("s3cret"));
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
            "age:",
            "age",
            "systemd:",
            "systemd:../x",
            "systemd:a/b",
            "systemd:.hidden",
            "glpat-x:y",
        ] {
            assert!(text.parse::<SourceSpec>().is_err(), "{text}");
        }
    }
}
