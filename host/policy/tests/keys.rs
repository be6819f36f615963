//! Keys in the configuration, who is granted them, and what is remembered.
#![allow(clippy::unwrap_used, missing_docs)]

use std::path::Path;
use std::time::Duration;

use fetchhost_policy::{Config, ConfigError, KeySource, Pin, Use};

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("/etc/nix-fetchhost/config.toml"))
}

fn alone(text: &str) -> Result<Config, ConfigError> {
    Config::merge(Config::default(), parse(text).unwrap())
}

const KEY: &str = "[key.release]\nsource = { file = \"release.key\" }\nuse = [\"minisign\"]\n";

fn grant(lines: &str) -> String {
    format!("[[grant]]\nmodule = \"builtin:signer\"\n{lines}\n")
}

#[test]
fn every_kind_of_source_is_read() {
    let source = |text: &str| {
        let key = format!("[key.k]\nsource = {{ {text} }}\nuse = [\"raw\"]\n");
        parse(&key).map(|config| config.keys[&"k".parse().unwrap()].source.clone())
    };
    assert_eq!(
        source("file = \"k\"").unwrap(),
        KeySource::File("/etc/nix-fetchhost/k".into())
    );
    assert_eq!(source("age = \"/k\"").unwrap(), KeySource::Age("/k".into()));
    assert_eq!(
        source("agent = true, key = \"SHA256:x\"").unwrap(),
        KeySource::Agent {
            socket: None,
            key: "SHA256:x".to_owned()
        }
    );
    assert_eq!(
        source("pkcs11 = \"/l.so\", token = \"t\", key = \"k\"").unwrap(),
        KeySource::Pkcs11 {
            library: "/l.so".into(),
            token: "t".to_owned(),
            key: "k".to_owned(),
            pin: Pin::Ask
        }
    );
    for (text, expected) in [
        ("", "needs one of `file`"),
        ("file = \"a\", age = \"b\"", "both `file` and `age`"),
        (
            "file = \"a\", key = \"k\"",
            "`key` belongs to a `agent` or `pkcs11` source",
        ),
        ("agent = true", "needs `key`"),
        ("agent = false, key = \"k\"", "`agent` is `true`"),
        (
            "pkcs11 = \"/l.so\", token = \"\", key = \"k\"",
            "`token` is empty",
        ),
        ("file = \"~/k\"", "`~` is not expanded"),
        ("env = \"K\"", "unknown key `env`"),
    ] {
        let error = source(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
}

/// What stands in the place of a PIN's source may be the PIN.
#[test]
fn a_pin_is_never_written_down_nor_repeated() {
    let key = |pin: &str| {
        format!(
            "[key.k]\nsource = {{ pkcs11 = \"/l.so\", token = \"t\", key = \"k\" }}\nuse = [\"raw\"]\npin = {pin}\n"
        )
    };
    for pin in [
        "\"canary\"",
        "{ env = \"a canary\" }",
        "{ env = \"P\", file = \"canary\" }",
    ] {
        let error = parse(&key(pin)).unwrap_err();
        assert!(!error.to_string().contains("canary"), "{error}");
    }
    let config = parse(&key("{ env = \"P\" }")).unwrap();
    assert!(matches!(
        &config.keys[&"k".parse().unwrap()].source,
        KeySource::Pkcs11 { pin: Pin::Env(name), .. } if name == "P"
    ));
    let error = parse(&format!("{KEY}pin = \"ask\"\n")).unwrap_err();
    assert!(
        error.to_string().contains("belongs to a `pkcs11` source"),
        "{error}"
    );
}

#[test]
fn uses_that_do_not_go_together_are_refused_with_their_place() {
    let error = parse(&KEY.replace("[\"minisign\"]", "[\"minisign\", \"narinfo\"]")).unwrap_err();
    assert_eq!(error.line_column(), Some((3, 7)));
    assert!(
        error.to_string().contains("could sign store paths"),
        "{error}"
    );
}

#[test]
fn a_grant_of_keys_needs_no_origins_and_names_keys_that_are_for_it() {
    let config = alone(&format!(
        "{KEY}{}",
        grant("keys = { release = [\"minisign\"] }")
    ))
    .unwrap();
    assert_eq!(
        config.grants[0].keys[&"release".parse().unwrap()],
        [Use::Minisign]
    );
    assert!(config.grants[0].origins.is_empty());
    for (lines, expected) in [
        (
            "keys = { relase = [\"minisign\"] }",
            "key `relase` is granted, and not defined",
        ),
        (
            "keys = { release = [\"sshsig\"] }",
            "is granted for `sshsig`, and is for `minisign`",
        ),
    ] {
        let error = alone(&format!("{KEY}{}", grant(lines))).unwrap_err();
        assert!(error.to_string().contains(expected), "{lines}: {error}");
        assert!(error.hint().is_some());
    }
    for (lines, expected) in [
        (
            "keys = { release = [\"narinfo\"] }",
            "no module signs store paths",
        ),
        ("keys = { release = [] }", "is empty"),
        ("keys = {}", "is empty"),
        (
            "keys = { release = [\"minisign\"] }\nmethods = [\"POST\"]",
            "goes along with `origins`",
        ),
        (
            "keys = { release = [\"minisign\"] }\ndomain = \"builtin:signer\"",
            "cannot be chosen as a domain",
        ),
        (
            "keys = { release = [\"minisign\"] }\ndomain = \"Acme\"",
            "is not the name of a domain",
        ),
        (
            "origins = [\"https://a.example\"]\ndomain = \"acme\"",
            "`domain` is for what is remembered",
        ),
    ] {
        let error = parse(&grant(lines)).unwrap_err();
        assert!(error.to_string().contains(expected), "{lines}: {error}");
    }
    let twice = format!(
        "{KEY}{}{}",
        grant("keys = { release = [\"minisign\"] }"),
        grant("keys = { release = [\"minisign\"] }\ndomain = \"acme\"")
    );
    let error = alone(&twice).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("already granted the key `release`"),
        "{error}"
    );
    let host = "[[grant]]\nmodule = \"host:cache\"\nkeys = { release = [\"minisign\"] }\n";
    let error = parse(host).unwrap_err();
    assert!(error.to_string().contains("signs nothing"), "{error}");
}

#[test]
fn what_is_not_verified_is_remembered_for_a_time_only() {
    let remember = |lines: &str| {
        parse(&grant(&format!(
            "origins = [\"https://a.example\"]\n{lines}"
        )))
    };
    let config = remember("remember = true\nremember-for = \"30 d\"").unwrap();
    assert_eq!(
        config.grants[0].remember,
        Some(Duration::from_secs(30 * 24 * 3600))
    );
    for (lines, expected) in [
        ("remember = true", "needs `remember-for`"),
        (
            "remember-for = \"1 h\"",
            "goes along with `remember = true`",
        ),
        (
            "remember = false\nremember-for = \"1 h\"",
            "goes along with `remember = true`",
        ),
        ("remember = true\nremember-for = 0", "is 0"),
        (
            "remember = true\nremember-for = \"4000 d\"",
            "longer than ten years",
        ),
        ("remember = true\nremember-for = \"ever\"", "not a duration"),
    ] {
        let error = remember(lines).unwrap_err();
        assert!(error.to_string().contains(expected), "{lines}: {error}");
    }
}

#[test]
fn the_memo_names_a_cache_and_keys_that_are_keys() {
    for (lines, expected) in [
        (
            "cache = \"https://cache.example.com\"",
            "is no `file://…` or `s3://…`",
        ),
        (
            "trusted-keys = [\"nonsense\"]",
            "/etc/nix-fetchhost/config.toml:2:",
        ),
        ("caches = []", "did you mean `cache`?"),
    ] {
        let error = parse(&format!("[memo]\n{lines}\n")).unwrap_err();
        let told = format!("{error} {}", error.hint().unwrap_or_default());
        assert!(told.contains(expected), "{lines}: {told}");
    }
}

#[test]
fn a_users_file_adds_keys_and_takes_none_over() {
    let user = |text: &str| Config::parse(text, Path::new("/home/u/config.toml")).unwrap();
    let other = KEY.replace("release", "mine");
    let merged = Config::merge(parse(KEY).unwrap(), user(&other)).unwrap();
    assert_eq!(merged.keys.len(), 2);
    let error = Config::merge(parse(KEY).unwrap(), user(KEY)).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("key `release` is already defined"),
        "{error}"
    );
    let memo = "[memo]\ncache = \"file:///srv/cache\"\n";
    let error = Config::merge(parse(memo).unwrap(), user(memo)).unwrap_err();
    assert!(
        error.to_string().contains("`[memo]` is already written"),
        "{error}"
    );
    let merged = Config::merge(parse(memo).unwrap(), Config::default()).unwrap();
    assert_eq!(merged.memo.cache.as_deref(), Some("file:///srv/cache"));
}

#[test]
fn the_most_exact_grant_says_whether_a_hash_is_remembered() {
    let config = alone(
        r#"
[[grant]]
module = "builtin:http"
origins = ["https://*.example.com"]
remember = true
remember-for = "1 h"
domain = "acme"

[[grant]]
module = "builtin:http"
origins = ["https://strict.example.com"]
"#,
    )
    .unwrap();
    let http = "builtin:http".parse().unwrap();
    let remembers = |origin: &str| config.remembers(&http, &origin.parse().unwrap());
    let found = remembers("https://a.example.com").unwrap();
    assert_eq!(found.lasts, Duration::from_secs(3600));
    assert_eq!(found.domain, "acme".parse().unwrap());
    assert_eq!(remembers("https://strict.example.com"), None);
    assert_eq!(remembers("https://example.org"), None);
    let gitlab = "builtin:gitlab".parse().unwrap();
    assert_eq!(
        config.remembers(&gitlab, &"https://a.example.com".parse().unwrap()),
        None
    );
}
