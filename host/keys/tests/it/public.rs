//! Public keys and what they are called.

use fetchhost_keys::PublicKey;
use proptest::prelude::*;

use crate::support::{Stage, have};

#[test]
fn a_key_has_one_fingerprint_in_whatever_form_it_comes() {
    let test = "a_key_has_one_fingerprint_in_whatever_form_it_comes";
    if !have(test, &["openssl", "ssh-keygen"]) {
        return;
    }
    let stage = Stage::new();
    for (name, kind) in [
        ("ed25519", &["-algorithm", "ED25519"][..]),
        (
            "ecdsa-p256",
            &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
        ),
        (
            "rsa",
            &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:3072"],
        ),
    ] {
        stage.succeed("openssl", &[&["genpkey", "-out", "k"], kind].concat(), b"");
        stage.succeed(
            "openssl",
            &["pkey", "-in", "k", "-pubout", "-out", "p"],
            b"",
        );
        let public: PublicKey = stage.text("p").parse().unwrap();
        assert_eq!(public.to_pem(), stage.text("p"));
        let der = stage.succeed(
            "openssl",
            &["pkey", "-pubin", "-in", "p", "-outform", "DER"],
            b"",
        );
        let digest = stage.succeed("openssl", &["dgst", "-sha256", "-r"], &der);
        let digest = String::from_utf8(digest).unwrap();
        let hex = digest.split(' ').next().unwrap();
        assert_eq!(public.fingerprint(), format!("{name}:sha256:{hex}"));

        let line = public.to_openssh();
        let again: PublicKey = line.parse().unwrap();
        assert_eq!(again, public);
        let with_comment: PublicKey = format!("{line} somebody@example.com\n").parse().unwrap();
        assert_eq!(with_comment.fingerprint(), public.fingerprint());
        if name != "ed25519" {
            let pem = ["-i", "-m", "PKCS8", "-f", "p"];
            let theirs = stage.succeed("ssh-keygen", &pem, b"");
            assert_eq!(String::from_utf8(theirs).unwrap().trim_end(), line);
        }
    }
}

#[test]
fn keys_of_minisigns_are_told_apart_by_their_id_too() {
    if !have(
        "keys_of_minisigns_are_told_apart_by_their_id_too",
        &["minisign"],
    ) {
        return;
    }
    let stage = Stage::new();
    stage.succeed("minisign", &["-G", "-W", "-p", "p", "-s", "k"], b"");
    let public: PublicKey = stage.text("p").parse().unwrap();
    let line = stage.text("p").lines().last().unwrap().to_owned();
    assert_eq!(public.to_minisign(), Some(line.clone()));
    assert_eq!(line.parse::<PublicKey>().unwrap(), public);
    let plain: PublicKey = public.to_openssh().parse().unwrap();
    assert!(public.fingerprint().starts_with("minisign-ed25519:sha256:"));
    assert!(plain.fingerprint().starts_with("ed25519:sha256:"));
}

#[test]
fn what_is_no_public_key_is_refused() {
    for text in [
        "",
        "\n",
        "key",
        "ssh-ed25519",
        "ssh-ed25519 AAAA",
        "ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        // A point of small order, under which anything verifies.
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
    ] {
        assert!(text.parse::<PublicKey>().is_err(), "{text}");
    }
}

proptest! {
    #[test]
    fn no_text_is_too_odd_to_be_refused(text: String, words in "(ssh-rsa|ssh-ed25519|ecdsa-sha2-nistp256) [A-Za-z0-9+/]{0,200}={0,2}") {
        let _ = text.parse::<PublicKey>();
        let _ = words.parse::<PublicKey>();
    }
}
