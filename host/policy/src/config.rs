//! The configuration: credentials, grants and limits, as the user and the
//! administrator wrote them.
//!
//! **The threat.** A line that means something else than it seems to: a key
//! with a typing error that is passed over, a restriction of a later version
//! that this one ignores, two grants of which either could win.
//!
//! **The rule.** Every key is known or refused, with its place
//! (`file:line:column`) and the key that may have been meant. What belongs to
//! a later version is refused as that: to ignore a `deny` would be unsafe. A
//! user's file only adds to the administrator's; where both set one limit, the
//! smaller number holds.

mod credential;
mod error;
mod grant;
mod limits;
mod merge;
mod reader;
mod show;

use std::collections::BTreeMap;
use std::path::Path;

use crate::limits::{Limit, Limits};
use crate::{CredentialName, CredentialSpec, Grant, Provenance};

pub use error::ConfigError;
pub(crate) use show::{credential_toml, grant_toml};

use reader::{Source, Table};

/// Keys of later versions at the top of the file.
const LATER: [&str; 14] = [
    "argv-consent",
    "aws",
    "cache",
    "deny",
    "domain",
    "fetcher",
    "gateway",
    "key",
    "locked",
    "memo",
    "proxy",
    "realise",
    "sink",
    "trust",
];

/// What one file says, or two of them merged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// `[credential.NAME]`
    pub credentials: BTreeMap<CredentialName, CredentialSpec>,
    /// `[[grant]]`, in the order of the file, the administrator's first.
    pub grants: Vec<Grant>,
    /// `allow-metadata`: whether an origin that is written exactly may be a
    /// cloud's metadata service.
    pub allow_metadata: bool,
    /// `[limits]`, where they were set. [`Config::limits`] has them all.
    limits: BTreeMap<Limit, u64>,
    /// Where each credential was written.
    places: BTreeMap<CredentialName, Provenance>,
}

impl Config {
    /// Reads the text of a configuration file. `file` names it in errors, and
    /// paths in it are relative to its folder; it is not opened.
    ///
    /// Whether a grant's credentials exist is judged by [`Config::merge`],
    /// since another file may define them.
    ///
    /// # Errors
    /// With the place of the first thing that is wrong.
    pub fn parse(text: &str, file: &Path) -> Result<Self, ConfigError> {
        let source = Source::new(text, file);
        let document = source.document()?;
        let table = Table::root(&source, &document);
        table.refuse_unknown(&["credential", "grant", "limits", "allow-metadata"], &LATER)?;
        let mut config = Self {
            allow_metadata: table.boolean("allow-metadata")?.unwrap_or_default(),
            ..Self::default()
        };
        if let Some(limits) = table.table("limits")? {
            config.limits = limits::read(&limits)?;
        }
        for (name, credential) in table.tables("credential")? {
            let spec = credential::read(&name, &credential)?;
            config.places.insert(spec.name.clone(), credential.place());
            config.credentials.insert(spec.name.clone(), spec);
        }
        for grant in table.array_of_tables("grant")? {
            config.grants.push(grant::read(&grant)?);
        }
        merge::refuse_ties(&config.grants)?;
        Ok(config)
    }

    /// The administrator's configuration with the user's added to it.
    ///
    /// # Errors
    /// When both define one credential, when two grants tie, or when a grant
    /// names a credential that nobody defines or that is for none of the
    /// grant's origins.
    pub fn merge(admin: Self, user: Self) -> Result<Self, ConfigError> {
        merge::merge(admin, user)
    }

    /// What [`Config::merge`] judges, for a configuration that was made in
    /// another way.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        merge::check(self)
    }

    /// The limits of a run: the defaults with what `[limits]` sets.
    #[must_use]
    pub fn limits(&self) -> Limits {
        let mut limits = Limits::default();
        for (limit, value) in &self.limits {
            limits.set(*limit, *value);
        }
        limits
    }

    /// Where the credential called `name` was written.
    #[must_use]
    pub fn place_of(&self, name: &CredentialName) -> Option<&Provenance> {
        self.places.get(name)
    }
}
