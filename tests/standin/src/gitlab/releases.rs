//! `/projects/ID/releases/TAG`, and the permalinks of assets: `/PROJECT/-/releases/TAG/downloads/PATH`.

use serde_json::json;

use super::caller::Caller;
use super::{Asked, NOT_FOUND, Refusal, decode};
use crate::answer::Answer;
use crate::config::Project;
use crate::holdings::{Release, ReleaseLink, Target};

/// What the API says of a release.
pub(super) fn describe(asked: &Asked<'_>, id: &str, tag: &str) -> Result<Answer, Refusal> {
    let caller = Caller::of_token_or_job(asked)?;
    let project = asked.project(id, caller)?;
    let mut releases = releases(asked, project).iter();
    let release = releases
        .find(|release| release.tag == tag)
        .ok_or(NOT_FOUND)?;
    let links: Vec<_> = release
        .links
        .iter()
        .enumerate()
        .map(|(index, link)| {
            let url = link.url(asked);
            let direct = link.permalink(asked, project, release);
            json!({
                "id": index + 1,
                "name": link.name,
                "url": url,
                "direct_asset_url": direct.unwrap_or(url),
                "link_type": "other",
            })
        })
        .collect();
    Ok(Answer::json(&json!({
        "tag_name": release.tag,
        "name": release.tag,
        "description": "",
        "assets": { "count": links.len(), "sources": [], "links": links },
    })))
}

/// Redirects to where the maintainer said that the asset is. `rest` is what follows `/-/releases/`.
///
/// This is no part of the API: whoever has no right to see the project is sent to the sign-in page, and
/// the tokens of jobs are not looked at.
pub(super) fn permalink(asked: &Asked<'_>, project: &str, rest: &str) -> Answer {
    let Ok(caller) = Caller::of_token(asked) else {
        return Answer::redirect(&format!("{}/users/sign_in", asked.instance));
    };
    let project = match asked.project(project.trim_start_matches('/'), caller) {
        Ok(project) => project,
        Err(_) if caller.is_nobody() => {
            return Answer::redirect(&format!("{}/users/sign_in", asked.instance));
        }
        Err(refusal) => return refusal.into(),
    };
    let releases = releases(asked, project);
    if let Some(path) = rest.strip_prefix("permalink/latest/") {
        return match releases.first() {
            Some(latest) => Answer::redirect(&format!(
                "{}/{}/-/releases/{}/{path}",
                asked.instance,
                project.path,
                encoded(&latest.tag)
            )),
            None => NOT_FOUND.into(),
        };
    }
    let link = rest.split_once("/downloads").and_then(|(tag, path)| {
        let tag = decode(tag);
        let release = releases.iter().find(|release| release.tag == tag)?;
        let mut links = release.links.iter();
        links.find(|link| link.direct_asset_path.as_deref() == Some(&decode(path)))
    });
    match link {
        Some(link) => Answer::redirect(&link.url(asked)),
        None => NOT_FOUND.into(),
    }
}

fn releases<'a>(asked: &'a Asked<'_>, project: &Project) -> &'a [Release] {
    let held = asked.config.holdings.get(&project.id);
    held.map(|held| held.releases.as_slice())
        .unwrap_or_default()
}

impl ReleaseLink {
    fn url(&self, asked: &Asked<'_>) -> String {
        match &self.target {
            Target::Instance(path) => format!("{}{path}", asked.instance),
            Target::Url(url) => url.clone(),
        }
    }

    fn permalink(&self, asked: &Asked<'_>, project: &Project, release: &Release) -> Option<String> {
        let path = self.direct_asset_path.as_deref()?;
        let tag = encoded(&release.tag);
        Some(format!(
            "{}/{}/-/releases/{tag}/downloads{path}",
            asked.instance, project.path
        ))
    }
}

/// A tag as one segment of a path.
fn encoded(tag: &str) -> String {
    percent_encoding::utf8_percent_encode(tag, crate::storage::SEGMENT).to_string()
}
