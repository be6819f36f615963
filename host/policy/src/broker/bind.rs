//! Binding `--credential` to a slot and an origin.

use std::sync::Arc;

use super::Broker;
use crate::config::{Config, ConfigError};
use crate::suggest::nearest;
use crate::{
    ArgvCredential, ArgvSource, Consent, CredentialName, CredentialSpec, KeyName, KeyNameError,
    Origin, Provenance, Scheme, SlotName, SourceSpec,
};

/// A credential of the command line, with the one origin that it is for.
#[derive(Debug)]
pub(super) struct Binding {
    pub(super) slot: SlotName,
    pub(super) origin: Origin,
    pub(super) spec: Arc<CredentialSpec>,
}

/// Consent or configuration that does not fit. Nothing has been contacted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// The configuration does not fit itself.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The fetcher has no such slot.
    #[error("fetcher `{fetcher}` has no credential slot `{slot}`")]
    UnknownSlot {
        /// The fetcher.
        fetcher: String,
        /// The slot that was typed.
        slot: SlotName,
        /// The slots that it has.
        known: Vec<SlotName>,
    },
    /// No single origin to bind to.
    #[error("`--credential {slot}=…` does not say for which origin: {reason}")]
    NeedsOrigin {
        /// The slot.
        slot: SlotName,
        /// Why none is clear.
        reason: &'static str,
    },
    /// No scheme, and the module is not one whose suggestion counts.
    #[error("`--credential {slot}=…` does not say how the credential is sent")]
    NeedsScheme {
        /// The slot.
        slot: SlotName,
        /// What the module suggests.
        suggested: Scheme,
    },
    /// A scheme for a credential that has its own.
    #[error("credential `{name}` has its own scheme, `{scheme}`; `--credential` cannot change it")]
    SchemeIsConfigured {
        /// The credential.
        name: CredentialName,
        /// Its scheme.
        scheme: Scheme,
    },
    /// No such credential. What was typed is not repeated: it may be a secret.
    #[error("`--credential {slot}=…` names no configured credential")]
    UnknownCredential {
        /// The slot.
        slot: SlotName,
        /// The credentials that are configured.
        known: Vec<CredentialName>,
    },
    /// A client certificate, which no slot of a module takes.
    #[error("`{name}` is a client certificate, which `--credential` cannot give")]
    IsCertificate {
        /// The credential.
        name: CredentialName,
        /// What to write to have it shown.
        grant: Option<String>,
    },
    /// A configured credential that is for other origins.
    #[error("credential `{name}` is not for `{origin}`")]
    NotForOrigin {
        /// The credential.
        name: CredentialName,
        /// Where it should have been sent.
        origin: Origin,
    },
    /// An origin that nothing grants, so that the credential would go nowhere.
    #[error("`--credential {slot}=…` is for `{origin}`, which nothing grants")]
    Unreachable {
        /// The slot.
        slot: SlotName,
        /// The origin.
        origin: Origin,
    },
    /// A parameter that should name a key does not.
    #[error("the parameter `{parameter}`: {error}")]
    KeyName {
        /// The parameter.
        parameter: String,
        /// What is wrong.
        error: KeyNameError,
    },
    /// No such key.
    #[error("no key `{key}` is configured")]
    UnknownKey {
        /// The key that was named.
        key: KeyName,
        /// The keys that are configured.
        known: Vec<KeyName>,
    },
    /// A flag that grants, where the administrator turned that off.
    #[error("`{flag}` grants nothing here: `argv-consent = false` at {place}")]
    NoConsent {
        /// The flag.
        flag: &'static str,
        /// Where it was turned off.
        place: Provenance,
    },
    /// Two for one slot and origin.
    #[error("slot `{slot}` is given two credentials for `{origin}`")]
    Twice {
        /// The slot.
        slot: SlotName,
        /// The origin.
        origin: Origin,
    },
}

impl PolicyError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Config(error) => error.hint(),
            Self::UnknownSlot { slot, known, .. } => Some(match known.as_slice() {
                [] => "it takes no credential".to_owned(),
                known => match nearest(slot.as_str(), known.iter().map(SlotName::as_str)) {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None => format!("its slots are {}", listed(known)),
                },
            }),
            Self::NeedsOrigin { slot, .. } => {
                Some(format!("write `--credential {slot}=SOURCE@https://HOST`"))
            }
            Self::NeedsScheme { slot, suggested } => Some(format!(
                "the module suggests `--credential {slot}=SOURCE,{}`",
                suggested.argv_option()
            )),
            Self::SchemeIsConfigured { name, .. } => Some(format!(
                "change `scheme` of `[credential.{name}]` in `config.toml`"
            )),
            Self::KeyName { .. } => {
                Some("it is the NAME of a `[key.NAME]` in `config.toml`".to_owned())
            }
            Self::UnknownKey { key, known } => Some(
                match nearest(key.as_str(), known.iter().map(KeyName::as_str)) {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None if known.is_empty() => format!(
                        "add it to `config.toml`:\n\n  [key.{key}]\n  source = {{ file = \"/PATH/OF/THE/SECRET/KEY\" }}\n  use = [\"minisign\"]"
                    ),
                    None => format!("configured are {}", listed(known)),
                },
            ),
            Self::UnknownCredential { known, .. } => Some(match known.as_slice() {
                [] => "none is configured; write `env:NAME` or `file:PATH`".to_owned(),
                known => format!(
                    "configured are {}; or write `env:NAME` or `file:PATH`",
                    listed(known)
                ),
            }),
            Self::IsCertificate { grant, .. } => grant.clone(),
            Self::NotForOrigin { name, origin } => Some(format!(
                "add `\"{origin}\"` to `origins` of `[credential.{name}]` in `config.toml` if it may receive the credential"
            )),
            Self::Unreachable { origin, .. } => Some(format!(
                "if the fetcher is to ask there, add `--allow {origin}`"
            )),
            Self::NoConsent { .. } => Some(
                "leave it out; what the configuration grants, `nix-fetchhost grant list` shows"
                    .to_owned(),
            ),
            Self::Twice { .. } => None,
        }
    }
}

/// A suggested scheme, as it fits the source: what a netrc file holds for a
/// server is a login, where the slot does not want it in a header of its own.
fn fitted(suggested: &Scheme, source: &SourceSpec) -> Scheme {
    match suggested {
        Scheme::Bearer if source.knows_login() => Scheme::BasicLogin,
        suggested => suggested.clone(),
    }
}

fn listed<T: std::fmt::Display>(items: &[T]) -> String {
    let quoted: Vec<String> = items.iter().map(|item| format!("`{item}`")).collect();
    quoted.join(", ")
}

/// What is left of `consent` under the administrator's `argv-consent`, and
/// where it was turned off when it would have counted.
///
/// Flags that do nothing but grant are refused: to ignore them would look as if
/// they had been heard. A typed origin is a parameter too, and only grants
/// nothing.
pub(super) fn consent<'a>(
    config: &Config,
    consent: Option<&'a Consent>,
) -> Result<(Option<&'a Consent>, Option<Provenance>), PolicyError> {
    let (Some(given), Some(place)) = (consent, config.no_argv_consent()) else {
        return Ok((consent, None));
    };
    let flag = if !given.allow.is_empty() {
        "--allow"
    } else if !given.credentials.is_empty() {
        "--credential"
    } else {
        return Ok((None, Some(place.clone())));
    };
    Err(PolicyError::NoConsent {
        flag,
        place: place.clone(),
    })
}

impl Broker {
    pub(super) fn bind(&self, credential: &ArgvCredential) -> Result<Binding, PolicyError> {
        let slot = &credential.slot;
        if let ArgvSource::Configured(name) = &credential.source
            && let Some(spec) = self.certificates.get(name)
        {
            let meant = self.origin_to_bind(credential).ok();
            let origin = meant
                .as_ref()
                .filter(|origin| spec.is_for(origin))
                .or(spec.origins.first());
            return Err(PolicyError::IsCertificate {
                name: name.clone(),
                grant: origin.map(|origin| self.certificate_lines(spec, origin)),
            });
        }
        let description = self
            .slots
            .get(slot)
            .ok_or_else(|| PolicyError::UnknownSlot {
                fetcher: self.fetcher.clone(),
                slot: slot.clone(),
                known: self.slots.keys().cloned().collect(),
            })?;
        let origin = self.origin_to_bind(credential)?;
        let spec = match &credential.source {
            ArgvSource::Configured(name) => self.configured_for(name, credential, &origin)?,
            ArgvSource::Source(source) => {
                // Only our own modules' word counts for how a secret is sent.
                let suggested = self
                    .module
                    .is_builtin()
                    .then(|| fitted(&description.scheme, source));
                let scheme = credential.scheme.clone().or(suggested).ok_or_else(|| {
                    PolicyError::NeedsScheme {
                        slot: slot.clone(),
                        suggested: description.scheme.clone(),
                    }
                })?;
                Arc::new(CredentialSpec {
                    name: CredentialName::of_slot(slot),
                    source: source.clone(),
                    scheme,
                    origins: vec![origin.clone()],
                })
            }
        };
        if self.ways(&origin).next().is_none() {
            return Err(PolicyError::Unreachable {
                slot: slot.clone(),
                origin,
            });
        }
        if self.binding(slot, &origin).is_some() {
            return Err(PolicyError::Twice {
                slot: slot.clone(),
                origin,
            });
        }
        Ok(Binding {
            slot: slot.clone(),
            origin,
            spec,
        })
    }

    /// The origin that was written, the single one that was typed, or a
    /// built-in fetcher's own. `--allow` is never one: it grants reach, and no
    /// credential.
    fn origin_to_bind(&self, credential: &ArgvCredential) -> Result<Origin, PolicyError> {
        if let Some(origin) = &credential.origin {
            return Ok(origin.clone());
        }
        let refuse = |reason| PolicyError::NeedsOrigin {
            slot: credential.slot.clone(),
            reason,
        };
        match (self.typed.as_slice(), &self.default) {
            ([only], _) => Ok(only.clone()),
            ([], Some(default)) => Ok(default.clone()),
            ([], None) => Err(refuse("no parameter that names an origin was typed")),
            _ => Err(refuse("several origins were typed")),
        }
    }

    fn configured_for(
        &self,
        name: &CredentialName,
        credential: &ArgvCredential,
        origin: &Origin,
    ) -> Result<Arc<CredentialSpec>, PolicyError> {
        let spec = self
            .credentials
            .get(name)
            .ok_or_else(|| PolicyError::UnknownCredential {
                slot: credential.slot.clone(),
                known: self.credentials.keys().cloned().collect(),
            })?;
        if credential.scheme.is_some() {
            return Err(PolicyError::SchemeIsConfigured {
                name: name.clone(),
                scheme: spec.scheme.clone(),
            });
        }
        if !spec.is_for(origin) {
            return Err(PolicyError::NotForOrigin {
                name: name.clone(),
                origin: origin.clone(),
            });
        }
        Ok(Arc::clone(spec))
    }
}
