//! SSO (AWS's IAM Identity Center): the session that `aws sso login` keeps, and the role whose access keys AWS's
//! access portal gives for it.
//!
//! | setting of a profile | |
//! |---|---|
//! | `sso_account_id`, `sso_role_name` | whose keys |
//! | `sso_session` with `[sso-session NAME]`, or `sso_start_url` | which session: it lies in `~/.aws/sso/cache/SHA1.json`, by the SHA-1 of that name or URL |
//! | `sso_region`, of the profile or the session | whose portal; `AWS_ENDPOINT_URL_SSO`, `AWS_ENDPOINT_URL` name another server |
//!
//! The session is not renewed here: AWS's own tools do that with whatever they are asked, and write it
//! down. Two who renew it side by side would end it.
//!
//! Source: "GetRoleCredentials" in the API reference of AWS's IAM Identity Center Portal.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fetchhost_policy::{CredentialSpec, HostPart, KeyServer, Method, Scheme};
use serde::Deserialize;
use sha1::{Digest as _, Sha1};
use zeroize::Zeroizing;

use super::super::{
    Found, Looked, MAX_BYTES, Surroundings,
    file::{FileError, Trust, read_file},
    refuse_file,
};
use super::asking::{ask, endpoint, found};
use super::profile;
use crate::key_server::{Given, KeyRequest, NotGiven, given};
use crate::{
    AwsProblem, CredentialError, FileKind, KeyServerProblem, Secret, aws::AccessKeys, timestamp,
};

const ENDPOINT: &str = "AWS_ENDPOINT_URL_SSO";
/// The header of the session's token.
const HEADER: &str = "x-amz-sso_bearer_token";

/// Where access keys are to be had for a session.
pub(super) struct Sso {
    profile: String,
    account: String,
    role: String,
    session: PathBuf,
    server: KeyServer,
}

/// A session, as AWS's tools keep it. What else stands there is passed over.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Session {
    access_token: Zeroizing<String>,
    expires_at: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    role_credentials: Credentials,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Credentials {
    access_key_id: String,
    secret_access_key: Zeroizing<String>,
    session_token: Zeroizing<String>,
    /// In milliseconds since 1970.
    expiration: Option<u64>,
}

impl Sso {
    /// By what the profile of this name says, and the section of its session where there is one.
    pub(super) fn new(
        profile: &str,
        said: profile::Sso,
        of_session: Option<profile::Sso>,
        surroundings: &Surroundings,
        fail: impl Fn(AwsProblem) -> CredentialError,
    ) -> Result<Self, CredentialError> {
        let setting = |setting, problem: &str| {
            let problem = problem.to_owned();
            fail(KeyServerProblem::Setting { setting, problem }.into())
        };
        let missing = |name| setting(name, "is not set in the profile");
        let region = of_session
            .and_then(|session| session.region)
            .or(said.region);
        let key = said
            .session
            .or(said.start_url)
            .ok_or_else(|| missing("sso_session"))?;
        let name: String = Sha1::digest(key.as_bytes())
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let home = surroundings
            .folder("HOME")
            .ok_or_else(|| setting("HOME", "is not set"))?;
        let named = endpoint(ENDPOINT, surroundings).map_err(&fail)?;
        let server = match named {
            Some((variable, url)) => KeyServer::at(HostPart::Sso, &url)
                .map_err(|error| setting(variable, &format!("names no server: {error}")))?,
            None => KeyServer::sso(&region.ok_or_else(|| missing("sso_region"))?)
                .map_err(|error| setting("sso_region", &format!("is none: {error}")))?,
        };
        Ok(Self {
            profile: profile.to_owned(),
            account: said.account.ok_or_else(|| missing("sso_account_id"))?,
            role: said.role.ok_or_else(|| missing("sso_role_name"))?,
            session: home.join(".aws/sso/cache").join(format!("{name}.json")),
            server,
        })
    }

    /// Whether the session is there and lasts. Only asking the server tells more.
    pub(super) fn look(
        &self,
        spec: &CredentialSpec,
        surroundings: &Surroundings,
        fail: impl Fn(AwsProblem) -> CredentialError,
    ) -> Result<Looked, CredentialError> {
        self.token(spec, surroundings, fail)
            .map(|_| Looked::Unknown)
    }

    /// The token of the session.
    fn token(
        &self,
        spec: &CredentialSpec,
        surroundings: &Surroundings,
        fail: impl Fn(AwsProblem) -> CredentialError,
    ) -> Result<Secret, CredentialError> {
        let problem = |problem| {
            let (path, profile) = (self.session.clone(), self.profile.clone());
            fail(
                KeyServerProblem::Session {
                    path,
                    profile,
                    problem,
                }
                .into(),
            )
        };
        let content = match read_file(
            &self.session,
            Trust::Private,
            surroundings.user(),
            MAX_BYTES,
        ) {
            Ok(content) => content,
            Err(FileError::Unreadable { error, .. })
                if error.kind() == std::io::ErrorKind::NotFound =>
            {
                return Err(problem("is not there"));
            }
            Err(error) => return Err(refuse_file(spec, error, FileKind::Aws)),
        };
        // The parser's own message can quote what it read.
        let session: Session = serde_json::from_slice(&content)
            .map_err(|_| problem("is not of the form in which AWS's tools keep it"))?;
        // Older tools write `UTC` for `Z`.
        let end = session.expires_at.replace("UTC", "Z");
        let end = timestamp::parse(&end).ok_or_else(|| problem("does not say when it ends"))?;
        if end <= (surroundings.clock)() {
            return Err(problem("has expired"));
        }
        let token = Secret::from(session.access_token);
        match token.check(&Scheme::Bearer) {
            Ok(()) => Ok(token),
            Err(_) => Err(problem("holds no token")),
        }
    }

    /// Asks the portal for access keys.
    pub(super) fn exchange(
        &self,
        spec: &CredentialSpec,
        surroundings: &Surroundings,
        fail: impl Fn(AwsProblem) -> CredentialError,
    ) -> Result<Found, CredentialError> {
        let token = self.token(spec, surroundings, &fail)?;
        let fail = |problem: KeyServerProblem| fail(problem.into());
        let scheme = Scheme::header(HEADER).map_err(|error| {
            let (setting, problem) = (HEADER, error.to_string());
            fail(KeyServerProblem::Setting { setting, problem })
        })?;
        let mut url = self.server.below("federation/credentials");
        url.query_pairs_mut()
            .append_pair("role_name", &self.role)
            .append_pair("account_id", &self.account);
        let request = KeyRequest {
            server: self.server.clone(),
            method: Method::Get,
            url,
            header: Some((scheme, token)),
            form: None,
        };
        let answer = ask(request, surroundings, || {
            format!("check `sso_region` and that this machine reaches that server; `{ENDPOINT}` names another one")
        })
        .map_err(fail)?;
        if answer.status != 200 {
            return Err(fail(KeyServerProblem::SsoRefused {
                server: self.server.origin().to_string(),
                status: answer.status,
                profile: self.profile.clone(),
            }));
        }
        found(read(&answer.body, (surroundings.clock)()), &self.server).map_err(fail)
    }
}

fn read(body: &[u8], now: SystemTime) -> Result<Given, NotGiven> {
    let answer: Answer = serde_json::from_slice(body)
        .map_err(|_| NotGiven::Answer("its answer holds no access keys"))?;
    let found = answer.role_credentials;
    let end = found
        .expiration
        .and_then(|milliseconds| UNIX_EPOCH.checked_add(Duration::from_millis(milliseconds)));
    let keys = AccessKeys::new(
        found.access_key_id,
        found.secret_access_key,
        Some(found.session_token),
    );
    given(keys, end, now)
}
