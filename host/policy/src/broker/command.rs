//! The commands that write what a denial's lines say.

use std::fmt::Display;

use crate::display::acts;
use crate::{CredentialSpec, Grant, Method, Scheme};

/// The command that adds `grant` to the user's configuration.
pub(super) fn grant_add(grant: &Grant) -> String {
    let mut command = format!("nix-fetchhost grant add {}", grant.module);
    let mut flag = |name: &str, value: &dyn Display| {
        command.push_str(&format!(" --{name} {}", word(&value.to_string())));
    };
    for origin in &grant.origins {
        flag("origin", origin);
    }
    if grant.methods != Method::READING {
        for method in &grant.methods {
            flag("method", method);
        }
    }
    for path in grant.paths.iter().flatten() {
        flag("path", path);
    }
    for redirect in &grant.redirects {
        flag("redirect", redirect);
    }
    for (slot, name) in &grant.credentials {
        flag("credential", &format!("{slot}={name}"));
    }
    command
}

/// The command that asks for the secret of `spec` and defines it; none where something of it only the
/// user knows.
pub(super) fn credential_set(spec: &CredentialSpec) -> Option<String> {
    if spec.scheme == Scheme::BasicLogin {
        return None;
    }
    let mut command = format!("nix-fetchhost credential set {}", spec.name);
    for origin in &spec.origins {
        command.push_str(&format!(" --origin {}", word(&origin.to_string())));
    }
    command.push_str(&format!(" --scheme {}", word(&spec.scheme.to_string())));
    Some(command)
}

/// `text` as one word of a shell's command line, without power over the terminal that it is shown on: what has
/// some is written as bash, zsh and POSIX of 2024 read it, `$'\033'`.
#[must_use]
pub fn word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    if !text.chars().any(acts) {
        return format!("'{}'", text.replace('\'', r"'\''"));
    }
    let mut word = "$'".to_owned();
    for character in text.chars() {
        if acts(character) {
            let mut bytes = [0; 4];
            for byte in character.encode_utf8(&mut bytes).bytes() {
                word.push_str(&format!("\\{byte:03o}"));
            }
        } else {
            if matches!(character, '\'' | '\\') {
                word.push('\\');
            }
            word.push(character);
        }
    }
    word.push('\'');
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_shell_would_take_for_its_own_is_quoted() {
        assert_eq!(
            word("https://a.example:8443/x%20y"),
            "https://a.example:8443/x%20y"
        );
        assert_eq!(word("/x/**"), "'/x/**'");
        assert_eq!(word("/it's"), r"'/it'\''s'");
        assert_eq!(word("basic:a b;c"), "'basic:a b;c'");
        assert_eq!(word("é"), "'é'");
    }

    #[test]
    fn what_a_terminal_would_obey_is_spelt_out() {
        for text in [
            "a\n  rm -rf ~",
            "\u{1b}[2J7",
            "\u{9b}2J",
            "it's \\\u{202e}",
            "\t",
        ] {
            let word = word(text);
            assert!(!word.chars().any(acts), "{word:?}");
            let read = std::process::Command::new("bash")
                .args(["-c", &format!("printf %s {word}")])
                .output();
            // Only where there is one can it be asked.
            if let Ok(read) = read {
                assert_eq!(String::from_utf8(read.stdout).unwrap(), text, "{word}");
            }
        }
    }
}
