//! The broker: the one place that decides whether a request goes out.
//!
//! **The threat.** A module asks for an origin, method or path that nobody
//! granted; a server redirects a granted request somewhere else, to collect its
//! credential or to reach what the module may not; a credential is sent along
//! a way for which nobody meant it.
//!
//! **The rule.** A request is allowed when the module **declares** it and
//! something **grants** it. Grants are, side by side: the configuration's most
//! exact grant for the origin; an origin typed as a parameter (or, when none
//! was, a built-in fetcher's own single origin); `--allow`. Whatever comes from
//! the command line only reads. Each hop of a redirect is judged anew.
//!
//! | request of a module | what it needs |
//! |---|---|
//! | origin | declared (or any, when the fetcher has an origin parameter), and granted |
//! | method | declared, and granted: `GET` and `HEAD` unless the configuration says more |
//! | path | matched by a declared pattern, and by a granted one |
//! | body | a method other than `GET` and `HEAD` |
//! | slot | declared; filled only for the origins that the credential is for |
//!
//! | redirect | what becomes of it |
//! |---|---|
//! | to the same origin | judged like a request; keeps its credential |
//! | `https` to `http` | refused, whatever is granted |
//! | to another origin in `redirects` or `--allow` | `GET` and `HEAD`, any path, no credential |
//! | to any other origin, granted for requests or not | refused |
//! | on from there | the same, and never a credential again |
//! | from there back to where it started | judged like a request, but no credential |
//!
//! Before all of this, and whatever grants it, an origin that the administrator
//! denies is refused, as a request and as the end of a redirect. Where the
//! administrator turned consent off, the command line grants nothing.
//!
//! Private addresses and plain `http` need the origin written exactly by the
//! user, for requests and redirects alike ([`crate::address`]).

mod bind;
pub(crate) mod command;
mod connection;
mod denial;
mod explain;
mod hint;
mod permit;
mod way;

use std::collections::BTreeMap;
use std::sync::Arc;

use url::Url;

use crate::address::AddressRule;
use crate::config::Config;
use crate::describe::{FetcherDescription, Needs, SlotDescription};
use crate::{
    ClientCertificate, CredentialName, CredentialSpec, Deny, Grant, Method, ModuleId, Origin,
    Provenance, SlotName, builtin, consent::Consent,
};

pub use bind::PolicyError;
pub(crate) use denial::Lines;
pub use denial::{Denial, DenialKind};
pub use explain::{Arrival, Explanation, Reach};
pub use permit::Permit;

use bind::Binding;
use permit::Target;
use way::Way;

/// All that decides about the requests of one fetcher in one run.
#[derive(Debug)]
pub struct Broker {
    module: ModuleId,
    fetcher: String,
    needs: Needs,
    slots: BTreeMap<SlotName, SlotDescription>,
    /// The configuration's grants for this module.
    grants: Vec<Grant>,
    credentials: BTreeMap<CredentialName, Arc<CredentialSpec>>,
    certificates: BTreeMap<CredentialName, Arc<ClientCertificate>>,
    allow_metadata: bool,
    deny: Vec<Deny>,
    /// Where the administrator locked the configuration.
    locked: Option<Provenance>,
    /// Whether there is a command line to consent by.
    has_consent: bool,
    /// Where the administrator turned the consent of this command line off.
    no_consent: Option<Provenance>,
    typed: Vec<Origin>,
    /// The built-in fetcher's own origin, when none was typed.
    default: Option<Origin>,
    allow: Vec<Origin>,
    bindings: Vec<Binding>,
}

impl Broker {
    /// The broker for `fetcher` of `module`. `consent` is what was typed, and
    /// `None` where parameters do not come from the user's own hands.
    ///
    /// # Errors
    /// When a `--credential` does not fit the fetcher, the configuration or the
    /// granted origins, when `--allow` or `--credential` are given although the
    /// administrator turned consent by the command line off, or when the
    /// configuration does not fit itself.
    pub fn new(
        module: ModuleId,
        fetcher: impl Into<String>,
        description: &FetcherDescription,
        config: &Config,
        consent: Option<&Consent>,
    ) -> Result<Self, PolicyError> {
        config.check()?;
        let (consent, no_consent) = bind::consent(config, consent)?;
        let mut typed = consent
            .map(|consent| consent.typed_origins.clone())
            .unwrap_or_default();
        typed.sort();
        typed.dedup();
        let default = builtin::default_origin(&module, description)
            .filter(|_| consent.is_some() && typed.is_empty());
        let credentials = config
            .credentials
            .iter()
            .map(|(name, spec)| (name.clone(), Arc::new(spec.clone())))
            .collect();
        let mut broker = Self {
            fetcher: fetcher.into(),
            needs: description.needs.clone(),
            slots: description.slots.clone(),
            grants: config
                .grants
                .iter()
                .filter(|grant| grant.module == module)
                .cloned()
                .collect(),
            credentials,
            certificates: config
                .certificates
                .iter()
                .map(|(name, spec)| (name.clone(), Arc::new(spec.clone())))
                .collect(),
            allow_metadata: config.allow_metadata,
            deny: config.deny.clone(),
            locked: config.locked().cloned(),
            no_consent,
            has_consent: consent.is_some(),
            typed,
            default,
            allow: consent
                .map(|consent| consent.allow.clone())
                .unwrap_or_default(),
            bindings: Vec::new(),
            module,
        };
        for credential in consent.iter().flat_map(|consent| &consent.credentials) {
            let binding = broker.bind(credential)?;
            broker.bindings.push(binding);
        }
        Ok(broker)
    }

    /// The module that the broker decides about.
    #[must_use]
    pub const fn module(&self) -> &ModuleId {
        &self.module
    }

    /// The fetcher that the broker decides about.
    #[must_use]
    pub fn fetcher(&self) -> &str {
        &self.fetcher
    }

    /// Decides about a request of the module.
    ///
    /// With a `slot`, the permit carries its credential when there is one for
    /// the origin; an optional slot without one is left empty. A configured
    /// grant's credential goes only along requests that the same grant permits.
    ///
    /// # Errors
    /// When the request is not declared or not granted, or when a slot that is
    /// not optional has no credential for it.
    pub fn authorize(
        &self,
        method: Method,
        url: &Url,
        slot: Option<&SlotName>,
        has_body: bool,
    ) -> Result<Permit, Denial> {
        let target = Target::of(url).map_err(|reason| self.refuse_url(url, &reason))?;
        self.check_denied(&target.origin)?;
        if has_body && method.is_reading() {
            return Err(self.refuse_body(method));
        }
        self.judge(method, &target)?;
        let credential = match slot {
            None => None,
            Some(slot) => self.fill(slot, method, &target)?,
        };
        let addresses = self.addresses(self.ways(&target.origin).any(Way::is_exact));
        self.check_literal(&target.origin, addresses)?;
        Ok(Permit {
            method,
            start: target.origin.clone(),
            certificate: self.certificate(method, &target),
            named: self.names(&target.origin, &target.origin),
            target,
            slot: slot.cloned(),
            credential,
            addresses,
            crossed: false,
        })
    }

    /// Decides about following a redirect of the request that `from` permitted,
    /// to be asked with `method` (which of 301, 302, 303, 307 and 308 changes
    /// the method is the transport's knowledge).
    ///
    /// # Errors
    /// When the table of this module refuses the hop.
    pub fn redirect(&self, from: &Permit, method: Method, to: &Url) -> Result<Permit, Denial> {
        let target = Target::of(to).map_err(|reason| self.refuse_url(to, &reason))?;
        if from.origin().is_https() && !target.origin.is_https() {
            return Err(self.refuse_downgrade(from.origin(), &target.origin));
        }
        self.check_denied(&target.origin)?;
        let crossed = from.crossed || target.origin != *from.origin();
        let is_exact = if !crossed || target.origin == from.start {
            self.judge(method, &target)?;
            self.ways(&target.origin).any(Way::is_exact)
        } else if let Some(is_exact) = self.redirects_to(&from.start, &target.origin) {
            if !method.is_reading() {
                return Err(self.refuse_redirect_method(method, &target.origin));
            }
            is_exact
        } else {
            return Err(self.refuse_redirect(&from.start, from.origin(), &target.origin));
        };
        let addresses = self.addresses(is_exact);
        self.check_literal(&target.origin, addresses)?;
        let slot = from.slot.clone().filter(|_| !crossed);
        let credential = slot
            .as_ref()
            .and_then(|slot| self.credential(slot, method, &target))
            // What the first request was not given, no redirect adds.
            .filter(|credential| from.credential.as_ref() == Some(credential));
        let certificate = self
            .certificate(method, &target)
            .filter(|_| !crossed)
            .filter(|certificate| from.certificate.as_ref() == Some(certificate));
        Ok(Permit {
            method,
            certificate,
            named: self.names(&from.start, &target.origin),
            target,
            start: from.start.clone(),
            slot,
            credential,
            addresses,
            crossed,
        })
    }

    /// The credential that `slot` holds for direct requests to `origin`.
    #[must_use]
    pub fn credential_for(&self, slot: &SlotName, origin: &Origin) -> Option<&CredentialSpec> {
        self.binding(slot, origin)
            .or_else(|| self.configured(slot, origin).map(|(_, spec)| spec))
            .map(Arc::as_ref)
    }

    /// Whether the administrator leaves the origin alone.
    fn check_denied(&self, origin: &Origin) -> Result<(), Denial> {
        match self.denied_by(origin) {
            None => Ok(()),
            Some(deny) => Err(self.refuse_denied(origin, deny)),
        }
    }

    /// Whether the module declares and something grants the request.
    fn judge(&self, method: Method, target: &Target) -> Result<(), Denial> {
        self.check_declared(method, target)?;
        let mut is_reached = false;
        let mut has_method = false;
        for way in self.ways(&target.origin) {
            is_reached = true;
            if way.permits_method(method) {
                has_method = true;
                if way.permits_path(&target.path) {
                    return Ok(());
                }
            }
        }
        Err(match (is_reached, has_method) {
            (false, _) => self.refuse_origin(method, target),
            (true, false) => self.refuse_method(method, target),
            (true, true) => self.refuse_path(method, target),
        })
    }

    fn check_declared(&self, method: Method, target: &Target) -> Result<(), Denial> {
        let what = if !self.declares_origin(&target.origin) {
            format!("origin `{}`", target.origin)
        } else if !self.needs.methods.contains(&method) {
            format!("method `{method}`")
        } else if !self
            .needs
            .paths
            .iter()
            .any(|pattern| pattern.matches(&target.path))
        {
            format!("path `{}`", target.path)
        } else {
            return Ok(());
        };
        Err(self.refuse_undeclared(&what))
    }

    /// The credential for a slot of an authorised request.
    fn fill(
        &self,
        slot: &SlotName,
        method: Method,
        target: &Target,
    ) -> Result<Option<Arc<CredentialSpec>>, Denial> {
        let description = self.slots.get(slot).ok_or_else(|| self.refuse_slot(slot))?;
        let credential = self.credential(slot, method, target);
        if credential.is_none() && !description.optional {
            return Err(self.refuse_empty_slot(slot, description, target));
        }
        Ok(credential)
    }

    fn credential(
        &self,
        slot: &SlotName,
        method: Method,
        target: &Target,
    ) -> Option<Arc<CredentialSpec>> {
        if let Some(spec) = self.binding(slot, &target.origin) {
            return Some(Arc::clone(spec));
        }
        let (way, spec) = self.configured(slot, &target.origin)?;
        (way.permits_method(method) && way.permits_path(&target.path)).then(|| Arc::clone(spec))
    }

    fn binding(&self, slot: &SlotName, origin: &Origin) -> Option<&Arc<CredentialSpec>> {
        self.bindings
            .iter()
            .find(|binding| binding.slot == *slot && binding.origin == *origin)
            .map(|binding| &binding.spec)
    }

    fn configured(
        &self,
        slot: &SlotName,
        origin: &Origin,
    ) -> Option<(Way<'_>, &Arc<CredentialSpec>)> {
        let (grant, pattern) = self.winner(origin)?;
        let spec = self.credentials.get(grant.credentials.get(slot)?)?;
        spec.is_for(origin)
            .then_some((Way::Config(grant, pattern), spec))
    }

    /// Judges at once what is an address already.
    fn check_literal(&self, origin: &Origin, addresses: AddressRule) -> Result<(), Denial> {
        match origin.ip() {
            None => Ok(()),
            Some(address) => addresses
                .check(address)
                .map_err(|error| self.refuse_address(origin, &error)),
        }
    }
}
