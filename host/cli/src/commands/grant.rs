//! `nix-fetchhost grant`

pub(crate) mod add;
pub(crate) mod explain;
pub(crate) mod list;
pub(crate) mod remove;

use std::sync::Arc;

use fetchhost_engine::Module;
use fetchhost_policy::{Grant, Method, ModuleId, PathPattern};

use crate::catalog;
use crate::context::Context;
use crate::failure::{Failure, with_causes};

/// MODULE as typed.
struct Named {
    id: ModuleId,
    /// The paths that it declares, when it was there to be asked.
    paths: Option<Vec<PathPattern>>,
    /// The module itself, when it was there to be asked.
    module: Option<Arc<Module>>,
}

/// Reads MODULE: as grants name it, or a fetcher of it as `run` does.
async fn module(context: &Context, text: &str) -> Result<Named, Failure> {
    if ["builtin:", "sha256:", "host:"]
        .iter()
        .any(|kind| text.starts_with(kind))
    {
        let id = text
            .parse()
            .map_err(|error: fetchhost_policy::IdError| Failure::usage(error.to_string()))?;
        return Ok(Named {
            id,
            paths: None,
            module: None,
        });
    }
    let selected = catalog::select(&context.engine()?, text).await?;
    Ok(Named {
        paths: Some(selected.description()?.needs.paths.clone()),
        id: selected.id,
        module: Some(selected.module),
    })
}

/// Refuses a grant for a part of the host that needs none.
fn takes_no_grant(id: &ModuleId) -> Failure {
    Failure::usage(format!("`{id}` takes no grant")).with_hint(
        "a credential with the source `aws` asks the server that AWS's own variables and files name",
    )
}

/// What a grant says, on a line for each key.
fn details(grant: &Grant) -> String {
    let mut text = String::new();
    let mut line = |key: &str, value: String| text.push_str(&format!("  {key:11} {value}\n"));
    if !grant.origins.is_empty() {
        line("origins", texts(&grant.origins).join(" "));
    }
    if grant.methods != Method::READING {
        line("methods", texts(&grant.methods).join(" "));
    }
    if let Some(paths) = &grant.paths {
        line("paths", texts(paths).join(" "));
    }
    if !grant.redirects.is_empty() {
        line("redirects", texts(&grant.redirects).join(" "));
    }
    for (slot, name) in &grant.credentials {
        line("credential", format!("{slot} = {name}"));
    }
    for (key, envelopes) in &grant.keys {
        line("key", format!("{key} for {}", texts(envelopes).join(" ")));
    }
    if let Some(domain) = &grant.domain {
        line("domain", domain.to_string());
    }
    if let Some(remember) = grant.remember {
        line("remember", humantime::format_duration(remember).to_string());
    }
    text
}

fn texts<T: ToString>(items: &[T]) -> Vec<String> {
    items.iter().map(ToString::to_string).collect()
}

/// Reads the values of a repeated flag.
fn values<T>(flag: &str, texts: &[String]) -> Result<Vec<T>, Failure>
where
    T: std::str::FromStr,
    T::Err: std::error::Error,
{
    let value = |text: &String| {
        text.parse().map_err(|error: T::Err| {
            Failure::usage(format!("`{flag} {text}`: {}", with_causes(&error)))
        })
    };
    texts.iter().map(value).collect()
}
