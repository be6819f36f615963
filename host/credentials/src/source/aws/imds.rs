//! `aws-imds`: access keys of the role that a machine of EC2, or a container of ECS or EKS, runs with.
//!
//! | looked for | asked |
//! |---|---|
//! | `AWS_CONTAINER_CREDENTIALS_RELATIVE_URI` | `http://169.254.170.2` and that path |
//! | `AWS_CONTAINER_CREDENTIALS_FULL_URI` | that URL: `https`, or on this machine, or the address of ECS or EKS |
//! | else | the metadata service of EC2 at `AWS_EC2_METADATA_SERVICE_ENDPOINT` or `http://169.254.169.254`, in its version 2: a token first, then the role, then its keys |
//!
//! A container's server may want what `AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE` or
//! `AWS_CONTAINER_AUTHORIZATION_TOKEN` holds. `AWS_EC2_METADATA_DISABLED` says that EC2's is not to be asked.
//!
//! Source: "Use IMDSv2" and "Retrieve security credentials" in the EC2 user guide; "Container credential
//! provider" in the AWS SDKs and tools reference guide.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::time::SystemTime;

use fetchhost_policy::{CredentialSpec, HostPart, KeyServer, Method, Origin, Scheme};
use serde::Deserialize;
use url::Url;
use zeroize::Zeroizing;

use super::super::{
    Found, MAX_BYTES, Surroundings,
    file::{Trust, read_file},
    refuse_file,
};
use super::asking::{ask, found};
use super::variable;
use crate::key_server::{Given, KeyAnswer, KeyRequest, NotGiven, given};
use crate::{
    AwsProblem, CredentialError, FileKind, KeyServerProblem, Secret, aws::AccessKeys, timestamp,
};

const RELATIVE: &str = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI";
const FULL: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
const TOKEN: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN";
const TOKEN_FILE: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE";
const ENDPOINT: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
const DISABLED: &str = "AWS_EC2_METADATA_DISABLED";

/// The server of ECS's agent.
const AGENT: &str = "http://169.254.170.2";
/// Servers of containers that may be asked over plain `http`: of ECS, and of EKS.
const CONTAINER: [IpAddr; 3] = [
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 23)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23)),
];
/// The header that says for how long a token of EC2's is wanted, in seconds: for these requests.
const TTL: (&str, &str) = ("X-aws-ec2-metadata-token-ttl-seconds", "60");
const EC2_TOKEN: &str = "X-aws-ec2-metadata-token";
const ROLES: &str = "latest/meta-data/iam/security-credentials";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    access_key_id: String,
    secret_access_key: Zeroizing<String>,
    token: Zeroizing<String>,
    #[serde(default)]
    expiration: String,
}

/// Asks the server for the keys.
pub(super) fn read(
    spec: &CredentialSpec,
    surroundings: &Surroundings,
    fail: impl Fn(AwsProblem) -> CredentialError,
) -> Result<Found, CredentialError> {
    let (server, answer) = match container(surroundings).map_err(&fail)? {
        Some(server) => {
            let authorization = authorization(spec, surroundings, &fail)?;
            let header = authorization.map(|token| ("Authorization", token));
            let answer = get(&server, server.url().clone(), header, surroundings);
            (server, answer.map_err(|problem| fail(problem.into()))?)
        }
        None => {
            let server = machine(surroundings).map_err(&fail)?;
            let answer = of_machine(&server, surroundings);
            (server, answer.map_err(|problem| fail(problem.into()))?)
        }
    };
    let given = keys(&answer.body, (surroundings.clock)());
    found(given, &server).map_err(|problem| fail(problem.into()))
}

fn keys(body: &[u8], now: SystemTime) -> Result<Given, NotGiven> {
    let answer: Answer = serde_json::from_slice(body)
        .map_err(|_| NotGiven::Answer("its answer holds no access keys"))?;
    let end = timestamp::parse(&answer.expiration);
    let keys = AccessKeys::new(
        answer.access_key_id,
        answer.secret_access_key,
        Some(answer.token),
    );
    given(keys, end, now)
}

/// The server of the container that this runs in, if it is said that it runs in one.
fn container(surroundings: &Surroundings) -> Result<Option<KeyServer>, AwsProblem> {
    let (setting, url) = if let Some(path) = variable(surroundings, RELATIVE)? {
        if !path.starts_with('/') {
            return Err(refuse(RELATIVE, "is no path"));
        }
        (RELATIVE, format!("{AGENT}{path}"))
    } else if let Some(url) = variable(surroundings, FULL)? {
        (FULL, url)
    } else {
        return Ok(None);
    };
    let server = at(setting, &url)?;
    let origin = server.origin();
    if !origin.is_https() && !is_near(origin) {
        return Err(refuse(
            setting,
            "names a server of plain `http` that is neither on this machine nor a container's own",
        ));
    }
    Ok(Some(server))
}

/// Whether it is on this machine, or the container's own.
fn is_near(origin: &Origin) -> bool {
    let is_near = |address: IpAddr| address.is_loopback() || CONTAINER.contains(&address);
    origin.ip().is_some_and(is_near)
}

/// What the container's server wants to see.
fn authorization(
    spec: &CredentialSpec,
    surroundings: &Surroundings,
    fail: &impl Fn(AwsProblem) -> CredentialError,
) -> Result<Option<Secret>, CredentialError> {
    let file = variable(surroundings, TOKEN_FILE).map_err(fail)?;
    let (name, token) = match file {
        Some(path) => {
            let content = read_file(
                &PathBuf::from(path),
                Trust::Sealed,
                surroundings.user(),
                MAX_BYTES,
            )
            .map_err(|error| refuse_file(spec, error, FileKind::Plain))?;
            (TOKEN_FILE, Secret::from_content(&content).ok())
        }
        None => match variable(surroundings, TOKEN).map_err(fail)? {
            Some(token) => (TOKEN, Some(Secret::from(token))),
            None => return Ok(None),
        },
    };
    token
        .filter(|token| token.check(&Scheme::Bearer).is_ok())
        .map(Some)
        .ok_or_else(|| fail(refuse(name, "holds no token")))
}

/// The metadata service of the machine that this runs on.
fn machine(surroundings: &Surroundings) -> Result<KeyServer, AwsProblem> {
    let disabled = variable(surroundings, DISABLED)?;
    if disabled.is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return Err(refuse(
            DISABLED,
            "says that the metadata service is not to be asked",
        ));
    }
    match variable(surroundings, ENDPOINT)? {
        Some(url) => at(ENDPOINT, &url),
        None => KeyServer::imds().map_err(|error| refuse(ENDPOINT, &error.to_string())),
    }
}

fn of_machine(
    server: &KeyServer,
    surroundings: &Surroundings,
) -> Result<KeyAnswer, KeyServerProblem> {
    let answered = |problem| KeyServerProblem::Answer {
        server: server.origin().to_string(),
        problem,
    };
    let time = Secret::from(TTL.1.to_owned());
    let url = server.below("latest/api/token");
    let answer = send(server, Method::Put, url, Some((TTL.0, time)), surroundings)?;
    let token = || {
        Secret::from_content(&answer.body)
            .ok()
            .filter(|token| token.check(&Scheme::Bearer).is_ok())
            .ok_or(answered("it gives no token"))
    };
    let url = server.below(&format!("{ROLES}/"));
    let role = get(server, url, Some((EC2_TOKEN, token()?)), surroundings)?;
    let role = str::from_utf8(&role.body)
        .ok()
        .and_then(|text| text.lines().next())
        .filter(|role| is_role(role))
        .ok_or(answered("it names no role"))?;
    let url = server.below(&format!("{ROLES}/{role}"));
    get(server, url, Some((EC2_TOKEN, token()?)), surroundings)
}

/// Whether it can be the name of a role: one that is a path would lead elsewhere.
fn is_role(name: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte);
    (1..=64).contains(&name.len()) && name.bytes().all(is_word) && !matches!(name, "." | "..")
}

fn get(
    server: &KeyServer,
    url: Url,
    header: Option<(&'static str, Secret)>,
    surroundings: &Surroundings,
) -> Result<KeyAnswer, KeyServerProblem> {
    send(server, Method::Get, url, header, surroundings)
}

fn send(
    server: &KeyServer,
    method: Method,
    url: Url,
    header: Option<(&'static str, Secret)>,
    surroundings: &Surroundings,
) -> Result<KeyAnswer, KeyServerProblem> {
    let header = match header {
        None => None,
        Some((name, value)) => {
            let scheme = Scheme::header(name).map_err(|error| KeyServerProblem::Setting {
                setting: name,
                problem: error.to_string(),
            })?;
            Some((scheme, value))
        }
    };
    let request = KeyRequest {
        server: server.clone(),
        method,
        url,
        header,
        form: None,
    };
    let answer = ask(request, surroundings, || {
        "a machine outside of AWS has no such server; take the source `aws` there".to_owned()
    })?;
    if answer.status == 200 {
        return Ok(answer);
    }
    Err(KeyServerProblem::ImdsRefused {
        server: server.origin().to_string(),
        status: answer.status,
    })
}

fn at(setting: &'static str, url: &str) -> Result<KeyServer, AwsProblem> {
    KeyServer::at(HostPart::Imds, url)
        .map_err(|error| refuse(setting, &format!("names no server: {error}")))
}

fn refuse(setting: &'static str, problem: &str) -> AwsProblem {
    let problem = problem.to_owned();
    KeyServerProblem::Setting { setting, problem }.into()
}
