//! What was signed once is the signature for everybody after, whatever has become of the key.

use std::fs;

use fetchhost_e2e::{CommandLine, Nix, files_below};
use serde_json::Value;

use super::user::{
    CONTENT, OPENSSL_ED25519, OPENSSL_P256, OPENSSL_RSA, User, grant, have, key, known,
    minisign_key, sha256,
};

/// Signatures of these come out otherwise each time.
const DIFFERENT_EACH_TIME: [&[&str]; 2] = [OPENSSL_P256, OPENSSL_RSA];

#[test]
fn the_first_signature_stays_without_the_key() {
    if !have("the_first_signature_stays_without_the_key", &["openssl"]) {
        return;
    }
    for kind in [OPENSSL_ED25519, OPENSSL_P256, OPENSSL_RSA] {
        let user = User::new();
        let source = user.openssl_key("k", kind);
        let public = user.text("k.pub");
        user.configure(&known("release", &source, &["raw", "sshsig"], &public));
        let first = user.sign(User::line("raw"));
        let second = user.sign(User::line("sshsig"));
        // Others who remember nothing make others, where the algorithm does.
        let other = User::new();
        other.configure(&known("release", &source, &["raw", "sshsig"], &public));
        let differs = DIFFERENT_EACH_TIME.contains(&kind);
        assert_eq!(other.sign(User::line("raw")) != first, differs);

        fs::remove_file(user.path("k")).unwrap();
        assert_eq!(user.sign(User::line("raw")), first);
        assert_eq!(user.sign(User::line("sshsig")), second);
        // Under another name, and as another file.
        user.write("copy", CONTENT);
        let line = User::line("raw").set("--input", "content=copy");
        assert_eq!(user.sign(line), first);

        // What differs is something else.
        user.write("else", "something else");
        for line in [
            User::line("raw").set("--input", "content=else"),
            User::line("sshsig").with("--namespace", "git"),
        ] {
            user.refuse(line, 2, ["key `release`", "put the key at"]);
        }
        if kind == OPENSSL_RSA {
            let line = User::line("raw").with("--padding", "pkcs1");
            user.refuse(line, 2, ["key `release`"]);
            let line = User::line("raw").with("--padding", "pss");
            assert_eq!(user.sign(line), first);
        }
    }
}

#[test]
fn an_encrypted_key_is_not_asked_for_what_is_remembered() {
    let test = "an_encrypted_key_is_not_asked_for_what_is_remembered";
    if !have(test, &["ssh-keygen"]) {
        return;
    }
    let user = User::new();
    let arguments = ["-q", "-t", "ecdsa", "-b", "256", "-f", "k", "-N", ""];
    user.succeed("ssh-keygen", &arguments, b"");
    user.configure(&key("release", &user.source("k"), &["sshsig"]));
    let first = user.sign(User::line("sshsig"));
    // With a passphrase it is the same key, whose public half shows.
    let lock = ["-q", "-p", "-f", "k", "-P", "", "-N", "a passphrase"];
    user.succeed("ssh-keygen", &lock, b"");
    assert_eq!(user.sign(User::line("sshsig")), first);
    let line = User::line("sshsig").with("--namespace", "git");
    user.refuse(line, 2, ["no terminal"]);
}

#[test]
fn a_second_run_puts_the_same_path_into_a_cache() {
    let user = User::with_minisign();
    let line = User::line("minisign").with("--to", user.sandbox.cache(""));
    let first = user.run(line.clone()).exits(0);
    let path = first.stdout.trim_end();
    assert!(path.ends_with("-signature.minisig"), "{path}");
    let files = user.sandbox.files();
    let second = user.run(line).exits(0);
    assert_eq!(second.stdout, first.stdout);
    assert_eq!(user.sandbox.files(), files);
}

#[test]
fn nix_takes_a_signature_from_the_cache_where_it_is_shared() {
    for nix in Nix::all("nix_takes_a_signature_from_the_cache_where_it_is_shared") {
        let user = User::with_minisign();
        let shared = format!("file://{}", user.at("shared"));
        user.configure(&format!("{}\n[memo]\ncache = {shared:?}\n", user.config()));
        let signature = user.sign(User::line("minisign"));
        let entry = files_below(&user.path("shared/memo"))
            .pop_first()
            .unwrap()
            .1;
        let entry: Value = serde_json::from_slice(&entry).unwrap();
        let path = entry["storePath"].as_str().unwrap();
        // Nobody has signed the path: its name is its content's.
        let words = ["copy", "--from", &shared, path];
        nix.run("nix", words).exits(0);
        assert_eq!(fs::read(nix.physical(path)).unwrap(), signature);
        let files = user.sandbox.files();
        let line = CommandLine::new(["cache", "verify", &shared]);
        user.run(line).exits(0);
        assert_eq!(user.sandbox.files(), files);
    }
}

/// The parts of the record that are about the signature.
#[track_caller]
fn check(signature: &Value, remembered: bool) {
    assert_eq!(signature["key"], "release");
    let fingerprint = signature["fingerprint"].as_str().unwrap();
    assert!(fingerprint.starts_with("minisign-ed25519:sha256:"));
    assert_eq!(signature["format"], "minisign");
    let comment = format!("sha256:{}", sha256(CONTENT));
    assert_eq!(signature["parameters"]["trusted-comment"], comment);
    assert_eq!(signature["remembered"], remembered);
}

#[test]
fn each_use_of_a_key_is_told_recorded_and_attested() {
    let user = User::with_minisign();
    for remembered in [false, true] {
        let statement = user.path("statement.json");
        let (to, _) = user.fresh();
        let line = User::line("minisign")
            .with("--to", to)
            .with("--provenance", statement.display())
            .flag("--json");
        let result = user.run(line).exits(0).json();
        let signed = &result["signatures"][0];
        check(signed, remembered);
        assert_eq!(signed["content"], sha256(CONTENT));
        assert_eq!(signed["memo"].as_str().unwrap().len(), 64);
        assert_eq!(result["signatures"].as_array().unwrap().len(), 1);
        let module = result["moduleDigest"].as_str().unwrap();
        assert_eq!(module.len(), 64);

        let statement: Value = serde_json::from_slice(&fs::read(statement).unwrap()).unwrap();
        let dependencies = &statement["predicate"]["buildDefinition"]["resolvedDependencies"];
        assert_eq!(dependencies[0]["name"], "builtin:signer");
        assert_eq!(dependencies[0]["digest"]["sha256"], module);
        assert_eq!(dependencies[1]["digest"]["sha256"], sha256(CONTENT));
        check(&dependencies[1]["annotations"], remembered);

        let words = CommandLine::new(["log"]);
        let listed = user.run(words).exits(0).stdout;
        let ticket = listed.lines().last().unwrap().split_whitespace().nth(1);
        let words = CommandLine::new(["log", ticket.unwrap()]);
        let record = user.run(words).exits(0).json();
        assert_eq!(record["signatures"], result["signatures"]);
        assert_eq!(record["moduleDigest"], module);
    }
    // The fingerprint is what the public key's file encodes, by anybody's calculation.
    use base64::Engine as _;
    let (_, public) = minisign_key(0);
    let public = base64::engine::general_purpose::STANDARD
        .decode(public)
        .unwrap();
    let words = CommandLine::new(["log"]);
    let listed = user.run(words).exits(0).stdout;
    let ticket = listed.lines().last().unwrap().split_whitespace().nth(1);
    let words = CommandLine::new(["log", ticket.unwrap()]);
    let record = user.run(words).exits(0).json();
    assert_eq!(
        record["signatures"][0]["fingerprint"],
        format!("minisign-ed25519:sha256:{}", sha256(public))
    );
}

#[test]
fn a_refused_signature_is_in_the_record_of_the_run() {
    let user = User::with_minisign();
    let granted = grant("builtin:signer", "release = [\"minisign\"]", "");
    user.configure(&format!("{}\n{granted}", user.config()));
    user.write("params.json", r#"{"key-id":"release","format":"minisign"}"#);
    let line = CommandLine::new(["run", "signer"])
        .with("--params", "params.json")
        .with("--input", "content=content");
    let refused = user.refuse(line, 3, ["approve --key release"]);
    let (_, rest) = refused.stderr.split_once("nix-fetchhost log ").unwrap();
    let ticket = rest.split('`').next().unwrap();
    let record = user.run(CommandLine::new(["log", ticket])).exits(0).json();
    assert_eq!(record["exitCode"], 3);
    assert_eq!(record["module"], "builtin:signer");
    assert_eq!(record["signatures"], serde_json::json!([]));
}
