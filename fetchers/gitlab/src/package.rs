//! `gitlab-package`: one file of a generic package.

use fetchhost_sdk::{FetchError, Fetcher, FetcherDescription, OutputRule, Plan, url};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::api::{self, Project};
use crate::check;

/// The file is named by its package, that package's version, and its own name.
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

    /// The name of the package.
    #[schemars(example = &"engine")]
    package: String,

    /// The version of the package.
    #[schemars(example = &"1.4.0")]
    version: String,

    /// The file, with its folders if it lies below some. Of several files with one name GitLab
    /// serves the newest.
    #[schemars(example = &"engine-linux-x86_64.tar.gz")]
    file: String,
}

pub(crate) struct GitlabPackage;

impl Fetcher for GitlabPackage {
    const NAME: &'static str = "gitlab-package";
    type Params = Params;

    fn describe() -> FetcherDescription {
        api::describe(
            "A file of a GitLab generic package",
            &["/**/api/v4/projects/*/packages/generic/**"],
            "an access token with the scope `read_api`, a deploy token with `read_package_registry` as \
             `DEPLOY-TOKEN`, or a job token as `JOB-TOKEN`",
        )
        .output(OutputRule::flat_named_after("file"))
    }

    fn fetch(params: Params) -> Result<Plan, FetchError> {
        Plan::file(api::request(&address(&params)?)?)
    }
}

/// The URL that answers with the file.
fn address(params: &Params) -> Result<String, FetchError> {
    let project = Project::new(&params.url, &params.project)?;
    Ok(project.endpoint(&format!(
        "packages/generic/{}/{}/{}",
        url::segment(check::package(&params.package)?),
        url::segment(check::version(&params.version)?),
        url::path(check::package_file(&params.file)?)
    )))
}

#[cfg(test)]
mod tests;
