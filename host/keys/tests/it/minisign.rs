//! minisign's keys and signatures, against the program itself.

use fetchhost_keys::PublicKey;
use fetchhost_policy::Use;

use crate::support::{CANARY, Stage, User, content, have, in_file, minisign};

const TEXT: &str = "hello, minisign\n";

fn verify<'a>(public: &'a str, file: &'a str) -> [&'a str; 7] {
    ["-V", "-q", "-p", public, "-m", file, "-x"]
}

#[test]
fn minisign_verifies_what_is_signed_and_nothing_else() {
    if !have(
        "minisign_verifies_what_is_signed_and_nothing_else",
        &["minisign"],
    ) {
        return;
    }
    let stage = Stage::new();
    for name in ["ours", "theirs"] {
        let (public, secret) = (format!("{name}.pub"), format!("{name}.key"));
        stage.succeed("minisign", &["-G", "-W", "-p", &public, "-s", &secret], b"");
    }
    let user = User::typing(None);
    let key = user.unlock(&in_file(&stage.path("ours.key"), &[Use::Minisign]));
    let envelope = minisign("version:1 für alle");
    let signature = key.sign(&envelope, &content(TEXT)).unwrap();
    stage.write("f", TEXT);
    stage.write("other", "hello\n");
    stage.write("f.sig", &signature);
    let said = stage.succeed(
        "minisign",
        &["-V", "-Q", "-p", "ours.pub", "-m", "f", "-x", "f.sig"],
        b"",
    );
    assert_eq!(String::from_utf8(said).unwrap(), "version:1 für alle\n");

    let public: PublicKey = stage.text("ours.pub").parse().unwrap();
    assert_eq!(&public, key.public_key());
    public
        .verify(&envelope, &content(TEXT), &signature)
        .unwrap();

    // Another content, another key, another comment.
    let with = |start: [&'static str; 7], file: &'static str| [&start[..], &[file]].concat();
    stage.refuse("minisign", &with(verify("ours.pub", "other"), "f.sig"), b"");
    stage.refuse("minisign", &with(verify("theirs.pub", "f"), "f.sig"), b"");
    assert!(
        public
            .verify(&envelope, &content("hello\n"), &signature)
            .is_err()
    );
    let theirs: PublicKey = stage.text("theirs.pub").parse().unwrap();
    assert!(
        theirs
            .verify(&envelope, &content(TEXT), &signature)
            .is_err()
    );
    let forged = String::from_utf8(signature.clone())
        .unwrap()
        .replace("version:1", "version:2");
    stage.write("forged.sig", &forged);
    stage.refuse(
        "minisign",
        &with(verify("ours.pub", "f"), "forged.sig"),
        b"",
    );
    for told in ["version:1 für alle", "version:2 für alle"] {
        let refused = public.verify(&minisign(told), &content(TEXT), forged.as_bytes());
        assert!(refused.is_err(), "{told}");
    }
    // A valid one, but not the one that was asked for.
    let refused = public.verify(&minisign("version:2"), &content(TEXT), &signature);
    assert!(refused.unwrap_err().to_string().contains("other comments"));
}

#[test]
fn a_signature_of_minisigns_own_is_verified() {
    if !have("a_signature_of_minisigns_own_is_verified", &["minisign"]) {
        return;
    }
    let stage = Stage::new();
    stage.succeed("minisign", &["-G", "-W", "-p", "k.pub", "-s", "k.key"], b"");
    stage.write("f", TEXT);
    let sign = ["-S", "-s", "k.key", "-m", "f", "-t", "a b", "-c"];
    stage.succeed(
        "minisign",
        &[&sign[..], &["signature of a test"]].concat(),
        b"",
    );
    let public: PublicKey = stage.text("k.pub").parse().unwrap();
    let signature = stage.text("f.minisig");
    public
        .verify(&minisign("a b"), &content(TEXT), signature.as_bytes())
        .unwrap();
    let key = User::typing(None).unlock(&in_file(&stage.path("k.key"), &[Use::Minisign]));
    let ours = key.sign(&minisign("a b"), &content(TEXT)).unwrap();
    assert_eq!(String::from_utf8(ours).unwrap(), signature);
}

#[test]
fn a_key_with_a_password_is_opened_by_it() {
    if !have("a_key_with_a_password_is_opened_by_it", &["minisign"]) {
        return;
    }
    let stage = Stage::new();
    stage.succeed(
        "minisign",
        &["-G", "-p", "k.pub", "-s", "k.key"],
        format!("{CANARY}\n{CANARY}\n").as_bytes(),
    );
    let spec = in_file(&stage.path("k.key"), &[Use::Minisign]);
    let refused = User::typing(None).refusal(&spec);
    assert!(refused.contains("no terminal"), "{refused}");

    let user = User::typing(Some(CANARY));
    let key = user.unlock(&spec);
    let public: PublicKey = stage.text("k.pub").parse().unwrap();
    assert_eq!(&public, key.public_key());
    // Once for the life of the process.
    user.unlock(&spec);
    assert_eq!(user.questions(), 1);
    assert!(!format!("{key:?} {:?}", user.signers).contains("canary"));
}
