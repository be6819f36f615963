//! The configuration: credentials, keys, grants and limits, as the user and the
//! administrator wrote them.
//!
//! **The threat.** A line that means something else than it seems to: a key
//! with a typing error that is passed over, a restriction of a later version
//! that this one ignores, two grants of which either could win.
//!
//! **The rule.** Every key is known or refused, with its place
//! (`file:line:column`) and the key that may have been meant. What belongs to
//! a later version is refused as that: to ignore a restriction would be unsafe.
//! A user's file only adds to the administrator's; where both set one limit, the
//! smaller number holds.
//!
//! Three keys are the administrator's alone, and refused in a user's file:
//!
//! | key | what it takes away |
//! |---|---|
//! | `[[deny]]` | hosts, modules, or hosts for modules; asked before every grant ([`Deny`]) |
//! | `locked = true` | all of the user's file |
//! | `argv-consent = false` | all consent by the command line: typed origins, `--allow`, `--credential`, a built-in's own origin |

mod certificate;
mod credential;
mod deny;
mod error;
mod gateway;
mod grant;
mod key;
mod limits;
mod memo;
mod merge;
mod proxy;
mod reader;
mod route;
mod show;

use std::collections::BTreeMap;
use std::path::Path;

use crate::limits::{Limit, Limits};
use crate::{
    ClientCertificate, CredentialName, CredentialSpec, Deny, Domain, Grant, KeyName, KeySpec,
    ModuleId, Origin, Provenance, Proxies, Remember, Route, RoutedUrl,
};

pub use error::ConfigError;
pub use gateway::{DaemonPeers, GatewayConfig};
pub use memo::MemoConfig;
pub(crate) use show::{credential_toml, grant_toml};

use reader::{Source, Table};

/// Keys at the top of the file.
const KNOWN: [&str; 12] = [
    "allow-metadata",
    "argv-consent",
    "credential",
    "deny",
    "gateway",
    "grant",
    "key",
    "limits",
    "locked",
    "memo",
    "proxy",
    "route",
];

/// Keys of later versions there.
const LATER: [&str; 6] = ["aws", "cache", "domain", "fetcher", "sink", "trust"];

/// What one file says, or two of them merged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// `[credential.NAME]`
    pub credentials: BTreeMap<CredentialName, CredentialSpec>,
    /// `[credential.NAME]` with a client certificate.
    pub certificates: BTreeMap<CredentialName, ClientCertificate>,
    /// `[key.NAME]`
    pub keys: BTreeMap<KeyName, KeySpec>,
    /// `[memo]`
    pub memo: MemoConfig,
    /// `[[grant]]`, in the order of the file, the administrator's first.
    pub grants: Vec<Grant>,
    /// `allow-metadata`: whether an origin that is written exactly may be a
    /// cloud's metadata service.
    pub allow_metadata: bool,
    /// `[[deny]]`, which only the administrator writes.
    pub deny: Vec<Deny>,
    /// `[[route]]`, in the order of the file, the administrator's first.
    pub routes: Vec<Route>,
    /// `[gateway]`
    pub gateway: GatewayConfig,
    /// `locked`, and where it was written.
    locked: Option<(bool, Provenance)>,
    /// `argv-consent`, and where it was written.
    argv_consent: Option<(bool, Provenance)>,
    /// `[proxy]`, and where it was written.
    proxies: Option<(Proxies, Provenance)>,
    /// `[limits]`, where they were set. [`Config::limits`] has them all.
    limits: BTreeMap<Limit, u64>,
    /// Where each credential was written.
    places: BTreeMap<CredentialName, Provenance>,
    /// Where each key was written.
    key_places: BTreeMap<KeyName, Provenance>,
    /// Where `[memo]` was written.
    memo_place: Option<Provenance>,
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
        table.refuse_unknown(&KNOWN, &LATER)?;
        let switch = |key| -> Result<_, ConfigError> {
            Ok(table.boolean(key)?.map(|on| (on, table.place_of(key))))
        };
        let mut config = Self {
            allow_metadata: table.boolean("allow-metadata")?.unwrap_or_default(),
            locked: switch("locked")?,
            argv_consent: switch("argv-consent")?,
            ..Self::default()
        };
        if let Some(limits) = table.table("limits")? {
            config.limits = limits::read(&limits)?;
        }
        if let Some(gateway) = table.table("gateway")? {
            config.gateway = gateway::read(&gateway)?;
        }
        if let Some(memo) = table.table("memo")? {
            config.memo = memo::read(&memo)?;
            config.memo_place = Some(memo.place());
        }
        for (name, key) in table.tables("key")? {
            let spec = key::read(&name, &key)?;
            config.key_places.insert(spec.name.clone(), key.place());
            config.keys.insert(spec.name.clone(), spec);
        }
        for deny in table.array_of_tables("deny")? {
            config.deny.push(deny::read(&deny)?);
        }
        if let Some(proxy) = table.table("proxy")? {
            config.proxies = Some((proxy::read(&proxy)?, proxy.place()));
        }
        for (name, credential) in table.tables("credential")? {
            if let Some(spec) = certificate::read(&name, &credential)? {
                config.places.insert(spec.name.clone(), credential.place());
                config.certificates.insert(spec.name.clone(), spec);
                continue;
            }
            let spec = credential::read(&name, &credential)?;
            config.places.insert(spec.name.clone(), credential.place());
            config.credentials.insert(spec.name.clone(), spec);
        }
        for grant in table.array_of_tables("grant")? {
            config.grants.push(grant::read(&grant)?);
        }
        for route in table.array_of_tables("route")? {
            config.routes.push(route::read(&route)?);
        }
        merge::refuse_ties(&config.grants)?;
        route::refuse_ties(&config.routes)?;
        Ok(config)
    }

    /// The administrator's configuration with the user's added to it.
    ///
    /// # Errors
    /// When the user's file holds what is the administrator's alone, when both
    /// define one credential, when two grants tie, or when a grant names a credential that nobody defines or that is for none of the
    /// grant's origins.
    pub fn merge(admin: Self, user: Self) -> Result<Self, ConfigError> {
        merge::merge(admin, user)
    }

    /// Every key that a file may hold, with the table that it stands in (`""`: none). Not the names
    /// that the user chooses, of credentials and of slots.
    pub fn keys() -> impl Iterator<Item = (&'static str, &'static str)> {
        let of = |table, keys: &[&'static str]| -> Vec<_> {
            keys.iter().map(|key| (table, *key)).collect()
        };
        let source: Vec<&str> = credential::source_keys()
            .chain(key::source_keys())
            .collect();
        let limits: Vec<&str> = Limit::ALL.iter().map(|limit| limit.key()).collect();
        [
            of("", &KNOWN),
            of("credential", &credential::KEYS),
            of("source", &source),
            of(certificate::KIND, &certificate::FILES),
            of("deny", &deny::KEYS),
            of("gateway", &gateway::KEYS),
            of("grant", &grant::KEYS),
            of("key", &key::KEYS),
            of("limits", &limits),
            of("memo", &memo::KEYS),
            of("proxy", &proxy::KEYS),
            of("route", &route::KEYS),
        ]
        .into_iter()
        .flatten()
    }

    /// What [`Config::merge`] judges, for a configuration that was made in
    /// another way.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        merge::check(self)
    }

    /// Where `locked = true` was written, so that a user's file has no effect.
    #[must_use]
    pub fn locked(&self) -> Option<&Provenance> {
        switched(&self.locked, true)
    }

    /// Where `argv-consent = false` was written, so that what is typed grants
    /// nothing.
    #[must_use]
    pub fn no_argv_consent(&self) -> Option<&Provenance> {
        switched(&self.argv_consent, false)
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

    /// The proxies that the configuration names; `None` when it leaves them to
    /// the environment.
    #[must_use]
    pub fn proxies(&self) -> Option<&Proxies> {
        self.proxies.as_ref().map(|(proxies, _)| proxies)
    }

    /// Where the key called `name` was written.
    #[must_use]
    pub fn place_of_key(&self, name: &KeyName) -> Option<&Provenance> {
        self.key_places.get(name)
    }

    /// Whether, and how, the hash of what `module` brings from `origin` is remembered without anybody having
    /// declared it: as the most exact grant for the origin says.
    #[must_use]
    pub fn remembers(&self, module: &ModuleId, origin: &Origin) -> Option<Remember> {
        let of_module = self.grants.iter().filter(|grant| grant.module == *module);
        let (_, grant) = of_module
            .filter_map(|grant| Some((grant.pattern_for(origin)?.exactness(), grant)))
            .max_by_key(|(exactness, _)| *exactness)?;
        Some(Remember {
            lasts: grant.remember?,
            domain: grant
                .domain
                .clone()
                .unwrap_or_else(|| Domain::of_module(module.clone())),
        })
    }

    /// The first route for `url`, if there is one.
    #[must_use]
    pub fn route_of(&self, url: &RoutedUrl) -> Option<&Route> {
        self.routes.iter().find(|route| route.url.matches(url))
    }

    /// Where the credential called `name` was written.
    #[must_use]
    pub fn place_of(&self, name: &CredentialName) -> Option<&Provenance> {
        self.places.get(name)
    }
}

/// Where a switch was written, when it stands at `position`.
fn switched(switch: &Option<(bool, Provenance)>, position: bool) -> Option<&Provenance> {
    switch
        .as_ref()
        .filter(|(on, _)| *on == position)
        .map(|(_, place)| place)
}
