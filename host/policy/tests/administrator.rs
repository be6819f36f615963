//! What only the administrator's file says, and that nothing overrides it.
#![allow(clippy::unwrap_used, missing_docs)]

use std::path::Path;

use fetchhost_policy::describe::{Description, FetcherDescription};
use fetchhost_policy::{
    ArgvCredential, Broker, Config, ConfigError, Consent, Denial, DenialKind, Method, Permit,
    PolicyError,
};
use serde_json::json;

const ADMIN: &str = include_str!("../../../examples/config/admin.toml");

fn merged(admin: &str, user: &str) -> Result<Config, ConfigError> {
    Config::merge(
        Config::parse(admin, Path::new("/etc/nix-fetchhost/config.toml")).unwrap(),
        Config::parse(user, Path::new("/home/u/config.toml")).unwrap(),
    )
}

fn description() -> FetcherDescription {
    let document = json!({
        "version": "1",
        "fetchers": { "f": {
            "summary": "test",
            "parameters": { "type": "object", "properties": { "url": { "type": "string" } } },
            "slots": { "token": { "summary": "a token", "scheme": "bearer", "optional": true } },
            "needs": { "origin-parameter": "url", "methods": ["GET", "HEAD"], "paths": ["/**"] },
            "output": [{ "mode": "nar", "name": "source" }]
        } }
    });
    Description::parse(document.to_string().as_bytes())
        .unwrap()
        .fetchers["f"]
        .clone()
}

fn broker_of(module: &str, config: &Config, consent: &Consent) -> Result<Broker, PolicyError> {
    Broker::new(
        module.parse().unwrap(),
        "f",
        &description(),
        config,
        Some(consent),
    )
}

fn broker(config: &Config, consent: &Consent) -> Broker {
    broker_of("builtin:http", config, consent).unwrap()
}

fn consent(typed: &[&str], allow: &[&str]) -> Consent {
    let origins = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
    Consent {
        typed_origins: origins(typed),
        allow: origins(allow),
        ..Consent::default()
    }
}

fn get(broker: &Broker, url: &str) -> Result<Permit, Denial> {
    broker.authorize(Method::Get, &url.parse().unwrap(), None, false)
}

const GRANT: &str = "[[grant]]\nmodule = \"builtin:http\"\norigins = [\"https://a.example\", \"http://a.example:81\"]\nredirects = [\"https://evil.example\"]\n";

#[test]
fn the_example_says_what_its_comments_say() {
    let config = merged(ADMIN, GRANT).unwrap();
    assert!(config.locked().is_some() && config.no_argv_consent().is_some());
    assert_eq!(config.deny.len(), 3);
    // The empty `[proxy]`: no proxy, whatever the environment names.
    let to = "https://gitlab.example.com".parse().unwrap();
    assert_eq!(config.proxies().unwrap().for_origin(&to), Ok(None));
    // Locked: only the example's own grant is left.
    assert_eq!(config.grants.len(), 1);
    let again = Config::parse(&config.to_toml(), Path::new("x")).unwrap();
    assert_eq!(again.to_toml(), config.to_toml());
}

#[test]
fn a_user_cannot_write_what_is_the_administrators() {
    for (key, text) in [
        ("locked", "locked = false"),
        ("argv-consent", "argv-consent = true"),
        ("deny", "[[deny]]\nmodules = [\"builtin:http\"]"),
    ] {
        let error = merged("", text).unwrap_err();
        let expected = format!("`{key}` belongs to the administrator's file");
        assert!(error.to_string().contains(&expected), "{error}");
        assert!(error.to_string().starts_with("/home/u/config.toml:1:"));
    }
}

#[test]
fn a_deny_that_would_mean_nothing_or_everything_is_refused() {
    for (text, message) in [
        ("[[deny]]", "needs `origins` or `modules`"),
        ("[[deny]]\norigins = []", "`origins` in `[[deny]]` is empty"),
        ("[[deny]]\norigins = [\"*\"]", "stands for every server"),
        ("[[deny]]\nmodules = [\"http\"]", "is not a module"),
        (
            "[[deny]]\norigins = [\"https://a.example\"]\npaths = [\"/x\"]",
            "not available",
        ),
        (
            "[deny]\norigins = [\"https://a.example\"]",
            "written `[[deny]]`",
        ),
        ("locked = 1", "`locked` is an integer"),
        ("argv-consent = \"no\"", "`argv-consent` is a string"),
    ] {
        let error = Config::parse(text, Path::new("x")).unwrap_err();
        assert!(error.to_string().contains(message), "{text}\n{error}");
    }
}

#[test]
fn a_denied_host_is_reached_by_no_grant_no_flag_and_no_redirect() {
    let deny = "[[deny]]\norigins = [\"https://a.example\", \"https://*.evil.example\"]\n";
    let config = merged(deny, GRANT).unwrap();
    let all = consent(
        &["https://a.example", "https://b.example"],
        &["https://a.example:8443", "https://evil.example"],
    );
    let broker = broker(&config, &all);
    for url in [
        "https://a.example/x",
        "http://a.example:81/x",
        "https://a.example:8443/x",
        "https://evil.example/x",
    ] {
        let denial = get(&broker, url).unwrap_err();
        assert_eq!(denial.kind(), DenialKind::Administrator, "{url}");
        assert!(
            denial
                .to_string()
                .contains("the administrator denies it at /etc/nix-fetchhost/config.toml:1:1"),
            "{denial}"
        );
        assert_eq!(
            denial.hint().unwrap(),
            "no grant and no flag overrides that"
        );
    }
    let permit = get(&broker, "https://b.example/x").unwrap();
    for to in ["https://evil.example/x", "https://a.example/x"] {
        let denial = broker
            .redirect(&permit, Method::Get, &to.parse().unwrap())
            .unwrap_err();
        assert_eq!(denial.kind(), DenialKind::Administrator, "{to}");
    }
    let explained = broker.explain(&"https://a.example".parse().unwrap());
    assert!(explained.to_string().contains("denied"), "{explained}");
}

#[test]
fn a_denied_module_reaches_nothing_and_others_do() {
    let config = merged("[[deny]]\nmodules = [\"builtin:http\"]", GRANT).unwrap();
    let typed = consent(&["https://a.example"], &[]);
    let denial = get(&broker(&config, &typed), "https://a.example/x").unwrap_err();
    assert_eq!(denial.kind(), DenialKind::Administrator);
    let other = broker_of("builtin:gitlab", &config, &typed).unwrap();
    assert!(get(&other, "https://a.example/x").is_ok());
}

#[test]
fn a_locked_configuration_is_the_administrators_alone() {
    let admin = "locked = true\n[limits]\nmemory = 1000\n";
    let user = format!(
        "allow-metadata = true\n[limits]\nfuel = 7\nmemory = 500\n{GRANT}\n[credential.c]\nsource = {{ env = \"T\" }}\nscheme = \"bearer\"\norigins = [\"https://a.example\"]\n"
    );
    let config = merged(admin, &user).unwrap();
    assert_eq!(config, merged(admin, "").unwrap());
    assert_eq!(config.limits().memory, 1000);
    let denial = get(&broker(&config, &consent(&[], &[])), "https://a.example/x").unwrap_err();
    assert_eq!(denial.kind(), DenialKind::Origin);
    let hint = denial.hint().unwrap();
    assert!(
        hint.contains("locked the configuration at /etc/nix-fetchhost/config.toml:1:10"),
        "{hint}"
    );
    // The user's file is not the place for it.
    assert!(
        denial.commands().is_empty() && !hint.contains("grant add"),
        "{hint}"
    );
    assert!(merged("locked = false", &user).unwrap().locked().is_none());
}

#[test]
fn without_argv_consent_what_is_typed_grants_nothing() {
    let config = merged("argv-consent = false\n", GRANT).unwrap();
    // A typed origin is a parameter too: it only grants nothing.
    let broker = broker(&config, &consent(&["https://b.example"], &[]));
    let denial = get(&broker, "https://b.example/x").unwrap_err();
    assert_eq!(denial.kind(), DenialKind::Origin);
    assert!(denial.flags().is_empty());
    let hint = denial.hint().unwrap();
    assert!(
        hint.contains("`argv-consent = false` at /etc/nix-fetchhost/config.toml:1:16"),
        "{hint}"
    );
    // What the configuration grants stays granted.
    assert!(get(&broker, "https://a.example/x").is_ok());

    for (flag, consent) in [
        ("--allow", consent(&[], &["https://b.example"])),
        (
            "--credential",
            Consent {
                credentials: vec![ArgvCredential::parse("token=env:T@https://a.example").unwrap()],
                ..Consent::default()
            },
        ),
    ] {
        let error = broker_of("builtin:http", &config, &consent).unwrap_err();
        assert!(matches!(error, PolicyError::NoConsent { .. }), "{error}");
        assert!(
            error
                .to_string()
                .contains(&format!("`{flag}` grants nothing here"))
        );
        assert!(error.hint().is_some());
    }
    // GitLab.com is a built-in's own origin only where typing counts.
    let own = broker_of("builtin:gitlab", &config, &Consent::default()).unwrap();
    assert!(get(&own, "https://gitlab.com/api/v4/x").is_err());
}
