//! Foreign text made fit for a terminal or a log.
//!
//! Query strings of presigned URLs are credentials, and so is userinfo;
//! control characters rewrite a terminal. Nobody should have to remember
//! either: URLs are printed through [`DisplayUrl`], other foreign text through
//! [`printable`].

use std::borrow::Cow;
use std::fmt;

use url::Url;

/// A URL as people may see it: without userinfo, query and fragment, and with
/// control characters escaped. A query that was there shows as `?…`.
#[derive(Clone, Copy)]
pub struct DisplayUrl<'a>(pub &'a Url);

impl fmt::Display for DisplayUrl<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = self.0;
        write!(f, "{}:", printable(url.scheme()))?;
        if let Some(host) = url.host_str() {
            write!(f, "//{}", printable(host))?;
            if let Some(port) = url.port() {
                write!(f, ":{port}")?;
            }
        }
        // A URL without a host (`data:`, `mailto:`) is all payload.
        if url.cannot_be_a_base() {
            f.write_str("…")?;
        } else {
            f.write_str(&printable(url.path()))?;
        }
        if url.query().is_some() {
            f.write_str("?…")?;
        }
        Ok(())
    }
}

impl fmt::Debug for DisplayUrl<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// `text` with every character escaped that could act on a terminal or
/// disguise the text: control characters (C0, DEL, C1), line separators and
/// the invisible characters that reorder or hide text.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.chars().any(acts) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if acts(character) {
            escaped.extend(character.escape_default());
        } else {
            escaped.push(character);
        }
    }
    Cow::Owned(escaped)
}

/// Whether a terminal does something else with a character than to show it.
pub(crate) fn acts(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_shows_neither_userinfo_nor_query_nor_fragment() {
        let url = Url::parse("https://user:pass@example.com:8443/a/b?X-Amz-Signature=s3cret#frag")
            .unwrap();
        let shown = DisplayUrl(&url).to_string();
        assert_eq!(shown, "https://example.com:8443/a/b?…");
        assert_eq!(format!("{:?}", DisplayUrl(&url)), shown);
    }

    #[test]
    fn a_url_without_a_host_shows_its_scheme_alone() {
        let url = Url::parse("data:text/plain,s3cret").unwrap();
        assert_eq!(DisplayUrl(&url).to_string(), "data:…");
    }

    #[test]
    fn characters_that_act_on_a_terminal_are_escaped() {
        assert_eq!(printable("plain – ü"), "plain – ü");
        assert_eq!(printable("a\x1b[2Jb\n"), "a\\u{1b}[2Jb\\n");
        assert_eq!(printable("a\u{202e}b\u{9b}c"), "a\\u{202e}b\\u{9b}c");
    }
}
