//! `nix-fetchhost fetcher inspect`

use std::fmt::Write;

use fetchhost_policy::describe::{FetcherDescription, OutputRule};
use serde::Serialize;

use crate::catalog;
use crate::context::Context;
use crate::failure::Failure;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    module: String,
    digest: String,
    imports: Vec<String>,
    description: &'a fetchhost_policy::describe::Description,
}

/// Shows what a module is, what its fetchers ask for, and what they produce.
pub(crate) async fn inspect(context: &Context, text: &str) -> Result<(), Failure> {
    let loaded = catalog::inspect(&context.engine()?, text).await?;
    let module = &loaded.module;
    let digest = fetchhost_formats::hex(&module.digest());
    let description = module.description();
    if context.printer.json {
        return context.printer.json(&Report {
            module: loaded.id.to_string(),
            digest,
            imports: module.imports(),
            description,
        });
    }
    let mut shown = format!(
        "module   {}\nversion  {}\nsha256   {digest}\n",
        loaded.id, description.version
    );
    push(
        &mut shown,
        format_args!("imports  {}\n", module.imports().join("\n         ")),
    );
    for (name, fetcher) in &description.fetchers {
        if loaded.fetcher.as_ref().is_none_or(|wanted| wanted == name) {
            push(
                &mut shown,
                format_args!("\n{}", fetcher_text(name, fetcher)),
            );
        }
    }
    context.printer.result(shown.trim_end())
}

/// One fetcher for a reader.
pub(crate) fn fetcher_text(name: &str, fetcher: &FetcherDescription) -> String {
    let mut text = format!("{name}: {}\n", fetcher.summary);
    let needs = &fetcher.needs;
    if let Some(parameter) = &needs.origin_parameter {
        push(
            &mut text,
            format_args!("  origin       the one in --{parameter}\n"),
        );
    }
    list(&mut text, "origins", &needs.origins);
    // Who asks nobody needs no method.
    if needs.origin_parameter.is_some() || !needs.origins.is_empty() {
        list(&mut text, "methods", &needs.methods);
    }
    list(&mut text, "paths", &needs.paths);
    for (name, input) in &fetcher.inputs {
        push(
            &mut text,
            format_args!("  input        {name}: {}\n", input.summary),
        );
    }
    for (slot, key) in &fetcher.keys {
        let envelopes: Vec<&str> = key.envelopes.iter().map(|one| one.name()).collect();
        push(
            &mut text,
            format_args!(
                "  key          {slot}, by --{} ({}): {}\n",
                key.parameter,
                envelopes.join(", "),
                key.summary
            ),
        );
    }
    for (slot, description) in &fetcher.slots {
        let optional = if description.optional {
            "optional"
        } else {
            "required"
        };
        push(
            &mut text,
            format_args!(
                "  credential   {slot} ({optional}, suggests {}): {}\n",
                description.scheme, description.summary
            ),
        );
    }
    if let Some(properties) = fetcher
        .parameters
        .get("properties")
        .and_then(|value| value.as_object())
    {
        let names: Vec<&str> = properties.keys().map(String::as_str).collect();
        list(&mut text, "parameters", &names);
    }
    for rule in &fetcher.output {
        push(
            &mut text,
            format_args!("  output       {}\n", rule_text(rule)),
        );
    }
    text
}

/// A rule as a sentence: what the output is called and hashed over, and when.
fn rule_text(rule: &OutputRule) -> String {
    let name = match (&rule.name, &rule.name_from) {
        (Some(name), _) => format!("`{name}`"),
        (None, Some(parameter)) => format!("named after --{parameter}"),
        (None, None) => String::new(),
    };
    let mut conditions: Vec<String> = Vec::new();
    conditions.extend(
        rule.set
            .iter()
            .map(|parameter| format!("--{parameter} is given")),
    );
    for (parameter, value) in rule.equals.iter().flatten() {
        conditions.push(match value {
            serde_json::Value::Bool(true) => format!("--{parameter}"),
            serde_json::Value::Bool(false) => format!("--no-{parameter}"),
            other => format!("--{parameter} is {other}"),
        });
    }
    let when = if conditions.is_empty() {
        "otherwise".to_owned()
    } else {
        format!("when {}", conditions.join(" and "))
    };
    format!("{} {name} {when}", rule.mode)
}

fn list(text: &mut String, label: &str, items: &[impl ToString]) {
    if !items.is_empty() {
        let items: Vec<String> = items.iter().map(ToString::to_string).collect();
        push(text, format_args!("  {label:<12} {}\n", items.join(", ")));
    }
}

/// Writing to a string cannot fail.
fn push(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    let _ = text.write_fmt(arguments);
}
