//! What is remembered in a cache: `memo/<id>.json`, which `fetchhost-memo` writes and reads.
//!
//! Of such an entry this crate knows where it lies, and its member `storePath`: the path in the same cache that it
//! belongs to, and that is kept for it.

use fetchhost_formats::StorePath;
use serde::Deserialize;

use crate::objects::Key;

/// The longest entry, in bytes.
pub const MAX_MEMO: u64 = 64 * 1024;

/// Where entries are, and how their names end.
const FOLDER: &str = "memo/";
const EXTENSION: &str = ".json";

/// The digits of an id: a SHA-256 in small hexadecimal digits.
const ID_DIGITS: usize = 64;

/// The object of the entry with this id; none where the text is no SHA-256 in small hexadecimal digits.
#[must_use]
pub fn memo_key(id: &str) -> Option<Key> {
    is_id(id).then(|| Key::of_parts(&format!("{FOLDER}{id}"), EXTENSION))
}

/// The path that an entry names; none where it names none, or is no entry.
#[must_use]
pub fn memo_path(entry: &[u8]) -> Option<StorePath> {
    #[derive(Deserialize)]
    struct Entry {
        #[serde(rename = "storePath")]
        store_path: String,
    }
    if entry.len() as u64 > MAX_MEMO {
        return None;
    }
    let entry: Entry = serde_json::from_slice(entry).ok()?;
    entry.store_path.parse().ok()
}

/// Whether an object is an entry by its name.
pub(crate) fn is_memo(key: &Key) -> bool {
    let name = key.as_str().strip_prefix(FOLDER);
    let id = name.and_then(|name| name.strip_suffix(EXTENSION));
    id.is_some_and(is_id)
}

fn is_id(text: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f');
    text.len() == ID_DIGITS && text.bytes().all(is_digit)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PATH: &str = "/nix/store/0c0bhl1hk5hz6v0jfbmhzgqyxpsr5cba-signature.minisig";

    #[test]
    fn an_entry_names_a_path_or_none() {
        let entry = format!(r#"{{"version":9,"x":[1],"storePath":"{PATH}"}}"#);
        assert_eq!(memo_path(entry.as_bytes()).unwrap().to_string(), PATH);
        let long = format!("{entry}{}", " ".repeat(64 * 1024));
        for none in [
            "",
            "{}",
            "[]",
            r#"{"storePath":7}"#,
            r#"{"storePath":"/etc/passwd"}"#,
            r#"{"storePath":"/nix/store/../x"}"#,
            &long,
        ] {
            assert_eq!(memo_path(none.as_bytes()), None);
        }
    }

    #[test]
    fn an_id_is_a_digest_and_names_one_object() {
        let id = "0f".repeat(32);
        let key = memo_key(&id).unwrap();
        assert_eq!(key.as_str(), format!("memo/{id}.json"));
        assert!(is_memo(&key));
        for text in [
            "",
            "..",
            &"0F".repeat(32),
            &"0f".repeat(33),
            &"0/".repeat(32),
        ] {
            assert_eq!(memo_key(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = memo_path(&bytes);
        }
    }
}
