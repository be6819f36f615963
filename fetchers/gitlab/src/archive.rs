//! `gitlab-archive`: the files of a repository at one commit, without their history.
//!
//! GitLab makes the archive anew for each request, and its bytes differ from release to release; the files
//! in it do not. So the result is the tree.

use fetchhost_sdk::{
    ArchiveFormat, FetchError, Fetcher, FetcherDescription, OutputRule, Plan, url,
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::api::{self, Project};
use crate::check;

/// The folder around everything in the archive, whose name holds project, ref and commit.
const TOP_FOLDER: u32 = 1;

/// The files of a repository at one ref.
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

    /// A commit, tag or branch. Only a commit cannot come to mean other files later.
    #[schemars(example = &"v1.4.0")]
    r#ref: String,

    /// Only what lies in this folder of the repository. It keeps its path in the result.
    #[schemars(example = &"docs/manual")]
    subdirectory: Option<String>,
}

pub(crate) struct GitlabArchive;

impl Fetcher for GitlabArchive {
    const NAME: &'static str = "gitlab-archive";
    type Params = Params;

    fn describe() -> FetcherDescription {
        api::describe(
            "The files of a GitLab repository",
            &["/**/api/v4/projects/*/repository/archive.tar.gz"],
            "an access token with the scope `read_api`; GitLab takes no job token here",
        )
        .output(OutputRule::nar("source"))
    }

    fn fetch(params: Params) -> Result<Plan, FetchError> {
        let request = api::request(&address(&params)?)?;
        Plan::archive(request, ArchiveFormat::TarGzip, TOP_FOLDER)
    }
}

/// The URL that answers with the archive.
fn address(params: &Params) -> Result<String, FetchError> {
    let project = Project::new(&params.url, &params.project)?;
    let reference = check::reference("ref", &params.r#ref)?;
    let mut endpoint = format!("repository/archive.tar.gz?sha={}", url::query(reference));
    if let Some(folder) = &params.subdirectory {
        let folder = check::path("subdirectory", folder)?;
        endpoint.push_str("&path=");
        endpoint.push_str(&url::query(folder));
    }
    Ok(project.endpoint(&endpoint))
}

#[cfg(test)]
mod tests;
