//! `[credential.NAME]`.

use std::path::PathBuf;

use super::ConfigError;
use super::reader::{Table, Text};
use crate::source::later_kinds;
use crate::{CredentialSpec, Origin, SourceSpec};

/// Keys of later versions: AWS's region and service, expiry of helpers.
const LATER: [&str; 4] = ["account", "region", "service", "refresh"];

pub(super) fn read(name: &Text<'_>, table: &Table<'_>) -> Result<CredentialSpec, ConfigError> {
    table.refuse_unknown(&["source", "scheme", "origins"], &LATER)?;
    let name = name.parse()?;
    let source = table
        .table("source")?
        .ok_or_else(|| table.refuse("a credential needs `source`, such as `{ env = \"NAME\" }`"))?;
    let mut origins: Vec<Origin> = Vec::new();
    for text in table.needed_texts("origins")? {
        let origin = text.parse()?;
        if origins.contains(&origin) {
            return Err(text.refuse(format!("origin `{origin}` is written twice")));
        }
        origins.push(origin);
    }
    Ok(CredentialSpec {
        name,
        source: read_source(&source)?,
        scheme: table.needed_text("scheme")?.parse()?,
        origins,
    })
}

fn read_source(table: &Table<'_>) -> Result<SourceSpec, ConfigError> {
    table.refuse_unknown(&["env", "file", "insecure-permissions"], &later_kinds())?;
    let insecure = table.boolean("insecure-permissions")?;
    match (table.text("env")?, table.text("file")?) {
        (Some(variable), None) => {
            if insecure.is_some() {
                return Err(ConfigError::at(
                    table.place_of("insecure-permissions"),
                    "`insecure-permissions` belongs to a `file` source",
                ));
            }
            SourceSpec::env(variable.value).map_err(|error| variable.refuse(error.to_string()))
        }
        (None, Some(path)) => Ok(SourceSpec::File {
            path: read_path(&path)?,
            insecure_permissions: insecure.unwrap_or_default(),
        }),
        (Some(_), Some(_)) => Err(table.refuse("`source` has both `env` and `file`; it takes one")),
        (None, None) => Err(table.refuse("`source` needs `env` or `file`")),
    }
}

fn read_path(text: &Text<'_>) -> Result<PathBuf, ConfigError> {
    if text.value.starts_with('~') {
        return Err(text
            .refuse("`~` is not expanded")
            .with_hint("write the whole path, or one relative to the folder of this file"));
    }
    SourceSpec::file(text.value).map_err(|error| text.refuse(error.to_string()))?;
    Ok(text.path())
}
