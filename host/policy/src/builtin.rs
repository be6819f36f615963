//! What this program itself grants its own modules.

use crate::describe::FetcherDescription;
use crate::{ModuleId, Origin};

/// Redirects of GitLab.com's own artifact storage. Other instances redirect
/// wherever their administrators set them up, so nothing is known of those.
const GITLAB_COM: &str = "https://gitlab.com";
const GITLAB_COM_STORAGE: [&str; 2] = [
    "https://cdn.artifacts.gitlab-static.net",
    "https://storage.googleapis.com",
];

/// The origin that a built-in fetcher asks when none was typed: the single one
/// that it declares, or for gitlab, whose `url` says so, GitLab.com. Another
/// module's declaration grants nothing.
pub(crate) fn default_origin(module: &ModuleId, fetcher: &FetcherDescription) -> Option<Origin> {
    let ModuleId::Builtin(name) = module else {
        return None;
    };
    match fetcher.needs.origins.as_slice() {
        [only] => only.exact().cloned(),
        [] if name == "gitlab" => Origin::parse(GITLAB_COM).ok(),
        _ => None,
    }
}

/// The one origin from which [`redirects`] knows any for `module`.
pub(crate) fn redirecting(module: &ModuleId) -> Option<Origin> {
    let start = Origin::parse(GITLAB_COM).ok()?;
    (!redirects(module, &start).is_empty()).then_some(start)
}

/// The origins that `module` may follow redirects to when they start at
/// `start`, without anybody having said so.
pub(crate) fn redirects(module: &ModuleId, start: &Origin) -> Vec<Origin> {
    let is_gitlab = matches!(module, ModuleId::Builtin(name) if name == "gitlab");
    if !is_gitlab || start.to_string() != GITLAB_COM {
        return Vec::new();
    }
    GITLAB_COM_STORAGE
        .iter()
        .filter_map(|origin| Origin::parse(origin).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gitlab_may_follow_gitlab_com_to_its_storage_and_nobody_else_anywhere() {
        let gitlab: ModuleId = "builtin:gitlab".parse().unwrap();
        let http: ModuleId = "builtin:http".parse().unwrap();
        let com = Origin::parse("https://gitlab.com").unwrap();
        let shown: Vec<String> = redirects(&gitlab, &com)
            .iter()
            .map(Origin::to_string)
            .collect();
        assert_eq!(shown, GITLAB_COM_STORAGE);
        assert!(redirects(&http, &com).is_empty());
        for other in [
            "http://gitlab.com",
            "https://gitlab.com:8443",
            "https://gitlab.example.com",
        ] {
            assert!(
                redirects(&gitlab, &Origin::parse(other).unwrap()).is_empty(),
                "{other}"
            );
        }
    }
}
