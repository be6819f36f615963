//! `gitlab-file`: one file of a repository.

use fetchhost_sdk::{FetchError, Fetcher, FetcherDescription, OutputRule, Plan, url};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::api::{self, Project};
use crate::check;

/// One file of a repository at one ref.
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

    /// A commit, tag or branch. Only a commit cannot come to mean another file later.
    #[schemars(example = &"v1.4.0")]
    r#ref: String,

    /// The file, by its path in the repository.
    #[schemars(example = &"docs/manual.pdf")]
    path: String,

    /// If git LFS keeps the file's content, fetch that; otherwise the pointer to it that the repository holds.
    #[serde(default)]
    lfs: bool,
}

pub(crate) struct GitlabFile;

impl Fetcher for GitlabFile {
    const NAME: &'static str = "gitlab-file";
    type Params = Params;

    fn describe() -> FetcherDescription {
        api::describe(
            "A file of a GitLab repository",
            &["/**/api/v4/projects/*/repository/files/*/raw"],
            "an access token with the scope `read_api`, or a job token as `JOB-TOKEN`",
        )
        .output(OutputRule::flat_named_after("path"))
    }

    fn fetch(params: Params) -> Result<Plan, FetchError> {
        Plan::file(api::request(&address(&params)?)?)
    }
}

/// The URL that answers with the file.
fn address(params: &Params) -> Result<String, FetchError> {
    let project = Project::new(&params.url, &params.project)?;
    // One segment, slashes and all.
    let path = url::segment(check::path("path", &params.path)?);
    let reference = url::query(check::reference("ref", &params.r#ref)?);
    let lfs = if params.lfs { "&lfs=true" } else { "" };
    Ok(project.endpoint(&format!("repository/files/{path}/raw?ref={reference}{lfs}")))
}

#[cfg(test)]
mod tests;
