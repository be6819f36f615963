//! What a broker would do about one origin, in words: `grant explain`.

use std::fmt;

use super::permit::Target;
use super::{Broker, Denial, Way};
use crate::address::AddressRule;
use crate::{
    CredentialName, CredentialSpec, Method, ModuleId, Origin, OriginPattern, PathPattern,
    Provenance, SlotName, builtin,
};

/// Everything that holds for one origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The module.
    pub module: ModuleId,
    /// The fetcher.
    pub fetcher: String,
    /// The origin.
    pub origin: Origin,
    /// Whether the fetcher declares the origin at all.
    pub declared: bool,
    /// The paths that the fetcher declares; each request must match one.
    pub declared_paths: Vec<PathPattern>,
    /// What grants the origin for direct requests.
    pub reach: Vec<Reach>,
    /// What lets redirects of other origins lead to it.
    pub arrivals: Vec<Arrival>,
    /// Where redirects of requests to the origin may lead, and by whose word.
    pub redirects: Vec<(OriginPattern, Provenance)>,
    /// What each slot holds for the origin.
    pub slots: Vec<(SlotName, Option<CredentialSpec>)>,
    /// The client certificate that connections to the origin show.
    pub certificate: Option<CredentialName>,
    /// Which addresses the origin may have.
    pub addresses: AddressRule,
    /// Why the origin is not asked directly, with what would change that.
    pub denial: Option<Denial>,
}

/// One thing that grants an origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Where it was written.
    pub from: Provenance,
    /// The pattern that matched.
    pub pattern: OriginPattern,
    /// The methods that are declared and granted.
    pub methods: Vec<Method>,
    /// The granted paths; `None`: all that the module declares.
    pub paths: Option<Vec<PathPattern>>,
}

/// One thing that lets redirects lead to an origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Where it was written.
    pub from: Provenance,
    /// The origins that must have been asked first.
    pub starts: Vec<OriginPattern>,
    /// The pattern that matched.
    pub pattern: OriginPattern,
}

impl Broker {
    /// Everything that holds for `origin`.
    #[must_use]
    pub fn explain(&self, origin: &Origin) -> Explanation {
        let reach: Vec<Reach> = self
            .ways(origin)
            .map(|way| self.reach(way, origin))
            .collect();
        let arrivals = self.arrivals(origin);
        // A way from the command line is a direct one too.
        let is_exact = self.ways(origin).any(Way::is_exact)
            || arrivals
                .iter()
                .any(|arrival| arrival.from != Provenance::BuiltIn && arrival.pattern.is_exact());
        Explanation {
            module: self.module.clone(),
            fetcher: self.fetcher.clone(),
            origin: origin.clone(),
            declared: self.declares_origin(origin),
            declared_paths: self.needs.paths.clone(),
            denial: self.why_not(origin, &reach),
            redirects: self.redirects_from(origin),
            slots: self
                .slots
                .keys()
                .map(|slot| (slot.clone(), self.credential_for(slot, origin).cloned()))
                .collect(),
            certificate: self
                .configured_certificate(origin)
                .map(|(_, spec)| spec.name.clone()),
            addresses: self.addresses(is_exact),
            reach,
            arrivals,
        }
    }

    fn reach(&self, way: Way<'_>, origin: &Origin) -> Reach {
        let (from, pattern, paths) = match way {
            Way::Config(grant, pattern) => {
                (grant.from.clone(), pattern.clone(), grant.paths.clone())
            }
            Way::Typed | Way::Allow => (Provenance::Argv, origin.clone().into(), None),
            Way::Default => (Provenance::BuiltIn, origin.clone().into(), None),
        };
        let methods = self
            .needs
            .methods
            .iter()
            .copied()
            .filter(|method| way.permits_method(*method))
            .collect();
        Reach {
            from,
            pattern,
            methods,
            paths,
        }
    }

    fn redirects_from(&self, start: &Origin) -> Vec<(OriginPattern, Provenance)> {
        let configured = self.winner(start).into_iter().flat_map(|(grant, _)| {
            grant
                .redirects
                .iter()
                .map(|pattern| (pattern.clone(), grant.from.clone()))
        });
        let allowed = self
            .allow
            .iter()
            .map(|origin| (origin.clone().into(), Provenance::Argv));
        let built_in = builtin::redirects(&self.module, start)
            .into_iter()
            .map(|origin| (origin.into(), Provenance::BuiltIn));
        configured.chain(allowed).chain(built_in).collect()
    }

    /// What lets redirects lead to `origin` from another one.
    fn arrivals(&self, origin: &Origin) -> Vec<Arrival> {
        if self.denied_by(origin).is_some() {
            return Vec::new();
        }
        let configured = self.grants.iter().filter_map(|grant| {
            let pattern = grant.redirects.iter().find(|to| to.matches(origin))?;
            Some(Arrival {
                from: grant.from.clone(),
                starts: grant.origins.clone(),
                pattern: pattern.clone(),
            })
        });
        let built_in = builtin::redirecting(&self.module)
            .filter(|start| self.ways(start).next().is_some())
            .filter(|start| builtin::redirects(&self.module, start).contains(origin))
            .map(|start| Arrival {
                from: Provenance::BuiltIn,
                starts: vec![start.into()],
                pattern: origin.clone().into(),
            });
        let mut arrivals: Vec<Arrival> = configured.chain(built_in).collect();
        for arrival in &mut arrivals {
            // No redirect leads from `https` to `http`, and from the origin itself none is needed.
            arrival.starts.retain(|start| {
                let is_https = start.exact().is_none_or(Origin::is_https);
                (origin.is_https() || !is_https) && start.exact() != Some(origin)
            });
        }
        arrivals.retain(|arrival| !arrival.starts.is_empty());
        arrivals
    }

    fn why_not(&self, origin: &Origin, reach: &[Reach]) -> Option<Denial> {
        if let Some(deny) = self.denied_by(origin) {
            return Some(self.refuse_denied(origin, deny));
        }
        if !self.declares_origin(origin) {
            return Some(self.refuse_undeclared(&format!("origin `{origin}`")));
        }
        if !reach.is_empty() {
            return None;
        }
        // Which path it would be does not matter to a grant that is missing.
        let url = format!("{origin}/").parse().ok()?;
        let target = Target::of(&url).ok()?;
        Some(self.refuse_origin(Method::Get, &target))
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} for fetcher `{}` of `{}`",
            self.origin, self.fetcher, self.module
        )?;
        for arrival in &self.arrivals {
            writeln!(
                f,
                "  reached by redirect: from {}, with GET and HEAD, without credential ({})",
                joined(&arrival.starts),
                arrival.from
            )?;
        }
        if self.denial.is_some() && !self.arrivals.is_empty() {
            writeln!(f, "  direct requests: none, nothing grants them")?;
            return self.write_addresses(f);
        }
        if let Some(denial) = &self.denial {
            writeln!(f, "  denied: {denial}")?;
            if let Some(hint) = denial.hint() {
                writeln!(f, "\nhint: {hint}")?;
            }
            return Ok(());
        }
        for reach in &self.reach {
            write!(f, "  granted: {}", reach.from)?;
            if !reach.pattern.is_exact() {
                write!(f, ", as {}", reach.pattern)?;
            }
            writeln!(f)?;
            writeln!(f, "    methods: {}", joined(&reach.methods))?;
            match &reach.paths {
                None => writeln!(
                    f,
                    "    paths: {} (all that it declares)",
                    joined(&self.declared_paths)
                )?,
                Some(paths) => writeln!(
                    f,
                    "    paths: {}, of {} that it declares",
                    joined(paths),
                    joined(&self.declared_paths)
                )?,
            }
        }
        for (slot, credential) in &self.slots {
            match credential {
                None => writeln!(f, "  slot {slot}: empty")?,
                Some(spec) => writeln!(
                    f,
                    "  slot {slot}: credential {} from {}, sent as {}",
                    spec.name, spec.source, spec.scheme
                )?,
            }
        }
        if let Some(name) = &self.certificate {
            writeln!(
                f,
                "  client certificate: {name}, shown on connections for what this grant permits"
            )?;
        }
        if self.redirects.is_empty() {
            writeln!(f, "  redirects: to no other origin")?;
        }
        for (pattern, from) in &self.redirects {
            writeln!(f, "  redirects: {pattern}, without credential ({from})")?;
        }
        self.write_addresses(f)
    }
}

impl Explanation {
    fn write_addresses(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addresses = match (self.addresses.private, self.addresses.metadata) {
            (false, _) => "the public internet only",
            (true, false) => "public and private, no cloud metadata",
            (true, true) => "public, private and cloud metadata",
        };
        writeln!(f, "  addresses: {addresses}")
    }
}

fn joined<T: fmt::Display>(items: &[T]) -> String {
    let texts: Vec<String> = items.iter().map(T::to_string).collect();
    if texts.is_empty() {
        return "none".to_owned();
    }
    texts.join(", ")
}
