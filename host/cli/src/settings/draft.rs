//! A change of the user's configuration, in the making.
//!
//! **The threat.** An edit that is cut short leaves half a file; one that goes wrong leaves a file
//! that nothing can read any more, or that grants something else than it seems to; two at once lose
//! one of them.
//!
//! **The rule.** The file is read under a lock and by the same rules as for every command, changed
//! with its comments and order kept, read again as it would be in force, and only then put in the
//! place of the old one, complete and mode 0600. A link is not replaced by a file: whoever laid it
//! edits what it leads to.

mod array;
mod tables;

use std::fs::{self, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use fetchhost_credentials::{Existing, write_private};
use fetchhost_policy::{Config, CredentialName, CredentialSpec, Grant, Origin, OriginPattern};
use rustix::fs::FlockOperation;
use toml_edit::{DocumentMut, Item, Table, TableLike};

use crate::environment::Environment;
use crate::failure::Failure;

/// The user's configuration file, while it is changed.
#[derive(Debug)]
pub(crate) struct Draft {
    path: PathBuf,
    admin: Config,
    /// What the file says before the change.
    before: Config,
    document: DocumentMut,
    /// The folder, locked until the change is made or dropped.
    _lock: File,
}

impl Draft {
    /// Begins a change. The file, and its folder, need not be there.
    pub(crate) fn open(environment: &Environment) -> Result<Self, Failure> {
        let path = environment.user_config.clone().ok_or_else(|| {
            Failure::usage("there is no home folder to keep a configuration in")
                .with_hint("set `HOME` or `XDG_CONFIG_HOME`")
        })?;
        let admin = super::read(&environment.admin_config)?.unwrap_or_default();
        if let Some(place) = admin.locked() {
            return Err(Failure::usage(format!(
                "the administrator locked the configuration at {place}, so yours has no effect"
            ))
            .with_hint("ask whoever writes that file"));
        }
        let lock = lock(&path)?;
        let is_link = fs::symlink_metadata(&path).is_ok_and(|file| file.file_type().is_symlink());
        if is_link {
            return Err(Failure::usage(format!(
                "the configuration `{}` is a link, which an edit would replace by a file",
                path.display()
            ))
            .with_hint("edit what it leads to, or what makes it"));
        }
        let text = super::read_text(&path)?.unwrap_or_default();
        let before = Config::parse(&text, &path)?;
        let document = text
            .parse()
            .map_err(|error| unexpected(&path, &error as &dyn std::error::Error))?;
        Ok(Self {
            path,
            admin,
            before,
            document,
            _lock: lock,
        })
    }

    /// What the file says before the change.
    pub(crate) fn before(&self) -> &Config {
        &self.before
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The folder of the file.
    pub(crate) fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("."))
    }

    /// Defines the credential, or defines it anew where it stands.
    pub(crate) fn put_credential(&mut self, spec: &CredentialSpec) -> Result<(), Failure> {
        let mut written = Config::default();
        written.credentials.insert(spec.name.clone(), spec.clone());
        let mut table = self.written(&written, "credential")?;
        let mut new = table
            .remove(spec.name.as_str())
            .and_then(|item| item.into_table().ok())
            .ok_or_else(|| self.inline("credential"))?;
        let credentials = tables::parent(&mut self.document, "credential")
            .ok_or_else(|| inline(&self.path, "credential"))?;
        match credentials.get_mut(spec.name.as_str()) {
            None => {
                tables::place_last(&mut new);
                credentials.insert(spec.name.as_str(), Item::Table(new));
            }
            Some(old) => {
                let old = old
                    .as_table_like_mut()
                    .ok_or_else(|| inline(&self.path, "credential"))?;
                let before = self.before.credentials.get(&spec.name);
                if before.is_none_or(|before| before.scheme != spec.scheme)
                    && let Some(value) = new.remove("scheme")
                {
                    tables::put(old, "scheme", value);
                }
                if let Some(value) = new.remove("source") {
                    tables::put(old, "source", value);
                }
                if before.is_none_or(|before| before.origins != spec.origins)
                    && let Some(value) = new.remove("origins")
                {
                    put_origins(old, value, &spec.origins);
                }
            }
        }
        Ok(())
    }

    /// Removes the credential and the comment right above it.
    pub(crate) fn remove_credential(&mut self, name: &CredentialName) -> Result<(), Failure> {
        let refuse = inline(&self.path, "credential");
        let credentials = tables::parent(&mut self.document, "credential")
            .filter(|credentials| credentials.contains_key(name.as_str()));
        let Some(removed) = credentials.and_then(|table| table.remove(name.as_str())) else {
            return Err(refuse);
        };
        if let Item::Table(table) = removed {
            tables::keep_comments(&mut self.document, &table);
        }
        Ok(())
    }

    /// Adds a grant behind the others.
    pub(crate) fn add_grant(&mut self, grant: &Grant) -> Result<(), Failure> {
        let mut written = Config::default();
        written.grants.push(grant.clone());
        let text = written.to_toml();
        let mut new = text
            .parse::<DocumentMut>()
            .ok()
            .and_then(|document| document.get("grant")?.as_array_of_tables()?.get(0).cloned())
            .ok_or_else(|| self.inline("grant"))?;
        tables::place_last(&mut new);
        let grants = self
            .document
            .entry("grant")
            .or_insert(Item::ArrayOfTables(toml_edit::ArrayOfTables::new()));
        grants
            .as_array_of_tables_mut()
            .ok_or_else(|| inline(&self.path, "grant"))?
            .push(new);
        Ok(())
    }

    /// Removes the grant at `index` in the order of the file, or of its `origins` those in
    /// `origins`, when it has others.
    pub(crate) fn remove_grant(
        &mut self,
        index: usize,
        origins: &[OriginPattern],
    ) -> Result<(), Failure> {
        let refuse = inline(&self.path, "grant");
        let Some(grants) = self
            .document
            .get_mut("grant")
            .and_then(Item::as_array_of_tables_mut)
        else {
            return Err(refuse);
        };
        let is_whole = self.before.grants.get(index).is_some_and(|grant| {
            origins.is_empty() || grant.origins.iter().all(|origin| origins.contains(origin))
        });
        if is_whole {
            let table = grants.remove(index);
            if grants.is_empty() {
                self.document.remove("grant");
            }
            tables::keep_comments(&mut self.document, &table);
            return Ok(());
        }
        grants
            .get_mut(index)
            .and_then(|grant| grant.get_mut("origins"))
            .and_then(Item::as_array_mut)
            .map(|array| {
                array::retain(array, |value| {
                    let pattern = value.as_str().and_then(|text| text.parse().ok());
                    !pattern.is_some_and(|pattern: OriginPattern| origins.contains(&pattern))
                });
            })
            .ok_or(refuse)
    }

    /// Whether the file, as it now stands, can be in force.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let user = Config::parse(&self.document.to_string(), &self.path)?;
        Config::merge(self.admin.clone(), user)?;
        Ok(())
    }

    /// Puts the changed file in the place of the old one.
    pub(crate) fn save(&self) -> Result<(), Failure> {
        self.check()?;
        write_atomically(&self.path, self.document.to_string().as_bytes())
    }

    fn written(&self, config: &Config, key: &str) -> Result<Table, Failure> {
        config
            .to_toml()
            .parse::<DocumentMut>()
            .ok()
            .and_then(|mut document| document.remove(key)?.into_table().ok())
            .ok_or_else(|| self.inline(key))
    }

    fn inline(&self, key: &str) -> Failure {
        inline(&self.path, key)
    }
}

/// Writes a file whole or not at all, for its owner alone.
pub(crate) fn write_atomically(path: &Path, content: &[u8]) -> Result<(), Failure> {
    write_private(path, content, Existing::Replace)
        .map(|_| ())
        .map_err(|error| unexpected(path, &error))
}

/// Makes the folder of `path` if need be, and holds it against other edits.
fn lock(path: &Path) -> Result<File, Failure> {
    let lock = || {
        let folder = path.parent().unwrap_or(Path::new("."));
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
        let folder = File::open(folder)?;
        rustix::fs::flock(&folder, FlockOperation::LockExclusive)?;
        Ok(folder)
    };
    lock().map_err(|error: std::io::Error| unexpected(path, &error))
}

/// Sets `origins`, one by one where there is an array, so that the comments of those that stay do.
fn put_origins(table: &mut dyn TableLike, new: Item, origins: &[Origin]) {
    let Some(old) = table.get_mut("origins").and_then(Item::as_array_mut) else {
        tables::put(table, "origins", new);
        return;
    };
    let origin = |value: &toml_edit::Value| value.as_str()?.parse::<Origin>().ok();
    array::retain(old, |value| {
        origin(value).is_some_and(|origin| origins.contains(&origin))
    });
    let kept: Vec<Origin> = old.iter().filter_map(origin).collect();
    for added in origins.iter().filter(|origin| !kept.contains(origin)) {
        array::push(old, &added.to_string());
    }
}

fn unexpected(path: &Path, error: &dyn std::error::Error) -> Failure {
    Failure::usage(format!("`{}` cannot be changed: {error}", path.display())).with_hint(format!(
        "see that you may write to `{}` and that its disk has room",
        path.parent().unwrap_or(Path::new(".")).display()
    ))
}

fn inline(path: &Path, key: &str) -> Failure {
    Failure::usage(format!(
        "`{key}` in `{}` is written in a way that no command edits",
        path.display()
    ))
    .with_hint("change it by hand; `nix-fetchhost config check` then says whether it is good")
}

#[cfg(test)]
mod tests;
