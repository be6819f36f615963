//! What this program itself grants its own modules, and knows of their parameters.

use serde_json::{Map, Value};

use crate::describe::FetcherDescription;
use crate::s3::S3Place;
use crate::{ModuleId, Origin, OriginError};

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

/// The parameters of which the module `s3` composes its server's name.
pub const S3_SERVER: [&str; 4] = ["bucket", "endpoint", "region", "addressing-style"];

/// The origin that a built-in fetcher composes of several parameters, so that it
/// can be granted and asked about: for `s3` the server of the bucket. Of
/// another module nothing is composed: what it makes of parameters is its own.
///
/// # Errors
/// When the parameters compose none.
pub fn composed_origin(
    module: &ModuleId,
    params: &Map<String, Value>,
) -> Option<Result<Origin, OriginError>> {
    let is_s3 = matches!(module, ModuleId::Builtin(name) if name == "s3");
    let text = |name: &str| params.get(name).and_then(Value::as_str);
    is_s3.then(|| {
        let server = S3Place {
            bucket: text("bucket").unwrap_or_default(),
            endpoint: text("endpoint"),
            region: text("region"),
            style: text("addressing-style"),
        };
        server.origin()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn composed(module: &str, params: &Value) -> Option<String> {
        let origin = composed_origin(&module.parse().unwrap(), params.as_object().unwrap())?;
        Some(origin.map_or_else(|_| "none".to_owned(), |origin| origin.to_string()))
    }

    #[test]
    fn the_server_of_a_bucket_follows_from_the_parameters() {
        for (params, origin) in [
            (
                json!({ "bucket": "b" }),
                "https://b.s3.us-east-1.amazonaws.com",
            ),
            (
                json!({ "bucket": "b", "region": "eu-west-1" }),
                "https://b.s3.eu-west-1.amazonaws.com",
            ),
            (
                json!({ "bucket": "b", "region": "cn-north-1" }),
                "https://b.s3.cn-north-1.amazonaws.com.cn",
            ),
            (
                json!({ "bucket": "b.c" }),
                "https://s3.us-east-1.amazonaws.com",
            ),
            (
                json!({ "bucket": "My_Bucket" }),
                "https://s3.us-east-1.amazonaws.com",
            ),
            (
                json!({ "bucket": "b", "addressing-style": "path" }),
                "https://s3.us-east-1.amazonaws.com",
            ),
            (
                json!({ "bucket": "b", "endpoint": "http://h:9000/base" }),
                "http://h:9000",
            ),
            (
                json!({ "bucket": "b", "endpoint": "https://h:9000", "addressing-style": "virtual" }),
                "https://b.h:9000",
            ),
            (json!({ "bucket": "b", "endpoint": "h" }), "none"),
            (
                json!({ "bucket": "evil.example/x#" , "addressing-style": "virtual" }),
                "none",
            ),
            (
                json!({ "bucket": "u@evil.example/", "addressing-style": "virtual" }),
                "none",
            ),
            (
                json!({ "bucket": "b", "region": "x.evil.example/" }),
                "none",
            ),
        ] {
            assert_eq!(composed("builtin:s3", &params).unwrap(), origin, "{params}");
        }
        let digest = format!("sha256:{}", "0".repeat(64));
        for module in ["builtin:http", digest.as_str()] {
            assert_eq!(composed(module, &json!({ "bucket": "b" })), None);
        }
    }

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
