//! The members of a query, in the one order and the one encoding that are ours.

use std::fmt::{self, Write as _};
use std::iter::Peekable;
use std::str::Split;

use super::UrlError;

/// The query's members, taken one by one.
pub(super) struct Members<'a> {
    rest: Peekable<Split<'a, char>>,
    last: &'static str,
    form: &'static str,
}

impl<'a> Members<'a> {
    /// The members of `query`, which should be as `form` says.
    pub(super) fn new(query: &'a str, form: &'static str) -> Self {
        Self {
            rest: query.split('&').peekable(),
            last: "FETCHER",
            form,
        }
    }

    /// The value of the next member, which has this name.
    pub(super) fn needed(&mut self, name: &'static str) -> Result<String, UrlError> {
        self.optional(name)?.ok_or(UrlError::Members {
            query: self.form,
            missing: name,
        })
    }

    /// The same, if it has this name.
    pub(super) fn optional(&mut self, name: &'static str) -> Result<Option<String>, UrlError> {
        let value = |member: &'a str| member.strip_prefix(name)?.strip_prefix('=');
        let Some(value) = self.rest.peek().copied().and_then(value) else {
            return Ok(None);
        };
        self.rest.next();
        self.last = name;
        decoded(value).map(Some).ok_or(UrlError::Encoding(name))
    }

    /// That there are no more.
    pub(super) fn end(mut self) -> Result<(), UrlError> {
        match self.rest.next() {
            None => Ok(()),
            Some(_) => Err(UrlError::Surplus(self.last)),
        }
    }
}

const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// The text that `value` encodes; none when it is spelt in another way, or no UTF-8.
fn decoded(value: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let decoded = digit(rest.next()?)? << 4 | digit(rest.next()?)?;
                if is_unreserved(decoded) {
                    return None;
                }
                decoded
            }
            byte if is_unreserved(byte) || !byte.is_ascii() => byte,
            _ => return None,
        });
    }
    String::from_utf8(bytes).ok()
}

const fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

/// A value, percent-encoded.
pub(super) struct Encoded<'a>(pub(super) &'a str);

impl fmt::Display for Encoded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.bytes().try_for_each(|byte| match byte {
            byte if is_unreserved(byte) => f.write_char(char::from(byte)),
            byte => write!(f, "%{byte:02X}"),
        })
    }
}
