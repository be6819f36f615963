//! `[[grant]]`.

use std::collections::BTreeMap;
use std::time::Duration;

use super::ConfigError;
use super::reader::{Table, Text};
use crate::limits::Unit;
use crate::{Grant, KeyName, Method, ModuleId, OriginPattern, Use};

/// The keys of the table.
pub(super) const KEYS: [&str; 10] = [
    "module",
    "origins",
    "methods",
    "paths",
    "redirects",
    "credentials",
    "keys",
    "domain",
    "remember",
    "remember-for",
];

/// Keys of later versions.
const LATER: [&str; 4] = ["deny", "inputs", "locked", "fetchers"];

/// The longest `remember-for`: ten years.
const MAX_REMEMBER_SECONDS: u64 = 10 * 365 * 24 * 60 * 60;

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
    let keys = keys(table, &module)?;
    let signs_only = !keys.is_empty() && !table.has("origins");
    if signs_only {
        let of_requests = ["methods", "paths", "redirects", "credentials"];
        if let Some(key) = of_requests.into_iter().find(|key| table.has(key)) {
            return Err(ConfigError::at(
                table.place_of(key),
                format!("`{key}` goes along with `origins`, which this grant has none of"),
            ));
        }
    }
    let paths = match table.texts("paths")? {
        None if signs_only => None,
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
    let remember = remember(table)?;
    let domain = table.text("domain")?;
    if let Some(domain) = &domain
        && keys.is_empty()
        && remember.is_none()
    {
        return Err(domain
            .refuse("`domain` is for what is remembered, and this grant has neither `keys` nor `remember = true`"));
    }
    let origins = match signs_only {
        true => Vec::new(),
        false => patterns(&table.needed_texts("origins")?)?,
    };
    Ok(Grant {
        module,
        origins,
        methods: methods(table)?,
        paths,
        redirects: patterns(&table.texts("redirects")?.unwrap_or_default())?,
        credentials,
        keys,
        domain: domain.map(|text| text.parse()).transpose()?,
        remember,
        from: table.place(),
    })
}

/// `keys = { NAME = ["minisign"] }`.
fn keys(table: &Table<'_>, module: &ModuleId) -> Result<BTreeMap<KeyName, Vec<Use>>, ConfigError> {
    let mut keys = BTreeMap::new();
    let Some(named) = table.table("keys")? else {
        return Ok(keys);
    };
    if matches!(module, ModuleId::Host(_)) {
        return Err(named.refuse(format!("`{module}` signs nothing")));
    }
    for name in named.names() {
        let mut envelopes: Vec<Use> = Vec::new();
        for text in named.needed_texts(name.value)? {
            let envelope = text.parse()?;
            if envelope == Use::Narinfo {
                return Err(text.refuse(
                    "no module signs store paths; envelopes are `minisign`, `sshsig` and `raw`",
                ));
            }
            if !envelopes.contains(&envelope) {
                envelopes.push(envelope);
            }
        }
        keys.insert(name.parse()?, envelopes);
    }
    if keys.is_empty() {
        return Err(named.refuse("`keys` in `[[grant]]` is empty"));
    }
    Ok(keys)
}

/// `remember = true` and `remember-for`, which go together: nothing that is unverified is kept for ever.
fn remember(table: &Table<'_>) -> Result<Option<Duration>, ConfigError> {
    let expected = "a duration such as `\"30 d\"`, or a number of seconds";
    let seconds = table.quantity("remember-for", expected, |text| Unit::Seconds.read(text))?;
    match (table.boolean("remember")?.unwrap_or_default(), seconds) {
        (false, None) => Ok(None),
        (true, None) => Err(ConfigError::at(
            table.place_of("remember"),
            "`remember = true` needs `remember-for`",
        )
        .with_hint("what is remembered without a declared hash is not verified; say how long it holds, such as `remember-for = \"7 d\"`")),
        (false, Some(_)) => Err(ConfigError::at(
            table.place_of("remember-for"),
            "`remember-for` goes along with `remember = true`",
        )),
        (true, Some(seconds)) if seconds == 0 || seconds > MAX_REMEMBER_SECONDS => {
            Err(ConfigError::at(
                table.place_of("remember-for"),
                "`remember-for` is 0, or longer than ten years",
            ))
        }
        (true, Some(seconds)) => Ok(Some(Duration::from_secs(seconds))),
    }
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
