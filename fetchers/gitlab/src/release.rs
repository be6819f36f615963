//! `gitlab-release`: one of the assets that a release links to.
//!
//! Only the API knows where an asset lies, so this fetcher asks it first. Where that leads is the
//! maintainer's choice, see [`place`].

mod place;

use fetchhost_sdk::{
    ErrorKind, FetchError, Fetcher, FetcherDescription, OutputRule, Plan, Request, log, url,
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::api::{self, Project};
use crate::check;
use place::Place;

/// The longest description of a release that is read, in bytes: the notes are in it, twice.
const RELEASE_BYTES: usize = 8 * 1024 * 1024;

/// How many names of assets a message lists.
const NAMES_SHOWN: usize = 20;

/// One asset of one release.
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

    /// The tag of the release.
    #[schemars(example = &"v1.4.0")]
    tag: String,

    /// The name of the asset, as the release shows it. If it lies outside of GitLab, that origin needs a
    /// grant of its own.
    #[schemars(example = &"engine-linux-x86_64.tar.gz")]
    asset: String,
}

pub(crate) struct GitlabRelease;

impl Fetcher for GitlabRelease {
    const NAME: &'static str = "gitlab-release";
    type Params = Params;

    fn describe() -> FetcherDescription {
        api::describe(
            "An asset of a GitLab release",
            // An asset lies wherever the maintainer says, also on other hosts: no narrower pattern
            // covers them. What the token goes along with is decided in `place`.
            &["/**"],
            "an access token with the scope `read_api`, or a job token as `JOB-TOKEN`",
        )
        .output(OutputRule::flat_named_after("asset"))
    }

    fn fetch(params: Params) -> Result<Plan, FetchError> {
        let address = address(&params)?;
        if params.asset.is_empty() {
            return Err(FetchError::bad_params("`asset` is empty"));
        }
        log::phase("looking up the release");
        let answer = api::request(&address)?.send()?;
        if answer.status() != 200 {
            // The host judges what is planned, and may name the credential that did not do.
            return Plan::file(answer);
        }
        if is_web_page(answer.header("content-type").as_deref()) {
            return Err(FetchError::unauthorized(format!(
                "`{address}` answered with a web page, as a login page would"
            )));
        }
        let release: Release = answer.json(RELEASE_BYTES)?;
        let place = Place::of(&params.url, &params.project, release.link(&params)?)?;
        let request = if place.with_token {
            api::request(&place.url)?
        } else {
            Request::get(&place.url)
        };
        let Some(otherwise) = place.otherwise else {
            return Plan::file(request);
        };
        match request.send() {
            Ok(answer) => Plan::file(answer),
            Err(error) if error.kind() == ErrorKind::Unauthorized => {
                Plan::file(Request::get(&otherwise))
            }
            Err(error) => Err(error),
        }
    }
}

fn is_web_page(content_type: Option<&str>) -> bool {
    content_type.is_some_and(|kind| {
        kind.trim_start()
            .to_ascii_lowercase()
            .starts_with("text/html")
    })
}

/// The URL that answers with the release's description.
fn address(params: &Params) -> Result<String, FetchError> {
    let project = Project::new(&params.url, &params.project)?;
    let tag = url::segment(check::reference("tag", &params.tag)?);
    Ok(project.endpoint(&format!("releases/{tag}")))
}

/// What the API says of a release, as far as it matters here.
#[derive(Debug, Deserialize)]
struct Release {
    assets: Assets,
}

#[derive(Debug, Deserialize)]
struct Assets {
    #[serde(default)]
    links: Vec<Link>,
}

/// One asset.
#[derive(Debug, Deserialize)]
struct Link {
    /// Unique in the release.
    name: String,
    /// Where the maintainer says that it is.
    url: String,
    /// GitLab's own permalink to it, if the maintainer chose a path for one; else the same as `url`.
    direct_asset_url: Option<String>,
}

impl Release {
    fn link(&self, params: &Params) -> Result<&Link, FetchError> {
        let links = &self.assets.links;
        if let Some(link) = links.iter().find(|link| link.name == params.asset) {
            return Ok(link);
        }
        let names: Vec<_> = links
            .iter()
            .take(NAMES_SHOWN)
            .map(|link| format!("`{}`", link.name))
            .collect();
        let has = match links.len() {
            0 => "it has none".to_owned(),
            count if count > NAMES_SHOWN => {
                format!(
                    "it has {}, and {} more",
                    names.join(", "),
                    count - NAMES_SHOWN
                )
            }
            _ => format!("it has {}", names.join(", ")),
        };
        Err(FetchError::not_found(format!(
            "release `{}` of `{}` links to no asset called `{}`: {has}",
            params.tag, params.project, params.asset
        )))
    }
}

#[cfg(test)]
mod tests;
