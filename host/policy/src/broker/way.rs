//! Ways: what grants an origin, side by side.

use super::Broker;
use crate::address::AddressRule;
use crate::{Deny, Grant, Method, NormalPath, Origin, OriginPattern, builtin};

/// One of the things that grant an origin.
#[derive(Clone, Copy)]
pub(super) enum Way<'a> {
    /// The configuration's grant, and its pattern that matched.
    Config(&'a Grant, &'a OriginPattern),
    /// An origin parameter that was typed.
    Typed,
    /// The built-in fetcher's own origin, as none was typed.
    Default,
    /// `--allow`.
    Allow,
}

impl Way<'_> {
    /// Whether the way permits a method that the module declares.
    pub(super) fn permits_method(self, method: Method) -> bool {
        match self {
            Self::Config(grant, _) => grant.methods.contains(&method),
            Self::Typed | Self::Default | Self::Allow => method.is_reading(),
        }
    }

    /// Whether the way permits a path that the module declares.
    pub(super) fn permits_path(self, path: &NormalPath) -> bool {
        match self {
            Self::Config(grant, _) => match &grant.paths {
                None => true,
                Some(patterns) => patterns.iter().any(|pattern| pattern.matches(path)),
            },
            Self::Typed | Self::Default | Self::Allow => true,
        }
    }

    /// Whether the user wrote the origin itself.
    pub(super) const fn is_exact(self) -> bool {
        match self {
            Self::Config(_, pattern) => pattern.is_exact(),
            Self::Typed | Self::Allow => true,
            Self::Default => false,
        }
    }
}

impl Broker {
    /// All that grants `origin` for direct requests.
    pub(super) fn ways(&self, origin: &Origin) -> impl Iterator<Item = Way<'_>> {
        let config = self
            .winner(origin)
            .map(|(grant, pattern)| Way::Config(grant, pattern));
        let typed = self.typed.contains(origin).then_some(Way::Typed);
        let default = (self.default.as_ref() == Some(origin)).then_some(Way::Default);
        let allow = self.allow.contains(origin).then_some(Way::Allow);
        [config, typed, default, allow].into_iter().flatten()
    }

    /// The most exact of the configuration's grants for `origin`, and its
    /// pattern. There is no tie: [`crate::Config::check`] has refused them.
    pub(super) fn winner(&self, origin: &Origin) -> Option<(&Grant, &OriginPattern)> {
        self.grants
            .iter()
            .filter_map(|grant| grant.pattern_for(origin).map(|pattern| (grant, pattern)))
            .max_by_key(|(_, pattern)| pattern.exactness())
    }

    /// The administrator's word against `origin`, if there is one.
    pub(super) fn denied_by(&self, origin: &Origin) -> Option<&Deny> {
        self.deny
            .iter()
            .find(|deny| deny.holds(&self.module, origin))
    }

    /// Whether the module asks for `origin` at all.
    pub(super) fn declares_origin(&self, origin: &Origin) -> bool {
        self.needs.origin_parameter.is_some()
            || self
                .needs
                .origins
                .iter()
                .any(|pattern| pattern.matches(origin))
    }

    /// Whether a redirect that started at `start` may lead to `to`, and then
    /// whether the user wrote `to` exactly.
    pub(super) fn redirects_to(&self, start: &Origin, to: &Origin) -> Option<bool> {
        if self.allow.contains(to) {
            return Some(true);
        }
        let listed = self.winner(start).and_then(|(grant, _)| {
            grant
                .redirects
                .iter()
                .filter(|pattern| pattern.matches(to))
                .map(OriginPattern::is_exact)
                .max()
        });
        // The program's own list is no user's word about private addresses.
        let built_in = builtin::redirects(&self.module, start)
            .contains(to)
            .then_some(false);
        listed.max(built_in)
    }

    /// The rule for the addresses of an origin.
    pub(super) const fn addresses(&self, is_exact: bool) -> AddressRule {
        AddressRule {
            private: is_exact,
            metadata: self.allow_metadata,
        }
    }
}
