//! `aws`: access keys where AWS's own tools look for them.
//!
//! | looked for | when |
//! |---|---|
//! | `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN` | first, where no profile is named |
//! | the profile that is named, else `$AWS_PROFILE`, else `default`, in `$AWS_SHARED_CREDENTIALS_FILE` or `~/.aws/credentials` | then |
//! | the same profile in `$AWS_CONFIG_FILE` or `~/.aws/config` | where the first has no such profile, or no keys in it |
//!
//! Profiles that say where keys are to be had (`sso_…`, `role_arn`, `credential_process`, …) are not
//! followed: that would run programs and ask servers that the user has not named here. A `command` that
//! prints the keys does.

mod profile;

use std::{ffi::OsString, io, path::PathBuf, time::Duration};

use fetchhost_policy::{AWS_KEY_VARIABLES, CredentialSpec};
use zeroize::Zeroizing;

use super::{
    Found, Surroundings,
    file::{FileError, Trust, read_file},
    refuse_file,
};
use crate::{AwsProblem, CredentialError, FileKind, aws::AccessKeys};
use profile::{MAX_BYTES, Profile};

const ID: &str = AWS_KEY_VARIABLES[0];
const SECRET: &str = AWS_KEY_VARIABLES[1];
const SESSION: &str = AWS_KEY_VARIABLES[2];
const PROFILE: &str = "AWS_PROFILE";
/// How long the keys of a session are used that a file holds: who writes them there renews them there.
const SESSION_REMEMBERED: Duration = Duration::from_secs(60);

pub(super) fn read(
    spec: &CredentialSpec,
    profile: Option<&str>,
    surroundings: &Surroundings,
) -> Result<Found, CredentialError> {
    let fail = |problem| CredentialError::Aws {
        credential: spec.name.clone(),
        problem,
    };
    if profile.is_none()
        && let Some(keys) = environment(surroundings).map_err(fail)?
    {
        return Ok(Found {
            secret: keys.into_secret(),
            until: None,
        });
    }
    let name = match profile {
        Some(profile) => profile.to_owned(),
        None => variable(surroundings, PROFILE)
            .map_err(fail)?
            .unwrap_or_else(|| "default".to_owned()),
    };
    let (mut places, mut lacking) = (Vec::new(), None);
    let files = [
        (
            "AWS_SHARED_CREDENTIALS_FILE",
            ".aws/credentials",
            Trust::Private,
            false,
        ),
        // Without keys in it, others may read it; AWS's tools make it so.
        ("AWS_CONFIG_FILE", ".aws/config", Trust::Sealed, true),
    ];
    for (variable, usual, trust, is_config) in files {
        let Some(path) = place(surroundings, variable, usual) else {
            continue;
        };
        let content = match read_file(&path, trust, surroundings.user(), MAX_BYTES) {
            Ok(content) => content,
            Err(FileError::Unreadable { error, .. }) if error.kind() == io::ErrorKind::NotFound => {
                places.push(path);
                continue;
            }
            Err(error) => return Err(refuse_file(spec, error, FileKind::Aws)),
        };
        let found = Profile::find(&content, &name, is_config).map_err(|problem| {
            fail(AwsProblem::File {
                path: path.clone(),
                problem,
            })
        })?;
        let Some(found) = found else {
            places.push(path);
            continue;
        };
        match keys(found, &name, path) {
            Ok(keys) => {
                let until = (surroundings.clock)().checked_add(SESSION_REMEMBERED);
                let until = until.filter(|_| keys.is_of_session());
                let secret = keys.into_secret();
                return Ok(Found { secret, until });
            }
            // The other file may have them; where they are to be had says more than that they are not here.
            Err(problem) => {
                if lacking.is_none() || matches!(problem, AwsProblem::Elsewhere { .. }) {
                    lacking = Some(problem);
                }
            }
        }
    }
    Err(fail(lacking.unwrap_or_else(|| AwsProblem::NoProfile {
        profile: name,
        places,
        is_named: profile.is_some(),
    })))
}

/// The keys in the environment, both or none.
fn environment(surroundings: &Surroundings) -> Result<Option<AccessKeys>, AwsProblem> {
    let id = variable(surroundings, ID)?;
    let secret = variable(surroundings, SECRET)?.map(Zeroizing::new);
    match (id, secret) {
        (None, None) => Ok(None),
        (Some(id), Some(secret)) => {
            let session = variable(surroundings, SESSION)?.map(Zeroizing::new);
            Ok(Some(AccessKeys::new(id, secret, session)))
        }
        (None, Some(_)) => Err(AwsProblem::Half {
            set: SECRET,
            unset: ID,
        }),
        (Some(_), None) => Err(AwsProblem::Half {
            set: ID,
            unset: SECRET,
        }),
    }
}

/// A variable that is set to something.
fn variable(surroundings: &Surroundings, name: &'static str) -> Result<Option<String>, AwsProblem> {
    (surroundings.environment)(name)
        .filter(|value| !value.is_empty())
        .map(OsString::into_string)
        .transpose()
        .map_err(|_| AwsProblem::NotText { variable: name })
}

fn place(surroundings: &Surroundings, variable: &str, usual: &str) -> Option<PathBuf> {
    (surroundings.environment)(variable)
        .filter(|path| !path.is_empty())
        .map(PathBuf::from)
        .or_else(|| Some(surroundings.folder("HOME")?.join(usual)))
}

/// The keys of the profile that was found in the file at `path`.
fn keys(found: Profile, name: &str, path: PathBuf) -> Result<AccessKeys, AwsProblem> {
    let Profile {
        id,
        secret,
        session,
        elsewhere,
    } = found;
    match (id, secret, elsewhere) {
        (Some(id), Some(secret), _) => Ok(AccessKeys::new(id, secret, session)),
        (None, None, Some(setting)) => Err(AwsProblem::Elsewhere {
            profile: name.to_owned(),
            path,
            setting,
        }),
        _ => Err(AwsProblem::NoKeys {
            profile: name.to_owned(),
            path,
        }),
    }
}
