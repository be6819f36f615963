//! A module that does what a module must not do.
//!
//! One component offers one fetcher, `hostile`, whose parameter `deed` says what it tries. What it says
//! about itself can be hostile too: [`describe`] holds a marker that a test overwrites in the built file.
//! README.md lists every deed with the exit code that the host has to end with.
//!
//! It uses what the SDK generates and hides, since whoever means harm does not keep to the SDK.

mod describe;
mod exhaust;
mod lie;
mod plant;
mod reach;
mod sign;

use fetchhost_sdk::{FetchError, Fetcher, FetcherDescription, OutputRule, Plan, Scheme, Slot};
use schemars::JsonSchema;
use serde::Deserialize;

/// What a deed is given: where its own origin is, and what is forbidden.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Params {
    /// What to do; README.md has the list.
    deed: String,

    /// The origin that the user grants by typing it.
    #[serde(default = "nowhere")]
    url: String,

    /// A URL on another origin, which nobody grants.
    #[serde(default = "nowhere")]
    other: String,

    /// The header that `plant-header` plants.
    #[serde(default)]
    header: String,

    /// The name of the key, for descriptions that have one.
    #[expect(dead_code, reason = "the host finds the key by it")]
    key_id: Option<String>,
}

fn nowhere() -> String {
    "http://127.0.0.1:9".to_owned()
}

impl Params {
    /// A URL below the only path that the description asks for.
    fn granted(&self) -> String {
        format!("{}/granted/file", self.url)
    }
}

/// One deed by name.
type Deed = (&'static str, fn(&Params) -> Result<Plan, FetchError>);

struct Hostile;

impl Fetcher for Hostile {
    const NAME: &'static str = "hostile";
    type Params = Params;

    fn describe() -> FetcherDescription {
        FetcherDescription::new("Tries to break out")
            .origin_parameter("url")
            .path("/granted/**")
            .slot(Slot::new("token", Scheme::Header("X-Token"), "bait").optional())
            .output(OutputRule::flat("flat").when("deed", "tree-for-flat"))
            .output(OutputRule::nar("source"))
    }

    fn fetch(params: Params) -> Result<Plan, FetchError> {
        [
            exhaust::DEEDS,
            lie::DEEDS,
            plant::DEEDS,
            reach::DEEDS,
            sign::DEEDS,
        ]
        .concat()
        .into_iter()
        .find(|(name, _)| *name == params.deed)
        .ok_or_else(|| FetchError::bad_params(format!("no such deed: `{}`", params.deed)))
        .and_then(|(_, deed)| deed(&params))
    }
}

/// A plan that is fine, for deeds whose wrong has been done before.
fn harmless() -> Result<Plan, FetchError> {
    let mut tree = Plan::tree();
    tree.file("file", "harmless\n".to_owned())?;
    Ok(tree.into())
}
