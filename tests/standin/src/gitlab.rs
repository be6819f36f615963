//! The API origin's endpoints for job artifacts, with GitLab's answers.
//!
//! | caller | private project | artifacts |
//! |---|---|---|
//! | no credential | 404 | |
//! | a token that is not known | 401 | |
//! | a token of somebody who is no member | 404 | |
//! | a guest | | 403 |
//! | a developer | | 200 or 302; 404 when missing or expired; 400 for a path with `..` |

use std::io::{Cursor, Read as _};

use http::{HeaderMap, StatusCode};
use percent_encoding::percent_decode_str;

use crate::answer::Answer;
use crate::config::{Access, Config, Delivery, Job, Project};
use crate::storage::Store;
use crate::{Content, public};

/// Why there is no artifact: a status and GitLab's message for it.
type Refusal = (StatusCode, &'static str);

const NOT_FOUND: Refusal = (StatusCode::NOT_FOUND, "404 Not Found");
const NO_PROJECT: Refusal = (StatusCode::NOT_FOUND, "404 Project Not Found");
const UNAUTHORIZED: Refusal = (StatusCode::UNAUTHORIZED, "401 Unauthorized");
const FORBIDDEN: Refusal = (StatusCode::FORBIDDEN, "403 Forbidden");
const BAD_PATH: Refusal = (
    StatusCode::BAD_REQUEST,
    "artifact_path should be a valid file path",
);

/// Answers a GET or HEAD on the API origin.
pub(crate) fn answer(
    config: &Config,
    store: &Store,
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
    let result = match path.strip_prefix("/api/v4/projects/") {
        Some(rest) => artifacts(config, store, rest, query, headers),
        None if path == "/users/sign_in" => return sign_in(),
        None => Err(NOT_FOUND),
    };
    result.unwrap_or_else(|(status, message)| Answer::message(status, message))
}

fn sign_in() -> Answer {
    Answer::text(
        StatusCode::OK,
        "text/html; charset=utf-8",
        "<!DOCTYPE html>\n<html><head><title>Sign in · GitLab</title></head></html>\n".to_owned(),
    )
}

/// What comes after `/api/v4/projects/`.
fn artifacts(
    config: &Config,
    store: &Store,
    rest: &str,
    query: Option<&str>,
    headers: &HeaderMap,
) -> Result<Answer, Refusal> {
    let access = access(config, headers)?;
    let (id, rest) = rest.split_once('/').ok_or(NOT_FOUND)?;
    let asked = Asked::parse(rest, query).ok_or(NOT_FOUND)?;
    let wanted_member = asked.member.as_deref();
    if wanted_member.is_some_and(|member| member.split('/').any(|part| part == "..")) {
        return Err(BAD_PATH);
    }

    let project = visible(config, &decode(id), access).ok_or(NO_PROJECT)?;
    if access == Some(Access::Guest) && !project.public {
        return Err(FORBIDDEN);
    }
    let job = asked.which.find(project).ok_or(NOT_FOUND)?;
    let archive = job.archive.as_ref().ok_or(NOT_FOUND)?;

    if let Some(member) = wanted_member {
        let content = read_member(archive, member).ok_or(NOT_FOUND)?;
        // The two endpoints label their answers differently; neither label means anything.
        let content_type = match asked.which {
            Which::Id(_) => "application/json",
            Which::Latest { .. } => "text/plain; charset=utf-8",
        };
        return Ok(Answer::file(content, content_type, headers));
    }
    Ok(match config.delivery {
        Delivery::Direct => Answer::file(archive.clone(), "application/octet-stream", headers),
        Delivery::Redirect => Answer::redirect(&store.presign(project.id, job.id)),
    })
}

/// Who is calling: nobody, a known token's bearer, or an invalid token (401).
fn access(config: &Config, headers: &HeaderMap) -> Result<Option<Access>, Refusal> {
    let value = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let bearer = || value("authorization").and_then(|value| value.strip_prefix("Bearer "));
    let token = value("private-token")
        .or_else(|| value("job-token"))
        .or_else(bearer);
    let Some(token) = token else {
        return Ok(None);
    };
    match config.tokens.get(token) {
        Some(access) => Ok(Some(*access)),
        None => Err(UNAUTHORIZED),
    }
}

fn visible<'a>(config: &'a Config, id: &str, access: Option<Access>) -> Option<&'a Project> {
    let mut projects = config.projects.iter();
    let project = projects.find(|project| project.path == id || project.id.to_string() == id)?;
    let member = matches!(access, Some(Access::Developer | Access::Guest));
    (project.public || member).then_some(project)
}

/// The job, and perhaps one file of its archive.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    which: Which,
    member: Option<String>,
}

#[derive(Debug, PartialEq, Eq)]
enum Which {
    Id(u64),
    Latest { git_ref: String, job: String },
}

impl Asked {
    /// Reads `jobs/ID/artifacts[/MEMBER]`, `jobs/artifacts/REF/download?job=NAME` and
    /// `jobs/artifacts/REF/raw/MEMBER?job=NAME`. A ref may contain slashes, raw or encoded.
    fn parse(rest: &str, query: Option<&str>) -> Option<Self> {
        let rest = rest.strip_prefix("jobs/")?;
        if let Some(rest) = rest.strip_prefix("artifacts/") {
            let job = query?
                .split('&')
                .find_map(|pair| pair.strip_prefix("job="))?;
            let (git_ref, member) = match rest.strip_suffix("/download") {
                Some(git_ref) => (git_ref, None),
                None => {
                    let (git_ref, member) = rest.split_once("/raw/")?;
                    (git_ref, Some(decode(member)))
                }
            };
            let job = decode(&job.replace('+', " "));
            return Some(Self {
                which: Which::Latest {
                    git_ref: decode(git_ref),
                    job,
                },
                member,
            });
        }
        let (id, rest) = rest.split_once('/')?;
        let member = match rest.strip_prefix("artifacts")? {
            "" => None,
            rest => Some(decode(rest.strip_prefix('/')?)),
        };
        Some(Self {
            which: Which::Id(id.parse().ok()?),
            member,
        })
    }
}

impl Which {
    fn find<'a>(&self, project: &'a Project) -> Option<&'a Job> {
        project.jobs.iter().find(|candidate| match self {
            Self::Id(id) => candidate.id == *id,
            Self::Latest { git_ref, job } => {
                candidate.git_ref == *git_ref && candidate.name == *job
            }
        })
    }
}

fn read_member(archive: &Content, member: &str) -> Option<Content> {
    let Content::Bytes(bytes) = archive else {
        return None;
    };
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).ok()?;
    let mut file = archive.by_name(member).ok().filter(|file| file.is_file())?;
    let mut content = Vec::new();
    file.read_to_end(&mut content).ok()?;
    Some(Content::Bytes(content.into()))
}

fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_four_endpoints_are_told_apart() {
        let latest = |git_ref: &str| Which::Latest {
            git_ref: git_ref.to_owned(),
            job: "build linux".to_owned(),
        };
        for (rest, which, member) in [
            ("jobs/7/artifacts", Which::Id(7), None),
            ("jobs/7/artifacts/a/b%20c", Which::Id(7), Some("a/b c")),
            ("jobs/artifacts/a/b/download", latest("a/b"), None),
            (
                "jobs/artifacts/a%2Fb/raw/x/raw/y",
                latest("a/b"),
                Some("x/raw/y"),
            ),
        ] {
            let asked = Asked::parse(rest, Some("job=build%20linux"));
            let expected = Asked {
                which,
                member: member.map(str::to_owned),
            };
            assert_eq!(asked, Some(expected), "{rest}");
        }
        for rest in [
            "jobs/7",
            "jobs/x/artifacts",
            "jobs/7/artifactsx",
            "jobs/artifacts/main",
        ] {
            assert_eq!(Asked::parse(rest, Some("job=a")), None, "{rest}");
        }
    }
}
