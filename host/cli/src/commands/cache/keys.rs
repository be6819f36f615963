//! The public keys whose signatures are believed.
//!
//! | text | keys |
//! |---|---|
//! | `NAME:BASE64` | this one |
//! | `@FILE` | those of a file: some to a line, with `#` before what is none |
//! | `trusted-public-keys = …`, `extra-trusted-public-keys = …` in such a file | these; other settings are passed over, so that a `nix.conf` serves |

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use fetchhost_formats::PublicKey;
use fetchhost_policy::printable;

use crate::failure::{Failure, with_causes};

/// The longest file of keys, in bytes.
const MAX_LENGTH: u64 = 1024 * 1024;

/// The settings of Nix that hold keys.
const SETTINGS: [&str; 2] = ["trusted-public-keys", "extra-trusted-public-keys"];

/// The keys that were typed.
pub(super) fn trusted(typed: &[String]) -> Result<Vec<PublicKey>, Failure> {
    let mut keys: Vec<PublicKey> = Vec::new();
    for text in typed {
        let found = match text.strip_prefix('@') {
            None => vec![key(text, "--trusted-key")?],
            Some(file) => of_file(Path::new(file))?,
        };
        for key in found {
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
    }
    Ok(keys)
}

fn of_file(file: &Path) -> Result<Vec<PublicKey>, Failure> {
    let text = read(file)
        .map_err(|error| Failure::usage(format!("`{}` cannot be read: {error}", file.display())))?;
    let place = file.display().to_string();
    let mut keys = Vec::new();
    for line in text.lines() {
        for word in of_line(line) {
            keys.push(key(word, &place)?);
        }
    }
    match keys.is_empty() {
        true => Err(Failure::usage(format!("`{place}` holds no public key"))
            .with_hint("`nix-fetchhost key public FILE` prints that of a secret key")),
        false => Ok(keys),
    }
}

/// The words of a line that must be keys.
fn of_line(line: &str) -> Vec<&str> {
    let (line, _) = line.split_once('#').unwrap_or((line, ""));
    let words: Vec<_> = line.split_whitespace().collect();
    match words.as_slice() {
        [setting, "=", keys @ ..] if SETTINGS.contains(setting) => keys.to_vec(),
        [_, "=", ..] | ["include" | "!include", ..] => Vec::new(),
        keys => keys.to_vec(),
    }
}

fn key(text: &str, place: &str) -> Result<PublicKey, Failure> {
    text.parse().map_err(|error: fetchhost_formats::KeyError| {
        // What stands there may be a secret key by mistake.
        let name = text.split_once(':').map_or("", |(name, _)| name);
        Failure::usage(format!(
            "a word of `{}` is no public key: `{}…`: {}",
            printable(place),
            printable(name),
            with_causes(&error)
        ))
        .with_hint("a public key reads `NAME:BASE64`, as `nix-fetchhost key public FILE` prints it")
    })
}

fn read(file: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(file)?
        .take(MAX_LENGTH + 1)
        .read_to_string(&mut text)?;
    match text.len() as u64 > MAX_LENGTH {
        true => Err(io::Error::other("it is too long for a list of keys")),
        false => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_keys_may_be_a_configuration_of_nix() {
        for (line, keys) in [
            ("", vec![]),
            ("  # a:b", vec![]),
            ("a:AA== b:BB=  # ours", vec!["a:AA==", "b:BB="]),
            ("trusted-public-keys = a:A b:B", vec!["a:A", "b:B"]),
            ("extra-trusted-public-keys = a:A", vec!["a:A"]),
            ("trusted-public-keys =", vec![]),
            ("substituters = https://a.example", vec![]),
            ("!include other.conf", vec![]),
        ] {
            assert_eq!(of_line(line), keys, "{line:?}");
        }
    }

    #[test]
    fn a_secret_key_in_the_place_of_a_public_one_is_not_shown() {
        let secret = format!("team-1:{}", "QUFB".repeat(22));
        let failure = trusted(&[secret]).unwrap_err();
        assert!(failure.message.contains("team-1") && !failure.message.contains("QUFB"));
    }
}
