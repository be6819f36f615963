//! `[[deny]]`.

use super::ConfigError;
use super::reader::{Table, Text};
use crate::deny::Deny;

/// The keys of the table.
pub(super) const KEYS: [&str; 2] = ["origins", "modules"];

pub(super) fn read(table: &Table<'_>) -> Result<Deny, ConfigError> {
    table.refuse_unknown(&KEYS, &["paths", "methods"])?;
    if !table.has("origins") && !table.has("modules") {
        return Err(table
            .refuse("`[[deny]]` needs `origins` or `modules`")
            .with_hint("what nobody grants is denied without it"));
    }
    Ok(Deny {
        origins: listed(table, "origins")?,
        modules: listed(table, "modules")?,
        from: table.place(),
    })
}

/// The array of `key`, which is not empty when it is there: an empty one would
/// read as nothing and mean everything.
fn listed<T>(table: &Table<'_>, key: &str) -> Result<Vec<T>, ConfigError>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    if !table.has(key) {
        return Ok(Vec::new());
    }
    table.needed_texts(key)?.iter().map(Text::parse).collect()
}
