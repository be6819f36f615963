//! The four endpoints of job artifacts, below `/projects/ID/`.

use std::io::{Cursor, Read as _};

use super::caller::Caller;
use super::{Asked as Request, FORBIDDEN, NO_PROJECT, NOT_FOUND, Refusal, checked_path, decode};
use crate::answer::Answer;
use crate::config::{Job, Project};
use crate::{Content, storage};

/// What comes after the project.
pub(super) fn answer(request: &Request<'_>, id: &str, rest: &str) -> Result<Answer, Refusal> {
    let caller = Caller::of_token_or_job(request)?;
    let job = request.parameter("job");
    let asked = Asked::parse(rest, job).ok_or(NOT_FOUND)?;
    if let Some(member) = &asked.member {
        checked_path(member, "artifact_path should be a valid file path")?;
    }

    let project = request.project(id, caller)?;
    // The allowlist that lets jobs in is asked before the visibility of the project, here alone.
    if caller.is_foreign_job() {
        return Err(NO_PROJECT);
    }
    if !(caller.is_developer() || project.public && project.public_builds) {
        return Err(FORBIDDEN);
    }
    let job = asked.which.find(project).ok_or(NOT_FOUND)?;
    let archive = job.archive.as_ref().ok_or(NOT_FOUND)?;

    if let Some(member) = asked.member {
        let content = read_member(archive, &member).ok_or(NOT_FOUND)?;
        // The two endpoints label their answers differently; neither label means anything.
        let content_type = match asked.which {
            Which::Id(_) => "application/json",
            Which::Latest { .. } => "text/plain; charset=utf-8",
        };
        return Ok(Answer::file(content, content_type, request.headers));
    }
    let object = storage::artifacts_object(project.id, job.id);
    Ok(request.stored(&object, "", archive))
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
    fn parse(rest: &str, job: Option<String>) -> Option<Self> {
        let rest = rest.strip_prefix("jobs/")?;
        if let Some(rest) = rest.strip_prefix("artifacts/") {
            let (git_ref, member) = match rest.strip_suffix("/download") {
                Some(git_ref) => (git_ref, None),
                None => {
                    let (git_ref, member) = rest.split_once("/raw/")?;
                    (git_ref, Some(decode(member)))
                }
            };
            return Some(Self {
                which: Which::Latest {
                    git_ref: decode(git_ref),
                    job: job?,
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
            let asked = Asked::parse(rest, Some("build linux".to_owned()));
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
            assert_eq!(Asked::parse(rest, Some("a".to_owned())), None, "{rest}");
        }
    }
}
