//! URLs of GitLab's REST API, version 4.

use fetchhost_sdk::{FetchError, url};

/// The credential slot of every fetcher in this module.
pub(crate) const TOKEN: &str = "token";

/// Where the API's paths begin, for instances at the root of their host and for those below a path.
pub(crate) const PATHS: [&str; 2] = ["/api/v4/**", "/**/api/v4/**"];

/// The `url` of fetchers that are not told one.
pub(crate) fn default_url() -> String {
    "https://gitlab.com".to_owned()
}

/// A project of an instance: what all its endpoints start with.
#[derive(Debug)]
pub(crate) struct Project(String);

impl Project {
    /// `project` is a number or a path, which the API takes as one encoded segment.
    pub(crate) fn new(instance: &str, project: &str) -> Result<Self, FetchError> {
        let instance = url::base("url", instance)?;
        let project = checked("project", project)?;
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

/// Checks the parameter called `name` as text with `/` between its parts that will become a part of a URL:
/// without `..`, `.` and empty segments, which servers and proxies resolve, each in its own way.
pub(crate) fn checked<'a>(name: &str, text: &'a str) -> Result<&'a str, FetchError> {
    let why = if text.is_empty() {
        "is empty"
    } else if text.starts_with('/') || text.ends_with('/') {
        "must not start or end with `/`"
    } else if text
        .split('/')
        .any(|segment| matches!(segment, "" | "." | ".."))
    {
        "must not hold empty, `.` or `..` segments"
    } else {
        return Ok(text);
    };
    Err(FetchError::bad_params(format!("`{name}` {why}")))
}

#[cfg(test)]
mod tests {
    use super::{Project, checked};

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
    fn text_that_a_server_would_resolve_is_refused() {
        for text in [
            "", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/..", "./a", "a/./b",
        ] {
            let error = checked("path", text).unwrap_err();
            assert!(error.message().starts_with("`path` "), "{text}: {error}");
        }
        for text in ["a", "a/b", "..a", "a..b/c", "%2e%2e", "a\\..\\b"] {
            assert_eq!(checked("path", text).unwrap(), text);
        }
    }
}
