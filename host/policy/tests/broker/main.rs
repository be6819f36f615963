//! The broker: requests, redirects, consent, and what denials say.
#![allow(clippy::unwrap_used, missing_docs)]

mod consent;
mod hints;
mod properties;
mod redirects;
mod requests;

use std::path::Path;

use fetchhost_policy::describe::{Description, FetcherDescription};
use fetchhost_policy::{
    ArgvCredential, Broker, Config, Consent, Denial, DenialKind, Method, ModuleId, Origin, Permit,
    PolicyError, SlotName,
};
use serde_json::json;
use url::Url;

pub(crate) const GITLAB: &str = "builtin:gitlab";

/// A fetcher that asks for GitLab's API, as the built-in one does.
pub(crate) fn gitlab() -> FetcherDescription {
    describe(&json!({
        "origin-parameter": "url",
        "origins": ["https://gitlab.com"],
        "methods": ["GET", "HEAD", "POST"],
        "paths": ["/**/api/v4/**", "/**/-/releases/**"]
    }))
}

/// A fetcher with the given `needs`, an optional slot `token` and a slot
/// `required` that is not optional.
pub(crate) fn describe(needs: &serde_json::Value) -> FetcherDescription {
    let document = json!({
        "version": "1",
        "fetchers": { "f": {
            "summary": "test",
            "parameters": { "type": "object", "properties": { "url": { "type": "string" } } },
            "slots": {
                "token": { "summary": "a token", "scheme": "header:PRIVATE-TOKEN", "optional": true },
                "required": { "summary": "a token", "scheme": "bearer" }
            },
            "needs": needs,
            "output": [{ "mode": "nar", "name": "source" }]
        } }
    });
    Description::parse(document.to_string().as_bytes())
        .unwrap()
        .fetchers["f"]
        .clone()
}

pub(crate) fn origin(text: &str) -> Origin {
    Origin::parse(text).unwrap()
}

pub(crate) fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}

pub(crate) fn slot(name: &str) -> SlotName {
    name.parse().unwrap()
}

pub(crate) fn config(toml: &str) -> Config {
    let user = Config::parse(toml, Path::new("config.toml"))
        .unwrap_or_else(|error| panic!("{error}\n{toml}"));
    Config::merge(Config::default(), user).unwrap_or_else(|error| panic!("{error}\n{toml}"))
}

/// `typed`, `--allow` and `--credential`, each separated by blanks.
pub(crate) fn consent(typed: &str, allow: &str, credentials: &str) -> Consent {
    let origins = |text: &str| text.split_whitespace().map(origin).collect();
    Consent {
        typed_origins: origins(typed),
        allow: origins(allow),
        credentials: credentials
            .split_whitespace()
            .map(|text| ArgvCredential::parse(text).unwrap())
            .collect(),
        ..Consent::default()
    }
}

pub(crate) fn try_broker(
    module: &str,
    description: &FetcherDescription,
    toml: &str,
    consent: Option<&Consent>,
) -> Result<Broker, PolicyError> {
    let module: ModuleId = module.parse().unwrap();
    Broker::new(module, "f", description, &config(toml), consent)
}

/// A broker for the gitlab-like fetcher under a configuration alone.
pub(crate) fn configured(toml: &str) -> Broker {
    try_broker(GITLAB, &gitlab(), toml, None).unwrap()
}

/// A broker for the gitlab-like fetcher under consent alone.
pub(crate) fn typed(consent: &Consent) -> Broker {
    try_broker(GITLAB, &gitlab(), "", Some(consent)).unwrap()
}

pub(crate) fn get(broker: &Broker, to: &str) -> Result<Permit, Denial> {
    broker.authorize(Method::Get, &url(to), None, false)
}

pub(crate) fn get_with_token(broker: &Broker, to: &str) -> Result<Permit, Denial> {
    broker.authorize(Method::Get, &url(to), Some(&slot("token")), false)
}

pub(crate) fn follow(broker: &Broker, from: &Permit, to: &str) -> Result<Permit, Denial> {
    broker.redirect(from, Method::Get, &url(to))
}

pub(crate) fn kind(result: Result<Permit, Denial>) -> Option<DenialKind> {
    result.err().map(|denial| denial.kind())
}
