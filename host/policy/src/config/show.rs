//! Configuration written back as TOML: for `config show` and for the lines that
//! a denial prints. It never holds a secret, since a [`Config`] never does.

use std::fmt::Write as _;

use super::Config;
use crate::limits::{Quantity, Unit};
use crate::{CredentialSpec, Grant, Method, SourceSpec};

impl Config {
    /// The configuration as TOML that [`Config::parse`] reads as the same.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut sections = Vec::new();
        if self.allow_metadata {
            sections.push("allow-metadata = true\n".to_owned());
        }
        if !self.limits.is_empty() {
            let mut section = "[limits]\n".to_owned();
            for (limit, value) in &self.limits {
                let shown = match limit.unit() {
                    Unit::Count => value.to_string(),
                    unit => quoted(&Quantity(unit, *value).to_string()),
                };
                line(&mut section, limit.key(), &shown);
            }
            sections.push(section);
        }
        sections.extend(self.credentials.values().map(credential_toml));
        sections.extend(self.grants.iter().map(grant_toml));
        sections.join("\n")
    }
}

/// `[credential.NAME]` with its keys.
pub(crate) fn credential_toml(spec: &CredentialSpec) -> String {
    let source = match &spec.source {
        SourceSpec::Env(variable) => format!("{{ env = {} }}", quoted(variable)),
        SourceSpec::File {
            path,
            insecure_permissions,
        } => {
            let permissions = if *insecure_permissions {
                ", insecure-permissions = true"
            } else {
                ""
            };
            format!(
                "{{ file = {}{permissions} }}",
                quoted(&path.to_string_lossy())
            )
        }
    };
    let mut text = format!("[credential.{}]\n", spec.name);
    line(&mut text, "source", &source);
    line(&mut text, "scheme", &quoted(&spec.scheme.to_string()));
    line(&mut text, "origins", &array(&spec.origins));
    text
}

/// `[[grant]]` with its keys; those with their default values are left out.
pub(crate) fn grant_toml(grant: &Grant) -> String {
    let mut text = "[[grant]]\n".to_owned();
    line(&mut text, "module", &quoted(&grant.module.to_string()));
    line(&mut text, "origins", &array(&grant.origins));
    if grant.methods != Method::READING {
        line(&mut text, "methods", &array(&grant.methods));
    }
    if let Some(paths) = &grant.paths {
        line(&mut text, "paths", &array(paths));
    }
    if !grant.redirects.is_empty() {
        line(&mut text, "redirects", &array(&grant.redirects));
    }
    if !grant.credentials.is_empty() {
        let pairs: Vec<String> = grant
            .credentials
            .iter()
            .map(|(slot, name)| format!("{slot} = {}", quoted(name.as_str())))
            .collect();
        line(
            &mut text,
            "credentials",
            &format!("{{ {} }}", pairs.join(", ")),
        );
    }
    text
}

fn line(text: &mut String, key: &str, value: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{key} = {value}");
}

fn array<T: std::fmt::Display>(items: &[T]) -> String {
    let quoted: Vec<String> = items.iter().map(|item| quoted(&item.to_string())).collect();
    format!("[{}]", quoted.join(", "))
}

/// `text` as a TOML string.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}
