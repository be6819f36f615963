//! Why AWS's own places give no access keys.

use std::path::PathBuf;

use super::Problem;

/// Why there are no access keys where AWS's own tools look for them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AwsProblem {
    /// One variable of two.
    #[error("`{set}` is set, but `{unset}` is not")]
    Half {
        /// The one that is there.
        set: &'static str,
        /// The one that is missing.
        unset: &'static str,
    },
    /// A variable that is not text.
    #[error("`{variable}` is not UTF-8 text")]
    NotText {
        /// Which.
        variable: &'static str,
    },
    /// A file that is none of profiles. No word of it is shown.
    #[error("`{}` is no file of profiles: {problem}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// No such profile.
    #[error("there is no profile `{profile}` in {}", listed(.places))]
    NoProfile {
        /// Which.
        profile: String,
        /// Where it was looked for.
        places: Vec<PathBuf>,
        /// Whether the user named it.
        is_named: bool,
    },
    /// A profile without keys.
    #[error("the profile `{profile}` in `{}` does not hold both keys", .path.display())]
    NoKeys {
        /// Which.
        profile: String,
        /// In which file.
        path: PathBuf,
    },
    /// A profile whose keys are elsewhere.
    #[error(
        "the profile `{profile}` in `{}` has its keys elsewhere (`{setting}`), where nix-fetchhost does not go by itself",
        .path.display()
    )]
    Elsewhere {
        /// Which.
        profile: String,
        /// In which file.
        path: PathBuf,
        /// What it says.
        setting: &'static str,
    },
    /// A profile with a web identity for no role.
    #[error(
        "the profile `{profile}` in `{}` has a `web_identity_token_file`, but no `role_arn`",
        .path.display()
    )]
    NoRole {
        /// Which.
        profile: String,
        /// In which file.
        path: PathBuf,
    },
    /// The keys are to be had from a server, and are not.
    #[error(transparent)]
    KeyServer(Box<KeyServerProblem>),
    /// A source that is compiled in on demand.
    #[error(
        "this build of nix-fetchhost does not ask metadata services: it lacks the feature `aws-sso`"
    )]
    NotBuilt,
}

fn listed(places: &[PathBuf]) -> String {
    let shown: Vec<_> = places
        .iter()
        .map(|path| format!("`{}`", path.display()))
        .collect();
    if shown.is_empty() {
        return "any file, since `HOME` is not set".to_owned();
    }
    shown.join(" or ")
}

impl AwsProblem {
    pub(super) fn hint(&self) -> Option<String> {
        match self {
            Self::Half { set, unset } => {
                Some(format!("set `{unset}` too, or unset `{set}`"))
            }
            Self::NoProfile { is_named: false, .. } => Some(
                "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or AWS_ROLE_ARN and AWS_WEB_IDENTITY_TOKEN_FILE), name a profile with `aws = \"NAME\"` (`aws:NAME` where it is typed), or keep the keys with `nix-fetchhost credential set NAME --scheme aws-sigv4` as ID:SECRET"
                    .to_owned(),
            ),
            Self::Elsewhere { profile, setting, .. } => Some(format!(
                "let AWS's own tool get them: `source = {{ command = [\"aws\", \"configure\", \"export-credentials\", \"--profile\", \"{profile}\"], refresh = \"15 min\" }}`{}",
                if setting.starts_with("sso_") && !cfg!(feature = "aws-sso") {
                    "; this build lacks the feature `aws-sso`, which gets them itself"
                } else {
                    ""
                }
            )),
            Self::NoKeys { .. } => {
                Some("write `aws_access_key_id` and `aws_secret_access_key` there".to_owned())
            }
            Self::NotBuilt => Some(
                "build it with `cargo build --features aws-sso`, or let AWS's own tool get the keys: `source = { command = [\"aws\", \"configure\", \"export-credentials\"], refresh = \"15 min\" }`".to_owned(),
            ),
            Self::NoRole { .. } => Some("write `role_arn` there".to_owned()),
            Self::KeyServer(problem) => problem.hint(),
            Self::NoProfile { .. } | Self::NotText { .. } | Self::File { .. } => None,
        }
    }
}

impl From<KeyServerProblem> for AwsProblem {
    fn from(problem: KeyServerProblem) -> Self {
        Self::KeyServer(Box::new(problem))
    }
}

/// Why a server gives no access keys. Nothing of what proves who asks is part of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyServerProblem {
    /// A setting that cannot be meant.
    #[error("`{setting}` {problem}")]
    Setting {
        /// The variable, or the setting of a profile.
        setting: &'static str,
        /// What is wrong with it, to be read after its name.
        problem: String,
    },
    /// A file that holds no token.
    #[error("the token in `{}` {problem}", .path.display())]
    Token {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        problem: Problem,
    },
    /// The keyring was not given a way to ask.
    #[error("the access keys come from `{server}`, which is not asked here")]
    NotAsked {
        /// Who has them.
        server: String,
    },
    /// The server was not asked, or did not answer.
    #[error("the access keys come from `{server}`, which cannot be asked: {reason}")]
    Unreached {
        /// Who.
        server: String,
        /// Why.
        reason: String,
        /// What to do.
        hint: Option<String>,
    },
    /// A session of SSO that cannot be used.
    #[error("the session of AWS's SSO in `{}` {problem}", .path.display())]
    Session {
        /// The file in which AWS's tools keep it.
        path: PathBuf,
        /// Of which profile.
        profile: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// AWS's access portal said no.
    #[error("`{server}` gives no access keys for the profile `{profile}`: it answers {status}")]
    SsoRefused {
        /// Who.
        server: String,
        /// The status of HTTP.
        status: u16,
        /// For which profile.
        profile: String,
    },
    /// A metadata service said no.
    #[error("`{server}` gives no access keys: it answers {status}")]
    ImdsRefused {
        /// Who.
        server: String,
        /// The status of HTTP.
        status: u16,
    },
    /// STS said no.
    #[error(
        "`{server}` gives no access keys for the token in `{}`: {}",
        .token.display(),
        said(*.status, .code.as_deref(), .message.as_deref())
    )]
    StsRefused {
        /// Who.
        server: String,
        /// The file of the token.
        token: PathBuf,
        /// The status of HTTP.
        status: u16,
        /// The error's name, as AWS documents it.
        code: Option<String>,
        /// What the server said of it.
        message: Option<String>,
    },
    /// The server answered with something else.
    #[error("`{server}` does not answer as AWS does: {problem}")]
    Answer {
        /// Who.
        server: String,
        /// What is wrong with its answer, without a word of it.
        problem: &'static str,
    },
    /// What the server gave has expired.
    #[error("`{server}` gives access keys that have expired already")]
    Expired {
        /// Who.
        server: String,
    },
}

fn said(status: u16, code: Option<&str>, message: Option<&str>) -> String {
    match (code, message) {
        (None, _) => format!("it answers {status}"),
        (Some(code), None) => code.to_owned(),
        (Some(code), Some(message)) => format!("{code}: {message}"),
    }
}

impl KeyServerProblem {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Token { path, .. } => Some(format!(
                "`{}` must hold the token alone, as the identity provider issued it",
                path.display()
            )),
            Self::Unreached { hint, .. } => hint.clone(),
            Self::Session { profile, .. } | Self::SsoRefused { profile, status: 401, .. } => Some(
                format!("log in: `aws sso login --profile {profile}`"),
            ),
            Self::SsoRefused { .. } => Some(
                "check `sso_account_id` and `sso_role_name` of the profile".to_owned(),
            ),
            Self::ImdsRefused { status: 404, .. } => Some(
                "this machine or container has no role: give it one, or take the source `aws`"
                    .to_owned(),
            ),
            Self::ImdsRefused { .. } => Some(
                "check that the metadata service is on, and in a container that its hop limit is 2 or more".to_owned(),
            ),
            Self::StsRefused { code, token, .. } => {
                refused(code.as_deref(), &token.display().to_string())
            }
            Self::Answer { .. } => Some(ELSEWHERE.to_owned()),
            Self::Expired { .. } => Some("check this machine's clock".to_owned()),
            Self::Setting { .. } | Self::NotAsked { .. } => None,
        }
    }
}

/// What to do about an answer that is not of STS's making.
const ELSEWHERE: &str = "check the variables that name AWS's servers (`AWS_ENDPOINT_URL_STS`, `AWS_ENDPOINT_URL`), if one is set, and what stands between this machine and that server";

/// What to do about an error of AWS's, by the names that `AssumeRoleWithWebIdentity` and all of STS document.
fn refused(code: Option<&str>, token: &str) -> Option<String> {
    let Some(code) = code else {
        return Some(ELSEWHERE.to_owned());
    };
    let hint = match code.trim_end_matches("Exception") {
        "ExpiredToken" => format!(
            "have `{token}` written anew (in a CI job by a step shortly before this one; Kubernetes does it by itself), and check this machine's clock"
        ),
        "InvalidIdentityToken" | "IDPRejectedClaim" => {
            "the account of the role needs an OIDC identity provider for the token's issuer, with the token's audience (most often `sts.amazonaws.com`) among its client ids".to_owned()
        }
        "AccessDenied" => {
            "the role's trust policy must allow `sts:AssumeRoleWithWebIdentity` to this identity provider, and its conditions must match the token's `sub` and `aud`; check the role's ARN as well".to_owned()
        }
        "IDPCommunicationError" => {
            "STS could not ask the identity provider for its keys, which must be on the public internet; run the same command again".to_owned()
        }
        "RegionDisabled" => {
            "STS is off in this region for the role's account: turn it on there, or set `AWS_REGION` to another region".to_owned()
        }
        "ValidationError" | "MalformedPolicyDocument" | "PackedPolicyTooLarge" => {
            "check the role's ARN and the name of the session".to_owned()
        }
        "Throttling" | "RequestLimitExceeded" | "ServiceUnavailable" | "InternalFailure" => {
            "run the same command again".to_owned()
        }
        _ => return None,
    };
    Some(hint)
}
