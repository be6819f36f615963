//! Keys in PKCS#8 and bare signatures, against `openssl`.

use fetchhost_keys::{Content, PublicKey, SignError};
use fetchhost_policy::Use;

use crate::support::{CANARY, PKCS1, PSS, Stage, User, content, have, in_file, shown, sshsig};

const TEXT: &str = "hello, openssl\n";

const KINDS: [&[&str]; 3] = [
    &["-algorithm", "ED25519"],
    &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
    &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:3072"],
];

const ED25519: [&str; 9] = [
    "pkeyutl", "-verify", "-pubin", "-inkey", "k.pub", "-rawin", "-sigfile", "sig", "-in",
];

const DIGEST: [&str; 6] = ["dgst", "-sha256", "-verify", "k.pub", "-signature", "sig"];

const PSS_OPTIONS: [&str; 4] = [
    "-sigopt",
    "rsa_padding_mode:pss",
    "-sigopt",
    "rsa_pss_saltlen:32",
];

fn make(stage: &Stage, kind: &[&str]) -> PublicKey {
    let arguments = [&["genpkey", "-out", "k"], kind].concat();
    stage.succeed("openssl", &arguments, b"");
    public(stage)
}

fn public(stage: &Stage) -> PublicKey {
    let arguments = ["pkey", "-in", "k", "-pubout", "-out", "k.pub"];
    stage.succeed("openssl", &arguments, b"");
    stage.text("k.pub").parse().unwrap()
}

#[test]
fn openssl_verifies_what_is_signed_and_nothing_else() {
    if !have(
        "openssl_verifies_what_is_signed_and_nothing_else",
        &["openssl"],
    ) {
        return;
    }
    let stage = Stage::new();
    stage.write("f", TEXT);
    stage.write("other", "hello");
    let dgst = |more: &[&'static str]| [&DIGEST[..], more].concat();
    for (kind, envelope, command) in [
        (KINDS[0], &PSS, ED25519.to_vec()),
        (KINDS[1], &PSS, dgst(&[])),
        (KINDS[2], &PKCS1, dgst(&[])),
        (KINDS[2], &PSS, dgst(&PSS_OPTIONS)),
    ] {
        let public = make(&stage, kind);
        let spec = in_file(&stage.path("k"), &[Use::Raw]);
        let key = User::typing(None).unlock(&spec);
        assert_eq!(&public, key.public_key());
        let file = std::fs::File::open(stage.path("f")).unwrap();
        let signed = Content::of_file(file).unwrap();
        let signature = key.sign(envelope, &signed).unwrap();
        stage.write("sig", &signature);
        stage.succeed("openssl", &[&command[..], &["f"]].concat(), b"");
        public.verify(envelope, &signed, &signature).unwrap();

        stage.refuse("openssl", &[&command[..], &["other"]].concat(), b"");
        assert!(
            public
                .verify(envelope, &content("hello"), &signature)
                .is_err()
        );
        for place in [0, signature.len() / 2, signature.len() - 1] {
            let mut forged = signature.clone();
            forged[place] ^= 1;
            assert!(public.verify(envelope, &signed, &forged).is_err());
        }
        let other = make(&stage, kind);
        assert!(other.verify(envelope, &signed, &signature).is_err());
        stage.refuse("openssl", &[&command[..], &["f"]].concat(), b"");
    }
}

#[test]
fn a_signature_of_openssls_own_is_verified_and_another_padding_is_not() {
    let test = "a_signature_of_openssls_own_is_verified_and_another_padding_is_not";
    if !have(test, &["openssl"]) {
        return;
    }
    let stage = Stage::new();
    stage.write("f", TEXT);
    let public = make(&stage, KINDS[2]);
    let sign = ["dgst", "-sha256", "-sign", "k", "f"];
    let pkcs1 = stage.succeed("openssl", &sign, b"");
    public.verify(&PKCS1, &content(TEXT), &pkcs1).unwrap();
    assert!(public.verify(&PSS, &content(TEXT), &pkcs1).is_err());
    let sign = [&sign[..4], &PSS_OPTIONS, &["f"]].concat();
    let pss = stage.succeed("openssl", &sign, b"");
    public.verify(&PSS, &content(TEXT), &pss).unwrap();
    assert!(public.verify(&PKCS1, &content(TEXT), &pss).is_err());
}

#[test]
fn encrypted_keys_are_opened_by_their_passphrase_alone() {
    let test = "encrypted_keys_are_opened_by_their_passphrase_alone";
    if !have(test, &["openssl"]) {
        return;
    }
    let stage = Stage::new();
    for (kind, how) in [
        (KINDS[0], &["-v2", "aes-256-cbc"][..]),
        (KINDS[1], &["-v2", "aes-128-cbc", "-iter", "5000"]),
        (KINDS[1], &["-scrypt"]),
        (
            KINDS[2],
            &["-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA512"],
        ),
    ] {
        let public = make(&stage, kind);
        let pass = format!("pass:{CANARY}");
        let arguments = [
            "pkcs8", "-topk8", "-in", "k", "-out", "e", "-passout", &pass,
        ];
        stage.succeed("openssl", &[&arguments[..], how].concat(), b"");
        let spec = in_file(&stage.write("e", stage.text("e")), &[Use::Raw, Use::Sshsig]);
        let user = User::typing(Some(CANARY));
        let locked = user.signers.public_key(&spec).unwrap_err();
        assert!(shown(&locked).contains("`public-key`"), "{locked}");
        let key = user.unlock(&spec);
        assert_eq!(&public, key.public_key());
        assert_eq!(user.signers.public_key(&spec).unwrap(), public);
        let signature = key.sign(&sshsig("file"), &content(TEXT)).unwrap();
        public
            .verify(&sshsig("file"), &content(TEXT), &signature)
            .unwrap();
        let refused = User::typing(Some("canary-wrong")).refusal(&spec);
        assert!(refused.contains("does not open"), "{how:?}: {refused}");
    }
}

#[test]
fn keys_that_cannot_be_used_say_why() {
    if !have("keys_that_cannot_be_used_say_why", &["openssl"]) {
        return;
    }
    let stage = Stage::new();
    let refusal = |arguments: &[&str]| {
        stage.succeed("openssl", arguments, b"");
        User::typing(Some(CANARY))
            .refusal(&in_file(&stage.write("k", stage.text("k")), &[Use::Raw]))
    };
    let generate = ["genpkey", "-out", "k", "-algorithm"];
    for (how, message) in [
        (
            &["RSA", "-pkeyopt", "rsa_keygen_bits:2048"][..],
            "2048 bits",
        ),
        (
            &["EC", "-pkeyopt", "ec_paramgen_curve:P-384"],
            "EC 1.3.132.0.34",
        ),
        (&["X25519"], "1.3.101.110"),
    ] {
        let refused = refusal(&[&generate[..], how].concat());
        assert!(refused.contains(message), "{refused}");
    }
    stage.succeed("openssl", &[&generate[..], &["ED25519"]].concat(), b"");
    for cipher in [["-v2", "des3"], ["-v1", "PBE-SHA1-3DES"]] {
        let seal = ["pkcs8", "-topk8", "-in", "k", "-out", "e", "-passout"];
        let pass = format!("pass:{CANARY}");
        stage.succeed("openssl", &[&seal[..], &[&pass], &cipher].concat(), b"");
        let sealed = in_file(&stage.write("e", stage.text("e")), &[Use::Raw]);
        let refused = User::typing(Some(CANARY)).refusal(&sealed);
        assert!(refused.contains("encrypted in a way"), "{refused}");
    }
    let refused = refusal(&[
        "ecparam",
        "-genkey",
        "-name",
        "prime256v1",
        "-noout",
        "-out",
        "k",
    ]);
    assert!(refused.contains("`EC PRIVATE KEY`"), "{refused}");
    assert!(refused.contains("pkcs8 -topk8"), "{refused}");
}

#[test]
fn what_another_protocol_would_take_is_not_signed() {
    if !have(
        "what_another_protocol_would_take_is_not_signed",
        &["openssl"],
    ) {
        return;
    }
    let stage = Stage::new();
    for kind in KINDS {
        make(&stage, kind);
        let key = User::typing(None).unlock(&in_file(&stage.path("k"), &[Use::Raw]));
        let login = [&[0, 0, 0, 32][..], &[9; 32], &[50, 0, 0, 0, 4], b"root"].concat();
        for refused in [
            &login[..],
            b"SSHSIG\0\0\0\x04file",
            b"1;/nix/store/0c5b8vw40d1178xlpddw65q9gf1h2186-a;sha256:",
        ] {
            let refused = key.sign(&PSS, &Content::of_bytes(refused)).unwrap_err();
            assert!(matches!(refused, SignError::Danger(_)), "{refused}");
            assert!(refused.hint().is_some());
        }
        assert!(key.sign(&PSS, &content("")).is_ok());
    }
}
