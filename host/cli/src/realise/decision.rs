//! Whose work the output of a derivation is.
//!
//! **The threat.** A derivation comes from an expression that anybody may have written. It must not be
//! able to say who is asked, and what this program makes must be what its builder would have made.
//!
//! **The rule.** Nothing here grants anything. An output is taken over when all that decides it is known:
//! its hash, and one URL that either carries one of our fetches, or matches a route of the configuration
//! with nothing else in the derivation that would change what is downloaded, or what becomes of it.
//!
//! | derivation | |
//! |---|---|
//! | `builtin:fetchurl` with a gateway's URL that names the same output | fetched |
//! | the same with a URL that cannot be read, or names another output | left to Nix, with a note |
//! | a flat fixed output with `url` or `urls`, one of which is routed | fetched |
//! | the same, a tree or with [`ALTERING`] attributes | left to Nix, with a note |
//! | everything else | left to Nix |

use fetchhost_formats::{Derivation, OutputMode};
use fetchhost_gateway::{FetchUrl, StoreInputs};
use fetchhost_policy::{Config, Provenance, RoutedUrl};
use serde_json::{Map, Value};

/// Nix's own fetcher.
const BUILTIN: &str = "builtin:fetchurl";

/// The parameter that a route's fetcher gets.
pub(crate) const URL: &str = "url";

/// Attributes that change what is downloaded or what becomes of it: of nixpkgs' `fetchurl` (whose earlier
/// releases hand on `netrcPhase` as `postHook` alone), of Nix's own, and those by which a builder says that it
/// is another one, which has a `url` too.
const ALTERING: [&str; 15] = [
    "postFetch",
    "curlOpts",
    "curlOptsList",
    "NIX_CURL_FLAGS",
    "netrcPhase",
    "postHook",
    "showURLs",
    "downloadToTemp",
    "executable",
    "unpack",
    "buildCommand",
    "buildCommandPath",
    "buildPhase",
    "installPhase",
    "phases",
];

/// What is done about a derivation's output.
#[derive(Debug, PartialEq)]
pub(crate) enum Decision {
    /// It is fetched.
    Fetch(Box<FetchUrl>, Origin),
    /// It looks like ours, and is left to Nix for this reason.
    Leave(String),
    /// It is none of our business.
    Other,
}

/// Why an output is fetched.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Origin {
    /// The expression names a fetcher.
    Ours,
    /// A route names it, which was written here.
    Routed(Provenance),
}

/// Decides about one derivation.
pub(crate) fn decide(derivation: &Derivation, config: &Config) -> Decision {
    let Some(output) = derivation.fixed_output() else {
        return Decision::Other;
    };
    let is_builtin = derivation.builder() == BUILTIN;
    let url = derivation.attribute(URL);
    if is_builtin && let Some(ours) = FetchUrl::of_gateway(&url) {
        return match ours {
            Err(error) => Decision::Leave(format!("its URL is a gateway's, and wrong: {error}")),
            Ok(ours) if ours.output == output => Decision::Fetch(Box::new(ours), Origin::Ours),
            Ok(_) => Decision::Leave(
                "its URL is a gateway's, and names another name, mode or hash than the derivation"
                    .to_owned(),
            ),
        };
    }
    // Nix's own fetcher knows one URL alone.
    let urls = if is_builtin {
        "".into()
    } else {
        derivation.attribute("urls")
    };
    let routed = urls
        .split_whitespace()
        .chain(url.split_whitespace())
        .filter_map(RoutedUrl::parse)
        .find_map(|url| Some((config.route_of(&url)?, url)));
    let Some((route, url)) = routed else {
        return Decision::Other;
    };
    let routed = format!("a route matches `{}`", without_query(&url));
    if output.mode != OutputMode::Flat {
        return Decision::Leave(format!(
            "{routed}, but its hash is that of a NAR and not of what is downloaded"
        ));
    }
    if let Some(attribute) = ALTERING.into_iter().find(|name| derivation.has(name)) {
        return Decision::Leave(format!(
            "{routed}, but it has `{attribute}`, which only its own builder understands"
        ));
    }
    let fetch = FetchUrl {
        fetcher: route.fetcher.clone(),
        output,
        params: Map::from_iter([(URL.to_owned(), Value::String(url.to_string()))]),
        inputs: StoreInputs::default(),
        executable: false,
        owner: None,
    };
    Decision::Fetch(Box::new(fetch), Origin::Routed(route.from.clone()))
}

/// A query may be a credential.
fn without_query(url: &RoutedUrl) -> String {
    let text = url.to_string();
    text.split('?').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests;
