//! Where an asset is asked for, and whether with the token.
//!
//! **The threat.** The maintainer of a project chooses where its assets lie. A link into the same instance
//! that carries the user's token could read what only that user may read, such as another project's
//! variables or code, and pass it off as an asset.
//!
//! **The rule.** The token goes along to GitLab's endpoints for downloads and to its permalinks, and to
//! nothing else; outside of the project that the user named, only to packages, which releases of
//! several projects share. The project is recognised by the name that the user gave it: by path or by
//! number, as in the link. A permalink is a redirect to wherever the maintainer said, and a redirect within
//! the instance keeps the token; so it is used only for what lies on another origin, where the host drops
//! the token. All else is asked for directly. Origins are compared as the host compares them, parsed.
//!
//! | the maintainer's URL | asked for | token |
//! |---|---|---|
//! | below the instance, a package | itself | yes |
//! | below the instance, this project's job artifacts, archive or raw file | itself | yes |
//! | the same of another project | itself | no |
//! | below the instance, anything else | itself | no |
//! | on the instance's origin, outside of the instance | itself | no |
//! | on another origin, with a permalink | the permalink, which redirects there; where that wants a login, itself | yes, to GitLab only |
//! | on another origin, without | itself | no |
//! | neither `https` nor `http` | nothing | |

use ::url::Url;
use fetchhost_sdk::{FetchError, url};

use super::Link;

/// One request for an asset.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) url: String,
    pub(super) with_token: bool,
    /// Where to ask without the token when that is answered with a login page, as GitLab answers a job
    /// token at a permalink.
    pub(super) otherwise: Option<String>,
}

impl Place {
    /// Where to ask for `link` of a release of `project`, found in the instance at `instance`.
    pub(super) fn of(instance: &str, project: &str, link: &Link) -> Result<Self, FetchError> {
        let instance = Url::parse(instance)
            .map_err(|error| FetchError::bad_params(format!("`url` is no URL: {error}")))?;
        let mut target = Url::parse(&link.url)
            .ok()
            .filter(|url| matches!(url.scheme(), "https" | "http"))
            .ok_or_else(|| {
                FetchError::unsupported(format!(
                    "the asset `{}` lies at no `https` or `http` URL",
                    link.name
                ))
            })?;
        target.set_fragment(None);
        let permalink = link
            .direct_asset_url
            .as_deref()
            .and_then(|text| Url::parse(text).ok())
            .filter(|url| segments_below(&instance, url).is_some_and(|path| is_permalink(&path)));
        if target.origin() == instance.origin() {
            let with_token =
                segments_below(&instance, &target).is_some_and(|path| is_download(&path, project));
            return Ok(Self {
                url: target.into(),
                with_token,
                otherwise: None,
            });
        }
        Ok(match permalink {
            Some(permalink) => Self {
                url: permalink.into(),
                with_token: true,
                otherwise: Some(target.into()),
            },
            None => Self {
                url: target.into(),
                with_token: false,
                otherwise: None,
            },
        })
    }
}

/// The segments of `url` below the instance, if it lies there.
fn segments_below<'a>(instance: &Url, url: &'a Url) -> Option<Vec<&'a str>> {
    let rest = url
        .path()
        .strip_prefix(instance.path().trim_end_matches('/'))?
        .strip_prefix('/')?;
    (url.origin() == instance.origin()).then(|| rest.split('/').collect())
}

/// Whether it is one of GitLab's endpoints that answer with a file, of `project` or for everybody.
fn is_download(path: &[&str], project: &str) -> bool {
    match path {
        ["api", "v4", "projects", id, rest @ ..] => match rest {
            ["packages", "generic", ..] => true,
            ["jobs", "artifacts", ..]
            | ["jobs", _, "artifacts", ..]
            | ["repository", "files", _, "raw"] => id.eq_ignore_ascii_case(&url::segment(project)),
            _ => false,
        },
        _ => match after_dash(path) {
            Some(["package_files", _, "download"]) => true,
            Some(["jobs", _, "artifacts", ..] | ["archive" | "raw", ..]) => {
                before_dash(path).is_some_and(|path| path.eq_ignore_ascii_case(&url::path(project)))
            }
            _ => false,
        },
    }
}

fn is_permalink(path: &[&str]) -> bool {
    matches!(
        after_dash(path),
        Some(
            ["releases", _, "downloads", _, ..]
                | ["releases", "permalink", "latest", "downloads", ..]
        )
    )
}

/// A project's path, as the URLs of the web interface have it.
fn before_dash(path: &[&str]) -> Option<String> {
    let dash = path.iter().position(|segment| *segment == "-")?;
    Some(path[..dash].join("/"))
}

/// What follows the `-` between a project's path and its resources in the URLs of the web interface.
fn after_dash<'a, 'b>(path: &'a [&'b str]) -> Option<&'a [&'b str]> {
    let dash = path.iter().position(|segment| *segment == "-")?;
    path.get(dash + 1..)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INSTANCE: &str = "https://code.example/gitlab";
    const PERMALINK: &str = "https://code.example/gitlab/g/p/-/releases/v1/downloads/bin/engine";

    fn place(url: &str, permalink: Option<&str>) -> Place {
        let link = Link {
            name: "engine".to_owned(),
            url: url.to_owned(),
            direct_asset_url: Some(permalink.unwrap_or(url).to_owned()),
        };
        Place::of(INSTANCE, "g/p", &link).unwrap()
    }

    #[test]
    fn a_download_of_the_instance_is_asked_for_itself_with_the_token() {
        for path in [
            "api/v4/projects/7/packages/generic/engine/1.0/engine.zip",
            "api/v4/projects/g%2Fp/packages/generic/engine/1.0/dir/engine.zip",
            "api/v4/projects/g%2Fp/jobs/12/artifacts/dist/engine.zip",
            "api/v4/projects/g%2fp/jobs/artifacts/main/raw/dist/engine.zip?job=build",
            "api/v4/projects/g%2Fp/repository/files/a%2Fb/raw?ref=main",
            "g/p/-/jobs/12/artifacts/raw/engine.zip",
            "g/p/-/package_files/12/download",
            "g/other/-/package_files/12/download",
            "g/p/-/archive/v1/p-v1.tar.gz",
            "g/p/-/raw/main/engine.zip?inline=false",
        ] {
            let url = format!("{INSTANCE}/{path}");
            for permalink in [None, Some(PERMALINK)] {
                let expected = Place {
                    url: url.clone(),
                    with_token: true,
                    otherwise: None,
                };
                assert_eq!(place(&url, permalink), expected, "{path}");
            }
        }
    }

    #[test]
    fn another_projects_files_do_not_get_the_token() {
        for path in [
            "api/v4/projects/7/jobs/12/artifacts/dist/engine.zip",
            "api/v4/projects/g%2Fother/jobs/artifacts/main/raw/engine.zip?job=build",
            "api/v4/projects/g%2Fp%2Fq/repository/files/a%2Fb/raw?ref=main",
            "g/other/-/jobs/12/artifacts/raw/engine.zip",
            "g/p/q/-/archive/v1/q-v1.tar.gz",
            "p/-/raw/main/engine.zip",
        ] {
            let url = format!("{INSTANCE}/{path}");
            assert!(!place(&url, None).with_token, "{path}");
        }
        let by_number = Link {
            name: "engine".to_owned(),
            url: format!("{INSTANCE}/api/v4/projects/7/jobs/12/artifacts/a"),
            direct_asset_url: None,
        };
        let with_token = |project| Place::of(INSTANCE, project, &by_number).unwrap().with_token;
        assert!(with_token("7") && !with_token("70") && !with_token("g/7"));
    }

    #[test]
    fn nothing_else_on_the_instances_origin_gets_the_token() {
        for url in [
            "https://code.example/gitlab/api/v4/projects/7/variables",
            "https://code.example/gitlab/api/v4/user",
            "https://code.example/gitlab/api/v4/projects/7/jobs/12/trace",
            "https://code.example/gitlab/api/v4/projects/7/packages/generic/../../variables",
            "https://code.example/gitlab/api/v4/projects/7/jobs/artifacts/%2e%2e/%2E./variables",
            "https://CODE.example:443/gitlab/api/v4/user",
            "https://code%2Eexample/gitlab/api/v4/user",
            "https://code.example/gitlab2/api/v4/projects/7/packages/generic/a/1/a",
            "https://code.example/api/v4/projects/7/packages/generic/a/1/a",
            "https://code.example/gitlab/g/p/-/releases/v2/downloads/other",
            "https://code.example/gitlab/uploads/x",
        ] {
            for permalink in [None, Some(PERMALINK)] {
                let place = place(url, permalink);
                assert!(!place.with_token, "{url}: {place:?}");
                assert_ne!(place.url, PERMALINK, "{url}");
            }
        }
    }

    #[test]
    fn elsewhere_is_reached_through_the_permalink_if_there_is_one() {
        for url in [
            "https://files.example/engine.zip",
            "http://code.example/gitlab/api/v4/projects/7/packages/generic/a/1/a",
            "https://code.example:8443/engine.zip",
        ] {
            assert_eq!(
                place(url, Some(PERMALINK)),
                Place {
                    url: PERMALINK.to_owned(),
                    with_token: true,
                    otherwise: Some(url.to_owned()),
                }
            );
            for other in [
                None,
                Some("https://files.example/g/p/-/releases/v1/downloads/engine"),
                Some("https://code.example/gitlab/g/p/-/jobs/1"),
                Some("not a URL"),
            ] {
                assert_eq!(
                    place(url, other),
                    Place {
                        url: url.to_owned(),
                        with_token: false,
                        otherwise: None,
                    }
                );
            }
        }
    }

    #[test]
    fn a_fragment_is_left_out_and_another_scheme_refused() {
        assert_eq!(
            place("https://files.example/a?b=c#d", None).url,
            "https://files.example/a?b=c"
        );
        for url in ["ftp://files.example/a", "files.example/a", "", "data:,a"] {
            let link = Link {
                name: "engine".to_owned(),
                url: url.to_owned(),
                direct_asset_url: None,
            };
            let error = Place::of(INSTANCE, "g/p", &link).unwrap_err();
            assert!(error.message().contains("`engine`"), "{error}");
        }
    }
}
