//! What an administrator forbids, whatever anybody grants.
//!
//! **The threat.** A user grants, or types, what the administrator wants
//! nobody to reach, and finds a spelling for it that the administrator did not
//! think of: plain `http`, another port, the name without its subdomain.
//!
//! **The rule.** A deny speaks of hosts. It holds for each host that one of its
//! `origins` names, over either scheme and at every port, and a wildcard
//! includes the name that it stands under. It is asked before every grant.
//!
//! | `origins` of a deny | holds for | does not hold for |
//! |---|---|---|
//! | `https://a.example` | `http://a.example`, `https://a.example:8443` | `https://b.a.example` |
//! | `https://*.a.example` | `https://x.a.example`, `http://y.x.a.example:80`, `https://a.example` | `https://aa.example` |
//! | `http://10.0.0.5` | `https://10.0.0.5:9000` | a name whose address is 10.0.0.5 |
//! | none, but `modules` | every origin, for these modules | other modules |

use crate::{ModuleId, Origin, OriginPattern, Provenance};

/// One `[[deny]]` of the administrator's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deny {
    /// Whose hosts are forbidden; empty: every host.
    pub origins: Vec<OriginPattern>,
    /// To which modules; empty: to every module.
    pub modules: Vec<ModuleId>,
    /// Where it was written.
    pub from: Provenance,
}

impl Deny {
    /// Whether the deny forbids `module` to reach `origin`.
    #[must_use]
    pub fn holds(&self, module: &ModuleId, origin: &Origin) -> bool {
        (self.modules.is_empty() || self.modules.contains(module))
            && (self.origins.is_empty()
                || self
                    .origins
                    .iter()
                    .any(|pattern| pattern.names_host_of(origin)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(pattern: &str, origin: &str) -> bool {
        let deny = Deny {
            origins: vec![pattern.parse().unwrap()],
            modules: Vec::new(),
            from: Provenance::Argv,
        };
        deny.holds(
            &"builtin:http".parse().unwrap(),
            &Origin::parse(origin).unwrap(),
        )
    }

    #[test]
    fn the_table_holds() {
        for (pattern, origin, expected) in [
            ("https://a.example", "https://a.example", true),
            ("https://a.example", "http://a.example", true),
            ("https://a.example", "https://a.example:8443", true),
            ("https://a.example", "https://b.a.example", false),
            ("https://*.a.example", "https://x.a.example", true),
            ("https://*.a.example", "http://y.x.a.example:80", true),
            ("https://*.a.example", "https://a.example", true),
            ("https://*.a.example", "https://aa.example", false),
            ("http://10.0.0.5", "https://10.0.0.5:9000", true),
            ("http://10.0.0.5", "https://10.0.0.6", false),
        ] {
            assert_eq!(holds(pattern, origin), expected, "{pattern} {origin}");
        }
    }

    #[test]
    fn modules_narrow_it_and_stand_alone() {
        let deny = Deny {
            origins: Vec::new(),
            modules: vec!["builtin:http".parse().unwrap()],
            from: Provenance::Argv,
        };
        let origin = Origin::parse("https://a.example").unwrap();
        assert!(deny.holds(&"builtin:http".parse().unwrap(), &origin));
        assert!(!deny.holds(&"builtin:gitlab".parse().unwrap(), &origin));
    }
}
