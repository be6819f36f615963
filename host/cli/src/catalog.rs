//! From FETCHER as typed to a loaded module.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fetchhost_engine::{Engine, Module, ModuleError, Trust};
use fetchhost_formats::{HashAlgorithm, Hasher};
use fetchhost_modules::{BUILTIN, Builtin};
use fetchhost_policy::describe::FetcherDescription;
use fetchhost_policy::{Limit, ModuleId};

use rustix::fs::{Mode, OFlags};
use tokio::sync::Mutex;

use crate::failure::{Failure, meant};

/// A fetcher that can be run.
#[derive(Clone)]
pub(crate) struct Selected {
    /// The module's name in grants.
    pub(crate) id: ModuleId,
    /// The module that offers it.
    pub(crate) module: Arc<Module>,
    /// Its name within the module.
    pub(crate) fetcher: String,
    /// FETCHER, as it was written.
    pub(crate) typed: String,
}

impl Selected {
    /// What the module says about the fetcher.
    pub(crate) fn description(&self) -> Result<&FetcherDescription, Failure> {
        self.module
            .description()
            .fetchers
            .get(&self.fetcher)
            .ok_or_else(|| {
                Failure::usage(format!(
                    "the module `{}` offers no fetcher `{}`",
                    self.id, self.fetcher
                ))
            })
    }
}

/// A module that was loaded, and what of it was named.
pub(crate) struct Loaded {
    /// The module's name in grants.
    pub(crate) id: ModuleId,
    /// The module.
    pub(crate) module: Arc<Module>,
    /// The fetcher that was named, if one was.
    pub(crate) fetcher: Option<String>,
}

/// FETCHER as typed.
#[derive(Debug, PartialEq, Eq)]
enum Reference {
    /// The name of a fetcher that a built-in module offers.
    Name(String),
    /// A built-in module, by the name after `builtin:`.
    Builtin(String),
    /// A component in a file.
    File {
        path: PathBuf,
        digest: Option<[u8; 32]>,
        fetcher: Option<String>,
    },
}

/// Fetchers by name alone, each loaded when first asked for: for those to whom no path may be looked up.
pub(crate) struct ByName {
    engine: Engine,
    loaded: Mutex<HashMap<String, Arc<Selected>>>,
}

impl ByName {
    pub(crate) fn new(engine: Engine) -> Self {
        Self {
            engine,
            loaded: Mutex::default(),
        }
    }

    /// The fetcher of this name.
    pub(crate) async fn select(&self, name: &str) -> Result<Arc<Selected>, Failure> {
        let mut loaded = self.loaded.lock().await;
        if let Some(selected) = loaded.get(name) {
            return Ok(Arc::clone(selected));
        }
        if !matches!(Reference::parse(name)?, Reference::Name(_)) {
            return Err(Failure::usage(format!("`{name}` is not the name of a fetcher"))
                .with_hint("`nix-fetchhost fetcher list` lists the names; a module's file can be used with `run`"));
        }
        let selected = Arc::new(select(&self.engine, name).await?);
        loaded.insert(name.to_owned(), Arc::clone(&selected));
        Ok(selected)
    }
}

/// Loads the fetcher that `text` names. A module from a file must be pinned by its digest.
pub(crate) async fn select(engine: &Engine, text: &str) -> Result<Selected, Failure> {
    let reference = Reference::parse(text)?;
    if let Reference::File {
        path, digest: None, ..
    } = &reference
    {
        let bytes = read(engine, path)?;
        return Err(Failure::usage(format!("`{text}` does not say which bytes it means"))
            .with_hint(format!(
                "after looking at it with `nix-fetchhost fetcher inspect {text}`, write `{}#sha256={}`",
                path.display(),
                fetchhost_formats::hex(&digest_of(&bytes)),
            )));
    }
    let Loaded {
        id,
        module,
        fetcher,
    } = load(engine, reference).await?;
    let fetcher = match fetcher {
        Some(fetcher) => fetcher,
        None => only_fetcher(&module, text)?,
    };
    let selected = Selected {
        id,
        module,
        fetcher,
        typed: text.to_owned(),
    };
    selected.description()?;
    Ok(selected)
}

/// Loads what `text` names as [`select`] does, or of `builtin:NAME` every fetcher.
pub(crate) async fn select_all(engine: &Engine, text: &str) -> Result<Vec<Selected>, Failure> {
    let Reference::Builtin(name) = Reference::parse(text)? else {
        return Ok(vec![select(engine, text).await?]);
    };
    let module = builtin(engine, &name).await?;
    let of = |fetcher: &String| Selected {
        id: ModuleId::Builtin(name.clone()),
        module: Arc::clone(&module),
        fetcher: fetcher.clone(),
        typed: fetcher.clone(),
    };
    Ok(module.description().fetchers.keys().map(of).collect())
}

/// Loads the module that `text` names, pinned or not, to look at it.
pub(crate) async fn inspect(engine: &Engine, text: &str) -> Result<Loaded, Failure> {
    load(engine, Reference::parse(text)?).await
}

/// Loads every built-in module, in the order of their names.
pub(crate) async fn builtins(engine: &Engine) -> Result<Vec<Loaded>, Failure> {
    let mut loaded = Vec::with_capacity(BUILTIN.len());
    for builtin in BUILTIN {
        let module = embedded(engine, builtin).await?;
        let id = ModuleId::Builtin(builtin.name.to_owned());
        loaded.push(Loaded {
            id,
            module,
            fetcher: None,
        });
    }
    Ok(loaded)
}

/// Loads the built-in module of this name.
pub(crate) async fn builtin(engine: &Engine, name: &str) -> Result<Arc<Module>, Failure> {
    let Some(builtin) = BUILTIN.iter().find(|builtin| builtin.name == name) else {
        let known: Vec<String> = BUILTIN
            .iter()
            .map(|builtin| format!("builtin:{}", builtin.name))
            .collect();
        let typed = format!("builtin:{name}");
        let hint = meant(&typed, known.iter().map(String::as_str), || {
            format!("there are `{}`", known.join("`, `"))
        });
        return Err(Failure::usage(format!("there is no module `{typed}`")).with_hint(hint));
    };
    embedded(engine, builtin).await
}

async fn embedded(engine: &Engine, builtin: &Builtin) -> Result<Arc<Module>, Failure> {
    let module = engine
        .load_embedded(builtin.digest, builtin.bytes, || builtin.wasm())
        .await?;
    Ok(Arc::new(module))
}

async fn load(engine: &Engine, reference: Reference) -> Result<Loaded, Failure> {
    match reference {
        Reference::Name(name) => load_builtin(engine, name).await,
        Reference::Builtin(name) => Ok(Loaded {
            module: builtin(engine, &name).await?,
            id: ModuleId::Builtin(name),
            fetcher: None,
        }),
        Reference::File {
            path,
            digest,
            fetcher,
        } => {
            let bytes = read(engine, &path)?;
            let actual = digest_of(&bytes);
            if let Some(pinned) = digest
                && pinned != actual
            {
                return Err(Failure::usage(format!(
                    "`{}` is not the module that was meant: its SHA-256 is {}, not {}",
                    path.display(),
                    fetchhost_formats::hex(&actual),
                    fetchhost_formats::hex(&pinned),
                )));
            }
            let module = Arc::new(engine.load(&bytes, Trust::ThirdParty).await?);
            Ok(Loaded {
                id: ModuleId::Digest(actual),
                module,
                fetcher,
            })
        }
    }
}

async fn load_builtin(engine: &Engine, name: String) -> Result<Loaded, Failure> {
    // A module's fetchers carry its name as a prefix, so the first one tried is nearly always right.
    let mut candidates: Vec<_> = BUILTIN.iter().collect();
    candidates.sort_by_key(|builtin| !name.starts_with(builtin.name));
    let mut known = Vec::new();
    for builtin in candidates {
        let module = embedded(engine, builtin).await?;
        if module.description().fetchers.contains_key(&name) {
            let id = ModuleId::Builtin(builtin.name.to_owned());
            return Ok(Loaded {
                id,
                module,
                fetcher: Some(name),
            });
        }
        known.extend(module.description().fetchers.keys().cloned());
    }
    known.sort();
    let failure = Failure::usage(format!("there is no fetcher `{name}`"));
    if BUILTIN.iter().any(|builtin| builtin.name == name) {
        return Err(failure.with_hint(format!(
            "`{name}` is a module: in a grant it is written `builtin:{name}`; there are the fetchers {}",
            known.join(", ")
        )));
    }
    let hint = meant(&name, known.iter().map(String::as_str), || {
        format!(
            "there are {}; a module in a file is written `./module.wasm#sha256=HEX`",
            known.join(", ")
        )
    });
    Err(failure.with_hint(hint))
}

fn only_fetcher(module: &Module, text: &str) -> Result<String, Failure> {
    let names: Vec<&String> = module.description().fetchers.keys().collect();
    match names.as_slice() {
        [only] => Ok((*only).clone()),
        several => {
            let first = several.first().map_or("NAME", |name| name.as_str());
            let how = if text.starts_with("builtin:") {
                format!("name the one you mean in its place, as in `{first}`")
            } else {
                format!("append the one you mean, as in `#sha256=HEX:{first}`")
            };
            let all: Vec<&str> = several.iter().map(|name| name.as_str()).collect();
            Err(Failure::usage(format!("`{text}` offers several fetchers"))
                .with_hint(format!("{how}; there are {}", all.join(", "))))
        }
    }
}

/// The bytes of a module. A Nix expression may have named the file: nothing but a file is read, and no
/// more of it than a module may have.
fn read(engine: &Engine, path: &Path) -> Result<Vec<u8>, Failure> {
    let refuse = |reason: &dyn std::fmt::Display| {
        Failure::usage(format!(
            "the module `{}` cannot be read: {reason}",
            path.display()
        ))
    };
    // Opening a pipe would wait for its other end, and opening a terminal could take it over.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::empty()).map_err(|error| refuse(&error))?;
    let file = File::from(file);
    let metadata = file.metadata().map_err(|error| refuse(&error))?;
    if !metadata.is_file() {
        return Err(refuse(&"it is no regular file"));
    }
    let limits = engine.limits();
    let mut bytes = Vec::new();
    file.take(limits.module_bytes.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|error| refuse(&error))?;
    if bytes.len() as u64 > limits.module_bytes {
        return Err(ModuleError::TooLarge(limits.overrun(Limit::ModuleBytes)).into());
    }
    Ok(bytes)
}

impl Reference {
    fn parse(text: &str) -> Result<Self, Failure> {
        let (place, pin) = match text.split_once('#') {
            Some((place, pin)) => (place, Some(pin)),
            None => (text, None),
        };
        if place.contains("://") {
            return Err(Failure::usage(format!(
                "`{text}`: modules from URLs are not available in this version"
            ))
            .with_hint("download it, and name the file with `#sha256=HEX`"));
        }
        if let Some(name) = text.strip_prefix("builtin:") {
            return Ok(Self::Builtin(name.to_owned()));
        }
        if pin.is_none() && !place.contains('/') && !place.ends_with(".wasm") {
            return Ok(Self::Name(text.to_owned()));
        }
        let (digest, fetcher) = match pin {
            None => (None, None),
            Some(pin) => {
                let (hex, fetcher) = match pin.split_once(':') {
                    Some((hex, fetcher)) => (hex, Some(fetcher.to_owned())),
                    None => (pin, None),
                };
                let digest = hex.strip_prefix("sha256=").and_then(unhex).ok_or_else(|| {
                    Failure::usage(format!("`#{pin}` is no digest of a module"))
                        .with_hint("write `#sha256=` and the 64 hex digits of the file's SHA-256")
                })?;
                (Some(digest), fetcher)
            }
        };
        Ok(Self::File {
            path: place.into(),
            digest,
            fetcher,
        })
    }
}

fn digest_of(bytes: &[u8]) -> [u8; 32] {
    let mut hasher = Hasher::new(HashAlgorithm::Sha256);
    hasher.update(bytes);
    let mut digest = [0; 32];
    digest.copy_from_slice(hasher.finish().as_bytes());
    digest
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    match format!("sha256:{text}").parse() {
        Ok(ModuleId::Digest(digest)) => Some(digest),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_word_is_a_builtin_name() {
        assert_eq!(
            Reference::parse("http-file").unwrap(),
            Reference::Name("http-file".to_owned())
        );
    }

    #[test]
    fn a_file_may_carry_a_digest_and_a_fetcher() {
        let hex = "ab".repeat(32);
        let reference = Reference::parse(&format!("./m.wasm#sha256={hex}:x")).unwrap();
        assert_eq!(
            reference,
            Reference::File {
                path: "./m.wasm".into(),
                digest: Some([0xab; 32]),
                fetcher: Some("x".to_owned()),
            }
        );
    }

    #[test]
    fn a_digest_of_another_shape_is_refused() {
        for pin in ["", "sha256=", "sha256=zz", "md5=00", "abc", "sha256=AB"] {
            assert!(Reference::parse(&format!("m.wasm#{pin}")).is_err(), "{pin}");
        }
    }

    #[test]
    fn a_url_is_refused() {
        assert!(Reference::parse("https://example.com/m.wasm#sha256=00").is_err());
    }
}
