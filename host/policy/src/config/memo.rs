//! `[memo]`.

use std::path::PathBuf;

use super::ConfigError;
use super::credential::read_path;
use super::reader::{Table, Text};
use super::show::{array, line, path_toml, quoted};

/// The keys of the table.
pub(super) const KEYS: [&str; 3] = ["cache", "trusted-keys", "secret-key"];

/// Where remembered results are shared, and whose are believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoConfig {
    /// The binary cache that decides whose result was first: `file://…` or `s3://…`. None: results stay on this
    /// machine.
    pub cache: Option<String>,
    /// Whose results of fetchers are believed, as `name:base64`. Signatures need none: they prove themselves.
    pub trusted_keys: Vec<String>,
    /// The file of the secret key that signs this machine's results of fetchers.
    pub secret_key: Option<PathBuf>,
}

pub(super) fn read(table: &Table<'_>) -> Result<MemoConfig, ConfigError> {
    table.refuse_unknown(&KEYS, &[])?;
    let cache = match table.text("cache")? {
        Some(text)
            if !["file://", "s3://"]
                .iter()
                .any(|scheme| text.value.starts_with(scheme)) =>
        {
            return Err(text
                .refuse("`cache` in `[memo]` is no `file://…` or `s3://…`")
                .with_hint(
                    "name the cache as `--to` does, such as `cache = \"file:///srv/cache\"`",
                ));
        }
        other => other.map(|text| text.value.to_owned()),
    };
    let trusted_keys = table
        .texts("trusted-keys")?
        .unwrap_or_default()
        .iter()
        .map(trusted_key)
        .collect::<Result<_, _>>()?;
    Ok(MemoConfig {
        cache,
        trusted_keys,
        secret_key: table
            .text("secret-key")?
            .map(|text| read_path(&text))
            .transpose()?,
    })
}

fn trusted_key(text: &Text<'_>) -> Result<String, ConfigError> {
    text.parse::<fetchhost_formats::PublicKey>()
        .map(|_| text.value.to_owned())
        .map_err(|error| error.with_hint("`nix-fetchhost key public FILE` prints it"))
}

impl MemoConfig {
    /// The table as TOML; none when it says nothing.
    pub(super) fn toml(&self) -> Option<String> {
        if *self == Self::default() {
            return None;
        }
        let mut text = "[memo]\n".to_owned();
        if let Some(cache) = &self.cache {
            line(&mut text, "cache", &quoted(cache));
        }
        if !self.trusted_keys.is_empty() {
            line(&mut text, "trusted-keys", &array(&self.trusted_keys));
        }
        if let Some(path) = &self.secret_key {
            line(&mut text, "secret-key", &path_toml(path));
        }
        Some(text)
    }
}
