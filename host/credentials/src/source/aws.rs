//! `aws`: access keys where AWS's own tools look for them.
//!
//! | looked for | when |
//! |---|---|
//! | `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN` | first, where no profile is named |
//! | `AWS_WEB_IDENTITY_TOKEN_FILE` and `AWS_ROLE_ARN`, a [web identity](web_identity) | then, where no profile is named |
//! | the profile that is named, else `$AWS_PROFILE`, else `default`, in `$AWS_SHARED_CREDENTIALS_FILE` or `~/.aws/credentials`: its web identity, else its keys | then |
//! | the same profile in `$AWS_CONFIG_FILE` or `~/.aws/config` | where the first has no such profile, or neither in it |
//!
//! With the feature `aws-sso` a profile's session of SSO counts where it has no keys.
//!
//! Profiles that say in another way where keys are to be had (a `role_arn` of another profile,
//! `credential_process`, …) are not followed: that would run programs and ask servers that the user has
//! not named here. A `command` that prints the keys does.

mod asking;
#[cfg(feature = "aws-sso")]
mod imds;
mod profile;
#[cfg(feature = "aws-sso")]
mod sso;
mod web_identity;

use std::{ffi::OsString, io, path::PathBuf, time::Duration};

use fetchhost_policy::{AWS_KEY_VARIABLES, CredentialSpec};
use zeroize::Zeroizing;

use super::{
    Found, Looked, Surroundings, check,
    file::{FileError, Trust, read_file},
    refuse_file,
};
use crate::{AwsProblem, CredentialError, FileKind, aws::AccessKeys};
use profile::{MAX_BYTES, Profile, Sections};
use web_identity::WebIdentity;

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
    match find(spec, profile, surroundings)? {
        Place::Environment(keys) => Ok(Found {
            secret: keys.into_secret(),
            until: None,
        }),
        Place::File(keys) => {
            let until = (surroundings.clock)().checked_add(SESSION_REMEMBERED);
            let until = until.filter(|_| keys.is_of_session());
            let secret = keys.into_secret();
            Ok(Found { secret, until })
        }
        Place::WebIdentity(identity) => identity.exchange(spec, surroundings, failing(spec)),
        #[cfg(feature = "aws-sso")]
        Place::Sso(sso) => sso.exchange(spec, surroundings, failing(spec)),
    }
}

/// As far as [`read`] would come without asking a server.
pub(super) fn look(
    spec: &CredentialSpec,
    profile: Option<&str>,
    surroundings: &Surroundings,
) -> Result<Looked, CredentialError> {
    match find(spec, profile, surroundings)? {
        Place::Environment(keys) | Place::File(keys) => {
            check(spec, &keys.into_secret())?;
            Ok(Looked::Ready)
        }
        Place::WebIdentity(identity) => identity.look(spec, surroundings),
        #[cfg(feature = "aws-sso")]
        Place::Sso(sso) => sso.look(spec, surroundings, failing(spec)),
    }
}

/// Where access keys are.
enum Place {
    Environment(AccessKeys),
    File(AccessKeys),
    WebIdentity(WebIdentity),
    #[cfg(feature = "aws-sso")]
    Sso(sso::Sso),
}

/// `aws-imds`: the keys of the machine's or container's own role.
#[cfg(feature = "aws-sso")]
pub(super) fn read_imds(
    spec: &CredentialSpec,
    surroundings: &Surroundings,
) -> Result<Found, CredentialError> {
    imds::read(spec, surroundings, failing(spec))
}

/// `aws-imds`, which this build does not read.
#[cfg(not(feature = "aws-sso"))]
pub(super) fn read_imds(
    spec: &CredentialSpec,
    _surroundings: &Surroundings,
) -> Result<Found, CredentialError> {
    Err(failing(spec)(AwsProblem::NotBuilt))
}

/// What can be told of `aws-imds` without asking.
pub(super) fn look_imds(spec: &CredentialSpec) -> Result<Looked, CredentialError> {
    if cfg!(feature = "aws-sso") {
        Ok(Looked::Unknown)
    } else {
        Err(failing(spec)(AwsProblem::NotBuilt))
    }
}

fn failing(spec: &CredentialSpec) -> impl Fn(AwsProblem) -> CredentialError + Copy {
    |problem| CredentialError::Aws {
        credential: spec.name.clone(),
        problem,
    }
}

/// The first of the places at the top of this file that has keys, or says where they are to be had.
fn find(
    spec: &CredentialSpec,
    profile: Option<&str>,
    surroundings: &Surroundings,
) -> Result<Place, CredentialError> {
    let fail = failing(spec);
    if profile.is_none()
        && let Some(keys) = environment(surroundings).map_err(fail)?
    {
        return Ok(Place::Environment(keys));
    }
    let name = match profile {
        Some(profile) => profile.to_owned(),
        None => variable(surroundings, PROFILE)
            .map_err(fail)?
            .unwrap_or_else(|| "default".to_owned()),
    };
    let configured_region = || {
        let config = FILES[1].find(spec, &name, surroundings)?;
        Ok(config.1.and_then(|(_, found)| found.region))
    };
    if profile.is_none()
        && let Some(settings) = web_identity::of_environment(surroundings).map_err(fail)?
    {
        return WebIdentity::new(settings, surroundings, configured_region, fail)
            .map(Place::WebIdentity);
    }
    let (mut places, mut lacking) = (Vec::new(), None);
    for file in &FILES {
        let (path, found) = file.find(spec, &name, surroundings)?;
        let Some((path, found)) = found else {
            places.extend(path);
            continue;
        };
        match said(found, &name, path) {
            Ok(Said::Keys(keys)) => return Ok(Place::File(keys)),
            Ok(Said::WebIdentity(settings, region)) => {
                let region = || match region {
                    Some(region) => Ok(Some(region)),
                    None => configured_region(),
                };
                return WebIdentity::new(settings, surroundings, region, fail)
                    .map(Place::WebIdentity);
            }
            #[cfg(feature = "aws-sso")]
            Ok(Said::Sso(said)) => {
                let session = match &said.session {
                    None => None,
                    Some(session) => SSO_SESSIONS.find(spec, session, surroundings)?.1,
                };
                let session = session.map(|(_, session)| session.sso);
                return sso::Sso::new(&name, said, session, surroundings, fail).map(Place::Sso);
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

/// A file of profiles.
struct Profiles {
    /// The variable that names it.
    variable: &'static str,
    /// Where it is otherwise, in the user's home.
    usual: &'static str,
    trust: Trust,
    sections: Sections,
}

const FILES: [Profiles; 2] = [
    Profiles {
        variable: "AWS_SHARED_CREDENTIALS_FILE",
        usual: ".aws/credentials",
        trust: Trust::Private,
        sections: Sections::Credentials,
    },
    // Without keys in it, others may read it; AWS's tools make it so.
    Profiles {
        variable: "AWS_CONFIG_FILE",
        usual: ".aws/config",
        trust: Trust::Sealed,
        sections: Sections::Config,
    },
];

/// The sessions of SSO, in the second of these files.
#[cfg(feature = "aws-sso")]
const SSO_SESSIONS: Profiles = Profiles {
    sections: Sections::SsoSessions,
    ..FILES[1]
};

/// Where a profile was looked for, and what was found there.
type Searched = (Option<PathBuf>, Option<(PathBuf, Profile)>);

impl Profiles {
    /// What the file says of the profile called `name`.
    fn find(
        &self,
        spec: &CredentialSpec,
        name: &str,
        surroundings: &Surroundings,
    ) -> Result<Searched, CredentialError> {
        let named = (surroundings.environment)(self.variable)
            .filter(|path| !path.is_empty())
            .map(PathBuf::from);
        let usual = || Some(surroundings.folder("HOME")?.join(self.usual));
        let Some(path) = named.or_else(usual) else {
            return Ok((None, None));
        };
        let content = match read_file(&path, self.trust, surroundings.user(), MAX_BYTES) {
            Ok(content) => content,
            Err(FileError::Unreadable { error, .. }) if error.kind() == io::ErrorKind::NotFound => {
                return Ok((Some(path), None));
            }
            Err(error) => return Err(refuse_file(spec, error, FileKind::Aws)),
        };
        let found = Profile::find(&content, name, self.sections).map_err(|problem| {
            let path = path.clone();
            failing(spec)(AwsProblem::File { path, problem })
        })?;
        Ok((Some(path.clone()), found.map(|found| (path, found))))
    }
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

/// What a profile says of its keys.
enum Said {
    Keys(AccessKeys),
    /// With the region that the profile says.
    WebIdentity(web_identity::Settings, Option<String>),
    #[cfg(feature = "aws-sso")]
    Sso(profile::Sso),
}

/// What the profile says that was found in the file at `path`.
fn said(found: Profile, name: &str, path: PathBuf) -> Result<Said, AwsProblem> {
    let profile = name.to_owned();
    if let Some(token) = found.token_file {
        let role = found.role.ok_or(AwsProblem::NoRole { profile, path })?;
        let settings = web_identity::Settings {
            token: token.into(),
            role: ("role_arn", role),
            session: found.session_name.map(|name| ("role_session_name", name)),
        };
        return Ok(Said::WebIdentity(settings, found.region));
    }
    match (found.id, found.secret, found.elsewhere) {
        (Some(id), Some(secret), _) => Ok(Said::Keys(AccessKeys::new(id, secret, found.session))),
        #[cfg(feature = "aws-sso")]
        (None, None, _) if found.sso.account.is_some() => Ok(Said::Sso(found.sso)),
        (None, None, Some(setting)) => Err(AwsProblem::Elsewhere {
            profile,
            path,
            setting,
        }),
        _ => Err(AwsProblem::NoKeys { profile, path }),
    }
}
