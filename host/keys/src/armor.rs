//! PEM: base64 between two lines that say what it is (RFC 7468, with lines of any length, as OpenSSH writes).

use base64::{Engine as _, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

/// The label of the first block in `text`.
pub(crate) fn label(text: &[u8]) -> Option<&str> {
    let text = str::from_utf8(text).ok()?;
    let (_, rest) = text.split_once("-----BEGIN ")?;
    let (label, _) = rest.split_once("-----")?;
    (!label.contains(['\n', '\r'])).then_some(label)
}

/// What the first block with this label holds. `None` without one, or when it is no base64.
pub(crate) fn decode(text: &[u8], label: &str) -> Option<Zeroizing<Vec<u8>>> {
    let text = str::from_utf8(text).ok()?;
    let (_, rest) = text.split_once(&format!("-----BEGIN {label}-----"))?;
    let (body, _) = rest.split_once(&format!("-----END {label}-----"))?;
    // Room for all of it at once: a vector that grows leaves unwiped copies behind.
    let mut encoded = Zeroizing::new(Vec::with_capacity(body.len()));
    encoded.extend(body.bytes().filter(|byte| !byte.is_ascii_whitespace()));
    base64(&encoded)
}

/// The bytes that this base64 stands for.
pub(crate) fn base64(encoded: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(vec![0; base64::decoded_len_estimate(encoded.len())]);
    let length = STANDARD.decode_slice(encoded, &mut bytes).ok()?;
    bytes.truncate(length);
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_may_be_of_any_length_and_end_as_on_other_systems() {
        let text = b"a note\r\n-----BEGIN X-----\r\nYWJj\r\nZA==\r\n-----END X-----\r\n";
        assert_eq!(label(text), Some("X"));
        assert_eq!(decode(text, "X").unwrap().as_slice(), b"abcd");
        assert!(decode(text, "Y").is_none());
        assert!(decode(b"-----BEGIN X-----\n?\n-----END X-----", "X").is_none());
        assert!(decode(b"-----BEGIN X-----\nYWJj\n", "X").is_none());
    }
}
