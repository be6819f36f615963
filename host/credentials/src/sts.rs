//! AWS's security token service (STS): access keys in exchange for the token of a web identity.
//!
//! `AssumeRoleWithWebIdentity` is a `POST` of a form that nobody signs: the token in it is the proof. The
//! answer is XML, the only form that AWS documents for STS, and the one in which MinIO, Ceph and stand-ins
//! answer.
//!
//! Source: "AssumeRoleWithWebIdentity" and "Common errors" in AWS's STS API reference, version 2011-06-15.
//!
//! | answer | |
//! |---|---|
//! | 200 with `AccessKeyId`, `SecretAccessKey`, `SessionToken` | access keys of a session |
//! | `Expiration` in an hour | that is when they end; longer is not believed, since no longer was asked for |
//! | `Expiration` in the past | refused: one of the two clocks is wrong |
//! | `Expiration` absent, or no timestamp | they are used for a minute, then asked for again |
//! | another status with `Code` and `Message` | the error, where none of its words is of the token |
//! | anything else | no answer of STS's |

use std::time::SystemTime;

use fetchhost_policy::printable;
use serde::Deserialize;
use url::form_urlencoded;
use zeroize::Zeroizing;

use crate::key_server::{Given, KeyAnswer, NotGiven, given};
use crate::{Problem, Secret, aws::AccessKeys, timestamp};

/// The longest name of an error, and the longest message of one, that are shown.
const CODE_BYTES: usize = 64;
const MESSAGE_BYTES: usize = 512;
/// A message that has as many bytes in a row in common with the token is not shown.
const COMMON_BYTES: usize = 12;

/// The form that asks for keys of `role` in exchange for `token`.
pub(crate) fn form(role: &str, session: &str, token: &Secret) -> Zeroizing<String> {
    let token = token.expose();
    // Room for all of it at once: a text that grows leaves unwiped copies behind.
    let most = 256 + 3 * (role.len() + session.len() + token.len());
    let mut form = form_urlencoded::Serializer::new(String::with_capacity(most));
    form.append_pair("Action", "AssumeRoleWithWebIdentity")
        .append_pair("Version", "2011-06-15")
        .append_pair("RoleArn", role)
        .append_pair("RoleSessionName", session)
        .append_pair("WebIdentityToken", token);
    Zeroizing::new(form.finish())
}

/// Why STS gives no keys.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It says why, in words that hold nothing of the token.
    Said {
        code: Option<String>,
        message: Option<String>,
    },
    /// Its answer has none.
    NotGiven(NotGiven),
}

#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "AssumeRoleWithWebIdentityResult")]
    result: Assumed,
}

#[derive(Deserialize)]
struct Assumed {
    #[serde(rename = "Credentials")]
    credentials: Credentials,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Credentials {
    access_key_id: String,
    secret_access_key: Zeroizing<String>,
    session_token: Zeroizing<String>,
    #[serde(default)]
    expiration: String,
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(rename = "Error")]
    error: Error,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Error {
    code: String,
    #[serde(default)]
    message: String,
}

/// The keys in an answer to the question that held `token`.
pub(crate) fn read(answer: &KeyAnswer, token: &Secret, now: SystemTime) -> Result<Given, Refused> {
    let body = str::from_utf8(&answer.body).ok();
    if answer.status != 200 {
        let error = body.and_then(|body| quick_xml::de::from_str::<Refusal>(body).ok());
        return Err(refused(error.map(|refusal| refusal.error), token));
    }
    // The parser's own message can quote what it read.
    let answer: Answer = body
        .and_then(|body| quick_xml::de::from_str(body).ok())
        .ok_or(Refused::NotGiven(NotGiven::Answer(
            "its answer holds no access keys",
        )))?;
    let found = answer.result.credentials;
    let end = timestamp::parse(&found.expiration);
    let keys = AccessKeys::new(
        found.access_key_id,
        found.secret_access_key,
        Some(found.session_token),
    );
    given(keys, end, now).map_err(Refused::NotGiven)
}

fn refused(error: Option<Error>, token: &Secret) -> Refused {
    let (code, message) = error.map_or_else(Default::default, |error| (error.code, error.message));
    let is_code = (1..=CODE_BYTES).contains(&code.len())
        && code
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'.');
    let (code, message) = (code.trim(), message.trim());
    let is_message = (1..=MESSAGE_BYTES).contains(&message.len());
    let may_be_shown = |text: &str| !has_in_common(text, token.expose());
    Refused::Said {
        code: (is_code && may_be_shown(code)).then(|| code.to_owned()),
        message: (is_message && may_be_shown(message)).then(|| printable(message).into_owned()),
    }
}

/// Whether a part of `token` is in `text`.
fn has_in_common(text: &str, token: &str) -> bool {
    let token = token.as_bytes();
    let length = COMMON_BYTES.min(token.len()).max(1);
    text.as_bytes()
        .windows(length)
        .any(|part| token.windows(length).any(|other| other == part))
}

/// Whether `token` can stand in the form: what identity providers issue is one word.
pub(crate) fn check_token(token: &Secret) -> Result<(), Problem> {
    token.check(&fetchhost_policy::Scheme::Bearer)
}

#[cfg(test)]
mod tests;
