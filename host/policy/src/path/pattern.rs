//! Patterns of paths.

use std::fmt;
use std::str::FromStr;

use super::{NormalPath, PathDenial};
use crate::ids::text_form;
use crate::printable;

/// A pattern such as `/api/v4/**`: `*` stands for one non-empty segment, `**`
/// for any number of segments, also none; everything else for itself.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PathPattern(Vec<Piece>);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Piece {
    Literal(String),
    One,
    Any,
}

/// A text that is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathPatternError {
    /// Does not start with `/`.
    #[error("path pattern `{0}` does not start with `/`")]
    Relative(String),
    /// A wildcard that is only a part of a segment.
    #[error(
        "path pattern `{0}`: `*` and `**` stand for whole segments; a `*` of the path itself is written `%2A`"
    )]
    PartialWildcard(String),
    /// An empty segment before the end.
    #[error("path pattern `{0}` has an empty segment")]
    Empty(String),
    /// A query or fragment.
    #[error("path pattern `{0}` has a query or fragment; only paths are matched")]
    Query(String),
    /// More segments than a pattern may have.
    #[error("path pattern `{0}` has more than 64 segments or 1024 characters")]
    TooLong(String),
    /// A path that never matches anything, because it is always refused.
    #[error("path pattern `{0}` can match nothing: {1}")]
    Refused(String, PathDenial),
    /// Another spelling than the normal one.
    #[error("path pattern `{text}` is not in normal form; write `{normal}`")]
    NotNormal {
        /// What was read.
        text: String,
        /// What to write.
        normal: String,
    },
}

impl PathPattern {
    /// The most segments and bytes of a pattern, so that matching stays cheap.
    const MAX_SEGMENTS: usize = 64;
    const MAX_BYTES: usize = 1024;

    /// Reads a pattern.
    ///
    /// # Errors
    /// When `text` is not one, or would never match because its literal parts
    /// are not in normal form.
    pub fn parse(text: &str) -> Result<Self, PathPatternError> {
        let shown = || printable(text).into_owned();
        if text.len() > Self::MAX_BYTES {
            let start: String = text.chars().take(60).collect();
            return Err(PathPatternError::TooLong(printable(&start).into_owned()));
        }
        let Some(rest) = text.strip_prefix('/') else {
            return Err(PathPatternError::Relative(shown()));
        };
        if text.contains(['?', '#']) {
            return Err(PathPatternError::Query(shown()));
        }
        let count = rest.split('/').count();
        if count > Self::MAX_SEGMENTS {
            return Err(PathPatternError::TooLong(shown()));
        }
        let mut pieces = Vec::with_capacity(count);
        let mut normal = String::with_capacity(text.len());
        for (position, segment) in rest.split('/').enumerate() {
            normal.push('/');
            pieces.push(match segment {
                "**" => Piece::Any,
                "*" => Piece::One,
                "" if position + 1 < count => return Err(PathPatternError::Empty(shown())),
                _ if segment.contains('*') => {
                    return Err(PathPatternError::PartialWildcard(shown()));
                }
                literal => Piece::Literal(normal_literal(literal, text)?),
            });
            match pieces.last() {
                Some(Piece::Literal(literal)) => normal.push_str(literal),
                _ => normal.push_str(segment),
            }
        }
        if normal != text {
            return Err(PathPatternError::NotNormal {
                text: shown(),
                normal,
            });
        }
        Ok(Self(pieces))
    }

    /// The pattern that matches `path` alone.
    #[must_use]
    pub(crate) fn exactly(path: &NormalPath) -> Self {
        Self(
            path.segments()
                .map(|s| Piece::Literal(s.to_owned()))
                .collect(),
        )
    }

    /// Whether the whole of `path` is one that the pattern stands for.
    #[must_use]
    pub fn matches(&self, path: &NormalPath) -> bool {
        // Which prefixes of the pattern match the segments read so far. Linear
        // in pattern × path whatever the wildcards, where recursion is not.
        let mut reached = vec![false; self.0.len() + 1];
        reached[0] = true;
        self.skip_any(&mut reached);
        for segment in path.segments() {
            let mut next = vec![false; self.0.len() + 1];
            for (position, piece) in self
                .0
                .iter()
                .enumerate()
                .filter(|(position, _)| reached[*position])
            {
                match piece {
                    Piece::Any => next[position] = true,
                    Piece::One if !segment.is_empty() => next[position + 1] = true,
                    Piece::Literal(literal) if literal == segment => next[position + 1] = true,
                    Piece::One | Piece::Literal(_) => {}
                }
            }
            self.skip_any(&mut next);
            reached = next;
        }
        reached[self.0.len()]
    }

    /// `**` may stand for nothing: whoever reached it has passed it too.
    fn skip_any(&self, reached: &mut [bool]) {
        for (position, piece) in self.0.iter().enumerate() {
            if *piece == Piece::Any && reached[position] {
                reached[position + 1] = true;
            }
        }
    }
}

/// The normal form of a literal segment. A character that a URL writes encoded
/// is taken as it will be seen, so that the error can say what to write.
fn normal_literal(literal: &str, pattern: &str) -> Result<String, PathPatternError> {
    let refuse = |denial| PathPatternError::Refused(printable(pattern).into_owned(), denial);
    let checked = NormalPath::of_text(&format!("/{literal}")).map_err(refuse)?;
    // The URL parser encodes what cannot stand in a path, such as blanks.
    let mut url =
        url::Url::parse("https://pattern.invalid/").map_err(|_| refuse(PathDenial::NoPath))?;
    url.set_path(checked.as_str());
    Ok(url.path().trim_start_matches('/').to_owned())
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for piece in &self.0 {
            match piece {
                Piece::Literal(literal) => write!(f, "/{literal}")?,
                Piece::One => f.write_str("/*")?,
                Piece::Any => f.write_str("/**")?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for PathPattern {
    type Err = PathPatternError;

    fn from_str(text: &str) -> Result<Self, PathPatternError> {
        Self::parse(text)
    }
}

text_form!(PathPattern);

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, path: &str) -> bool {
        let pattern = PathPattern::parse(pattern).unwrap();
        pattern.matches(&NormalPath::of_text(path).unwrap())
    }

    #[test]
    fn a_star_is_one_segment_and_two_stars_are_any_number() {
        for (pattern, path, expected) in [
            ("/", "/", true),
            ("/", "/a", false),
            ("/a", "/a", true),
            ("/a", "/a/", false),
            ("/a/", "/a/", true),
            ("/*", "/a", true),
            ("/*", "/", false),
            ("/*", "/a/b", false),
            ("/**", "/", true),
            ("/**", "/a/b/c", true),
            ("/api/v4/**", "/api/v4", true),
            ("/api/v4/**", "/api/v4/", true),
            (
                "/api/v4/**",
                "/api/v4/projects/group%2Fproject/jobs/1/artifacts",
                true,
            ),
            ("/api/v4/**", "/api/v40", false),
            ("/api/v4/**", "/x/api/v4/a", false),
            ("/api/v4/**", "/API/v4/a", false),
            (
                "/**/-/releases/**",
                "/group/project/-/releases/v1/downloads/x",
                true,
            ),
            ("/**/-/releases/**", "/-/releases/v1", true),
            ("/**/-/releases/**", "/group/project/releases/v1", false),
            ("/api/*/raw", "/api/group%2Fproject/raw", true),
            ("/api/*/raw", "/api/group/project/raw", false),
            ("/a/**/b/**/c", "/a/x/b/y/b/z/c", true),
            ("/a/**/b/**/c", "/a/x/y/z/c", false),
        ] {
            assert_eq!(matches(pattern, path), expected, "{pattern} on {path}");
        }
    }

    #[test]
    fn doubled_slashes_escape_no_pattern() {
        assert!(!matches("/a/*/c", "/a//c"));
        assert!(!matches("/a/b", "/a//b"));
        assert!(matches("/a/**", "/a//b"));
    }

    #[test]
    fn patterns_are_read_back_as_written() {
        for text in [
            "/",
            "/a/",
            "/api/v4/**",
            "/**/-/releases/*",
            "/a%2Fb",
            "/%2A",
            "/caf%C3%A9",
            "/a;b=1",
        ] {
            assert_eq!(PathPattern::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for text in [
            "",
            "a",
            "**",
            "/a*",
            "/**a",
            "/***",
            "/a//b",
            "//",
            "/a?b",
            "/a#b",
            "/../a",
            "/a/%2e%2e",
            "/a%5Cb",
            "/%2f",
            "/%61",
            "/a b",
            "/é",
            "/a\nb",
            &format!("/{}", "a/".repeat(70)),
            &format!("/{}", "a".repeat(2000)),
        ] {
            assert!(PathPattern::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_pattern_in_another_form_is_refused_with_what_to_write() {
        let error = PathPattern::parse("/%61/b%2fc d/*").unwrap_err();
        assert_eq!(
            error.to_string(),
            "path pattern `/%61/b%2fc d/*` is not in normal form; write `/a/b%2Fc%20d/*`"
        );
    }

    #[test]
    fn many_wildcards_are_matched_in_bounded_time() {
        let pattern = format!("{}/end", "/**/a".repeat(31));
        let path = "/a".repeat(5_000);
        assert!(!matches(&pattern, &path));
    }
}
