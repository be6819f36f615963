//! What an entry is called: a digest of all that it belongs to.

use std::fmt;
use std::str::FromStr;

use fetchhost_formats::hex;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::canonical;

/// The digits of an id.
const DIGITS: usize = 64;

/// The name of an entry: the SHA-256 of its key's members in canonical JSON.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemoId([u8; 32]);

impl MemoId {
    /// That of a key with these members.
    pub(crate) fn of(members: &Value) -> Self {
        Self(Sha256::digest(canonical::text(members)).into())
    }
}

impl fmt::Display for MemoId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for MemoId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// A text that is no id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no id of an entry: that is 64 small hexadecimal digits")]
pub struct MemoIdError(String);

impl FromStr for MemoId {
    type Err = MemoIdError;

    fn from_str(text: &str) -> Result<Self, MemoIdError> {
        let digest = from_hex(text);
        let shown = || MemoIdError(fetchhost_policy::printable(text).into_owned());
        digest.map(Self).ok_or_else(shown)
    }
}

/// A SHA-256 in small hexadecimal digits: each has one spelling.
pub(crate) fn from_hex(text: &str) -> Option<[u8; 32]> {
    if text.len() != DIGITS {
        return None;
    }
    let mut digest = [0; 32];
    for (byte, pair) in digest.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(digest)
}

const fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_id_has_one_spelling() {
        let text = "0f".repeat(32);
        assert_eq!(text.parse::<MemoId>().unwrap().to_string(), text);
        for wrong in ["", "0f", &text.to_uppercase(), &format!("{text}0"), "../x"] {
            assert!(wrong.parse::<MemoId>().is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn digests_come_back(digest: [u8; 32]) {
            prop_assert_eq!(from_hex(&hex(&digest)), Some(digest));
        }
    }
}
