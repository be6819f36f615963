//! The API origin's endpoints, with GitLab's answers.
//!
//! | caller, of a private project | artifacts | packages | archive, files | release | permalink |
//! |---|---|---|---|---|---|
//! | nobody | 404 | 401 | 404 | 404 | sign-in page |
//! | a token that is not known | 401 | 401 | 401 | 401 | sign-in page |
//! | a token of somebody who is no member | 404 | 404 | 404 | 404 | 404 |
//! | a token without the scope | 403 | 403 | 403 | 403 | sign-in page |
//! | a guest | 403 | 200 | 403 | 200 | 302 |
//! | a developer | 200 or 302 | 200 or 302 | 200, LFS content 200 or 302 | 200 | 302 |
//! | a job of an allowed project | as a developer | as a developer | archive as nobody, files 200 | 200 | as nobody |
//! | a job of another project | 404 | 404 | 404 | 404 | as nobody |
//! | a deploy token | as nobody | 200 or 302 | as nobody | as nobody | as nobody |
//!
//! A public project answers all of them but those whose token is not known or lacks the scope, and for
//! artifacts a job of another project (404). Where its builds are not public, everybody but a developer
//! gets 403 for artifacts. What is
//! missing or expired is 404, a path with `..` 400. Credentials of another kind than an endpoint takes
//! are not looked at. Basic authentication is for packages; a wrong one counts as none.

mod artifacts;
mod caller;
mod packages;
mod releases;
mod repository;

use http::{HeaderMap, StatusCode};
use percent_encoding::percent_decode_str;

use crate::answer::Answer;
use crate::config::{Config, Delivery, Project};
use crate::storage::Store;
use crate::{Content, public};
use caller::Caller;

/// Why there is no content: a status and GitLab's words for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    /// `{"message": …}`, from GitLab itself.
    Message(StatusCode, &'static str),
    /// `{"error": …}`, from the layer that reads parameters and tokens.
    Error(StatusCode, &'static str),
}

const NOT_FOUND: Refusal = Refusal::Message(StatusCode::NOT_FOUND, "404 Not Found");
const NO_PROJECT: Refusal = Refusal::Message(StatusCode::NOT_FOUND, "404 Project Not Found");
const UNAUTHORIZED: Refusal = Refusal::Message(StatusCode::UNAUTHORIZED, "401 Unauthorized");
const FORBIDDEN: Refusal = Refusal::Message(StatusCode::FORBIDDEN, "403 Forbidden");
const NO_SCOPE: Refusal = Refusal::Error(StatusCode::FORBIDDEN, "insufficient_scope");

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Message(status, message) => Self::message(status, message),
            Refusal::Error(status, error) => {
                let body = serde_json::json!({ "error": error }).to_string();
                Self::text(status, "application/json", body)
            }
        }
    }
}

/// One request, and the instance that it is for.
struct Asked<'a> {
    config: &'a Config,
    store: &'a Store,
    /// Where the instance lies: the API origin and the path prefix, if there is one.
    instance: String,
    query: Option<&'a str>,
    headers: &'a HeaderMap,
}

/// Answers a GET or HEAD on the API origin.
pub(crate) fn answer(
    config: &Config,
    store: &Store,
    api_origin: &str,
    path: &str,
    query: Option<&str>,
    headers: &HeaderMap,
) -> Answer {
    let Some(path) = path.strip_prefix(&config.relative_root) else {
        return Answer::failure(StatusCode::NOT_FOUND);
    };
    if let Some(answer) = public::answer(config, path, headers) {
        return answer;
    }
    let asked = Asked {
        config,
        store,
        instance: format!("{api_origin}{}", config.relative_root),
        query,
        headers,
    };
    if let Some(rest) = path.strip_prefix("/api/v4/projects/") {
        return asked
            .project_endpoint(rest)
            .unwrap_or_else(Answer::from)
            .with_rate_limit();
    }
    match path.split_once("/-/releases/") {
        Some((project, rest)) => releases::permalink(&asked, project, rest),
        None if path == "/users/sign_in" => sign_in(),
        None => NOT_FOUND.into(),
    }
}

fn sign_in() -> Answer {
    Answer::text(
        StatusCode::OK,
        "text/html; charset=utf-8",
        "<!DOCTYPE html>\n<html><head><title>Sign in · GitLab</title></head></html>\n".to_owned(),
    )
}

impl Asked<'_> {
    /// What comes after `/api/v4/projects/`.
    fn project_endpoint(&self, rest: &str) -> Result<Answer, Refusal> {
        let (id, rest) = rest.split_once('/').unwrap_or((rest, ""));
        let id = decode(id);
        if rest.starts_with("jobs/") {
            artifacts::answer(self, &id, rest)
        } else if let Some(rest) = rest.strip_prefix("packages/generic/") {
            packages::answer(self, &id, rest)
        } else if let Some(rest) = rest.strip_prefix("repository/files/") {
            repository::file(self, &id, rest)
        } else if let Some(format) = rest.strip_prefix("repository/archive") {
            repository::archive(self, &id, format)
        } else if let Some(tag) = rest.strip_prefix("releases/") {
            releases::describe(self, &id, &decode(tag))
        } else if rest.is_empty() {
            self.describe_project(&id)
        } else {
            Err(NOT_FOUND)
        }
    }

    fn describe_project(&self, id: &str) -> Result<Answer, Refusal> {
        let caller = Caller::of_token(self)?;
        let project = self.project(id, caller)?;
        let json = serde_json::json!({
            "id": project.id,
            "path_with_namespace": project.path,
            "visibility": if project.public { "public" } else { "private" },
        });
        Ok(Answer::json(&json))
    }

    /// The project, if the caller can see it.
    fn project(&self, id: &str, caller: Caller) -> Result<&Project, Refusal> {
        let mut projects = self.config.projects.iter();
        projects
            .find(|project| project.path == id || project.id.to_string() == id)
            .filter(|project| project.public || caller.is_member())
            .ok_or(NO_PROJECT)
    }

    /// The value of a query's parameter.
    fn parameter(&self, name: &str) -> Option<String> {
        self.query?
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .find(|(known, _)| *known == name)
            .map(|(_, value)| decode(&value.replace('+', " ")))
    }

    /// Something that GitLab keeps in object storage under `object`.
    fn stored(&self, object: &str, more: &str, content: &Content) -> Answer {
        match self.config.delivery {
            Delivery::Direct => {
                Answer::file(content.clone(), "application/octet-stream", self.headers)
            }
            Delivery::Redirect => Answer::redirect(&self.store.presign(object, more)),
        }
    }
}

/// Whether a path tries to climb, in the words that GitLab has for it.
fn checked_path(path: &str, message: &'static str) -> Result<(), Refusal> {
    if path.split('/').any(|part| part == "..") {
        return Err(Refusal::Error(StatusCode::BAD_REQUEST, message));
    }
    Ok(())
}

fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}
