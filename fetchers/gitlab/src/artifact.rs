//! `gitlab-artifact`: what a CI job left behind, unpacked, as the zip that it is, or one file of it.

use fetchhost_sdk::{
    ArchiveFormat, FetchError, Fetcher, FetcherDescription, OutputRule, Plan, url,
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::api::{self, Project};
use crate::check;

/// The job is named by `job-id`, or by `ref` and `job`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Params {
    /// The GitLab instance: an origin, with a path if the instance lies below one.
    #[serde(default = "api::default_url")]
    #[schemars(example = &"https://gitlab.example.com")]
    url: String,

    /// The project, by path or by number.
    #[schemars(example = &"group/project", example = &"278964")]
    project: String,

    /// The job by its number. The only form that cannot come to mean another job later.
    #[schemars(range(min = 1))]
    job_id: Option<u64>,

    /// A branch or tag: the job is looked up in its latest successful pipeline. Needs `job`.
    #[schemars(example = &"main")]
    r#ref: Option<String>,

    /// The name of the job on `ref`.
    #[schemars(example = &"build")]
    job: Option<String>,

    /// One file of the archive, by its path in it, instead of the archive.
    #[schemars(example = &"dist/app.tar.gz")]
    path: Option<String>,

    /// Unpack the archive; otherwise the result is the zip file.
    #[serde(default = "unpacked")]
    unpack: bool,

    /// How many leading folders to remove while unpacking.
    #[serde(default)]
    strip_components: u32,
}

fn unpacked() -> bool {
    true
}

pub(crate) struct GitlabArtifact;

impl Fetcher for GitlabArtifact {
    const NAME: &'static str = "gitlab-artifact";
    type Params = Params;

    fn describe() -> FetcherDescription {
        api::describe(
            "The artifacts of a GitLab CI job",
            &["/**/api/v4/projects/*/jobs/**"],
            "an access token with the scope `read_api`, or a job token as `JOB-TOKEN`",
        )
        .output(OutputRule::flat_named_after("path").when_set("path"))
        .output(OutputRule::flat("artifacts.zip").when("unpack", false))
        .output(OutputRule::nar("source"))
    }

    fn fetch(params: Params) -> Result<Plan, FetchError> {
        let result = Wanted::of(&params)?;
        let request = api::request(&address(&params)?)?;
        match result {
            Wanted::Tree { strip } => Plan::archive(request, ArchiveFormat::Zip, strip),
            Wanted::Zip | Wanted::Member => Plan::file(request),
        }
    }
}

/// What the result is.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    /// One file, which GitLab takes out of the archive.
    Member,
    /// The archive as it is.
    Zip,
    /// The archive, unpacked.
    Tree { strip: u32 },
}

impl Wanted {
    fn of(params: &Params) -> Result<Self, FetchError> {
        let wanted = if params.path.is_some() {
            Self::Member
        } else if params.unpack {
            return Ok(Self::Tree {
                strip: params.strip_components,
            });
        } else {
            Self::Zip
        };
        if params.strip_components == 0 {
            Ok(wanted)
        } else {
            Err(FetchError::bad_params(
                "`strip-components` is about unpacking: it goes with neither `path` nor `no-unpack`",
            ))
        }
    }
}

/// Which job it is.
#[derive(Debug, PartialEq, Eq)]
enum Job<'a> {
    Id(u64),
    LatestOn { reference: &'a str, name: &'a str },
}

impl<'a> Job<'a> {
    fn of(params: &'a Params) -> Result<Self, FetchError> {
        let refuse = |message| Err(FetchError::bad_params(message));
        match (
            params.job_id,
            params.r#ref.as_deref(),
            params.job.as_deref(),
        ) {
            (Some(id), None, None) => Ok(Self::Id(id)),
            (None, Some(reference), Some(name)) => Self::latest_on(reference, name),
            (Some(_), _, _) => {
                refuse("`job-id` names the job already: leave out `ref` and `job`, or `job-id`")
            }
            (None, Some(_), None) => refuse("`ref` needs `job`, the name of the job on it"),
            (None, None, Some(_)) => refuse("`job` needs `ref`, the branch or tag that it ran on"),
            (None, None, None) => {
                refuse("no job is named: give `job-id`, or a `ref` and the name of a `job` on it")
            }
        }
    }

    fn latest_on(reference: &'a str, name: &'a str) -> Result<Self, FetchError> {
        if name.is_empty() {
            return Err(FetchError::bad_params("`job` is empty"));
        }
        let is_commit = reference.len() == 40 && reference.bytes().all(|b| b.is_ascii_hexdigit());
        if is_commit || reference == "HEAD" {
            // GitLab would answer a plain 404.
            return Err(FetchError::bad_params(
                "`ref` has to be a branch or a tag: GitLab finds no job by commit or by `HEAD`; use `job-id`",
            ));
        }
        Ok(Self::LatestOn {
            reference: check::reference("ref", reference)?,
            name,
        })
    }
}

/// The URL that answers with the result's bytes.
fn address(params: &Params) -> Result<String, FetchError> {
    let project = Project::new(&params.url, &params.project)?;
    let file = match &params.path {
        Some(path) => Some(url::path(check::path("path", path)?)),
        None => None,
    };
    Ok(project.endpoint(&match (Job::of(params)?, file) {
        (Job::Id(id), None) => format!("jobs/{id}/artifacts"),
        (Job::Id(id), Some(file)) => format!("jobs/{id}/artifacts/{file}"),
        (Job::LatestOn { reference, name }, file) => {
            // The slashes of a branch name are segments here, unlike those of a project's path.
            let reference = url::path(reference);
            let what = file.map_or_else(|| "download".to_owned(), |file| format!("raw/{file}"));
            format!("jobs/artifacts/{reference}/{what}?job={}", url::query(name))
        }
    }))
}

#[cfg(test)]
mod tests;
