//! Files and signatures that somebody made to do harm.

use fetchhost_keys::{Digester, PublicKey};
use fetchhost_policy::Use;
use proptest::prelude::*;

use crate::{
    forms::{
        PUBLIC, hex, minisign_bytes, minisign_text, openssh_ed25519, pem, pkcs8_bytes, string,
    },
    support::{CANARY, PSS, Stage, User, content, in_file, minisign, sshsig},
};

/// A value in DER.
fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    let length = u8::try_from(body.len()).unwrap();
    assert!(length < 0x80);
    [&[tag, length], body.as_slice()].concat()
}

/// A key in PKCS#8 that is said to be encrypted, by a key derived in this way (RFC 8018, appendix A.4).
fn sealed_bytes(derivation: &[u8]) -> Vec<u8> {
    let pbes2 = hex("06092a864886f70d01050d");
    let aes = der(
        0x30,
        &[&hex("060960864801650304012a"), &der(4, &[&[1; 16]])],
    );
    let scheme = der(0x30, &[&pbes2, &der(0x30, &[derivation, &aes])]);
    der(0x30, &[&scheme, &der(4, &[&[2; 16]])])
}

fn scrypt_derivation(n: &[u8], r: &[u8], p: &[u8]) -> Vec<u8> {
    let numbers = [der(2, &[n]), der(2, &[r]), der(2, &[p])].concat();
    let options = der(0x30, &[&der(4, &[&[3; 8]]), &numbers]);
    der(0x30, &[&hex("06092b06010401da47040b"), &options])
}

fn pbkdf2_derivation(iterations: &[u8]) -> Vec<u8> {
    let sha256 = der(0x30, &[&hex("06082a864886f70d02090500")]);
    let options = der(
        0x30,
        &[&der(4, &[&[3; 8]]), &der(2, &[iterations]), &sha256],
    );
    der(0x30, &[&hex("06092a864886f70d01050c"), &options])
}

#[test]
fn keys_that_ask_for_too_much_work_are_refused_before_any_is_done() {
    let stage = Stage::new();
    let mut bytes = minisign_bytes();
    bytes[2..4].copy_from_slice(b"Sc");
    bytes[38..54].fill(0xff);
    let mini = stage.write("mini", minisign_text(&bytes));
    let options = [string(b"0123456789abcdef"), vec![0xff; 4]].concat();
    let ssh = [
        b"openssh-key-v1\0".to_vec(),
        string(b"aes256-ctr"),
        string(b"bcrypt"),
        string(&options),
        vec![0, 0, 0, 1],
        string(&[string(b"ssh-ed25519"), string(&hex(PUBLIC))].concat()),
        string(&[0; 64]),
    ]
    .concat();
    let ssh = stage.write("ssh", pem("OPENSSH PRIVATE KEY", &ssh));
    for (path, asked) in [(mini, Use::Minisign), (ssh, Use::Sshsig)] {
        let user = User::typing(Some(CANARY));
        let refused = user.refusal(&in_file(&path, &[asked]));
        assert!(refused.contains("more work"), "{refused}");
        assert_eq!(user.questions(), 0);
    }
}

#[test]
fn derivations_that_are_impossible_or_too_much_are_refused_before_any_work() {
    let stage = Stage::new();
    for (derivation, message, asks) in [
        (scrypt_derivation(&[0], &[8], &[1]), "is damaged", 0),
        (scrypt_derivation(&[16], &[0], &[1]), "is damaged", 0),
        (scrypt_derivation(&[16], &[8], &[0]), "is damaged", 0),
        (scrypt_derivation(&[0x7f; 8], &[8], &[1]), "more work", 0),
        (scrypt_derivation(&[16], &[8], &[127, 0]), "more work", 0),
        (scrypt_derivation(&[17], &[8], &[1]), "does not open", 1),
        (scrypt_derivation(&[16], &[8], &[1]), "does not open", 1),
        (pbkdf2_derivation(&[0]), "is damaged", 0),
        (pbkdf2_derivation(&[0x05; 4]), "more work", 0),
        (pbkdf2_derivation(&[1]), "does not open", 1),
    ] {
        let path = stage.write(
            "k",
            pem("ENCRYPTED PRIVATE KEY", &sealed_bytes(&derivation)),
        );
        let user = User::typing(Some(CANARY));
        let refused = user.refusal(&in_file(&path, &[Use::Raw]));
        assert!(refused.contains(message), "{message}: {refused}");
        assert_eq!(user.questions(), asks, "{refused}");
    }
}

/// A key as bytes, and what makes the text around them.
type Form = (Vec<u8>, fn(&[u8]) -> String);

fn forms() -> [Form; 5] {
    [
        (minisign_bytes(), minisign_text),
        (openssh_ed25519(), |bytes| pem("OPENSSH PRIVATE KEY", bytes)),
        (pkcs8_bytes(), |bytes| pem("PRIVATE KEY", bytes)),
        (
            sealed_bytes(&scrypt_derivation(&[16], &[8], &[1])),
            |bytes| pem("ENCRYPTED PRIVATE KEY", bytes),
        ),
        (sealed_bytes(&pbkdf2_derivation(&[9])), |bytes| {
            pem("ENCRYPTED PRIVATE KEY", bytes)
        }),
    ]
}

/// Somebody who may write where signatures are remembered has each one user's words read by the next.
#[test]
fn a_signature_with_anything_around_it_is_refused() {
    let stage = Stage::new();
    for (bytes, text, envelope) in [
        (
            openssh_ed25519(),
            (|bytes| pem("OPENSSH PRIVATE KEY", bytes)) as fn(&[u8]) -> String,
            sshsig("file"),
        ),
        (minisign_bytes(), minisign_text, minisign("a")),
    ] {
        let path = stage.write("k", text(&bytes));
        let key = User::typing(None).unlock(&in_file(&path, &[envelope.asks()]));
        let signature = key.sign(&envelope, &content("a")).unwrap();
        let verify = |signature: &[u8]| {
            key.public_key()
                .verify(&envelope, &content("a"), signature)
                .is_ok()
        };
        assert!(verify(&signature));
        let signature = String::from_utf8(signature).unwrap();
        for other in [
            format!("#!/bin/sh\necho taken along\n{signature}"),
            format!("\n{signature}"),
            format!("{signature}\n"),
            format!("{signature}more\n"),
            signature.trim_end().to_owned(),
            signature.replace('\n', "\r\n"),
        ] {
            assert!(!verify(other.as_bytes()), "{other:?}");
        }
    }
}

fn try_all(stage: &Stage, text: impl AsRef<[u8]>) {
    let path = stage.write("k", text);
    let user = User::typing(Some("p"));
    for asked in [Use::Minisign, Use::Sshsig, Use::Raw] {
        let spec = in_file(&path, &[asked]);
        let _ = user.signers.public_key(&spec);
        let _ = user.signers.unlock(&spec);
    }
}

#[test]
fn no_beginning_of_a_key_is_too_short_to_be_refused() {
    let stage = Stage::new();
    for (bytes, text) in forms() {
        for length in 0..bytes.len() {
            let path = stage.write("k", text(&bytes[..length]));
            User::typing(None).refusal(&in_file(&path, &[Use::Sshsig]));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn no_file_is_too_odd_to_be_refused(
        bytes: Vec<u8>,
        label in "(OPENSSH |ENCRYPTED |RSA |)PRIVATE KEY",
    ) {
        let stage = Stage::new();
        try_all(&stage, &bytes);
        try_all(&stage, pem(&label, &bytes));
        try_all(&stage, minisign_text(&bytes));
    }

    #[test]
    fn no_change_of_a_key_is_too_odd_to_be_judged(place: usize, value: u8, form in 0..5_usize) {
        let (mut bytes, text) = forms()[form].clone();
        let place = place % bytes.len();
        // A key of minisign's that asks for its gibibyte is allowed to have it, but not in each case here.
        prop_assume!(form != 0 || !(2..4).contains(&place));
        bytes[place] = value;
        try_all(&Stage::new(), text(&bytes));
    }

    #[test]
    fn no_signature_is_too_odd_to_be_refused(bytes: Vec<u8>, text: String) {
        let key: PublicKey = "RWQAAAAAAAAAANdamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea"
            .parse()
            .unwrap();
        let armored = pem("SSH SIGNATURE", &[b"SSHSIG", bytes.as_slice()].concat());
        for envelope in [minisign("a"), sshsig("file"), PSS] {
            for signature in [bytes.as_slice(), text.as_bytes(), armored.as_bytes()] {
                prop_assert!(key.verify(&envelope, &content("a"), signature).is_err());
            }
        }
    }

    #[test]
    fn pieces_make_the_digests_of_the_whole(pieces: Vec<Vec<u8>>) {
        let mut digester = Digester::new();
        pieces.iter().for_each(|piece| digester.update(piece));
        let whole = fetchhost_keys::ContentDigests::read(pieces.concat().as_slice()).unwrap();
        prop_assert_eq!(digester.finish(), whole);
    }
}
