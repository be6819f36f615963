//! `[credential.NAME]`.

use std::path::PathBuf;
use std::time::Duration;

use super::ConfigError;
use super::certificate;
use super::reader::{Table, Text};
use crate::limits::Unit;
use crate::source::later_kinds;
use crate::{AwsScope, CredentialSpec, Origin, Program, Scheme, SourceSpec};

/// Keys of later versions: AWS's account.
const LATER: [&str; 1] = ["account"];

/// The keys of `source` that say what kind it is.
const KINDS: [&str; 9] = [
    "env", "file", "age", "command", "helper", "netrc", "systemd", "aws", "aws-imds",
];

/// The keys that go along with some kinds, and these kinds.
const DETAILS: [(&str, &[&str]); 4] = [
    ("insecure-permissions", &["file", "netrc"]),
    ("timeout", &["command", "helper"]),
    ("refresh", &["command"]),
    ("use-default", &["netrc"]),
];

/// The longest `timeout` and `refresh`, a day: what is longer was hardly meant, and beyond measure it
/// would lead out of what a clock can hold.
const MAX_SECONDS: u64 = 24 * 60 * 60;

/// The keys of the table.
pub(super) const KEYS: [&str; 5] = ["source", "scheme", "region", "service", "origins"];

/// The keys of `source`: kinds and details.
pub(super) fn source_keys() -> impl Iterator<Item = &'static str> {
    let details = DETAILS.into_iter().map(|(key, _)| key);
    KINDS.into_iter().chain(details).chain([certificate::KIND])
}

pub(super) fn read(name: &Text<'_>, table: &Table<'_>) -> Result<CredentialSpec, ConfigError> {
    table.refuse_unknown(&KEYS, &LATER)?;
    let name = name.parse()?;
    let source = table
        .table("source")?
        .ok_or_else(|| table.refuse("a credential needs `source`, such as `{ env = \"NAME\" }`"))?;
    let origins = origins(table)?;
    let source = read_source(&source)?;
    Ok(CredentialSpec {
        name,
        scheme: read_scheme(&source, table)?,
        source,
        origins,
    })
}

/// The origins that may receive a credential: at least one, each once.
pub(super) fn origins(table: &Table<'_>) -> Result<Vec<Origin>, ConfigError> {
    let mut origins: Vec<Origin> = Vec::new();
    for text in table.needed_texts("origins")? {
        let origin = text.parse()?;
        if origins.contains(&origin) {
            return Err(text.refuse(format!("origin `{origin}` is written twice")));
        }
        origins.push(origin);
    }
    Ok(origins)
}

/// The scheme, which must be one that the source can fill.
fn read_scheme(source: &SourceSpec, table: &Table<'_>) -> Result<Scheme, ConfigError> {
    let text = table.needed_text("scheme")?;
    if text.value == "basic" && source.knows_login() {
        return Ok(Scheme::BasicLogin);
    }
    let scheme = match read_aws_scope(table, &text)? {
        Some(scope) => Scheme::AwsSigV4(scope),
        None => text.parse()?,
    };
    match (source, &scheme) {
        (SourceSpec::Helper(_), Scheme::Basic { .. } | Scheme::AwsSigV4(_)) => Err(text
            .refuse(format!("a `helper` gives whole headers, so `{scheme}` has no use for it"))
            .with_hint("write the header that it gives, such as `scheme = \"header:Authorization\"`, or `bearer`")),
        (SourceSpec::Netrc { .. }, Scheme::AwsSigV4(_)) => {
            Err(text.refuse("a netrc file holds no access keys of AWS"))
        }
        (SourceSpec::Aws(_) | SourceSpec::AwsImds, Scheme::AwsSigV4(_)) => Ok(scheme),
        (SourceSpec::Aws(_) | SourceSpec::AwsImds, _) => Err(text
            .refuse(format!("access keys of AWS sign requests; they are not sent as `{scheme}`"))
            .with_hint("write `scheme = \"aws-sigv4\"`")),
        _ => Ok(scheme),
    }
}

/// `region` and `service`, which go along with `scheme = "aws-sigv4"`.
fn read_aws_scope(table: &Table<'_>, scheme: &Text<'_>) -> Result<Option<AwsScope>, ConfigError> {
    let (region, service) = (table.text("region")?, table.text("service")?);
    let Some(given) = region.as_ref().or(service.as_ref()) else {
        return Ok(None);
    };
    if scheme.value != "aws-sigv4" {
        return Err(given.refuse("`region` and `service` go along with `scheme = \"aws-sigv4\"`"));
    }
    let value = |text: &Option<Text<'_>>| text.as_ref().map(|text| text.value.to_owned());
    let scope = AwsScope::new(value(&region).as_deref(), value(&service).as_deref());
    scope
        .map(Some)
        .map_err(|error| given.refuse(error.to_string()))
}

fn read_source(table: &Table<'_>) -> Result<SourceSpec, ConfigError> {
    let known: Vec<&str> = source_keys().collect();
    table.refuse_unknown(&known, &later_kinds())?;
    let mut kinds = KINDS.into_iter().filter(|kind| table.has(kind));
    let kind = kinds.next().ok_or_else(|| {
        table.refuse("`source` needs one of `env`, `file`, `age`, `command`, `helper`, `netrc`, `systemd`, `aws`, `aws-imds` and `client-certificate`")
    })?;
    if let Some(other) = kinds.next() {
        return Err(table.refuse(format!(
            "`source` has both `{kind}` and `{other}`; it takes one"
        )));
    }
    for (key, of) in DETAILS {
        if table.has(key) && !of.contains(&kind) {
            return Err(ConfigError::at(
                table.place_of(key),
                format!("`{key}` belongs to a `{}` source", of.join("` or `")),
            ));
        }
    }
    let insecure_permissions = table.boolean("insecure-permissions")?.unwrap_or_default();
    match kind {
        "env" => named(table, kind, SourceSpec::env),
        "systemd" => named(table, kind, SourceSpec::systemd),
        "file" => Ok(SourceSpec::File {
            path: read_path(&table.needed_text(kind)?)?,
            insecure_permissions,
        }),
        "age" => read_path(&table.needed_text(kind)?).map(SourceSpec::Age),
        "aws" => read_aws(table),
        "aws-imds" => match table.boolean("aws-imds")? {
            Some(true) => Ok(SourceSpec::AwsImds),
            _ => Err(ConfigError::at(
                table.place_of("aws-imds"),
                "`aws-imds` is `true`",
            )),
        },
        "command" => Ok(SourceSpec::Command {
            program: program(table, kind)?,
            refresh: duration(table, "refresh")?,
        }),
        "helper" => program(table, kind).map(SourceSpec::Helper),
        _ => Ok(SourceSpec::Netrc {
            path: read_netrc(table)?,
            use_default: table.boolean("use-default")?.unwrap_or_default(),
            insecure_permissions,
        }),
    }
}

fn named(
    table: &Table<'_>,
    kind: &str,
    read: fn(&str) -> Result<SourceSpec, crate::SourceError>,
) -> Result<SourceSpec, ConfigError> {
    let text = table.needed_text(kind)?;
    read(text.value).map_err(|error| text.refuse(error.to_string()))
}

/// `aws = true` is where AWS's tools look first, `aws = "NAME"` a profile.
fn read_aws(table: &Table<'_>) -> Result<SourceSpec, ConfigError> {
    if !table.is_boolean("aws") {
        return named(table, "aws", SourceSpec::aws_profile);
    }
    match table.boolean("aws")? {
        Some(true) => Ok(SourceSpec::Aws(None)),
        _ => Err(ConfigError::at(
            table.place_of("aws"),
            "`aws` is `true`, or the name of a profile",
        )),
    }
}

/// `netrc = true` is the user's own file, `netrc = "PATH"` another one.
fn read_netrc(table: &Table<'_>) -> Result<Option<PathBuf>, ConfigError> {
    if !table.is_boolean("netrc") {
        return read_path(&table.needed_text("netrc")?).map(Some);
    }
    match table.boolean("netrc")? {
        Some(true) => Ok(None),
        _ => Err(ConfigError::at(
            table.place_of("netrc"),
            "`netrc` is `true`, for your own file, or a path",
        )),
    }
}

/// A program with its arguments. A helper's may be the program's name alone.
fn program(table: &Table<'_>, kind: &str) -> Result<Program, ConfigError> {
    let argv = if kind == "helper" && table.is_text(kind) {
        vec![table.needed_text(kind)?]
    } else {
        table.needed_texts(kind).map_err(|error| {
            error.with_hint(
                "write the program and its arguments one by one, as in `[\"pass\", \"show\", \"gitlab\"]`; no shell reads them",
            )
        })?
    };
    for text in &argv {
        if text.value.contains('\0') {
            return Err(text.refuse("no argument of a program holds a NUL"));
        }
    }
    let mut words: Vec<String> = argv.iter().map(|text| text.value.to_owned()).collect();
    if let (Some(text), Some(word)) = (argv.first(), words.first_mut()) {
        if text.value.is_empty() {
            return Err(text.refuse(format!("`{kind}` needs the name of a program")));
        }
        // A name is looked up in `PATH`; with a slash it is a path like any other here.
        if text.value.contains('/') {
            *word = read_path(text)?.to_string_lossy().into_owned();
        }
    }
    Ok(Program {
        argv: words,
        timeout: duration(table, "timeout")?.unwrap_or(Program::DEFAULT_TIMEOUT),
    })
}

fn duration(table: &Table<'_>, key: &str) -> Result<Option<Duration>, ConfigError> {
    let expected = "a duration such as `\"30 s\"`, or a number of seconds";
    let seconds = table.quantity(key, expected, |text| Unit::Seconds.read(text))?;
    match seconds {
        Some(0) => Err(ConfigError::at(
            table.place_of(key),
            format!("`{key}` is 0, which leaves no time at all"),
        )),
        Some(seconds) if seconds > MAX_SECONDS => Err(ConfigError::at(
            table.place_of(key),
            format!("`{key}` is longer than 24 h"),
        )),
        seconds => Ok(seconds.map(Duration::from_secs)),
    }
}

pub(super) fn read_path(text: &Text<'_>) -> Result<PathBuf, ConfigError> {
    if text.value.starts_with('~') {
        return Err(text
            .refuse("`~` is not expanded")
            .with_hint("write the whole path, or one relative to the folder of this file"));
    }
    SourceSpec::file(text.value).map_err(|error| text.refuse(error.to_string()))?;
    Ok(text.path())
}
