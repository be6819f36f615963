//! Credential helpers: the protocol of Bazel's and uv's.
//!
//! `HELPER get` reads `{"uri": "https://host/"}` and writes
//! `{"headers": {"NAME": ["VALUE"]}, "expires": "2030-01-02T03:04:05Z"}`.
//!
//! It is told the origin and nothing else: path and query of a request can be secrets of their own.
//! Of its headers only the one is taken that the credential's scheme names, so a helper cannot place
//! anything else into a request.

use std::{collections::BTreeMap, time::SystemTime};

use fetchhost_policy::{CredentialSpec, Origin, Program, Scheme};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::{Found, SKEW, Surroundings, program};
use crate::{ProgramProblem, Secret};

/// What a helper writes. Members that the protocol adds are passed over, as it demands.
#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    headers: BTreeMap<String, Vec<Zeroizing<String>>>,
    expires: Option<String>,
}

pub(super) fn read(
    spec: &CredentialSpec,
    helper: &Program,
    origin: &Origin,
    surroundings: &Surroundings,
) -> Result<Found, ProgramProblem> {
    let question = serde_json::json!({ "uri": format!("{origin}/") }).to_string();
    let written = program::run(
        helper,
        &["get"],
        Some(question.as_bytes()),
        &surroundings.cancel,
    )?;
    // The parser's own message can quote what it read.
    let answer: Answer = serde_json::from_slice(&written)
        .map_err(|_| ProgramProblem::Protocol("what it writes is not JSON of the known form"))?;
    let until = match answer.expires {
        None => None,
        Some(text) => Some(until(&text, (surroundings.clock)())?),
    };
    let secret = take(answer.headers, &spec.scheme)?;
    Ok(Found { secret, until })
}

/// Until when a credential that expires at `text` is used.
fn until(text: &str, now: SystemTime) -> Result<SystemTime, ProgramProblem> {
    let expires = crate::timestamp::parse(text)
        .ok_or(ProgramProblem::Protocol("`expires` is not a timestamp"))?;
    if expires <= now {
        return Err(ProgramProblem::Expired);
    }
    // One that lives shorter than the skew is used for this request and not remembered.
    Ok(expires.checked_sub(SKEW).unwrap_or(now))
}

/// The value of the one header that `scheme` names; of `bearer`, the token in it.
fn take(
    headers: BTreeMap<String, Vec<Zeroizing<String>>>,
    scheme: &Scheme,
) -> Result<Secret, ProgramProblem> {
    let wanted = scheme.header_name();
    let mut values = headers
        .into_iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case(wanted))
        .flat_map(|(_, values)| values);
    let value = values
        .next()
        .ok_or_else(|| ProgramProblem::NoHeader(wanted.to_owned()))?;
    if values.next().is_some() {
        return Err(ProgramProblem::SeveralValues(wanted.to_owned()));
    }
    if *scheme != Scheme::Bearer {
        return Ok(Secret::from(value));
    }
    match value.split_once(' ') {
        Some((word, token)) if word.eq_ignore_ascii_case("bearer") => {
            Ok(Secret::from(Zeroizing::new(token.to_owned())))
        }
        _ => Err(ProgramProblem::Protocol(
            "its `Authorization` is not `Bearer TOKEN`, which the scheme `bearer` says",
        )),
    }
}
