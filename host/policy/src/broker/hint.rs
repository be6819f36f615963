//! Refusing in words: each denial with the flags and lines that would allow it.

use std::collections::BTreeMap;

use url::Url;

use super::command;
use super::denial::Lines;
use super::permit::Target;
use super::{Broker, Denial, DenialKind, Permit};
use crate::address::AddressDenied;
use crate::config::{credential_toml, grant_toml};
use crate::describe::SlotDescription;
use crate::{
    ClientCertificate, CredentialName, CredentialSpec, Deny, DisplayUrl, Grant, Method, Origin,
    PathPattern, Provenance, SlotName, SourceSpec,
};

impl Broker {
    pub(super) fn refuse_url(&self, url: &Url, reason: &str) -> Denial {
        Denial::new(
            DenialKind::Url,
            format!("URL `{}` is refused: {reason}", DisplayUrl(url)),
        )
    }

    pub(super) fn refuse_body(&self, method: Method) -> Denial {
        let module = &self.module;
        Denial::new(
            DenialKind::Body,
            format!("`{module}` may not send a body with `{method}`"),
        )
    }

    pub(super) fn refuse_undeclared(&self, what: &str) -> Denial {
        let (module, fetcher) = (&self.module, &self.fetcher);
        Denial::new(
            DenialKind::NotDeclared,
            format!("fetcher `{fetcher}` of `{module}` asks for {what}, which it does not declare"),
        )
        .with_note("no grant allows it: a module must declare in `describe` what it needs")
    }

    pub(super) fn refuse_denied(&self, origin: &Origin, deny: &Deny) -> Denial {
        Denial::new(
            DenialKind::Administrator,
            format!(
                "`{}` may not reach `{origin}`: the administrator denies it at {}",
                self.module, deny.from
            ),
        )
        .with_note("no grant and no flag overrides that")
    }

    pub(super) fn refuse_origin(&self, method: Method, target: &Target) -> Denial {
        Denial::new(
            DenialKind::Origin,
            format!(
                "`{}` may not reach `{}`: nothing grants it",
                self.module, target.origin
            ),
        )
        .with_flag(self.allow_flag(method, &target.origin))
        .with_optional_note(self.no_consent_note())
        .with_lines(self.request_lines(method, target))
    }

    pub(super) fn refuse_method(&self, method: Method, target: &Target) -> Denial {
        Denial::new(
            DenialKind::Method,
            format!(
                "`{}` may not send `{method}` to `{}`: the method is not granted",
                self.module, target.origin
            ),
        )
        .with_flag(self.allow_flag(method, &target.origin))
        .with_optional_note(self.no_consent_note())
        .with_lines(self.request_lines(method, target))
    }

    pub(super) fn refuse_path(&self, method: Method, target: &Target) -> Denial {
        Denial::new(
            DenialKind::Path,
            format!(
                "`{}` may not ask `{}` for `{}`: the path is not granted",
                self.module, target.origin, target.path
            ),
        )
        .with_flag(self.allow_flag(method, &target.origin))
        .with_optional_note(self.no_consent_note())
        .with_lines(self.request_lines(method, target))
    }

    pub(super) fn refuse_redirect(&self, start: &Origin, from: &Origin, to: &Origin) -> Denial {
        let mut grant = self.grant_to_extend(start);
        grant.value.redirects.push(to.clone().into());
        Denial::new(
            DenialKind::Redirect,
            format!(
                "`{from}` redirects to `{to}`, which is not among the redirects granted to `{}`",
                self.module
            ),
        )
        .with_flag(self.allow_flag(Method::Get, to))
        .with_optional_note(self.no_consent_note())
        .with_lines(grant.lines())
    }

    pub(super) fn refuse_redirect_method(&self, method: Method, to: &Origin) -> Denial {
        Denial::new(
            DenialKind::Method,
            format!("a redirect to `{to}` may not be followed with `{method}`"),
        )
        .with_note("over redirects to other origins only `GET` and `HEAD` are sent")
    }

    pub(super) fn refuse_downgrade(&self, from: &Origin, to: &Origin) -> Denial {
        Denial::new(
            DenialKind::Downgrade,
            format!("`{from}` redirects to plain `http`, to `{to}`"),
        )
        .with_note("no grant allows a redirect from `https` to `http`")
    }

    pub(super) fn refuse_slot(&self, slot: &SlotName) -> Denial {
        self.refuse_undeclared(&format!("a credential in slot `{slot}`"))
            .of_kind(DenialKind::Slot)
    }

    pub(super) fn refuse_address(&self, origin: &Origin, error: &AddressDenied) -> Denial {
        let denial = Denial::new(
            DenialKind::Address,
            format!("`{}` may not reach `{origin}`: {error}", self.module),
        );
        match error.hint() {
            Some(hint) => denial.with_note(hint),
            None => denial,
        }
    }

    /// What to write so that the request of `permit` may go through a proxy,
    /// where it is not [named exactly](Permit::is_named_exactly).
    #[must_use]
    pub fn refuse_unnamed(&self, permit: &Permit) -> Denial {
        let origin = permit.origin();
        // On the way that permitted it: as a redirect, or as a request.
        let grant = if permit.crossed_origin() && *origin != permit.start {
            let mut grant = self.grant_to_extend(&permit.start);
            grant.value.redirects.push(origin.clone().into());
            grant
        } else {
            self.grant_to_extend(origin)
        };
        Denial::new(
            DenialKind::Proxy,
            format!(
                "`{}` reaches `{origin}` by a wildcard, and through a proxy only what is written exactly",
                self.module
            ),
        )
        .with_flag(self.has_consent.then(|| format!("--allow {origin}")))
        .with_optional_note(self.no_consent_note())
        .with_lines(grant.lines())
    }

    pub(super) fn refuse_empty_slot(
        &self,
        slot: &SlotName,
        description: &SlotDescription,
        target: &Target,
    ) -> Denial {
        let origin = &target.origin;
        let variable = variable_for(slot);
        let option = if self.module.is_builtin() {
            String::new()
        } else {
            format!(",{}", description.scheme.argv_option())
        };
        let spec = self.new_credential(slot, description, origin);
        let mut grant = self.grant_to_extend(origin);
        grant.widen(Method::Get, target);
        let lines = grant.lines_with(slot, &spec);
        Denial::new(
            DenialKind::Credential,
            format!(
                "fetcher `{}` needs a credential in slot `{slot}` for `{origin}`",
                self.fetcher
            ),
        )
        .with_flag(
            self.has_consent
                .then(|| format!("--credential {slot}=env:{variable}{option}@{origin}")),
        )
        .with_optional_note(self.no_consent_note())
        .with_lines(lines)
    }

    /// A credential for `slot`, from an environment variable that is called after it.
    fn new_credential(
        &self,
        slot: &SlotName,
        description: &SlotDescription,
        origin: &Origin,
    ) -> CredentialSpec {
        CredentialSpec {
            name: self.free_name(slot),
            source: SourceSpec::Env(variable_for(slot)),
            scheme: description.scheme.clone(),
            origins: vec![origin.clone()],
        }
    }

    /// What to write so that `slot` is filled where `origin` is granted: with a configured credential that
    /// is for it, else with a new one. None where a credential can be typed instead.
    #[must_use]
    pub fn lines_to_fill(&self, slot: &SlotName, origin: &Origin) -> Option<String> {
        let description = self.slots.get(slot).filter(|_| !self.has_consent)?;
        let mut grant = self.grant_to_extend(origin);
        let mut fitting = self.credentials.iter();
        let lines = match fitting.find(|(_, spec)| spec.is_for(origin)) {
            Some((name, _)) => {
                grant.value.credentials.insert(slot.clone(), name.clone());
                grant.lines()
            }
            None => grant.lines_with(slot, &self.new_credential(slot, description, origin)),
        };
        Some(lines.text())
    }

    /// What to write so that connections to `origin` show `certificate`.
    pub(super) fn certificate_lines(
        &self,
        certificate: &ClientCertificate,
        origin: &Origin,
    ) -> String {
        let mut grant = self.grant_to_extend(origin);
        let slot = SlotName::client_certificate();
        grant
            .value
            .credentials
            .insert(slot, certificate.name.clone());
        grant.lines().text()
    }

    /// A name for a new credential that the configuration does not have yet.
    fn free_name(&self, slot: &SlotName) -> CredentialName {
        let numbered = (2..).map(|number: u64| format!("credential-{number}"));
        std::iter::once(slot.to_string())
            .chain(numbered)
            .filter_map(|name| name.parse().ok())
            .find(|name| {
                !self.credentials.contains_key(name) && !self.certificates.contains_key(name)
            })
            .unwrap_or_else(|| CredentialName::of_slot(slot))
    }

    /// Why typing something would not help.
    fn no_consent_note(&self) -> Option<String> {
        self.no_consent.as_ref().map(|place| {
            format!("what is typed grants nothing here: `argv-consent = false` at {place}")
        })
    }

    /// `--allow`, where there is a command line and it would be enough.
    fn allow_flag(&self, method: Method, origin: &Origin) -> Option<String> {
        (self.has_consent && method.is_reading()).then(|| format!("--allow {origin}"))
    }

    /// The lines that make a declared request a granted one.
    fn request_lines(&self, method: Method, target: &Target) -> Lines {
        let mut grant = self.grant_to_extend(&target.origin);
        grant.widen(method, target);
        grant.lines()
    }

    /// The grant to write for `origin`: the one that holds exactly there, to
    /// be replaced, or a new one, which takes over what a wildcard's says.
    pub(super) fn grant_to_extend(&self, origin: &Origin) -> Extension {
        let (replaces, value) = match self.winner(origin) {
            Some((grant, pattern)) if pattern.is_exact() => {
                (Some(grant.from.clone()), grant.clone())
            }
            Some((grant, _)) => {
                let mut exact = grant.clone();
                exact.origins = vec![origin.clone().into()];
                exact.credentials.retain(|_, name| {
                    let credential = self.credentials.get(name);
                    let certificate = self.certificates.get(name);
                    credential.is_some_and(|spec| spec.is_for(origin))
                        || certificate.is_some_and(|spec| spec.is_for(origin))
                });
                (None, exact)
            }
            None => (
                None,
                Grant {
                    module: self.module.clone(),
                    origins: vec![origin.clone().into()],
                    methods: Method::READING.to_vec(),
                    paths: (!self.module.is_builtin()).then(|| self.needs.paths.clone()),
                    redirects: Vec::new(),
                    credentials: BTreeMap::new(),
                    keys: BTreeMap::new(),
                    domain: None,
                    remember: None,
                    from: Provenance::default(),
                },
            ),
        };
        Extension {
            replaces,
            locked: self.locked.clone(),
            value,
        }
    }
}

/// The environment variable that hints name for a credential in `slot`.
fn variable_for(slot: &SlotName) -> String {
    slot.as_str().to_ascii_uppercase().replace('-', "_")
}

/// A grant that is being widened for a hint.
pub(super) struct Extension {
    replaces: Option<Provenance>,
    locked: Option<Provenance>,
    value: Grant,
}

impl Extension {
    /// Adds what the request needs and the grant lacks, and no more.
    fn widen(&mut self, method: Method, target: &Target) {
        if !self.value.methods.contains(&method) {
            self.value.methods.push(method);
        }
        if let Some(paths) = &mut self.value.paths
            && !paths.iter().any(|pattern| pattern.matches(&target.path))
        {
            paths.push(PathPattern::exactly(&target.path));
        }
    }

    /// The lines that define the credential `spec`, and fill `slot` with it.
    fn lines_with(mut self, slot: &SlotName, spec: &CredentialSpec) -> Lines {
        let credentials = &mut self.value.credentials;
        credentials.insert(slot.clone(), spec.name.clone());
        let mut lines = self.lines();
        if !lines.commands.is_empty() {
            match command::credential_set(spec) {
                Some(set) => lines.commands.insert(0, set),
                None => lines.commands.clear(),
            }
        }
        lines.toml = format!("{}\n{}", credential_toml(spec), lines.toml);
        lines
    }

    pub(super) fn lines(self) -> Lines {
        let is_new = self.replaces.is_none() && self.locked.is_none();
        Lines {
            toml: grant_toml(&self.value),
            commands: is_new
                .then(|| command::grant_add(&self.value))
                .into_iter()
                .collect(),
            replaces: self.replaces,
            locked: self.locked,
        }
    }
}
