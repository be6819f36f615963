//! Whose results are remembered together.
//!
//! **The threat.** A module, or a configuration that somebody was talked into, names another module's domain and is
//! given what that one made, or has its own taken for that one's.
//!
//! **The rule.** Without a word of the user's each module has a domain of its own, which nobody can write down as such
//! a word. Who wants to share gives several grants one plain name.
//!
//! | domain | whose | may be written in a grant |
//! |---|---|---|
//! | `acme` | of all that the user granted it | yes |
//! | `builtin:signer` | the built-in module's | no |
//! | `sha256:0f…` | of the module with this digest | no |
//! | `builtin`, `sha256`, `host`, 64 hexadecimal digits | nobody's | no: they look like the others |

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::ids::{ModuleId, NAME_BYTES, is_plain_name};
use crate::printable;

/// How the domains of modules begin.
const RESERVED: [&str; 3] = ["builtin", "sha256", "host"];

/// The digits of a digest.
const DIGEST_DIGITS: usize = 64;

/// Whose results are remembered together: of a module alone, or of all that were granted the same name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Domain(Form);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Form {
    Named(String),
    Module(ModuleId),
}

/// A text that is no domain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DomainError {
    /// Not a plain name.
    #[error(
        "`{0}` is not the name of a domain; it is made of `a`–`z`, `0`–`9` and `-`, starts with a letter and has at most {NAME_BYTES} characters"
    )]
    Name(String),
    /// The spelling of a module's own domain.
    #[error(
        "`{0}` cannot be chosen as a domain: names like this are those of modules, which have them by themselves"
    )]
    Reserved(String),
    /// Neither a plain name nor a module.
    #[error("`{0}` is no domain: neither a plain name nor `builtin:NAME` nor `sha256:HEX`")]
    Unknown(String),
}

impl DomainError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Name(_) => "write a name such as `acme`",
            Self::Reserved(_) => {
                "leave `domain` out, and the module has a domain of its own; or write a name such as `acme`"
            }
            Self::Unknown(_) => "the program that wrote this is newer, or it was changed",
        }
    }
}

impl Domain {
    /// The domain that a module has without a word of the user's.
    #[must_use]
    pub const fn of_module(module: ModuleId) -> Self {
        Self(Form::Module(module))
    }

    /// A domain as it was written down by [`Display`](fmt::Display): a module's too.
    ///
    /// # Errors
    /// When it is neither a plain name nor a module.
    pub fn recorded(text: &str) -> Result<Self, DomainError> {
        match (text.parse(), text.parse::<ModuleId>()) {
            (Ok(named), _) => Ok(named),
            (Err(_), Ok(module)) => Ok(Self::of_module(module)),
            _ => Err(DomainError::Unknown(printable(text).into_owned())),
        }
    }

    /// Whether it is a module's own.
    #[must_use]
    pub const fn is_of_module(&self) -> bool {
        matches!(self.0, Form::Module(_))
    }
}

/// Whether a text looks like a module.
fn is_reserved(text: &str) -> bool {
    let start = text.split(':').next().unwrap_or_default();
    let is_digest = text.len() == DIGEST_DIGITS && text.bytes().all(|b| b.is_ascii_hexdigit());
    is_digest || RESERVED.iter().any(|word| start.eq_ignore_ascii_case(word))
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Form::Named(name) => f.pad(name),
            Form::Module(module) => module.fmt(f),
        }
    }
}

/// Reads what a user chose: a plain name alone.
impl FromStr for Domain {
    type Err = DomainError;

    fn from_str(text: &str) -> Result<Self, DomainError> {
        let shown = || printable(text).into_owned();
        if is_reserved(text) {
            return Err(DomainError::Reserved(shown()));
        }
        if !is_plain_name(text) {
            return Err(DomainError::Name(shown()));
        }
        Ok(Self(Form::Named(text.to_owned())))
    }
}

impl Serialize for Domain {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Reads what a user chose: a plain name alone.
impl<'de> Deserialize<'de> for Domain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'_, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_user_chooses_plain_names_alone() {
        for name in ["acme", "a", "team-2", "builtins", "sha2567", "hosts"] {
            let domain: Domain = name.parse().unwrap();
            assert_eq!(domain.to_string(), name);
            assert!(!domain.is_of_module());
            assert_eq!(Domain::recorded(name).unwrap(), domain);
        }
        for reserved in [
            "builtin:signer",
            "BUILTIN:signer",
            "builtin",
            "builtin:",
            "sha256",
            "host:cache",
            &format!("sha256:{}", "0f".repeat(32)),
            &"ab".repeat(32),
        ] {
            let error = reserved.parse::<Domain>().unwrap_err();
            assert!(matches!(error, DomainError::Reserved(_)), "{reserved}");
            assert!(error.hint().contains("leave `domain` out"));
        }
        for wrong in ["", "Acme", "-a", "a-", "a b", "a/b", "a\n", &"a".repeat(65)] {
            let error = wrong.parse::<Domain>().unwrap_err();
            assert!(matches!(error, DomainError::Name(_)), "{wrong}");
        }
    }

    #[test]
    fn a_module_has_a_domain_of_its_own_that_is_written_down_and_read_back() {
        for module in [
            ModuleId::Builtin("signer".to_owned()),
            ModuleId::Digest([7; 32]),
        ] {
            let domain = Domain::of_module(module.clone());
            assert!(domain.is_of_module());
            assert_eq!(domain.to_string(), module.to_string());
            assert_eq!(Domain::recorded(&domain.to_string()).unwrap(), domain);
            assert!(domain.to_string().parse::<Domain>().is_err());
        }
        for text in ["builtin:", "sha256:00", "host:other", "x:y", "", "A"] {
            assert!(Domain::recorded(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn nothing_that_is_chosen_is_a_module(text in "[a-z0-9:-]{0,70}|(builtin|sha256|host):?[a-f0-9-]{0,64}") {
            if let Ok(domain) = text.parse::<Domain>() {
                prop_assert!(text.parse::<ModuleId>().is_err());
                prop_assert_eq!(Domain::recorded(&text).unwrap(), domain);
            }
        }
    }
}
