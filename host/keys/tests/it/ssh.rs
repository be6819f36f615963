//! OpenSSH's keys and signatures, against `ssh-keygen`.

use fetchhost_keys::PublicKey;
use fetchhost_policy::Use;

use crate::support::{CANARY, Stage, User, content, have, in_file, sshsig};

const TEXT: &str = "hello, ssh\n";

const KINDS: [(&str, &str); 3] = [("ed25519", "256"), ("ecdsa", "256"), ("rsa", "3072")];

/// Makes a key `k` and lets `ssh-keygen` know it as `me`.
fn make(stage: &Stage, (kind, bits): (&str, &str), more: &[&str]) -> PublicKey {
    for old in ["k", "k.pub"] {
        let _ = std::fs::remove_file(stage.path(old));
    }
    let arguments = ["-q", "-t", kind, "-b", bits, "-f", "k", "-C", "a comment"];
    stage.succeed("ssh-keygen", &[&arguments[..], more].concat(), b"");
    let line = stage.text("k.pub");
    stage.write("allowed", format!("me {line}"));
    line.parse().unwrap()
}

const VERIFY: [&str; 7] = ["-Y", "verify", "-f", "allowed", "-I", "me", "-s"];

#[test]
fn ssh_keygen_verifies_what_is_signed_and_nothing_else() {
    if !have(
        "ssh_keygen_verifies_what_is_signed_and_nothing_else",
        &["ssh-keygen"],
    ) {
        return;
    }
    let stage = Stage::new();
    for kind in KINDS {
        let public = make(&stage, kind, &["-N", ""]);
        let key = User::typing(None).unlock(&in_file(&stage.path("k"), &[Use::Sshsig]));
        assert_eq!(&public, key.public_key());
        let envelope = sshsig("release@example.com");
        let signature = key.sign(&envelope, &content(TEXT)).unwrap();
        public
            .verify(&envelope, &content(TEXT), &signature)
            .unwrap();
        stage.write("sig", &signature);
        let ask = |namespace| [&VERIFY[..], &["sig", "-n", namespace]].concat();
        stage.succeed("ssh-keygen", &ask("release@example.com"), TEXT.as_bytes());

        stage.refuse("ssh-keygen", &ask("release@example.com"), b"hello");
        stage.refuse("ssh-keygen", &ask("git"), TEXT.as_bytes());
        assert!(
            public
                .verify(&envelope, &content("hello"), &signature)
                .is_err()
        );
        let refused = public.verify(&sshsig("git"), &content(TEXT), &signature);
        assert!(
            refused
                .unwrap_err()
                .to_string()
                .contains("another namespace")
        );
        let other = make(&stage, kind, &["-N", ""]);
        stage.refuse("ssh-keygen", &ask("release@example.com"), TEXT.as_bytes());
        let refused = other.verify(&envelope, &content(TEXT), &signature);
        assert!(refused.unwrap_err().to_string().contains("another key"));
    }
}

#[test]
fn a_signature_of_ssh_keygens_own_is_verified() {
    if !have(
        "a_signature_of_ssh_keygens_own_is_verified",
        &["ssh-keygen"],
    ) {
        return;
    }
    let stage = Stage::new();
    stage.write("f", TEXT);
    for kind in KINDS {
        let public = make(&stage, kind, &["-N", ""]);
        let sign = ["-q", "-Y", "sign", "-f", "k", "-n", "file"];
        let theirs = stage.succeed("ssh-keygen", &sign, TEXT.as_bytes());
        public
            .verify(&sshsig("file"), &content(TEXT), &theirs)
            .unwrap();
        // Of the other digest, which is never made here.
        let old = [&sign[..], &["-O", "hashalg=sha256"]].concat();
        let theirs = stage.succeed("ssh-keygen", &old, TEXT.as_bytes());
        assert!(
            public
                .verify(&sshsig("file"), &content(TEXT), &theirs)
                .is_err()
        );
    }
}

#[test]
fn encrypted_keys_are_opened_whatever_their_cipher() {
    if !have(
        "encrypted_keys_are_opened_whatever_their_cipher",
        &["ssh-keygen"],
    ) {
        return;
    }
    let stage = Stage::new();
    for (kind, cipher) in [
        (KINDS[0], "aes256-ctr"),
        (KINDS[0], "aes256-cbc"),
        (KINDS[0], "aes256-gcm@openssh.com"),
        (KINDS[0], "chacha20-poly1305@openssh.com"),
        (KINDS[1], "aes256-ctr"),
        (KINDS[2], "aes128-ctr"),
    ] {
        let public = make(&stage, kind, &["-N", CANARY, "-Z", cipher]);
        let spec = in_file(&stage.path("k"), &[Use::Sshsig]);
        // The public half is in clear.
        let user = User::typing(Some(CANARY));
        assert_eq!(user.signers.public_key(&spec).unwrap(), public);
        assert_eq!(user.questions(), 0);
        let key = user.unlock(&spec);
        let signature = key.sign(&sshsig("file"), &content(TEXT)).unwrap();
        public
            .verify(&sshsig("file"), &content(TEXT), &signature)
            .unwrap();
        let refused = User::typing(Some("canary-wrong")).refusal(&spec);
        assert!(refused.contains("does not open"), "{cipher}: {refused}");
        let refused = User::typing(None).refusal(&spec);
        assert!(refused.contains("no terminal"), "{cipher}: {refused}");
    }
}

#[test]
fn keys_that_cannot_be_used_say_why() {
    if !have("keys_that_cannot_be_used_say_why", &["ssh-keygen"]) {
        return;
    }
    let stage = Stage::new();
    let spec = in_file(&stage.path("k"), &[Use::Sshsig]);
    for (kind, bits, message) in [("rsa", "2048", "2048 bits"), ("ecdsa", "384", "nistp384")] {
        let arguments = ["-q", "-t", kind, "-b", bits, "-f", "k", "-N", ""];
        stage.succeed("ssh-keygen", &arguments, b"y\n");
        let refused = User::typing(None).refusal(&spec);
        assert!(refused.contains(message), "{refused}");
        for old in ["k", "k.pub"] {
            std::fs::remove_file(stage.path(old)).unwrap();
        }
    }
}
