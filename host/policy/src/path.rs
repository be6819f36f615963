//! Paths: one normal form, and the patterns that are matched on it.
//!
//! **The threat.** A path that the pattern reads as inside the granted part and
//! the server reads as outside: `..` in any encoding, backslashes, encoded
//! slashes that a proxy decodes, `;` parameters that some servers cut off,
//! doubled slashes that some servers merge.
//!
//! **The rule.** Percent-encoding of unreserved characters is removed, all
//! other encoding is kept (with capital digits), so `%2F` stays inside its
//! segment. What could climb, however often it is decoded, is refused. The
//! normal form is what is matched **and** what is sent, so that nobody can
//! read two things.
//!
//! | path | normal form | or refused because |
//! |---|---|---|
//! | `/api/v4/projects/1` | itself | |
//! | `/a%2Db/%7euser` | `/a-b/~user` | |
//! | `/group%2fproject/x` | `/group%2Fproject/x`, two segments | |
//! | `/a%2525`, `/caf%c3%a9` | `/a%2525`, `/caf%C3%A9` | |
//! | `/a*b` | `/a%2Ab` (`*` is a wildcard in patterns) | |
//! | `/a//b`, `/a/` | themselves, with an empty segment | |
//! | `/a;v=1/b` | itself | |
//! | `/a/../b`, `/a/./b` | | climbs |
//! | `/%2e%2e/b`, `/.%2e/b`, `/%252e%252e/b` | | climbs once decoded |
//! | `/a%2F..%2Fb`, `/a%252F%252e./b` | | climbs once decoded |
//! | `/..;/b`, `/..;x=1/b`, `/%2e%2e%3b/b` | | climbs for servers that cut parameters |
//! | `/a%5Cb`, `/a%255C..` | | a backslash is a slash to some |
//! | `/a%00`, `/a%0d%0aX`, `/a%7f` | | control characters |
//! | `/a%`, `/a%zz`, `/%C0%AE%C0%AE` | | broken percent-encoding, overlong UTF-8 |
//!
//! Doubled slashes: a pattern's `*` and its literal segments never match an
//! empty segment, `**` may. So whatever matches still matches when a server
//! merges the slashes, and a grant cannot be escaped by them.

mod pattern;

use std::borrow::Cow;
use std::fmt;

use url::Url;

pub use pattern::{PathPattern, PathPatternError};

/// The path of a URL in the form that is matched and sent.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct NormalPath(String);

/// A path that is refused, whatever is granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathDenial {
    /// `.` or `..`, in any encoding.
    #[error("the path climbs with `.` or `..`, perhaps encoded")]
    Climbs,
    /// A backslash in any encoding.
    #[error("the path holds an encoded backslash, which some servers read as a slash")]
    Backslash,
    /// A control character in any encoding.
    #[error("the path holds an encoded control character")]
    Control,
    /// `%` that is not followed by two hex digits, or bytes that hide ASCII.
    #[error("the path has broken percent-encoding")]
    Encoding,
    /// Not a path below a host.
    #[error("the URL has no path")]
    NoPath,
}

impl NormalPath {
    /// The normal form of a URL's path.
    ///
    /// The URL parser has resolved plain `.` and `..` before; texts of modules
    /// are therefore read with [`crate::parse_url`], which refuses them.
    ///
    /// # Errors
    /// When the path is refused by the table of this module.
    pub fn of_url(url: &Url) -> Result<Self, PathDenial> {
        if url.cannot_be_a_base() {
            return Err(PathDenial::NoPath);
        }
        Self::of_text(url.path())
    }

    /// The normal form of `path`, which starts with `/`.
    ///
    /// # Errors
    /// As [`NormalPath::of_url`].
    pub(crate) fn of_text(path: &str) -> Result<Self, PathDenial> {
        let Some(rest) = path.strip_prefix('/') else {
            return Err(PathDenial::NoPath);
        };
        let mut normal = String::with_capacity(path.len());
        for segment in rest.split('/') {
            normal.push('/');
            normal.push_str(&normal_segment(segment)?);
        }
        Ok(Self(normal))
    }

    /// The path, starting with `/`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The segments between slashes; at least one, which may be empty.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.0.split('/').skip(1)
    }
}

impl fmt::Display for NormalPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for NormalPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// Whether a raw segment means `.` or `..` to the URL parser or to a server
/// that decodes it or cuts its parameters.
pub(crate) fn is_dot_segment(segment: &str) -> bool {
    let Some(decoded) = fully_decoded(segment.as_bytes()) else {
        return true;
    };
    decoded.split(|b| matches!(b, b'/' | b'\\')).any(|part| {
        let name = part.split(|b| *b == b';').next().unwrap_or_default();
        matches!(name, b"." | b"..")
    })
}

fn normal_segment(segment: &str) -> Result<Cow<'_, str>, PathDenial> {
    if is_dot_segment(segment) {
        return Err(PathDenial::Climbs);
    }
    let decoded = fully_decoded(segment.as_bytes()).ok_or(PathDenial::Climbs)?;
    if decoded.contains(&b'\\') {
        return Err(PathDenial::Backslash);
    }
    if is_overlong(&decoded) {
        return Err(PathDenial::Encoding);
    }
    if decoded.iter().any(u8::is_ascii_control) {
        return Err(PathDenial::Control);
    }
    if !segment.contains(['%', '*']) {
        return Ok(Cow::Borrowed(segment));
    }
    let mut normal = String::with_capacity(segment.len());
    let mut rest = segment;
    while let Some(position) = rest.find(['%', '*']) {
        let (plain, tail) = rest.split_at(position);
        normal.push_str(plain);
        if let Some(after) = tail.strip_prefix('*') {
            normal.push_str("%2A");
            rest = after;
            continue;
        }
        let byte = encoded_byte(tail.as_bytes()).ok_or(PathDenial::Encoding)?;
        if is_unreserved(byte) {
            normal.push(char::from(byte));
        } else {
            normal.push_str(&tail[..3].to_ascii_uppercase());
        }
        rest = &tail[3..];
    }
    normal.push_str(rest);
    Ok(Cow::Owned(normal))
}

/// Decodes until nothing changes, as a chain of proxies might; `None` when that
/// takes longer than any honest path needs. What is not percent-encoding is
/// kept.
fn fully_decoded(text: &[u8]) -> Option<Vec<u8>> {
    const ROUNDS: usize = 8;
    let mut bytes = text.to_vec();
    for _ in 0..ROUNDS {
        let mut decoded = Vec::with_capacity(bytes.len());
        let mut position = 0;
        while let Some(&first) = bytes.get(position) {
            if let Some(byte) = encoded_byte(&bytes[position..]) {
                decoded.push(byte);
                position += 3;
            } else {
                decoded.push(first);
                position += 1;
            }
        }
        if decoded.len() == bytes.len() {
            return Some(bytes);
        }
        bytes = decoded;
    }
    None
}

/// Whether ASCII is hidden in more bytes than it needs, which UTF-8 forbids and
/// some decoders read: `%C0%AE` as a dot.
fn is_overlong(decoded: &[u8]) -> bool {
    decoded
        .windows(2)
        .any(|pair| matches!(pair, [0xC0 | 0xC1, 0x80..=0xBF] | [0xE0, 0x80..=0x9F]))
}

/// The byte that `text` starts with when it starts with `%XX`.
fn encoded_byte(text: &[u8]) -> Option<u8> {
    let [b'%', high, low, ..] = text else {
        return None;
    };
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    u8::try_from(digit(high)? << 4 | digit(low)?).ok()
}

const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_take_the_normal_form_of_the_table() {
        for (path, normal) in [
            ("/", "/"),
            ("/api/v4/projects/1", "/api/v4/projects/1"),
            ("/a%2Db/%7euser", "/a-b/~user"),
            ("/group%2fproject/x", "/group%2Fproject/x"),
            ("/a%2525", "/a%2525"),
            ("/caf%c3%a9", "/caf%C3%A9"),
            ("/a*b", "/a%2Ab"),
            ("/%2a", "/%2A"),
            ("/a//b", "/a//b"),
            ("/a/", "/a/"),
            ("/a;v=1/b", "/a;v=1/b"),
            ("/a..b/...", "/a..b/..."),
            ("/.gitignore", "/.gitignore"),
            ("/@scope/a+b,c", "/@scope/a+b,c"),
        ] {
            let url = Url::parse(&format!("https://example.com{path}")).unwrap();
            assert_eq!(NormalPath::of_url(&url).unwrap().as_str(), normal, "{path}");
            assert_eq!(
                NormalPath::of_text(normal).unwrap().as_str(),
                normal,
                "{path}"
            );
        }
    }

    #[test]
    fn paths_that_could_be_read_in_two_ways_are_refused() {
        for (path, denial) in [
            ("/a/../b", PathDenial::Climbs),
            ("/a/./b", PathDenial::Climbs),
            ("/..", PathDenial::Climbs),
            ("/%2e%2e/b", PathDenial::Climbs),
            ("/%2E%2e/b", PathDenial::Climbs),
            ("/.%2e/b", PathDenial::Climbs),
            ("/%2e./b", PathDenial::Climbs),
            ("/%2e/b", PathDenial::Climbs),
            ("/%252e%252e/b", PathDenial::Climbs),
            ("/%25252e./b", PathDenial::Climbs),
            ("/a%2F..%2Fb", PathDenial::Climbs),
            ("/a%252F%252e./b", PathDenial::Climbs),
            ("/a%5C..%5Cb", PathDenial::Climbs),
            ("/..;/b", PathDenial::Climbs),
            ("/..;x=1/b", PathDenial::Climbs),
            ("/%2e%2e%3bx/b", PathDenial::Climbs),
            ("/a%5Cb", PathDenial::Backslash),
            ("/a\\b", PathDenial::Backslash),
            ("/a%255Cb", PathDenial::Backslash),
            ("/a%00", PathDenial::Control),
            ("/a%0d%0aX", PathDenial::Control),
            ("/a%7f", PathDenial::Control),
            ("/a%250a", PathDenial::Control),
            ("/a%", PathDenial::Encoding),
            ("/a%zz", PathDenial::Encoding),
            ("/a%2", PathDenial::Encoding),
            ("/%c0%ae%c0%ae/b", PathDenial::Encoding),
            ("/a%E0%80%AFb", PathDenial::Encoding),
            ("", PathDenial::NoPath),
            ("a", PathDenial::NoPath),
        ] {
            assert_eq!(NormalPath::of_text(path), Err(denial), "{path}");
        }
    }

    #[test]
    fn an_encoded_slash_stays_inside_its_segment() {
        let path = NormalPath::of_text("/api/group%2Fproject/x").unwrap();
        assert_eq!(
            path.segments().collect::<Vec<_>>(),
            ["api", "group%2Fproject", "x"]
        );
    }

    #[test]
    fn encoding_upon_encoding_is_refused_at_once() {
        let deep = format!("/%{}41", "25".repeat(2_000));
        assert_eq!(NormalPath::of_text(&deep), Err(PathDenial::Climbs));
    }
}
