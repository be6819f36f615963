//! Names that configuration, command line and modules share.

use std::fmt;
use std::str::FromStr;

use crate::certificate::CERTIFICATE_SLOT;
use crate::describe::FetcherDescription;
use crate::{UpstreamUrl, printable};

/// The longest slot, credential, fetcher or built-in module name, in bytes.
pub(crate) const NAME_BYTES: usize = 64;

/// A text that is not the name that it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Not `builtin:NAME`, not `sha256:HEX` and not `host:PART`.
    #[error(
        "`{0}` is not a module; write `builtin:NAME`, `sha256:` and 64 lower-case hex digits, or `host:substituter`"
    )]
    Module(String),
    /// Not a name of small letters, digits and `-`.
    #[error(
        "`{0}` is not a {1} name; it is made of `a`–`z`, `0`–`9` and `-`, starts with a letter and has at most {NAME_BYTES} characters"
    )]
    Name(String, &'static str),
    /// Not the name of an input.
    #[error(
        "`{0}` does not name an input: such names are made of `a`–`z`, `0`–`9` and `-`, start with a letter and have at most {NAME_BYTES} characters"
    )]
    Input(String),
    /// Not a credential name.
    #[error(
        "`{0}` is not a credential name; it is made of letters, digits, `-` and `_`, starts with a letter or digit and has at most {NAME_BYTES} characters"
    )]
    Credential(String),
    /// A word that `--credential` reads as a source.
    #[error("`{0}` cannot name a credential: `--credential` reads the word as a kind of source")]
    ReservedCredential(String),
}

/// Whether `text` is made of `a`–`z`, `0`–`9` and inner `-`, starting with a
/// letter: the form of slots, parameters, fetchers and built-in modules.
pub(crate) fn is_plain_name(text: &str) -> bool {
    text.len() <= NAME_BYTES
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && !text.ends_with('-')
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// Serialises a type as its `Display` and reads it by its `FromStr`.
macro_rules! text_form {
    ($type:ty) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'_, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(crate) use text_form;

/// Which module a grant speaks of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ModuleId {
    /// A module that is part of this program, by name: `builtin:gitlab`.
    Builtin(String),
    /// Any other module, by the SHA-256 of its component's bytes.
    Digest([u8; 32]),
    /// No module, but a part of the host that sends requests of its own.
    Host(HostPart),
}

/// A part of the host that sends requests of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HostPart {
    /// `host:substituter`: the gateway, which serves another binary cache again. It needs a grant for each
    /// origin, as modules do.
    Substituter,
    /// `host:cache`: a binary cache in a bucket, which is read and written. It needs a grant where nobody types
    /// the bucket's URL.
    Cache,
    /// `host:sts`: a credential's source, which has AWS's security token service give it access keys. Nobody
    /// grants it anything: the source names the one server that it asks. A [`Deny`](crate::Deny) holds for it.
    Sts,
    /// `host:sso`: the same, of AWS's access portal.
    Sso,
    /// `host:imds`: the same, of the machine's or container's own metadata service.
    Imds,
}

impl HostPart {
    /// All of them.
    const ALL: [Self; 5] = [
        Self::Substituter,
        Self::Cache,
        Self::Sts,
        Self::Sso,
        Self::Imds,
    ];

    /// What it asks of servers, where a [`Grant`](crate::Grant) can speak of it.
    #[must_use]
    pub fn needs(self) -> Option<FetcherDescription> {
        match self {
            Self::Substituter => Some(UpstreamUrl::needs()),
            Self::Cache => Some(crate::bucket::needs()),
            Self::Sts | Self::Sso | Self::Imds => None,
        }
    }

    /// Whether a [`Grant`](crate::Grant) can speak of it.
    #[must_use]
    pub const fn takes_grants(self) -> bool {
        matches!(self, Self::Substituter | Self::Cache)
    }

    /// What it is called in messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Substituter => "substituter",
            Self::Cache => "cache",
            Self::Sts => "sts",
            Self::Sso => "sso",
            Self::Imds => "imds",
        }
    }
}

impl ModuleId {
    /// Whether it is part of this program.
    #[must_use]
    pub const fn is_builtin(&self) -> bool {
        matches!(self, Self::Builtin(_) | Self::Host(_))
    }
}

impl fmt::Display for ModuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Builtin(name) => write!(f, "builtin:{name}"),
            Self::Host(part) => write!(f, "host:{}", part.name()),
            Self::Digest(digest) => {
                f.write_str("sha256:")?;
                digest.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }
    }
}

impl FromStr for ModuleId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let refuse = || IdError::Module(printable(text).into_owned());
        if let Some(name) = text.strip_prefix("builtin:") {
            return if is_plain_name(name) {
                Ok(Self::Builtin(name.to_owned()))
            } else {
                Err(refuse())
            };
        }
        if let Some(part) = text.strip_prefix("host:") {
            let known = HostPart::ALL.into_iter().find(|known| known.name() == part);
            return known.map(Self::Host).ok_or_else(refuse);
        }
        let hex = text.strip_prefix("sha256:").ok_or_else(refuse)?.as_bytes();
        if hex.len() != 64 {
            return Err(refuse());
        }
        let mut digest = [0; 32];
        for (byte, pair) in digest.iter_mut().zip(hex.chunks_exact(2)) {
            *byte = match (hex_digit(pair[0]), hex_digit(pair[1])) {
                (Some(high), Some(low)) => high << 4 | low,
                _ => return Err(refuse()),
            };
        }
        Ok(Self::Digest(digest))
    }
}

const fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

text_form!(ModuleId);

/// A place in a fetcher for a credential, such as `token`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotName(String);

impl SlotName {
    /// The slot of client certificates, which is the host's.
    pub(crate) fn client_certificate() -> Self {
        Self(CERTIFICATE_SLOT.to_owned())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SlotName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for SlotName {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        if is_plain_name(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(IdError::Name(printable(text).into_owned(), "slot"))
        }
    }
}

text_form!(SlotName);

/// A file that a fetcher is given, such as `content`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InputName(String);

impl InputName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for InputName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for InputName {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        if is_plain_name(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(IdError::Input(printable(text).into_owned()))
        }
    }
}

text_form!(InputName);

/// The name of a `[credential.NAME]` table. A credential typed with
/// `--credential` is called by its slot, and is not the one of that name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CredentialName {
    text: String,
    is_typed: bool,
}

impl CredentialName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it is the name of a slot that was filled on the command line,
    /// so that no command and no file knows it.
    #[must_use]
    pub const fn is_typed(&self) -> bool {
        self.is_typed
    }

    pub(crate) fn of_slot(slot: &SlotName) -> Self {
        Self {
            text: slot.0.clone(),
            is_typed: true,
        }
    }
}

impl fmt::Display for CredentialName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl FromStr for CredentialName {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let formed = text.len() <= NAME_BYTES
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if !formed {
            return Err(IdError::Credential(printable(text).into_owned()));
        }
        if crate::source::is_source_kind(text) {
            return Err(IdError::ReservedCredential(text.to_owned()));
        }
        Ok(Self {
            text: text.to_owned(),
            is_typed: false,
        })
    }
}

text_form!(CredentialName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_built_in_a_digest_or_a_part_of_the_host() {
        let digest = format!("sha256:{}", "0f".repeat(32));
        for text in [
            "builtin:gitlab",
            "builtin:http-2",
            "host:substituter",
            "host:cache",
            "host:sts",
            "host:sso",
            "host:imds",
            digest.as_str(),
        ] {
            assert_eq!(text.parse::<ModuleId>().unwrap().to_string(), text);
        }
        let upper = format!("sha256:{}", "0F".repeat(32));
        for text in [
            "gitlab",
            "builtin:",
            "builtin:Git",
            "builtin:-a",
            "host:",
            "host:other",
            "host:Substituter",
            "sha256:00",
            "sha512:00",
            &upper,
        ] {
            assert!(text.parse::<ModuleId>().is_err(), "{text}");
        }
    }

    #[test]
    fn slots_are_small_letters_digits_and_dashes() {
        assert_eq!("token".parse::<SlotName>().unwrap().as_str(), "token");
        for text in [
            "",
            "Token",
            "1a",
            "a-",
            "a_b",
            "a b",
            "a\n",
            &"a".repeat(65),
        ] {
            assert!(text.parse::<SlotName>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_credential_is_not_called_like_a_source() {
        assert!("work-gitlab".parse::<CredentialName>().is_ok());
        assert!("Work_2".parse::<CredentialName>().is_ok());
        for text in ["netrc", "env", "file", "", "a:b", "a.b", "-a"] {
            assert!(text.parse::<CredentialName>().is_err(), "{text:?}");
        }
    }
}
