//! The sources themselves. Each returns the raw text; the keyring judges its content.

pub(crate) mod age;
mod aws;
pub(crate) mod file;
mod helper;
mod netrc;
mod program;

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use fetchhost_policy::{CredentialSpec, Origin, Scheme, SourceSpec};
use zeroize::Zeroizing;

use crate::{
    Cancel, CredentialError, FileKind, Problem, Secret, aws::AccessKeys, key_server::AskServer,
    terminal::Ask,
};
use file::{FileError, Trust, read_file};

pub(crate) use crate::secret::MAX_BYTES;

/// Looks up a variable of the environment.
pub type Environment = dyn Fn(&str) -> Option<OsString> + Send + Sync;
/// The folder is the unit's own, and an access list shows as a mode for the group.
const SYSTEMD_TRUST: Trust = Trust::Owner;

/// How long before its end a credential is asked for anew: a request takes its time, and clocks
/// differ.
pub(crate) const SKEW: Duration = Duration::from_secs(60);

type Clock = dyn Fn() -> SystemTime + Send + Sync;

/// Where sources look and whom they ask.
pub(crate) struct Surroundings {
    pub(crate) environment: Box<Environment>,
    pub(crate) ask: Box<Ask>,
    /// How servers are asked for access keys, where they may be.
    pub(crate) servers: Option<Box<AskServer>>,
    pub(crate) clock: Box<Clock>,
    pub(crate) cancel: Cancel,
}

impl Surroundings {
    fn user(&self) -> u32 {
        rustix::process::geteuid().as_raw()
    }

    /// `$VARIABLE` as an absolute path.
    fn folder(&self, variable: &str) -> Option<PathBuf> {
        (self.environment)(variable)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    }
}

/// What can be told of a source without asking it for the secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Looked {
    /// It is there, and nobody has to be asked.
    Ready,
    /// Only asking tells: a program, a server, or the user for a passphrase.
    Unknown,
}

/// What a source gave.
pub(crate) struct Found {
    pub(crate) secret: Secret,
    /// Until when it may be used again without asking the source; `None`: for ever.
    pub(crate) until: Option<SystemTime>,
}

/// What the spec's source holds for `origin`.
pub(crate) fn read(
    spec: &CredentialSpec,
    origin: &Origin,
    surroundings: &Surroundings,
) -> Result<Found, CredentialError> {
    let mut found = ask(spec, origin, surroundings)?;
    // Access keys may say themselves when they expire.
    if matches!(spec.scheme, Scheme::AwsSigV4(_))
        && let Ok(keys) = AccessKeys::read(found.secret.expose())
        && let Some(end) = keys.expire()
    {
        let end = end.checked_sub(SKEW).unwrap_or(end);
        found.until = Some(found.until.map_or(end, |until| until.min(end)));
    }
    Ok(found)
}

fn ask(
    spec: &CredentialSpec,
    origin: &Origin,
    surroundings: &Surroundings,
) -> Result<Found, CredentialError> {
    let for_ever = |secret| Found {
        secret,
        until: None,
    };
    match &spec.source {
        SourceSpec::Env(name) => variable(spec, name, surroundings).map(for_ever),
        SourceSpec::File {
            path,
            insecure_permissions,
        } => {
            let trust = Trust::private_unless(*insecure_permissions);
            let content = read_file(path, trust, surroundings.user(), MAX_BYTES)
                .map_err(|error| refuse_file(spec, error, FileKind::Plain))?;
            text(spec, content).map(for_ever)
        }
        SourceSpec::Age(path) => {
            let content = age::read(spec, path, surroundings)?;
            text(spec, content).map(for_ever)
        }
        SourceSpec::Systemd(name) => {
            let path = systemd_file(spec, name, surroundings)?;
            let content = read_file(&path, SYSTEMD_TRUST, surroundings.user(), MAX_BYTES)
                .map_err(|error| refuse_file(spec, error, FileKind::Systemd))?;
            text(spec, content).map(for_ever)
        }
        SourceSpec::Command { program, refresh } => {
            let content = program::run(program, &[], None, &surroundings.cancel)
                .map_err(|problem| program::refuse(spec, program, problem))?;
            let until = refresh.and_then(|refresh| (surroundings.clock)().checked_add(refresh));
            text(spec, content).map(|secret| Found { secret, until })
        }
        SourceSpec::Helper(program) => helper::read(spec, program, origin, surroundings)
            .map_err(|problem| program::refuse(spec, program, problem)),
        SourceSpec::Netrc {
            path,
            use_default,
            insecure_permissions,
        } => {
            let trust = Trust::private_unless(*insecure_permissions);
            let path = netrc::file(spec, path.as_deref(), surroundings)?;
            netrc::read(spec, path, *use_default, trust, origin, surroundings).map(for_ever)
        }
        SourceSpec::Aws(profile) => aws::read(spec, profile.as_deref(), surroundings),
        SourceSpec::AwsImds => aws::read_imds(spec, surroundings),
    }
}

/// As far as [`read`] would come without a question, without a program, and but for `aws` without
/// reading a secret from a file.
pub(crate) fn look(
    spec: &CredentialSpec,
    surroundings: &Surroundings,
) -> Result<Looked, CredentialError> {
    let file = |path: &Path, trust, kind| {
        file::look(path, trust, surroundings.user()).map_err(|error| refuse_file(spec, error, kind))
    };
    match &spec.source {
        SourceSpec::Env(name) => {
            check(spec, &variable(spec, name, surroundings)?)?;
            Ok(Looked::Ready)
        }
        SourceSpec::File {
            path,
            insecure_permissions,
        } => {
            let trust = Trust::private_unless(*insecure_permissions);
            file(path, trust, FileKind::Plain)
        }
        SourceSpec::Age(path) => age::look(spec, path, surroundings),
        SourceSpec::Systemd(name) => {
            let path = systemd_file(spec, name, surroundings)?;
            file(&path, SYSTEMD_TRUST, FileKind::Systemd)
        }
        SourceSpec::Command { .. } | SourceSpec::Helper(_) => Ok(Looked::Unknown),
        SourceSpec::AwsImds => aws::look_imds(spec),
        SourceSpec::Netrc {
            path,
            insecure_permissions,
            ..
        } => {
            let trust = Trust::private_unless(*insecure_permissions);
            let path = netrc::file(spec, path.as_deref(), surroundings)?;
            file(&path, trust, FileKind::Netrc)
        }
        // Whether the keys are there shows only in the file that may have them.
        SourceSpec::Aws(profile) => aws::look(spec, profile.as_deref(), surroundings),
    }
}

/// The value of an environment variable.
fn variable(
    spec: &CredentialSpec,
    name: &str,
    surroundings: &Surroundings,
) -> Result<Secret, CredentialError> {
    let value =
        (surroundings.environment)(name).ok_or_else(|| CredentialError::VariableMissing {
            credential: spec.name.clone(),
            variable: name.to_owned(),
        })?;
    text(spec, Zeroizing::new(value.into_encoded_bytes()))
}

/// The file that systemd calls `name`.
fn systemd_file(
    spec: &CredentialSpec,
    name: &str,
    surroundings: &Surroundings,
) -> Result<PathBuf, CredentialError> {
    surroundings
        .folder("CREDENTIALS_DIRECTORY")
        .map(|folder| folder.join(name))
        .ok_or_else(|| CredentialError::NoSystemd {
            credential: spec.name.clone(),
        })
}

/// `content` as a secret.
fn text(spec: &CredentialSpec, content: Zeroizing<Vec<u8>>) -> Result<Secret, CredentialError> {
    Secret::from_content(&content).map_err(|problem| unusable(spec, problem))
}

/// Whether the scheme could send `secret`.
pub(crate) fn check(spec: &CredentialSpec, secret: &Secret) -> Result<(), CredentialError> {
    let checked = secret.check(&spec.scheme);
    checked.map_err(|problem| unusable(spec, problem))
}

fn unusable(spec: &CredentialSpec, problem: Problem) -> CredentialError {
    CredentialError::Unusable {
        credential: spec.name.clone(),
        from: spec.source.clone(),
        problem,
    }
}

fn refuse_file(spec: &CredentialSpec, error: FileError, of: FileKind) -> CredentialError {
    CredentialError::File {
        credential: spec.name.clone(),
        error,
        of,
    }
}
