//! GitLab's REST API, version 4: its URLs, and what every fetcher says of itself.

use fetchhost_sdk::{FetchError, FetcherDescription, Request, Scheme, Slot, url};

use crate::check;

/// The credential slot of every fetcher in this module.
const TOKEN: &str = "token";

/// The `url` of fetchers that are not told one.
pub(crate) fn default_url() -> String {
    "https://gitlab.com".to_owned()
}

/// What the fetchers have in common: an instance in `url`, and a token that public projects do without.
///
/// `paths` are the patterns of what is asked for; one that starts with `/**/` holds for instances at the
/// root of their host and for those below a path. `token` says which token it takes.
pub(crate) fn describe(summary: &str, paths: &[&str], token: &str) -> FetcherDescription {
    let token = format!("{token}; without one, public projects only");
    let slot = Slot::new(TOKEN, Scheme::Header("PRIVATE-TOKEN"), token).optional();
    paths
        .iter()
        .fold(FetcherDescription::new(summary), |description, path| {
            description.path(*path)
        })
        .origin_parameter("url")
        .slot(slot)
}

/// A GET with the token, where the user bound one for the URL's origin.
pub(crate) fn request(url: &str) -> Result<Request, FetchError> {
    let request = Request::get(url);
    request.authorize(TOKEN)?;
    Ok(request)
}

/// A project of an instance: what all its endpoints start with.
#[derive(Debug)]
pub(crate) struct Project(String);

impl Project {
    /// `project` is a number or a path, which the API takes as one encoded segment.
    pub(crate) fn new(instance: &str, project: &str) -> Result<Self, FetchError> {
        let instance = url::base("url", instance)?;
        let project = check::path("project", project)?;
        Ok(Self(format!(
            "{instance}/api/v4/projects/{}",
            url::segment(project)
        )))
    }

    /// The URL of an endpoint below the project.
    pub(crate) fn endpoint(&self, path: &str) -> String {
        format!("{}/{path}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::Project;

    fn endpoint(instance: &str, project: &str) -> String {
        Project::new(instance, project)
            .unwrap()
            .endpoint("jobs/1/artifacts")
    }

    #[test]
    fn a_project_by_path_is_one_segment_and_one_by_number_stays() {
        for (project, segment) in [
            ("42", "42"),
            ("group/project", "group%2Fproject"),
            ("group/sub/project.name", "group%2Fsub%2Fproject.name"),
            ("group/p%2Fq?x#y", "group%2Fp%252Fq%3Fx%23y"),
        ] {
            assert_eq!(
                endpoint("https://gitlab.com", project),
                format!("https://gitlab.com/api/v4/projects/{segment}/jobs/1/artifacts")
            );
        }
    }

    #[test]
    fn an_instance_may_lie_below_a_path() {
        for instance in [
            "https://code.example/gitlab",
            "https://code.example/gitlab/",
        ] {
            assert_eq!(
                endpoint(instance, "1"),
                "https://code.example/gitlab/api/v4/projects/1/jobs/1/artifacts"
            );
        }
    }

    #[test]
    fn a_url_that_is_no_instance_is_refused_by_name() {
        let error = Project::new("gitlab.example", "1").unwrap_err();
        assert_eq!(
            error.message(),
            "`url` has to start with `https://` or `http://`"
        );
    }

    #[test]
    fn a_project_that_a_server_would_resolve_is_refused_by_name() {
        for project in ["", "../user", "group/../../user", "/group/project"] {
            let error = Project::new("https://gitlab.com", project).unwrap_err();
            assert!(error.message().starts_with("`project` "), "{error}");
        }
    }
}
