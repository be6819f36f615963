//! Showing foreign text in an error without letting it write on the terminal or fill the screen.

/// How many characters of foreign text an error shows.
const SHOWN: usize = 80;

/// `text` in backticks, control characters escaped, cut after [`SHOWN`] characters.
pub(crate) fn quoted(text: &str) -> String {
    format!("`{}`", shortened(text, SHOWN))
}

/// A message that may quote foreign text: control characters escaped, cut to two lines or so.
pub(crate) fn cut(message: &str) -> String {
    shortened(message, 2 * SHOWN)
}

fn shortened(text: &str, length: usize) -> String {
    let mut shown = String::new();
    for character in text.chars().take(length) {
        if character.is_control() {
            shown.extend(character.escape_debug());
        } else {
            shown.push(character);
        }
    }
    if text.chars().nth(length).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn control_characters_are_escaped_and_long_text_is_cut() {
        assert_eq!(quoted("a\u{1b}[31m\n"), "`a\\u{1b}[31m\\n`");
        assert_eq!(quoted(&"x".repeat(80)).chars().count(), 82);
        assert!(quoted(&"x".repeat(10_000)).ends_with("…`"));
    }
}
