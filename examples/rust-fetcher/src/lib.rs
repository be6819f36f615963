//! Fetches what a JSON document points to: many services answer "where is it?" with a document that
//! holds a download URL.

use fetchhost_sdk::{
    FetchError, Fetcher, FetcherDescription, OutputRule, Plan, Request, Scheme, Slot, log,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

/// Larger documents are not what this fetcher is for.
const DOCUMENT_LIMIT: usize = 1024 * 1024;

// The doc comments of the fields are the help of the flags `--document`, `--pointer` and `--file`.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Params {
    /// The URL of the JSON document.
    #[schemars(example = &"https://api.example.com/v1/releases/latest")]
    document: String,

    /// Where in the document the download URL stands, as a JSON Pointer.
    #[serde(default = "default_pointer")]
    #[schemars(example = &"/assets/0/download_url")]
    pointer: String,

    /// What to call the file.
    #[expect(dead_code, reason = "the host reads it, for the output rule")]
    file: Option<String>,
}

fn default_pointer() -> String {
    "/download_url".to_owned()
}

struct JsonAsset;

impl Fetcher for JsonAsset {
    const NAME: &'static str = "json-asset";
    type Params = Params;

    // What the fetcher asks for. The user decides what it gets.
    fn describe() -> FetcherDescription {
        FetcherDescription::new("The file that a JSON document points to")
            .origin_parameter("document")
            .path("/**")
            .slot(Slot::new("token", Scheme::Bearer, "a token of the API").optional())
            .output(OutputRule::flat_named_after("file").when_set("file"))
            .output(OutputRule::flat("asset"))
    }

    fn fetch(params: Params) -> Result<Plan, FetchError> {
        log::phase("asking for the document");
        let question = Request::get(&params.document).header("accept", "application/json")?;
        question.authorize("token")?;
        let document: Value = question.send()?.error_for_status()?.json(DOCUMENT_LIMIT)?;

        // The file itself is not read here: the host sends this request, resumes it, and hashes the
        // answer. Where the file lies on another origin, the host attaches no credential, and the user
        // must have allowed that origin.
        let asset = Request::get(download_url(&document, &params.pointer)?);
        asset.authorize("token")?;
        Plan::file(asset)
    }
}

/// Finds the download URL. Apart from everything that calls the host, so that a plain test can run it.
fn download_url<'a>(document: &'a Value, pointer: &str) -> Result<&'a str, FetchError> {
    match document.pointer(pointer) {
        Some(Value::String(url)) => Ok(url),
        Some(_) => Err(FetchError::bad_params(format!(
            "`pointer`: what stands at `{pointer}` is not text"
        ))),
        None => Err(FetchError::not_found(format!(
            "the document holds nothing at `{pointer}`"
        ))),
    }
}

fetchhost_sdk::export!(JsonAsset);

#[cfg(test)]
mod tests;
