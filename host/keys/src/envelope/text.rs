//! What a caller may choose of an envelope: short texts that cannot break out of their line.

use std::{fmt, str::FromStr};

use fetchhost_policy::printable;

/// The longest comment, in bytes: minisign reads lines of 1024, and has words of its own before the comment.
const MAX_COMMENT_BYTES: usize = 1000;

/// The longest namespace, in bytes.
const MAX_NAMESPACE_BYTES: usize = 128;

/// A text that cannot be part of an envelope.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// Too long, or with control characters.
    #[error(
        "a comment is one line of at most {MAX_COMMENT_BYTES} bytes without control characters"
    )]
    Comment,
    /// Empty, too long, or with characters that patterns of namespaces use.
    #[error("`{0}` is no namespace: 1 to {MAX_NAMESPACE_BYTES} letters, digits and `-_.@/+:`")]
    Namespace(String),
}

/// A comment in a signature of minisign's.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Comment(String);

impl Comment {
    /// One of this program's own.
    pub(super) fn fixed(text: &'static str) -> Self {
        Self(text.to_owned())
    }

    /// The comment itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Comment {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Self, TextError> {
        if text.len() > MAX_COMMENT_BYTES || text.chars().any(char::is_control) {
            return Err(TextError::Comment);
        }
        Ok(Self(text.to_owned()))
    }
}

/// What a signature of SSH's is for, such as `file`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Namespace(String);

impl Namespace {
    /// The namespace itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Namespace {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Self, TextError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.@/+:".contains(&byte);
        if text.is_empty() || text.len() > MAX_NAMESPACE_BYTES || !text.bytes().all(plain) {
            return Err(TextError::Namespace(printable(text).into_owned()));
        }
        Ok(Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_stays_on_its_line() {
        for refused in [
            "two\nlines",
            "a\rb",
            "a\0b",
            "\u{1b}[31m",
            &"a".repeat(1001),
        ] {
            assert_eq!(refused.parse::<Comment>(), Err(TextError::Comment));
        }
        for accepted in ["", "file:a.tar.gz version:1", "schön", &"a".repeat(1000)] {
            assert_eq!(accepted.parse::<Comment>().unwrap().as_str(), accepted);
        }
    }

    #[test]
    fn a_namespace_is_no_pattern() {
        for refused in ["", "*", "a,b", "!file", "a b", "a\n", "é", &"a".repeat(129)] {
            assert!(refused.parse::<Namespace>().is_err(), "{refused}");
        }
        for accepted in ["file", "release@example.com", "a/b-c_d.e+f:1"] {
            assert_eq!(accepted.parse::<Namespace>().unwrap().as_str(), accepted);
        }
    }
}
