//! A web identity: a token that somebody whom AWS trusts (Kubernetes on EKS, GitHub, GitLab) wrote into a
//! file, and the role whose access keys STS gives for it.
//!
//! | setting | variable | in a profile |
//! |---|---|---|
//! | the file of the token, which only its owner may write | `AWS_WEB_IDENTITY_TOKEN_FILE` | `web_identity_token_file` |
//! | the role | `AWS_ROLE_ARN` | `role_arn` |
//! | what the session is called in AWS's records; else `nix-fetchhost` | `AWS_ROLE_SESSION_NAME` | `role_session_name` |
//! | the server | `AWS_ENDPOINT_URL_STS`, `AWS_ENDPOINT_URL`, unless `AWS_IGNORE_CONFIGURED_ENDPOINT_URLS` is `true` | |
//! | its region, where no server is named | `AWS_REGION`, `AWS_DEFAULT_REGION` | `region` |
//!
//! The file is read anew each time that keys are asked for: whoever writes it renews it.

use std::path::PathBuf;

use fetchhost_policy::{CredentialSpec, HostPart, KeyServer, Method};

use super::super::{
    Found, Looked, MAX_BYTES, Surroundings,
    file::{self, Trust, read_file},
    refuse_file,
};
use super::asking::{ask, endpoint, first, found};
use super::variable;
use crate::key_server::KeyRequest;
use crate::sts::{self, Refused};
use crate::{AwsProblem, CredentialError, FileKind, KeyServerProblem, Secret};

const TOKEN_FILE: &str = "AWS_WEB_IDENTITY_TOKEN_FILE";
const ROLE: &str = "AWS_ROLE_ARN";
const SESSION: &str = "AWS_ROLE_SESSION_NAME";
const ENDPOINT: &str = "AWS_ENDPOINT_URL_STS";
const REGIONS: [&str; 2] = ["AWS_REGION", "AWS_DEFAULT_REGION"];
/// The setting of a profile that says the region.
const PROFILE_REGION: &str = "region";

/// What a session is called when nothing says it.
const DEFAULT_SESSION: &str = "nix-fetchhost";
/// The longest name of a role, in bytes: AWS's own limit.
const ROLE_BYTES: usize = 2048;
/// Whoever can write the token chooses the identity. EKS and CI jobs let others read it.
const TRUST: Trust = Trust::Sealed;

/// Where access keys are to be had for a token.
pub(super) struct WebIdentity {
    token: PathBuf,
    role: String,
    session: String,
    server: KeyServer,
    /// What named the region that is a part of the server's name.
    region: Option<(&'static str, String)>,
}

/// The settings of a web identity, by what names them.
pub(super) struct Settings {
    pub(super) token: PathBuf,
    pub(super) role: (&'static str, String),
    pub(super) session: Option<(&'static str, String)>,
}

/// What the environment says of one, if it names the file of a token.
pub(super) fn of_environment(surroundings: &Surroundings) -> Result<Option<Settings>, AwsProblem> {
    let token = (surroundings.environment)(TOKEN_FILE).filter(|path| !path.is_empty());
    let Some(token) = token.map(PathBuf::from) else {
        return Ok(None);
    };
    let role = variable(surroundings, ROLE)?.ok_or(AwsProblem::Half {
        set: TOKEN_FILE,
        unset: ROLE,
    })?;
    Ok(Some(Settings {
        token,
        role: (ROLE, role),
        session: variable(surroundings, SESSION)?.map(|name| (SESSION, name)),
    }))
}

impl WebIdentity {
    /// By `settings`, with the region of the profile that is in force where the environment names none.
    pub(super) fn new(
        settings: Settings,
        surroundings: &Surroundings,
        profile_region: impl FnOnce() -> Result<Option<String>, CredentialError>,
        fail: impl Fn(AwsProblem) -> CredentialError,
    ) -> Result<Self, CredentialError> {
        let refuse =
            |setting, problem: String| fail(KeyServerProblem::Setting { setting, problem }.into());
        let (setting, role) = settings.role;
        let is_role = role.len() <= ROLE_BYTES && role.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_role {
            return Err(refuse(setting, "is not the ARN of a role".to_owned()));
        }
        let session = match settings.session {
            None => DEFAULT_SESSION.to_owned(),
            Some((_, name)) if is_session(&name) => name,
            Some((setting, _)) => {
                return Err(refuse(
                    setting,
                    "is not the name of a session: 2 to 64 letters, digits and `_+=,.@-`"
                        .to_owned(),
                ));
            }
        };
        let mut identity = Self {
            token: settings.token,
            role,
            session,
            server: KeyServer::sts(None).map_err(|error| refuse(REGIONS[0], error.to_string()))?,
            region: None,
        };
        if let Some((setting, url)) = endpoint(ENDPOINT, surroundings).map_err(&fail)? {
            identity.server = KeyServer::at(HostPart::Sts, &url)
                .map_err(|error| refuse(setting, format!("names no server: {error}")))?;
            return Ok(identity);
        }
        identity.region = match first(surroundings, REGIONS).map_err(&fail)? {
            Some(region) => Some(region),
            None => profile_region()?.map(|region| (PROFILE_REGION, region)),
        };
        if let Some((setting, region)) = &identity.region {
            identity.server = KeyServer::sts(Some(region))
                .map_err(|error| refuse(setting, format!("is none: {error}")))?;
        }
        Ok(identity)
    }

    /// Whether the file of the token is there. Only asking the server tells more.
    pub(super) fn look(
        &self,
        spec: &CredentialSpec,
        surroundings: &Surroundings,
    ) -> Result<Looked, CredentialError> {
        file::look(&self.token, TRUST, surroundings.user())
            .map(|_| Looked::Unknown)
            .map_err(|error| refuse_file(spec, error, FileKind::WebIdentity))
    }

    /// Asks the server for access keys.
    pub(super) fn exchange(
        &self,
        spec: &CredentialSpec,
        surroundings: &Surroundings,
        fail: impl Fn(AwsProblem) -> CredentialError,
    ) -> Result<Found, CredentialError> {
        let fail = |problem: KeyServerProblem| fail(problem.into());
        let content = read_file(&self.token, TRUST, surroundings.user(), MAX_BYTES)
            .map_err(|error| refuse_file(spec, error, FileKind::WebIdentity))?;
        let token = Secret::from_content(&content)
            .and_then(|token| sts::check_token(&token).map(|()| token))
            .map_err(|problem| {
                let path = self.token.clone();
                fail(KeyServerProblem::Token { path, problem })
            })?;
        let request = KeyRequest {
            server: self.server.clone(),
            method: Method::Post,
            url: self.server.url().clone(),
            header: None,
            form: Some(sts::form(&self.role, &self.session, &token)),
        };
        let answer = ask(request, surroundings, || self.how_to_reach()).map_err(fail)?;
        let given = match sts::read(&answer, &token, (surroundings.clock)()) {
            Ok(given) => Ok(given),
            Err(Refused::NotGiven(problem)) => Err(problem),
            Err(Refused::Said { code, message }) => {
                return Err(fail(KeyServerProblem::StsRefused {
                    server: self.server.origin().to_string(),
                    token: self.token.clone(),
                    status: answer.status,
                    code,
                    message,
                }));
            }
        };
        found(given, &self.server).map_err(fail)
    }

    fn how_to_reach(&self) -> String {
        match &self.region {
            Some((setting, region)) => format!(
                "check the region `{region}` (`{setting}`) and that this machine reaches that server; `{}` names another one",
                ENDPOINT
            ),
            None => format!(
                "check that this machine reaches that server; `{}` names a region's own, `{}` any other one",
                REGIONS[0], ENDPOINT
            ),
        }
    }
}

fn is_session(name: &str) -> bool {
    (2..=64).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte))
}
