//! `[[grant]]`.

use std::collections::BTreeMap;

use super::ConfigError;
use super::reader::{Table, Text};
use crate::{Grant, Method, ModuleId, OriginPattern};

/// The keys of the table.
pub(super) const KEYS: [&str; 6] = [
    "module",
    "origins",
    "methods",
    "paths",
    "redirects",
    "credentials",
];

/// Keys of later versions.
const LATER: [&str; 7] = [
    "deny", "domains", "inputs", "keys", "locked", "fetchers", "remember",
];

pub(super) fn read(table: &Table<'_>) -> Result<Grant, ConfigError> {
    table.refuse_unknown(&KEYS, &LATER)?;
    let text = table.needed_text("module")?;
    let module: ModuleId = text.parse()?;
    // It would look as if it were in force.
    if matches!(module, ModuleId::Host(part) if !part.takes_grants()) {
        return Err(text
            .refuse(format!("`{module}` takes no grant"))
            .with_hint("a credential with the source `aws` asks the server that AWS's own variables name; `[[deny]]` forbids it"));
    }
    let paths = match table.texts("paths")? {
        None if !module.is_builtin() => {
            return Err(table.refuse(format!("a grant for `{module}` needs `paths`")).with_hint(
                "only a built-in module's paths are taken from what it declares; write those that you approve, such as `paths = [\"/api/**\"]`",
            ));
        }
        None => None,
        Some(texts) if texts.is_empty() => {
            return Err(ConfigError::at(
                table.place_of("paths"),
                "`paths` in `[[grant]]` is empty",
            ));
        }
        Some(texts) => Some(texts.iter().map(Text::parse).collect::<Result<_, _>>()?),
    };
    let mut credentials = BTreeMap::new();
    for (slot, name) in table.pairs("credentials")? {
        credentials.insert(slot.parse()?, name.parse()?);
    }
    Ok(Grant {
        module,
        origins: patterns(&table.needed_texts("origins")?)?,
        methods: methods(table)?,
        paths,
        redirects: patterns(&table.texts("redirects")?.unwrap_or_default())?,
        credentials,
        from: table.place(),
    })
}

fn methods(table: &Table<'_>) -> Result<Vec<Method>, ConfigError> {
    if !table.has("methods") {
        return Ok(Method::READING.to_vec());
    }
    table
        .needed_texts("methods")?
        .iter()
        .map(Text::parse)
        .collect()
}

fn patterns(texts: &[Text<'_>]) -> Result<Vec<OriginPattern>, ConfigError> {
    let mut patterns: Vec<OriginPattern> = Vec::new();
    for text in texts {
        let pattern = text.parse()?;
        if patterns.contains(&pattern) {
            return Err(text.refuse(format!("origin `{pattern}` is written twice")));
        }
        patterns.push(pattern);
    }
    Ok(patterns)
}
