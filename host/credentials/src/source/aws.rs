//! `aws`: access keys where AWS's own tools look for them.
//!
//! | looked for | when |
//! |---|---|
//! | `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN` | first, where no profile is named |
//! | the profile that is named, else `$AWS_PROFILE`, else `default`, in `$AWS_SHARED_CREDENTIALS_FILE` or `~/.aws/credentials` | then |
//! | the same profile in `$AWS_CONFIG_FILE` or `~/.aws/config` | where the first has no such profile |
//!
//! Profiles that say where keys are to be had (`sso_…`, `role_arn`, `credential_process`, …) are not
//! followed: that would run programs and ask servers that the user has not named here. A `command` that
//! prints the keys does.

use std::{ffi::OsString, io, path::PathBuf};

use fetchhost_policy::{AWS_KEY_VARIABLES, CredentialSpec};
use zeroize::Zeroizing;

use super::{
    Surroundings,
    file::{FileError, Trust, read_file},
    refuse_file,
};
use crate::{AwsProblem, CredentialError, FileKind, Secret, aws::AccessKeys};

const ID: &str = AWS_KEY_VARIABLES[0];
const SECRET: &str = AWS_KEY_VARIABLES[1];
const SESSION: &str = AWS_KEY_VARIABLES[2];
const PROFILE: &str = "AWS_PROFILE";
/// No file of profiles is larger.
const MAX_BYTES: usize = 1024 * 1024;
/// Keys of a profile that say where its keys are to be had.
const ELSEWHERE: [&str; 6] = [
    "credential_process",
    "credential_source",
    "role_arn",
    "source_profile",
    "sso_session",
    "sso_start_url",
];

/// What a profile says of its keys.
#[derive(Default)]
struct Profile {
    id: Option<String>,
    secret: Option<Zeroizing<String>>,
    session: Option<Zeroizing<String>>,
    elsewhere: Option<&'static str>,
}

pub(super) fn read(
    spec: &CredentialSpec,
    profile: Option<&str>,
    surroundings: &Surroundings,
) -> Result<Secret, CredentialError> {
    let fail = |problem| CredentialError::Aws {
        credential: spec.name.clone(),
        problem,
    };
    if profile.is_none()
        && let Some(keys) = environment(surroundings).map_err(fail)?
    {
        return Ok(keys.into_secret());
    }
    let name = match profile {
        Some(profile) => profile.to_owned(),
        None => variable(surroundings, PROFILE)
            .map_err(fail)?
            .unwrap_or_else(|| "default".to_owned()),
    };
    let mut places = Vec::new();
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
        if let Some(found) = find(&content, &name, is_config).map_err(|problem| {
            fail(AwsProblem::File {
                path: path.clone(),
                problem,
            })
        })? {
            return found
                .keys(&name, path)
                .map(AccessKeys::into_secret)
                .map_err(fail);
        }
        places.push(path);
    }
    Err(fail(AwsProblem::NoProfile {
        profile: name,
        places,
        is_named: profile.is_some(),
    }))
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

/// What the file says of the profile called `name`; none when it has no such section. `is_config`: its
/// sections are called `profile NAME`, but for the default one.
fn find(content: &[u8], name: &str, is_config: bool) -> Result<Option<Profile>, &'static str> {
    if content.len() > MAX_BYTES {
        return Err("it is longer than 1 MiB");
    }
    let text = str::from_utf8(content).map_err(|_| "it is not UTF-8")?;
    let mut found: Option<Profile> = None;
    let mut is_ours = false;
    for line in text.lines() {
        // An indented line belongs to a setting above it that has parts.
        if line.starts_with([' ', '\t', '#', ';']) || line.trim().is_empty() {
            continue;
        }
        if let Some(section) = line.trim_end().strip_prefix('[') {
            let section = section.split(']').next().unwrap_or_default().trim();
            is_ours = match section.strip_prefix("profile").filter(|_| is_config) {
                Some(rest) if rest.starts_with([' ', '\t']) => rest.trim() == name,
                _ => section == name && (!is_config || name == "default"),
            };
            if is_ours {
                found.get_or_insert_default();
            }
            continue;
        }
        let Some(profile) = found.as_mut().filter(|_| is_ours) else {
            continue;
        };
        let (key, value) = line
            .split_once('=')
            .ok_or("a line is neither `[NAME]` nor `KEY = VALUE`")?;
        profile.set(key.trim(), value.trim());
    }
    Ok(found)
}

impl Profile {
    fn set(&mut self, key: &str, value: &str) {
        let key = key.to_ascii_lowercase();
        let secret = || Some(Zeroizing::new(value.to_owned()));
        match key.as_str() {
            "aws_access_key_id" => self.id = Some(value.to_owned()),
            "aws_secret_access_key" => self.secret = secret(),
            "aws_session_token" => self.session = secret(),
            key => {
                let known = ELSEWHERE.into_iter().find(|known| *known == key);
                self.elsewhere = self.elsewhere.or(known);
            }
        }
    }

    fn keys(self, name: &str, path: PathBuf) -> Result<AccessKeys, AwsProblem> {
        match (self.id, self.secret, self.elsewhere) {
            (Some(id), Some(secret), _) => Ok(AccessKeys::new(id, secret, self.session)),
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
}
