//! Which key a module may have sign, and by whose word.
//!
//! **The threat.** A module, or an expression that somebody else wrote, names a key of the user's and has it sign
//! what the user never saw.
//!
//! **The rule.** A key signs anew only where a person typed its name, or approved the very digest. Everywhere else
//! a grant of the configuration lets a module look up what was signed before.
//!
//! | | built-in module | another module |
//! |---|---|---|
//! | `run`, the key's name typed | signs | signs in the envelopes that a grant names |
//! | `run`, the name read from a file; `prefetch`; `argv-consent = false` | signs approved digests, in the envelopes that a grant names | the same |
//! | `exec`, `serve`, `realise`, `lock` | looks up what a grant names | the same |
//! | the administrator denies the module | nothing | nothing |

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::broker::Lines;
use crate::config::Config;
use crate::describe::FetcherDescription;
use crate::{
    Consent, Denial, DenialKind, Domain, Grant, KeyName, KeySpec, ModuleId, PolicyError,
    Provenance, SlotName, Use,
};

/// What may be done with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// It signs: the user typed its name.
    Sign,
    /// It signs contents whose digests the user approved for it.
    SignApproved,
    /// Nothing is signed; what was signed before is looked up.
    LookUp,
}

/// A key that a module may use in one envelope.
#[derive(Clone, Copy, Debug)]
pub struct KeyPermit<'a> {
    /// The key.
    pub key: &'a KeySpec,
    /// Whose remembered signatures are looked up and added to.
    pub domain: &'a Domain,
    /// What may be done with it.
    pub leave: Leave,
}

/// All that decides about the keys of one fetcher in one run.
#[derive(Clone, Debug)]
pub struct SigningPolicy {
    module: ModuleId,
    slots: BTreeMap<SlotName, Slot>,
    /// Where the administrator denied the module.
    denied: Option<Provenance>,
    /// Where the administrator locked the configuration.
    locked: Option<Provenance>,
}

#[derive(Clone, Debug)]
struct Slot {
    key: KeySpec,
    domain: Domain,
    /// What the module declares.
    declared: Vec<Use>,
    /// What somebody lets it sign; `None`: whatever it declares.
    granted: Option<Vec<Use>>,
    leave: Leave,
    /// What to type so that it is said by a person, where that helps.
    flag: Option<String>,
}

impl SigningPolicy {
    /// The policy for one fetcher of `module` with `params`. `consent` is what was typed, and `None` where
    /// parameters do not come from the user's own hands.
    ///
    /// # Errors
    /// When a parameter names a key that is not configured, or that no key can be called.
    pub fn new(
        module: ModuleId,
        description: &FetcherDescription,
        params: &Map<String, Value>,
        config: &Config,
        consent: Option<&Consent>,
    ) -> Result<Self, PolicyError> {
        let typed = match (config.no_argv_consent(), consent) {
            (None, Some(consent)) => consent.keys.clone(),
            _ => BTreeSet::new(),
        };
        let mut slots = BTreeMap::new();
        for (name, declared) in &description.keys {
            let parameter = &declared.parameter;
            let Some(value) = description.value(params, parameter).and_then(Value::as_str) else {
                continue;
            };
            let key = find(parameter, value, config)?;
            let grant = config
                .grants
                .iter()
                .find(|grant| grant.module == module && grant.keys.contains_key(&key.name));
            let is_typed = typed.contains(parameter);
            // What a built-in module is told by name needs no grant; another module's grant says how it may sign.
            let granted = (!(is_typed && module.is_builtin())).then(|| {
                let envelopes = grant.and_then(|grant| grant.keys.get(&key.name));
                envelopes.cloned().unwrap_or_default()
            });
            let leave = match (is_typed, consent) {
                (true, _) => Leave::Sign,
                (false, Some(_)) => Leave::SignApproved,
                (false, None) => Leave::LookUp,
            };
            let slot = Slot {
                key: key.clone(),
                domain: domain(grant, &module),
                declared: declared.envelopes.clone(),
                granted,
                leave,
                flag: (leave == Leave::SignApproved
                    && module.is_builtin()
                    && config.no_argv_consent().is_none())
                .then(|| format!("--{parameter} {}", key.name)),
            };
            slots.insert(name.clone(), slot);
        }
        let denies =
            |deny: &&crate::Deny| deny.origins.is_empty() && deny.modules.contains(&module);
        Ok(Self {
            denied: config
                .deny
                .iter()
                .find(denies)
                .map(|deny| deny.from.clone()),
            locked: config.locked().cloned(),
            module,
            slots,
        })
    }

    /// The key that fills `slot`, if its parameter was given.
    #[must_use]
    pub fn key(&self, slot: &SlotName) -> Option<&KeySpec> {
        self.slots.get(slot).map(|slot| &slot.key)
    }

    /// All keys that fill slots.
    pub fn keys(&self) -> impl Iterator<Item = &KeySpec> {
        self.slots.values().map(|slot| &slot.key)
    }

    /// Whether each slot that names a key may be used at all, so that a refusal is told before anything is read.
    ///
    /// # Errors
    /// The denial of the first that may not.
    pub fn check(&self) -> Result<(), Denial> {
        self.slots
            .keys()
            .try_for_each(|slot| self.any(slot).map(|_| ()))
    }

    /// What may be done with a slot's key in some envelope.
    ///
    /// # Errors
    /// When all envelopes are denied, the denial of the first that the module declares and the key is for: what is
    /// missing there can be allowed.
    pub fn any(&self, slot: &SlotName) -> Result<KeyPermit<'_>, Denial> {
        let found = self.slots.get(slot);
        let declared = found.map_or(&[][..], |found| found.declared.as_slice());
        let is_for = |asked: &&Use| found.is_some_and(|found| found.key.uses.allow(**asked));
        let first = declared.iter().find(is_for).or(declared.first());
        self.judge(slot, first.copied().unwrap_or(Use::Minisign))
            .or_else(|denial| {
                let mut others = declared.iter().map(|asked| self.judge(slot, *asked));
                others.find_map(Result::ok).ok_or(denial)
            })
    }

    /// Decides about one use of a key.
    ///
    /// # Errors
    /// When the slot has no key, the module does not declare the envelope, the key is not for it, or nothing
    /// grants it.
    pub fn judge(&self, slot: &SlotName, envelope: Use) -> Result<KeyPermit<'_>, Denial> {
        let module = &self.module;
        if let Some(place) = &self.denied {
            let message = format!("`{module}` is denied by the administrator at {place}");
            return Err(Denial::new(DenialKind::Administrator, message));
        }
        let Some(found) = self.slots.get(slot) else {
            let message = format!("`{module}` uses the slot `{slot}`, for which no key was named");
            return Err(Denial::new(DenialKind::Key, message)
                .with_note("name one by the fetcher's parameter for it"));
        };
        let name = &found.key.name;
        if !found.declared.contains(&envelope) {
            let message = format!(
                "`{module}` wants a signature `{envelope}` by the key `{name}`, and does not declare that it makes such"
            );
            return Err(Denial::new(DenialKind::NotDeclared, message));
        }
        if !found.key.uses.allow(envelope) {
            let message = format!(
                "the key `{name}` is for {}, and not for `{envelope}`",
                found.key.uses
            );
            let note = format!(
                "if it may sign that too, add `{envelope}` to `use` of `[key.{name}]`; or name another key"
            );
            return Err(Denial::new(DenialKind::Key, message).with_note(note));
        }
        if found
            .granted
            .as_ref()
            .is_some_and(|granted| !granted.contains(&envelope))
        {
            return Err(self.ungranted(found, envelope));
        }
        Ok(KeyPermit {
            key: &found.key,
            domain: &found.domain,
            leave: found.leave,
        })
    }

    fn ungranted(&self, slot: &Slot, envelope: Use) -> Denial {
        let (module, name) = (&self.module, &slot.key.name);
        let message =
            format!("`{module}` may not use the key `{name}` for `{envelope}`: no grant allows it");
        let toml =
            format!("[[grant]]\nmodule = \"{module}\"\nkeys = {{ {name} = [\"{envelope}\"] }}\n");
        let denial = Denial::new(DenialKind::Key, message).with_flag(slot.flag.clone());
        // A second grant of one key to one module would be refused.
        match slot.granted.as_deref() {
            Some([_, ..]) => denial.with_note(format!(
                "add `{envelope}` to `keys` of the grant that allows it {name}"
            )),
            _ => denial.with_lines(Lines {
                replaces: None,
                locked: self.locked.clone(),
                toml,
                commands: Vec::new(),
            }),
        }
    }
}

/// The key that a parameter names.
fn find<'a>(parameter: &str, value: &str, config: &'a Config) -> Result<&'a KeySpec, PolicyError> {
    let known = || config.keys.keys().cloned().collect();
    let name: KeyName = value.parse().map_err(|error| PolicyError::KeyName {
        parameter: parameter.to_owned(),
        error,
    })?;
    config
        .keys
        .get(&name)
        .ok_or_else(|| PolicyError::UnknownKey {
            key: name,
            known: known(),
        })
}

fn domain(grant: Option<&Grant>, module: &ModuleId) -> Domain {
    grant
        .and_then(|grant| grant.domain.clone())
        .unwrap_or_else(|| Domain::of_module(module.clone()))
}
