//! `fetches.toml`: what a project wants fetched, from which `nix-fetchhost lock` makes the lock file.
//!
//! ```toml
//! [fetch.app]
//! fetcher = "gitlab-artifact"
//! params  = { project = "group/app", ref = "main", job = "build", path = "app" }
//! ```
//!
//! Beside `fetcher` and `params` stand `name`, `mode` and `executable`, as for `run`. The file is the
//! project's, which anybody may have written: it grants nothing.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fetchhost_formats::{OutputMode, StoreName};
use fetchhost_gateway::{Locked, is_fetch_name};
use fetchhost_policy::{is_presigned, parse_url};
use rustix::fs::OFlags;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::args::OutputArgs;
use crate::catalog::{ByName, Selected};
use crate::failure::Failure;
use crate::fetching::mode_and_name;
use crate::params;

/// The longest file that is read, in bytes.
const MAX_LENGTH: u64 = 16 << 20;

/// The file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    fetch: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    fetcher: String,
    #[serde(default)]
    params: Map<String, Value>,
    name: Option<String>,
    mode: Option<String>,
    #[serde(default)]
    executable: bool,
}

/// Something to be fetched, all of it known but the hash.
pub(crate) struct Wish {
    pub(crate) selected: Arc<Selected>,
    pub(crate) params: Map<String, Value>,
    /// Its name, its mode, and whether it is executable, as they were written.
    pub(crate) output: OutputArgs,
    mode: OutputMode,
    name: StoreName,
}

impl Wish {
    /// Whether this is what was locked.
    pub(crate) fn is(&self, locked: &Locked) -> bool {
        let fetch = &locked.fetch;
        self.selected.fetcher == fetch.fetcher
            && self.params == fetch.params
            && self.output.executable == fetch.executable
            && self.mode == fetch.output.mode
            && self.name == fetch.output.name
    }
}

/// Reads the wishes in the file at `path`, and checks each against its fetcher.
pub(crate) async fn read(
    fetchers: &ByName,
    path: &Path,
) -> Result<BTreeMap<String, Wish>, Failure> {
    if !path.exists() {
        return Err(Failure::usage(format!("there is no `{}`", path.display())).with_hint(
            "it says what is wanted, a `[fetch.NAME]` for each: `nix-fetchhost lock --help` shows one; `--file` names another place",
        ));
    }
    let file: File = toml::from_str(&text(path)?).map_err(|error: toml::de::Error| {
        Failure::usage(format!("`{}` is not right: {error}", path.display()))
            .with_hint("it holds a `[fetch.NAME]` for each fetch, with `fetcher` and `params`")
    })?;
    let mut wishes = BTreeMap::new();
    for (name, entry) in file.fetch {
        let told = |failure: Failure| Failure {
            message: format!(
                "`[fetch.{name}]` of `{}`: {}",
                path.display(),
                failure.message
            ),
            ..failure
        };
        if !is_fetch_name(&name) {
            return Err(Failure::usage(format!("a fetch of `{}` is called {name:?}", path.display()))
                .with_hint("a name is made of letters, digits, `.`, `_` and `-`, and begins with a letter or digit"));
        }
        let selected = fetchers.select(&entry.fetcher).await.map_err(told)?;
        wishes.insert(name.clone(), wish(selected, entry).map_err(told)?);
    }
    Ok(wishes)
}

fn wish(selected: Arc<Selected>, entry: Entry) -> Result<Wish, Failure> {
    let description = selected.description()?;
    let params = params::validate(&description.parameters, entry.params, "")?;
    check_public(&params)?;
    let output = OutputArgs {
        name: entry.name,
        mode: entry.mode,
        executable: entry.executable,
    };
    let (mode, name) = mode_and_name(description, &params, &output, "")?;
    Ok(Wish {
        params,
        output,
        mode,
        name,
        selected,
    })
}

/// The lock file of the wishes at `path`: `fetches.lock.json` beside `fetches.toml`.
pub(crate) fn lock_place(path: &Path) -> PathBuf {
    path.with_extension("lock.json")
}

/// Refuses parameters that hold a credential: they will stand in the lock file, in derivations and in the
/// Nix store.
pub(crate) fn check_public(params: &Map<String, Value>) -> Result<(), Failure> {
    let Some(name) = params
        .iter()
        .find(|(_, value)| is_secret(value))
        .map(|(name, _)| name)
    else {
        return Ok(());
    };
    Err(Failure::usage(format!(
        "the parameter `{name}` holds a URL with a password, signature or token, which others would be shown, in a lock file, in the Nix store or where results are remembered"
    ))
    .with_hint("leave it out of the URL, and let the configuration grant a credential for its server"))
}

fn is_secret(value: &Value) -> bool {
    match value {
        Value::String(text) => text.split_once("://").is_some_and(|(_, rest)| {
            let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
            authority.contains('@') || parse_url(text).is_ok_and(|url| is_presigned(&url))
        }),
        Value::Array(items) => items.iter().any(is_secret),
        Value::Object(members) => members.values().any(is_secret),
        _ => false,
    }
}

/// The text of a file of the project's, which may be a link to anything.
pub(crate) fn text(path: &Path) -> Result<String, Failure> {
    let read = || -> std::io::Result<String> {
        let file = std::fs::File::options()
            .read(true)
            // Not to wait for who writes into a pipe.
            .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
            .open(path)?;
        if !file.metadata()?.is_file() {
            return Err(std::io::Error::other("it is no plain file"));
        }
        let mut text = String::new();
        let length = file.take(MAX_LENGTH + 1).read_to_string(&mut text)?;
        if length as u64 > MAX_LENGTH {
            let text = format!("it is longer than {MAX_LENGTH} bytes");
            return Err(std::io::Error::other(text));
        }
        Ok(text)
    };
    read().map_err(|error| Failure::usage(format!("`{}` cannot be read: {error}", path.display())))
}
