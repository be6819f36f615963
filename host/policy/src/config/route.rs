//! `[[route]]`: whose ordinary downloads `realise` takes over from Nix.

use super::ConfigError;
use super::reader::Table;
use super::show::{line, quoted};
use crate::Route;
use crate::ids::{NAME_BYTES, is_plain_name};

/// The keys of the table.
pub(super) const KEYS: [&str; 2] = ["url", "fetcher"];

/// The fetcher when none is named.
const DEFAULT_FETCHER: &str = "http-file";

pub(super) fn read(table: &Table<'_>) -> Result<Route, ConfigError> {
    table.refuse_unknown(&KEYS, &[])?;
    let fetcher = match table.text("fetcher")? {
        None => DEFAULT_FETCHER,
        Some(text) if is_plain_name(text.value) => text.value,
        Some(text) => {
            return Err(text
                .refuse(format!("a fetcher's name is made of `a`–`z`, `0`–`9` and `-`, starts with a letter and has at most {NAME_BYTES} characters"))
                .with_hint("`nix-fetchhost fetcher list` lists those that a route can name"));
        }
    };
    Ok(Route {
        url: table.needed_text("url")?.parse()?,
        fetcher: fetcher.to_owned(),
        from: table.place(),
    })
}

/// Refuses a pattern that is written twice: only one of the two could be in force.
pub(super) fn refuse_ties(routes: &[Route]) -> Result<(), ConfigError> {
    for (position, route) in routes.iter().enumerate() {
        if let Some(earlier) = routes[..position].iter().find(|one| one.url == route.url) {
            return Err(ConfigError::at(
                route.from.clone(),
                format!("`{}` is already routed at {}", route.url, earlier.from),
            )
            .with_hint("remove one of the two"));
        }
    }
    Ok(())
}

/// `[[route]]` with its keys.
pub(super) fn toml(route: &Route) -> String {
    let mut text = "[[route]]\n".to_owned();
    line(&mut text, "url", &quoted(&route.url.to_string()));
    if route.fetcher != DEFAULT_FETCHER {
        line(&mut text, "fetcher", &quoted(&route.fetcher));
    }
    text
}
