//! Keys in each form, made here: RFC 8032's second one.

use base64::{Engine as _, engine::general_purpose::STANDARD};

/// RFC 8032's second test: seed and public key.
const SEED: &str = "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb";
pub(crate) const PUBLIC: &str = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";

pub(crate) fn hex(text: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(byte).collect()
}

pub(crate) fn string(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap().to_be_bytes();
    [&length[..], bytes].concat()
}

pub(crate) fn pem(label: &str, bytes: &[u8]) -> String {
    let body = STANDARD.encode(bytes);
    format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
}

/// What minisign's file encodes, of a key without a password.
pub(crate) fn minisign_bytes() -> Vec<u8> {
    let zeros = [0; 48];
    [
        b"Ed\0\0B2",
        &zeros[..],
        b"12345678",
        &hex(SEED),
        &hex(PUBLIC),
        &[0; 32],
    ]
    .concat()
}

pub(crate) fn minisign_text(bytes: &[u8]) -> String {
    format!("untrusted comment: a key\n{}\n", STANDARD.encode(bytes))
}

pub(crate) fn pkcs8_bytes() -> Vec<u8> {
    [hex("302e020100300506032b657004220420"), hex(SEED)].concat()
}

/// An OpenSSH container around this public key and these private fields.
pub(crate) fn openssh_bytes(public: &[u8], fields: &[u8]) -> Vec<u8> {
    let check = [1, 2, 3, 4, 1, 2, 3, 4];
    [
        b"openssh-key-v1\0".to_vec(),
        string(b"none"),
        string(b"none"),
        string(b""),
        vec![0, 0, 0, 1],
        string(public),
        string(&[&check[..], fields, &string(b"comment"), &[1, 2, 3]].concat()),
    ]
    .concat()
}

pub(crate) fn openssh_ed25519() -> Vec<u8> {
    let (seed, public) = (hex(SEED), hex(PUBLIC));
    let name = string(b"ssh-ed25519");
    let fields = [
        &name[..],
        &string(&public),
        &string(&[seed, public.clone()].concat()),
    ]
    .concat();
    openssh_bytes(&[name.clone(), string(&public)].concat(), &fields)
}
