//! Keys on a token: SoftHSM, whose keys are made on it and never leave it.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use fetchhost_keys::{Envelope, PublicKey, TokenProblem};
use fetchhost_policy::{KeySource, KeySpec, Pin, Use};

use crate::{
    skip::skip,
    support::{CANARY, PKCS1, PSS, Stage, User, content, have, shown, spec, sshsig},
};

const TEXT: &str = "hello, token\n";

/// Set where a test runs in a process of its own: SoftHSM is told by the environment where its tokens are.
const INNER: &str = "SOFTHSM2_CONF";

fn library() -> Option<PathBuf> {
    let places = [
        "/usr/lib/softhsm/libsofthsm2.so",
        "/usr/lib64/softhsm/libsofthsm2.so",
        "/usr/local/lib/softhsm/libsofthsm2.so",
    ];
    let mut found = places.iter().map(PathBuf::from);
    found.find(|place| place.is_file())
}

/// Runs the test of this name again, in a process of its own with a token of its own.
fn with_token(name: &str, keys: &[(&str, &str)]) {
    if !have(name, &["softhsm2-util", "pkcs11-tool", "openssl"]) {
        return;
    }
    let Some(library) = library() else {
        skip(name, "there is no library of SoftHSM's");
        return;
    };
    let stage = Stage::new();
    std::fs::create_dir(stage.path("tokens")).unwrap();
    let folder = stage.path("tokens").display().to_string();
    let configuration = stage.write("conf", format!("directories.tokendir = {folder}\n"));
    let run = |program: &str, arguments: &[&str]| {
        let output = Command::new(program)
            .args(arguments)
            .env(INNER, &configuration)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{program} {arguments:?}: {said}");
    };
    let start = [
        "--init-token",
        "--free",
        "--label",
        "ours",
        "--so-pin",
        "0000",
    ];
    run("softhsm2-util", &[&start[..], &["--pin", CANARY]].concat());
    let module = library.to_str().unwrap();
    for (label, kind) in keys {
        let id = format!("{:02x}", label.len());
        run(
            "pkcs11-tool",
            &[
                "--module",
                module,
                "--token-label",
                "ours",
                "--login",
                "--pin",
                CANARY,
                "--keypairgen",
                "--key-type",
                kind,
                "--label",
                label,
                "--id",
                &id,
                "--usage-sign",
            ],
        );
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("token::{name}"), "--nocapture"])
        .env(INNER, &configuration)
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let has_run = output.status.success() && said.contains("1 passed");
    assert!(has_run, "{name} in a process of its own: {said}");
}

fn inner() -> bool {
    std::env::var_os(INNER).is_some()
}

fn on_token(token: &str, key: &str, pin: Pin) -> KeySpec {
    let source = KeySource::Pkcs11 {
        library: library().unwrap(),
        token: token.to_owned(),
        key: key.to_owned(),
        pin,
    };
    spec(source, &[Use::Sshsig, Use::Raw])
}

fn judge(stage: &Stage, public: &PublicKey, signature: &[u8], options: &[&str]) {
    stage.write("p", public.to_pem());
    stage.write("f", TEXT);
    stage.write("sig", signature);
    let verify = ["dgst", "-sha256", "-verify", "p", "-signature", "sig"];
    let verify = [&verify[..], options].concat();
    stage.succeed("openssl", &[&verify[..], &["f"]].concat(), b"");
    stage.write("other", "hello");
    stage.refuse("openssl", &[&verify[..], &["other"]].concat(), b"");
}

#[test]
fn a_key_that_never_leaves_its_token_signs() {
    if !inner() {
        let keys = [("elliptic", "EC:prime256v1"), ("rsa-key", "rsa:3072")];
        return with_token("a_key_that_never_leaves_its_token_signs", &keys);
    }
    let stage = Stage::new();
    let pss = [
        "-sigopt",
        "rsa_padding_mode:pss",
        "-sigopt",
        "rsa_pss_saltlen:32",
    ];
    let user = User::typing(Some(CANARY));
    for (label, envelope, options) in [
        ("elliptic", &PSS, &[][..]),
        ("rsa-key", &PKCS1, &[]),
        ("rsa-key", &PSS, &pss),
    ] {
        let spec = on_token("ours", label, Pin::Ask);
        // Its public half shows without the PIN.
        let public = User::typing(None).signers.public_key(&spec).unwrap();
        let key = user.unlock(&spec);
        assert_eq!(key.public_key(), &public);
        let signature = key.sign(envelope, &content(TEXT)).unwrap();
        public.verify(envelope, &content(TEXT), &signature).unwrap();
        judge(&stage, &public, &signature, options);

        let envelope: Envelope = sshsig("file");
        let signature = key.sign(&envelope, &content(TEXT)).unwrap();
        public
            .verify(&envelope, &content(TEXT), &signature)
            .unwrap();
        assert!(
            public
                .verify(&envelope, &content("hello"), &signature)
                .is_err()
        );
        stage.write("sig", &signature);
        stage.write("allowed", format!("me {}", public.to_openssh()));
        let verify = [
            "-Y", "verify", "-f", "allowed", "-I", "me", "-n", "file", "-s", "sig",
        ];
        stage.succeed("ssh-keygen", &verify, TEXT.as_bytes());
    }
    // Each key once, the PIN of one token for each.
    assert_eq!(user.questions(), 2);

    let pin = stage.write("pin", format!("{CANARY}\n"));
    let variables = [("PIN", CANARY.to_owned())];
    for pin in [Pin::File(pin), Pin::Env("PIN".to_owned())] {
        User::with_variables(None, &variables).unlock(&on_token("ours", "elliptic", pin));
    }
}

#[test]
fn a_token_that_gives_no_key_says_why() {
    if !inner() {
        let keys = [("elliptic", "EC:prime256v1"), ("large", "EC:secp384r1")];
        return with_token("a_token_that_gives_no_key_says_why", &keys);
    }
    let typing = |answer, token, key| User::typing(answer).refusal(&on_token(token, key, Pin::Ask));
    for (refused, message) in [
        (
            typing(Some(CANARY), "theirs", "elliptic"),
            "no token `theirs`",
        ),
        (typing(Some(CANARY), "ours", "none"), "has no key `none`"),
        (
            typing(Some(CANARY), "ours", "large"),
            "neither ECDSA over P-256 nor RSA",
        ),
        (typing(None, "ours", "elliptic"), "wants a PIN"),
    ] {
        assert!(refused.contains(message), "{refused}");
    }
    let refused = User::typing(None).refusal(&on_token("ours", "elliptic", Pin::Env("PIN".into())));
    assert!(refused.contains("`PIN` is not set"), "{refused}");
    let mut elsewhere = on_token("ours", "elliptic", Pin::Ask);
    for path in ["/nowhere/libpkcs11.so", "libsofthsm2.so", "/etc/passwd"] {
        if let KeySource::Pkcs11 { library, .. } = &mut elsewhere.source {
            *library = Path::new(path).to_owned();
        }
        let refused = User::typing(Some(CANARY)).refusal(&elsewhere);
        assert!(refused.contains("cannot be used"), "{refused}");
    }
}

#[test]
fn a_wrong_pin_is_told_and_opens_nothing() {
    if !inner() {
        let keys = [("elliptic", "EC:prime256v1")];
        return with_token("a_wrong_pin_is_told_and_opens_nothing", &keys);
    }
    let spec = on_token("ours", "elliptic", Pin::Ask);
    let user = User::typing(Some("canary-wrong"));
    let error = user.signers.unlock(&spec).unwrap_err();
    let refused = shown(&error);
    assert!(refused.contains("does not open with this PIN"), "{refused}");
    let is_told = matches!(
        error.problem,
        fetchhost_keys::KeyProblem::Token(TokenProblem::WrongPin(_))
    );
    assert!(is_told);
    // A failure is not remembered.
    User::typing(Some(CANARY)).unlock(&spec);
}
