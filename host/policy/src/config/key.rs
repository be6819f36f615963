//! `[key.NAME]`.

use super::ConfigError;
use super::credential::read_path;
use super::reader::{Table, Text};
use super::show::{array, line, path_toml, quoted};
use crate::{KeySource, KeySpec, Pin, SourceSpec, Uses};

/// The keys of the table.
pub(super) const KEYS: [&str; 4] = ["source", "use", "public-key", "pin"];

/// The keys of `source` that say what kind it is.
const KINDS: [&str; 4] = ["file", "age", "agent", "pkcs11"];

/// The keys that go along with some kinds, and these kinds.
const DETAILS: [(&str, &[&str]); 2] = [("key", &["agent", "pkcs11"]), ("token", &["pkcs11"])];

/// The keys of `pin`.
const PINS: [&str; 3] = ["env", "file", "age"];

/// The keys of `source`: kinds and details.
pub(super) fn source_keys() -> impl Iterator<Item = &'static str> {
    KINDS
        .into_iter()
        .chain(DETAILS.into_iter().map(|(key, _)| key))
}

pub(super) fn read(name: &Text<'_>, table: &Table<'_>) -> Result<KeySpec, ConfigError> {
    table.refuse_unknown(&KEYS, &[])?;
    let source = table
        .table("source")?
        .ok_or_else(|| table.refuse("a key needs `source`, such as `{ file = \"PATH\" }`"))?;
    let source = read_source(&source, table)?;
    let uses: Vec<_> = table
        .needed_texts("use")?
        .iter()
        .map(Text::parse)
        .collect::<Result<_, _>>()?;
    Ok(KeySpec {
        name: name.parse()?,
        source,
        uses: Uses::new(uses)
            .map_err(|error| ConfigError::at(table.place_of("use"), error.to_string()))?,
        public_key: table
            .text("public-key")?
            .map(|text| text.value.trim().to_owned()),
    })
}

fn read_source(source: &Table<'_>, table: &Table<'_>) -> Result<KeySource, ConfigError> {
    let known: Vec<&str> = source_keys().collect();
    source.refuse_unknown(&known, &[])?;
    let mut kinds = KINDS.into_iter().filter(|kind| source.has(kind));
    let kind = kinds.next().ok_or_else(|| {
        source.refuse("`source` needs one of `file`, `age`, `agent` and `pkcs11`")
    })?;
    if let Some(other) = kinds.next() {
        return Err(source.refuse(format!(
            "`source` has both `{kind}` and `{other}`; it takes one"
        )));
    }
    for (key, of) in DETAILS {
        if source.has(key) && !of.contains(&kind) {
            return Err(ConfigError::at(
                source.place_of(key),
                format!("`{key}` belongs to a `{}` source", of.join("` or `")),
            ));
        }
    }
    if table.has("pin") && kind != "pkcs11" {
        return Err(ConfigError::at(
            table.place_of("pin"),
            "`pin` belongs to a `pkcs11` source",
        ));
    }
    let path = |key| read_path(&source.needed_text(key)?);
    let label = |key| -> Result<String, ConfigError> {
        let text = source
            .text(key)?
            .ok_or_else(|| source.refuse(format!("with `{kind}`, `source` needs `{key}`")))?;
        match text.value {
            "" => Err(text.refuse(format!("`{key}` is empty"))),
            label => Ok(label.to_owned()),
        }
    };
    Ok(match kind {
        "file" => KeySource::File(path(kind)?),
        "age" => KeySource::Age(path(kind)?),
        "agent" => KeySource::Agent {
            socket: read_socket(source)?,
            key: label("key")?,
        },
        _ => KeySource::Pkcs11 {
            library: path(kind)?,
            token: label("token")?,
            key: label("key")?,
            pin: read_pin(table)?,
        },
    })
}

/// `agent = true` is the one that `$SSH_AUTH_SOCK` names, `agent = "PATH"` another.
fn read_socket(source: &Table<'_>) -> Result<Option<std::path::PathBuf>, ConfigError> {
    if !source.is_boolean("agent") {
        return read_path(&source.needed_text("agent")?).map(Some);
    }
    match source.boolean("agent")? {
        Some(true) => Ok(None),
        _ => Err(ConfigError::at(
            source.place_of("agent"),
            "`agent` is `true`, for the one that `$SSH_AUTH_SOCK` names, or the path of a socket",
        )),
    }
}

fn read_pin(table: &Table<'_>) -> Result<Pin, ConfigError> {
    if table.is_text("pin") {
        let text = table.needed_text("pin")?;
        // What stands there instead may be the PIN itself, and is not repeated.
        return match text.value {
            "ask" => Ok(Pin::Ask),
            _ => Err(text.refuse(
                "`pin` is `\"ask\"` or says where the PIN is: `{ env = … }`, `{ file = … }` or `{ age = … }`",
            )),
        };
    }
    let Some(pin) = table.table("pin")? else {
        return Ok(Pin::Ask);
    };
    pin.refuse_unknown(&PINS, &[])?;
    let mut kinds = PINS.into_iter().filter(|kind| pin.has(kind));
    let (kind, None) = (kinds.next(), kinds.next()) else {
        return Err(pin.refuse("`pin` needs one of `env`, `file` and `age`"));
    };
    let Some(kind) = kind else {
        return Err(pin.refuse("`pin` needs one of `env`, `file` and `age`"));
    };
    let text = pin.needed_text(kind)?;
    match kind {
        "env" => match SourceSpec::env(text.value) {
            Ok(_) => Ok(Pin::Env(text.value.to_owned())),
            Err(error) => Err(text.refuse(error.to_string())),
        },
        "file" => read_path(&text).map(Pin::File),
        _ => read_path(&text).map(Pin::Age),
    }
}

/// `[key.NAME]` with its keys.
pub(crate) fn toml(spec: &KeySpec) -> String {
    let mut text = format!("[key.{}]\n", spec.name);
    let mut pin = None;
    let source = match &spec.source {
        KeySource::File(path) => format!("file = {}", path_toml(path)),
        KeySource::Age(path) => format!("age = {}", path_toml(path)),
        KeySource::Agent { socket, key } => {
            let socket = socket
                .as_deref()
                .map_or_else(|| "true".to_owned(), path_toml);
            format!("agent = {socket}, key = {}", quoted(key))
        }
        KeySource::Pkcs11 {
            library,
            token,
            key,
            pin: from,
        } => {
            pin = match from {
                Pin::Ask => None,
                Pin::Env(name) => Some(format!("env = {}", quoted(name))),
                Pin::File(path) => Some(format!("file = {}", path_toml(path))),
                Pin::Age(path) => Some(format!("age = {}", path_toml(path))),
            };
            format!(
                "pkcs11 = {}, token = {}, key = {}",
                path_toml(library),
                quoted(token),
                quoted(key)
            )
        }
    };
    line(&mut text, "source", &format!("{{ {source} }}"));
    let uses: Vec<_> = spec.uses.iter().collect();
    line(&mut text, "use", &array(&uses));
    if let Some(public) = &spec.public_key {
        line(&mut text, "public-key", &quoted(public));
    }
    if let Some(pin) = pin {
        line(&mut text, "pin", &format!("{{ {pin} }}"));
    }
    text
}
