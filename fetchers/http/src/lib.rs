//! The built-in module `http`: fetches a file by its URL, as it is or unpacked.

use fetchhost_sdk::{
    ArchiveFormat, FetchError, Fetcher, FetcherDescription, OutputRule, Plan, Request, Scheme, Slot,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// The only credential slot.
const AUTH: &str = "auth";

/// The file is kept as it is, or unpacked into a tree.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Params {
    /// The URL of the file.
    #[schemars(example = &"https://example.com/source.tar.gz")]
    url: String,

    /// Unpack the file: a zip, or a tar, compressed or not, told by its first bytes.
    #[serde(default)]
    unpack: bool,

    /// How many leading folders to remove while unpacking.
    #[serde(default)]
    strip_components: u32,
}

struct HttpFile;

impl Fetcher for HttpFile {
    const NAME: &'static str = "http-file";
    type Params = Params;

    fn describe() -> FetcherDescription {
        FetcherDescription::new("A file by its URL")
            .origin_parameter("url")
            .path("/**")
            .slot(Slot::new(AUTH, Scheme::Bearer, "whatever the server wants").optional())
            .output(OutputRule::nar("source").when("unpack", true))
            .output(OutputRule::flat_named_after("url"))
    }

    fn fetch(params: Params) -> Result<Plan, FetchError> {
        let unpack = params.unpacking()?;
        let request = Request::get(&params.url);
        request.authorize(AUTH)?;
        match unpack {
            Some(strip) => Plan::archive(request, ArchiveFormat::Auto, strip),
            None => Plan::file(request),
        }
    }
}

impl Params {
    /// How many folders to strip, or that nothing is unpacked.
    fn unpacking(&self) -> Result<Option<u32>, FetchError> {
        match (self.unpack, self.strip_components) {
            (true, strip) => Ok(Some(strip)),
            (false, 0) => Ok(None),
            (false, _) => Err(FetchError::bad_params(
                "`strip-components` is about unpacking: it needs `unpack`",
            )),
        }
    }
}

fetchhost_sdk::export!(HttpFile);

#[cfg(test)]
mod tests {
    use super::{HttpFile, Params};
    use fetchhost_sdk::ErrorKind;
    use serde_json::json;

    fn params(json: &str) -> Params {
        fetchhost_sdk::parameters::<HttpFile>(json).unwrap()
    }

    #[test]
    fn a_file_is_kept_as_it_is_unless_unpacking_is_asked_for() {
        let flat = params(r#"{ "url": "https://example.com/a" }"#);
        assert_eq!(flat.unpacking().unwrap(), None);
        let tree = params(r#"{ "url": "https://example.com/a", "unpack": true }"#);
        assert_eq!(tree.unpacking().unwrap(), Some(0));
        let stripped =
            params(r#"{ "url": "https://example.com/a", "unpack": true, "strip-components": 1 }"#);
        assert_eq!(stripped.unpacking().unwrap(), Some(1));
    }

    #[test]
    fn stripping_what_is_not_unpacked_is_refused() {
        let error = params(r#"{ "url": "https://example.com/a", "strip-components": 1 }"#)
            .unpacking()
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadParams);
    }

    #[test]
    fn a_tree_is_called_source_and_a_file_as_its_url_says() {
        assert_eq!(
            fetchhost_sdk::description::<HttpFile>()["output"],
            json!([
                { "equals": { "unpack": true }, "mode": "nar", "name": "source" },
                { "mode": "flat", "name-from": "url" },
            ])
        );
    }

    #[test]
    fn every_path_is_asked_for_and_no_origin_of_its_own() {
        assert_eq!(
            fetchhost_sdk::description::<HttpFile>()["needs"],
            json!({ "origin-parameter": "url", "origins": [], "methods": ["GET", "HEAD"], "paths": ["/**"] })
        );
    }
}
