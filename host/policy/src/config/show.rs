//! Configuration written back as TOML: for `config show` and for the lines that
//! a denial prints. It holds no secret but one that somebody wrote into the
//! arguments of a program.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use super::Config;
use crate::limits::{Quantity, Unit};
use crate::{CredentialSpec, Deny, Grant, Method, Program, SourceSpec};

impl Config {
    /// The configuration as TOML that [`Config::parse`] reads as the same.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut sections = Vec::new();
        let mut switches = String::new();
        if self.allow_metadata {
            line(&mut switches, "allow-metadata", "true");
        }
        if let Some((on, _)) = &self.locked {
            line(&mut switches, "locked", &on.to_string());
        }
        if let Some((on, _)) = &self.argv_consent {
            line(&mut switches, "argv-consent", &on.to_string());
        }
        if !switches.is_empty() {
            sections.push(switches);
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
        sections.extend(self.proxies().map(super::proxy::toml));
        sections.extend(self.gateway.toml());
        sections.extend(self.memo.toml());
        sections.extend(self.deny.iter().map(deny_toml));
        sections.extend(self.credentials.values().map(credential_toml));
        sections.extend(self.certificates.values().map(super::certificate::toml));
        sections.extend(self.keys.values().map(super::key::toml));
        sections.extend(self.grants.iter().map(grant_toml));
        sections.extend(self.routes.iter().map(super::route::toml));
        sections.join("\n")
    }
}

/// `[credential.NAME]` with its keys.
pub(crate) fn credential_toml(spec: &CredentialSpec) -> String {
    let source = source_toml(&spec.source);
    let mut text = format!("[credential.{}]\n", spec.name);
    line(&mut text, "source", &source);
    line(&mut text, "scheme", &quoted(&spec.scheme.to_string()));
    line(&mut text, "origins", &array(&spec.origins));
    text
}

/// The value of `source`.
fn source_toml(source: &SourceSpec) -> String {
    let path = path_toml;
    let mut keys = Vec::new();
    let mut timeout = None;
    let mut insecure = false;
    match source {
        SourceSpec::Env(variable) => keys.push(("env", quoted(variable))),
        SourceSpec::Systemd(name) => keys.push(("systemd", quoted(name))),
        SourceSpec::Aws(None) => keys.push(("aws", "true".to_owned())),
        SourceSpec::AwsImds => keys.push(("aws-imds", "true".to_owned())),
        SourceSpec::Aws(Some(profile)) => keys.push(("aws", quoted(profile))),
        SourceSpec::Age(file) => keys.push(("age", path(file))),
        SourceSpec::File {
            path: file,
            insecure_permissions,
        } => {
            keys.push(("file", path(file)));
            insecure = *insecure_permissions;
        }
        SourceSpec::Command { program, refresh } => {
            keys.push(("command", array(&program.argv)));
            keys.extend(refresh.map(|refresh| ("refresh", seconds(refresh))));
            timeout = Some(program.timeout);
        }
        SourceSpec::Helper(program) => {
            keys.push(("helper", array(&program.argv)));
            timeout = Some(program.timeout);
        }
        SourceSpec::Netrc {
            path: file,
            use_default,
            insecure_permissions,
        } => {
            let file = file.as_deref().map_or_else(|| "true".to_owned(), path);
            keys.push(("netrc", file));
            if *use_default {
                keys.push(("use-default", "true".to_owned()));
            }
            insecure = *insecure_permissions;
        }
    }
    if let Some(timeout) = timeout.filter(|timeout| *timeout != Program::DEFAULT_TIMEOUT) {
        keys.push(("timeout", seconds(timeout)));
    }
    if insecure {
        keys.push(("insecure-permissions", "true".to_owned()));
    }
    let pairs: Vec<String> = keys
        .iter()
        .map(|(key, value)| format!("{key} = {value}"))
        .collect();
    format!("{{ {} }}", pairs.join(", "))
}

fn seconds(duration: Duration) -> String {
    quoted(&Quantity(Unit::Seconds, duration.as_secs()).to_string())
}

/// `[[deny]]` with its keys.
fn deny_toml(deny: &Deny) -> String {
    let mut text = "[[deny]]\n".to_owned();
    if !deny.origins.is_empty() {
        line(&mut text, "origins", &array(&deny.origins));
    }
    if !deny.modules.is_empty() {
        line(&mut text, "modules", &array(&deny.modules));
    }
    text
}

/// `[[grant]]` with its keys; those with their default values are left out.
pub(crate) fn grant_toml(grant: &Grant) -> String {
    let mut text = "[[grant]]\n".to_owned();
    line(&mut text, "module", &quoted(&grant.module.to_string()));
    if !grant.origins.is_empty() {
        line(&mut text, "origins", &array(&grant.origins));
    }
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
    if !grant.keys.is_empty() {
        let pairs: Vec<String> = grant
            .keys
            .iter()
            .map(|(key, envelopes)| format!("{key} = {}", array(envelopes)))
            .collect();
        line(&mut text, "keys", &format!("{{ {} }}", pairs.join(", ")));
    }
    if let Some(domain) = &grant.domain {
        line(&mut text, "domain", &quoted(&domain.to_string()));
    }
    if let Some(remember) = grant.remember {
        line(&mut text, "remember", "true");
        line(&mut text, "remember-for", &seconds(remember));
    }
    text
}

/// `path` as a TOML string.
pub(super) fn path_toml(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}

pub(super) fn line(text: &mut String, key: &str, value: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{key} = {value}");
}

pub(super) fn array<T: std::fmt::Display>(items: &[T]) -> String {
    let quoted: Vec<String> = items.iter().map(|item| quoted(&item.to_string())).collect();
    format!("[{}]", quoted.join(", "))
}

/// `text` as a TOML string.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}
