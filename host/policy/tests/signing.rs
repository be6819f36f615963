//! Which key signs for which module, and by whose word.
#![allow(clippy::unwrap_used, missing_docs)]

use std::path::Path;

use fetchhost_policy::describe::{Description, FetcherDescription};
use fetchhost_policy::{
    Config, Consent, DenialKind, Leave, ModuleId, PolicyError, SigningPolicy, SlotName, Use,
};
use serde_json::{Map, Value, json};

const KEYS: &str = r#"
[key.release]
source = { file = "/keys/release" }
use = ["minisign", "sshsig"]

[key.other]
source = { file = "/keys/other" }
use = ["raw"]
"#;

fn description() -> FetcherDescription {
    let document = json!({
        "version": "1",
        "fetchers": { "signer": {
            "summary": "signs",
            "parameters": {
                "type": "object",
                "properties": { "key-id": { "type": "string" } },
            },
            "inputs": { "content": { "summary": "the file" } },
            "keys": { "key": {
                "summary": "the key",
                "parameter": "key-id",
                "envelopes": ["minisign", "sshsig"],
            } },
            "output": [{ "mode": "flat", "name": "signature" }],
        } },
    });
    let mut description = Description::parse(document.to_string().as_bytes()).unwrap();
    description.fetchers.remove("signer").unwrap()
}

fn config(text: &str) -> Config {
    let parsed = Config::parse(&format!("{KEYS}{text}"), Path::new("/c.toml")).unwrap();
    Config::merge(Config::default(), parsed).unwrap()
}

fn builtin() -> ModuleId {
    "builtin:signer".parse().unwrap()
}

fn other() -> ModuleId {
    ModuleId::Digest([7; 32])
}

fn grant(module: &ModuleId, lines: &str) -> String {
    format!("[[grant]]\nmodule = \"{module}\"\n{lines}\n")
}

fn params(key: &str) -> Map<String, Value> {
    Map::from_iter([("key-id".to_owned(), json!(key))])
}

/// `run`, with the key's name typed or not.
fn run(is_typed: bool) -> Consent {
    Consent {
        keys: is_typed.then(|| "key-id".to_owned()).into_iter().collect(),
        ..Consent::default()
    }
}

fn policy(module: ModuleId, config: &Config, consent: Option<&Consent>) -> SigningPolicy {
    SigningPolicy::new(module, &description(), &params("release"), config, consent).unwrap()
}

fn slot() -> SlotName {
    "key".parse().unwrap()
}

const GRANTED: &str = "keys = { release = [\"minisign\"] }";

/// A key that signs none of the first envelope has nothing to do with why it may not sign the others.
#[test]
fn a_refusal_of_all_envelopes_is_about_one_that_the_key_is_for() {
    let config = config("[key.ssh]\nsource = { file = \"/keys/ssh\" }\nuse = [\"sshsig\"]\n");
    let refused = |consent: Option<&Consent>| {
        SigningPolicy::new(builtin(), &description(), &params("ssh"), &config, consent)
            .unwrap()
            .check()
            .unwrap_err()
    };
    let denial = refused(Some(&run(false)));
    assert!(
        denial.to_string().contains("for `sshsig`: no grant"),
        "{denial}"
    );
    assert!(denial.hint().unwrap().contains("--key-id ssh"));
    let denial = refused(None);
    assert!(
        denial
            .hint()
            .unwrap()
            .contains("keys = { ssh = [\"sshsig\"] }")
    );
}

#[test]
fn who_may_sign_follows_from_who_said_so() {
    let typed = run(true);
    let from_file = run(false);
    let granted = |module: &ModuleId| config(&grant(module, GRANTED));
    let bare = config("");
    let leave = |module: ModuleId, config: &Config, consent| {
        let policy = policy(module, config, consent);
        policy
            .judge(&slot(), Use::Minisign)
            .map(|permit| permit.leave)
    };
    // What was typed is said by a person, of the program's own module without a grant.
    assert_eq!(leave(builtin(), &bare, Some(&typed)), Ok(Leave::Sign));
    assert_eq!(
        leave(other(), &granted(&other()), Some(&typed)),
        Ok(Leave::Sign)
    );
    let denial = leave(other(), &bare, Some(&typed)).unwrap_err();
    assert_eq!(denial.kind(), DenialKind::Key);
    // What stands in a file that somebody else may have written is approved by its digest.
    for module in [builtin(), other()] {
        let denial = leave(module.clone(), &bare, Some(&from_file)).unwrap_err();
        let flags: &[_] = if module == builtin() {
            &["--key-id release"]
        } else {
            &[]
        };
        assert_eq!(denial.flags(), flags);
        let granted = granted(&module);
        assert_eq!(
            leave(module.clone(), &granted, Some(&from_file)),
            Ok(Leave::SignApproved)
        );
        // What an expression names is looked up, and never signed.
        assert!(leave(module.clone(), &bare, None).is_err());
        assert_eq!(leave(module, &granted, None), Ok(Leave::LookUp));
    }
    // Nor is another module's grant its own.
    assert!(leave(builtin(), &granted(&other()), None).is_err());
}

#[test]
fn a_grant_binds_the_envelope_too() {
    let config = config(&grant(&other(), GRANTED));
    let typed = run(true);
    let policy = policy(other(), &config, Some(&typed));
    assert!(policy.judge(&slot(), Use::Minisign).is_ok());
    let denial = policy.judge(&slot(), Use::Sshsig).unwrap_err();
    assert!(
        denial.hint().unwrap().contains("add `sshsig` to `keys`"),
        "{denial:?}"
    );
    policy.check().unwrap();
    // Raw is neither declared nor is the key for it.
    assert_eq!(
        policy.judge(&slot(), Use::Raw).unwrap_err().kind(),
        DenialKind::NotDeclared
    );
    assert!(
        policy
            .judge(&"token".parse().unwrap(), Use::Minisign)
            .is_err()
    );
}

#[test]
fn a_denial_has_the_lines_that_would_allow_it() {
    let denial = policy(other(), &config(""), None)
        .judge(&slot(), Use::Minisign)
        .unwrap_err();
    let lines = denial.config_lines().unwrap();
    assert_eq!(
        lines,
        format!(
            "[[grant]]\nmodule = \"sha256:{}\"\nkeys = {{ release = [\"minisign\"] }}\n",
            "07".repeat(32)
        )
    );
    let allowed = config(lines);
    policy(other(), &allowed, None)
        .judge(&slot(), Use::Minisign)
        .unwrap();
}

#[test]
fn a_key_signs_what_it_is_for() {
    let description = description();
    let typed = run(true);
    let config = config("");
    let policy = SigningPolicy::new(
        builtin(),
        &description,
        &params("other"),
        &config,
        Some(&typed),
    )
    .unwrap();
    let denial = policy.check().unwrap_err();
    assert!(
        denial
            .to_string()
            .contains("the key `other` is for `raw`, and not for `minisign`")
    );
}

#[test]
fn the_administrator_has_the_last_word() {
    let user = Config::parse(
        &format!("{KEYS}{}", grant(&builtin(), GRANTED)),
        Path::new("/u.toml"),
    )
    .unwrap();
    let merged = |admin: &str| {
        let admin = Config::parse(admin, Path::new("/a.toml")).unwrap();
        Config::merge(admin, user.clone()).unwrap()
    };
    let typed = run(true);
    let judge = |config: &Config| {
        policy(builtin(), config, Some(&typed))
            .judge(&slot(), Use::Minisign)
            .map(|permit| permit.leave)
    };
    let denied = merged("[[deny]]\nmodules = [\"builtin:signer\"]\n");
    assert_eq!(
        judge(&denied).unwrap_err().kind(),
        DenialKind::Administrator
    );
    // A denied host denies no signing.
    let host =
        merged("[[deny]]\nmodules = [\"builtin:signer\"]\norigins = [\"https://a.example\"]\n");
    assert_eq!(judge(&host), Ok(Leave::Sign));
    // What is typed says nothing then.
    let silent = merged("argv-consent = false\n");
    assert_eq!(judge(&silent), Ok(Leave::SignApproved));
    let locked = merged("locked = true\n");
    let error = SigningPolicy::new(
        builtin(),
        &description(),
        &params("release"),
        &locked,
        Some(&typed),
    )
    .unwrap_err();
    assert!(matches!(error, PolicyError::UnknownKey { .. }), "{error}");
}

#[test]
fn keys_that_are_none_are_told() {
    let new = |key: &str| {
        SigningPolicy::new(builtin(), &description(), &params(key), &config(""), None).unwrap_err()
    };
    let error = new("relaese");
    assert_eq!(error.to_string(), "no key `relaese` is configured");
    assert_eq!(error.hint().unwrap(), "did you mean `release`?");
    let error = new("../key");
    assert!(error.to_string().contains("is not a key name"), "{error}");
    // Not named at all: nothing to be allowed, and nothing is.
    let policy =
        SigningPolicy::new(builtin(), &description(), &Map::new(), &config(""), None).unwrap();
    policy.check().unwrap();
    let denial = policy.judge(&slot(), Use::Minisign).unwrap_err();
    assert!(denial.to_string().contains("no key was named"), "{denial}");
}

#[test]
fn domains_are_granted_and_each_module_has_its_own() {
    let of = |config: &Config, module: ModuleId| {
        let policy = policy(module, config, None);
        let permit = policy.judge(&slot(), Use::Minisign).unwrap();
        permit.domain.to_string()
    };
    let shared = format!("{GRANTED}\ndomain = \"acme\"");
    assert_eq!(
        of(&config(&grant(&builtin(), GRANTED)), builtin()),
        "builtin:signer"
    );
    assert_eq!(
        of(&config(&grant(&other(), GRANTED)), other()),
        format!("sha256:{}", "07".repeat(32))
    );
    assert_eq!(of(&config(&grant(&other(), &shared)), other()), "acme");
}
