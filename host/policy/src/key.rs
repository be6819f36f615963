//! A signing key as configured: where it lies and what it may sign.
//!
//! **The threat.** A key that signs several kinds of things can be led to sign one of them in the shape of
//! another: the content of a file that is really the fingerprint of a store path.
//!
//! **The rule.** A key says what it is for, and [`Uses`] cannot be made of what does not go together.
//!
//! | uses | verdict |
//! |---|---|
//! | any of `minisign`, `sshsig`, `raw` | accepted |
//! | `narinfo` alone | accepted |
//! | `narinfo` and another | refused |
//! | none | refused |

use std::{fmt, path::PathBuf, str::FromStr};

use crate::ids::{NAME_BYTES, is_plain_name, text_form};
use crate::printable;

/// One kind of thing that a key signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Use {
    /// Signatures that `minisign -V` verifies.
    Minisign,
    /// Signatures that `ssh-keygen -Y verify` verifies.
    Sshsig,
    /// Signatures over the content itself, as `openssl` verifies them.
    Raw,
    /// Fingerprints of store paths in a binary cache.
    Narinfo,
}

impl Use {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Minisign, Self::Sshsig, Self::Raw, Self::Narinfo];

    /// How it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Minisign => "minisign",
            Self::Sshsig => "sshsig",
            Self::Raw => "raw",
            Self::Narinfo => "narinfo",
        }
    }
}

impl fmt::Display for Use {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Use {
    type Err = UseError;

    fn from_str(text: &str) -> Result<Self, UseError> {
        let known = Self::ALL.into_iter().find(|known| known.name() == text);
        known.ok_or_else(|| UseError::Unknown(printable(text).into_owned()))
    }
}

text_form!(Use);

/// Why a key cannot be for that.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UseError {
    /// No such use.
    #[error("`{0}` is no use of a key; there are `minisign`, `sshsig`, `raw` and `narinfo`")]
    Unknown(String),
    /// For nothing.
    #[error("a key must be for something: `minisign`, `sshsig`, `raw` or `narinfo`")]
    None,
    /// `narinfo` excludes all others.
    #[error(
        "a key for `narinfo` cannot be for `{0}` too: whoever chooses what it signs could sign store paths"
    )]
    NarinfoAlone(Use),
}

/// What one key is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uses(Vec<Use>);

impl Uses {
    /// These uses, if they go together.
    ///
    /// # Errors
    /// When there are none, or `narinfo` is among others.
    pub fn new(uses: impl IntoIterator<Item = Use>) -> Result<Self, UseError> {
        let mut uses: Vec<Use> = uses.into_iter().collect();
        uses.sort_unstable();
        uses.dedup();
        match uses.as_slice() {
            [] => Err(UseError::None),
            [other, .., Use::Narinfo] => Err(UseError::NarinfoAlone(*other)),
            _ => Ok(Self(uses)),
        }
    }

    /// Whether it is for `asked`.
    #[must_use]
    pub fn allow(&self, asked: Use) -> bool {
        self.0.contains(&asked)
    }

    /// Each of them, in a fixed order.
    pub fn iter(&self) -> impl Iterator<Item = Use> {
        self.0.iter().copied()
    }
}

impl fmt::Display for Uses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, one) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}`{one}`")?;
        }
        Ok(())
    }
}

/// What messages and the configuration call a key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyName(String);

/// A text that names no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a key name; it is made of `a`–`z`, `0`–`9` and `-`, starts with a letter and has at most {NAME_BYTES} characters"
)]
pub struct KeyNameError(String);

impl KeyName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for KeyName {
    type Err = KeyNameError;

    fn from_str(text: &str) -> Result<Self, KeyNameError> {
        if is_plain_name(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(KeyNameError(printable(text).into_owned()))
        }
    }
}

/// Where a key lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// A file that only its owner can read: minisign's, OpenSSH's or PKCS#8 in PEM, with a passphrase or
    /// without.
    File(PathBuf),
    /// Such a file, encrypted by age.
    Age(PathBuf),
    /// An agent of SSH's, which keeps the key to itself.
    Agent {
        /// Its socket; without one, `$SSH_AUTH_SOCK`.
        socket: Option<PathBuf>,
        /// Which of its keys: `SHA256:…` as `ssh-add -l` prints it, or the public key as `ssh-add -L` does.
        key: String,
    },
    /// A token behind PKCS#11, which keeps the key to itself.
    Pkcs11 {
        /// The token's library: an absolute path.
        library: PathBuf,
        /// The token's label.
        token: String,
        /// The label of the key on it.
        key: String,
        /// Where the PIN comes from.
        pin: Pin,
    },
}

/// Where the PIN of a token comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pin {
    /// The user types it.
    Ask,
    /// An environment variable.
    Env(String),
    /// A file that only its owner can read.
    File(PathBuf),
    /// A file that age encrypted.
    Age(PathBuf),
}

/// All that is known of a key without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySpec {
    /// What messages and logs call it.
    pub name: KeyName,
    /// Where it lies.
    pub source: KeySource,
    /// What it may sign.
    pub uses: Uses,
    /// Its public key as text: minisign's, a line of OpenSSH's, or PEM. With it, remembered signatures are
    /// verified without unlocking the key; and a key that is another one is refused.
    pub public_key: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn narinfo_goes_with_nothing_else() {
        for other in [Use::Minisign, Use::Sshsig, Use::Raw] {
            let refused = Uses::new([Use::Narinfo, other]).unwrap_err();
            assert_eq!(refused, UseError::NarinfoAlone(other));
        }
        let alone = Uses::new([Use::Narinfo, Use::Narinfo]).unwrap();
        assert!(alone.allow(Use::Narinfo) && !alone.allow(Use::Raw));
        assert_eq!(Uses::new([]), Err(UseError::None));
    }

    #[test]
    fn the_others_go_together_and_are_shown_in_one_order() {
        let uses = Uses::new([Use::Raw, Use::Minisign, Use::Sshsig]).unwrap();
        assert_eq!(uses.to_string(), "`minisign`, `sshsig`, `raw`");
        for name in Use::ALL {
            assert_eq!(name.name().parse(), Ok(name));
        }
        assert!("login".parse::<Use>().is_err());
    }
}
