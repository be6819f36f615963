//! `nix-fetchhost grant list`

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use fetchhost_policy::{Config, Deny, Grant};

use super::{details, texts};
use crate::context::Context;
use crate::failure::Failure;
use crate::report::SCHEMA_VERSION;

/// What `grant list --json` prints.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(title = "nix-fetchhost grants")]
struct Report {
    /// 1.
    schema_version: u32,
    grants: Vec<GrantRow>,
    denied: Vec<DenyRow>,
    /// Whether the administrator locked it, so that users' files do not count.
    locked: bool,
    /// Whether typing grants.
    argv_consent: bool,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct GrantRow {
    module: String,
    origins: Vec<String>,
    methods: Vec<String>,
    /// Null: those that the module declares.
    paths: Option<Vec<String>>,
    redirects: Vec<String>,
    credentials: BTreeMap<String, String>,
    /// Which keys it may have sign, and in which envelopes.
    keys: BTreeMap<String, Vec<String>>,
    /// Null: its own.
    domain: Option<String>,
    /// For how many seconds results without a declared hash are remembered; null: not at all.
    remember_for: Option<u64>,
    from: String,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct DenyRow {
    /// Empty: every host.
    origins: Vec<String>,
    /// Empty: every module.
    modules: Vec<String>,
    from: String,
}

/// Lists what is granted, and what the administrator takes away.
pub(crate) fn list(context: &Context) -> Result<(), Failure> {
    let config = &context.settings.config;
    if context.printer.json {
        return context.printer.json(&report(config));
    }
    if config.grants.is_empty() {
        context.printer.note(
            "no grant is configured; what is typed on `run` and `prefetch` grants for that run",
        );
    }
    let mut parts: Vec<String> = config.grants.iter().map(grant).collect();
    parts.extend(config.deny.iter().map(deny));
    if let Some(place) = config.locked() {
        parts.push(format!("locked at {place}: no other file counts"));
    }
    if let Some(place) = config.no_argv_consent() {
        parts.push(format!("what is typed grants nothing, by {place}"));
    }
    parts
        .iter()
        .try_for_each(|part| context.printer.result(part))
}

fn grant(grant: &Grant) -> String {
    format!("{} at {}\n{}", grant.module, grant.from, details(grant))
}

fn deny(deny: &Deny) -> String {
    let mut text = format!("denied at {}\n", deny.from);
    let or_all = |items: Vec<String>| {
        if items.is_empty() {
            "all".to_owned()
        } else {
            items.join(" ")
        }
    };
    text.push_str(&format!("  hosts       {}\n", or_all(texts(&deny.origins))));
    text.push_str(&format!("  modules     {}\n", or_all(texts(&deny.modules))));
    text
}

fn report(config: &Config) -> Report {
    Report {
        schema_version: SCHEMA_VERSION,
        grants: config
            .grants
            .iter()
            .map(|grant| GrantRow {
                module: grant.module.to_string(),
                origins: texts(&grant.origins),
                methods: texts(&grant.methods),
                paths: grant.paths.as_deref().map(texts),
                redirects: texts(&grant.redirects),
                credentials: grant
                    .credentials
                    .iter()
                    .map(|(slot, name)| (slot.to_string(), name.to_string()))
                    .collect(),
                keys: grant
                    .keys
                    .iter()
                    .map(|(key, envelopes)| (key.to_string(), texts(envelopes)))
                    .collect(),
                domain: grant.domain.as_ref().map(ToString::to_string),
                remember_for: grant.remember.map(|remember| remember.as_secs()),
                from: grant.from.to_string(),
            })
            .collect(),
        denied: config
            .deny
            .iter()
            .map(|deny| DenyRow {
                origins: texts(&deny.origins),
                modules: texts(&deny.modules),
                from: deny.from.to_string(),
            })
            .collect(),
        locked: config.locked().is_some(),
        argv_consent: config.no_argv_consent().is_none(),
    }
}

#[cfg(test)]
mod tests {
    use crate::report::tests::is_published;

    use super::*;

    #[test]
    fn the_schema_is_the_published_one() {
        is_published::<Report>(include_str!(
            "../../../../../docs/schema/grants.schema.json"
        ));
    }
}
