//! Configuration files: what is read, and how mistakes are told.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeSet;
use std::path::Path;

use fetchhost_policy::{Config, ConfigError, Limits, Method, Provenance, SourceSpec};

const EXAMPLE: &str = include_str!("../../../examples/config/config.toml");

const ADMIN: &str = include_str!("../../../examples/config/admin.toml");

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("/etc/nix-fetchhost/config.toml"))
}

const CREDENTIAL: &str = r#"
[credential.work]
source = { env = "T" }
scheme = "bearer"
origins = ["https://a.example"]
"#;

fn grant(lines: &str) -> String {
    format!("[[grant]]\nmodule = \"builtin:http\"\n{lines}\n")
}

#[test]
fn the_example_says_what_its_comments_say() {
    let config = Config::merge(Config::default(), parse(EXAMPLE).unwrap()).unwrap();
    assert_eq!(
        config.limits(),
        Limits::default(),
        "the example's limits are the defaults"
    );
    assert!(!config.allow_metadata);
    assert_eq!(config.credentials.len(), 10);
    assert_eq!(config.certificates.len(), 1);
    assert!(config.proxies().is_some());
    assert_eq!(
        config.credentials[&"downloads".parse().unwrap()].source,
        SourceSpec::File {
            path: "/etc/nix-fetchhost/downloads-password".into(),
            insecure_permissions: false
        }
    );
    assert_eq!(config.grants.len(), 8);
    assert_eq!(config.keys.len(), 4);
    assert_eq!(config.memo.cache.as_deref(), Some("file:///srv/cache"));
    assert_eq!(config.grants[1].methods, Method::READING);
    assert_eq!(config.grants[1].paths, None);
    assert!(
        matches!(&config.grants[0].from, Provenance::File { line, column: 1, .. } if *line > 1)
    );
}

#[test]
fn a_configuration_is_shown_as_what_it_was_read_from() {
    let config = Config::merge(Config::default(), parse(EXAMPLE).unwrap()).unwrap();
    let again = Config::merge(Config::default(), parse(&config.to_toml()).unwrap()).unwrap();
    assert_eq!(again.to_toml(), config.to_toml());
    assert_eq!(again.credentials, config.credentials);
    assert_eq!(again.keys, config.keys);
    assert_eq!(again.memo, config.memo);
    let bare = |config: &Config| {
        let mut grants = config.grants.clone();
        grants
            .iter_mut()
            .for_each(|grant| grant.from = Provenance::Argv);
        grants
    };
    assert_eq!(bare(&again), bare(&config));
    assert_eq!(
        parse("allow-metadata = true").unwrap().to_toml(),
        "allow-metadata = true\n"
    );
}

/// The keys of `value`, which is the value of `table`, and of what stands in it.
fn keys(table: &str, value: &toml::Value, into: &mut BTreeSet<(String, String)>) {
    match value {
        toml::Value::Table(found) => {
            for (key, value) in found {
                into.insert((table.to_owned(), key.clone()));
                match (table, value) {
                    // The user's own names stand in between.
                    ("", toml::Value::Table(named))
                        if matches!(key.as_str(), "credential" | "key") =>
                    {
                        named.values().for_each(|value| keys(key, value, into));
                    }
                    _ => keys(key, value, into),
                }
            }
        }
        toml::Value::Array(items) => items.iter().for_each(|item| keys(table, item, into)),
        _ => {}
    }
}

#[test]
fn the_examples_hold_every_key_that_is_known() {
    let mut shown = BTreeSet::new();
    for example in [EXAMPLE, ADMIN] {
        keys(
            "",
            &toml::Value::Table(example.parse().unwrap()),
            &mut shown,
        );
    }
    let missing: Vec<_> = Config::keys()
        .filter(|(table, key)| !shown.contains(&((*table).to_owned(), (*key).to_owned())))
        .collect();
    assert!(
        missing.is_empty(),
        "explain them in examples/config: {missing:?}"
    );
    assert!(Config::keys().any(|key| key == ("grant", "redirects")));
}

#[test]
fn an_empty_file_grants_nothing() {
    assert_eq!(parse("").unwrap(), Config::default());
}

#[test]
fn mistakes_are_told_with_file_line_and_column() {
    let error =
        parse("allow-metadata = false\n\n[[grant]]\nmodule = \"builtin:http\"\n  orgins = []\n")
            .unwrap_err();
    assert_eq!(
        error.to_string(),
        "/etc/nix-fetchhost/config.toml:5:3: unknown key `orgins` in `[[grant]]`"
    );
    assert_eq!(error.hint().unwrap(), "did you mean `origins`?");
    assert_eq!(error.line_column(), Some((5, 3)));
    assert_eq!(
        error.file().unwrap(),
        Path::new("/etc/nix-fetchhost/config.toml")
    );
}

#[test]
fn columns_are_counted_in_characters() {
    let error = parse("\"ü\" = 1").unwrap_err();
    assert_eq!(error.line_column(), Some((1, 1)));
    let error = parse(&grant("origins = [\"https://ok.example\", \"ü\"]")).unwrap_err();
    assert_eq!(error.line_column(), Some((3, 34)));
}

#[test]
fn broken_toml_is_told_with_its_place() {
    let error = parse("a = 1\nb = = 2\n").unwrap_err();
    assert_eq!(error.line_column().unwrap().0, 2, "{error}");
    assert!(error.to_string().contains("not TOML"), "{error}");
    assert!(parse("a = 1\na = 2\n").is_err(), "a key twice");
}

#[test]
fn what_belongs_to_a_later_version_is_refused_and_not_ignored() {
    for text in [
        "[trust]\nkeys = []".to_owned(),
        grant("origins = [\"https://a.example\"]\nfetchers = []"),
        grant("origins = [\"https://a.example\"]\nlocked = true"),
        CREDENTIAL.replace("{ env = \"T\" }", "{ keyring = \"k\" }"),
        format!("{CREDENTIAL}account = \"1\"\n"),
    ] {
        let error = parse(&text).unwrap_err();
        assert!(
            error.to_string().contains("not available in this version"),
            "{text}: {error}"
        );
    }
}

#[test]
fn requests_are_signed_for_a_region_and_a_service() {
    let aws = |source: &str, scheme: &str| {
        let text = CREDENTIAL.replace("{ env = \"T\" }", source);
        parse(&text.replace("scheme = \"bearer\"", scheme))
    };
    for (scheme, text) in [
        ("scheme = \"aws-sigv4\"", "aws-sigv4"),
        ("scheme = \"aws-sigv4:eu\"", "aws-sigv4:eu"),
        ("scheme = \"aws-sigv4\"\nregion = \"eu\"", "aws-sigv4:eu"),
        (
            "scheme = \"aws-sigv4\"\nregion = \"eu\"\nservice = \"execute-api\"",
            "aws-sigv4:eu:execute-api",
        ),
    ] {
        for source in [
            "{ aws = true }",
            "{ aws = \"work\" }",
            "{ aws-imds = true }",
            "{ env = \"KEYS\" }",
        ] {
            let config = aws(source, scheme).unwrap();
            let credential = config.credentials.values().next().unwrap();
            assert_eq!(credential.scheme.to_string(), text);
            assert_eq!(
                parse(&config.to_toml()).unwrap().credentials,
                config.credentials
            );
        }
    }
    for (source, scheme, says) in [
        ("{ aws = true }", "scheme = \"bearer\"", "sign requests"),
        (
            "{ aws-imds = true }",
            "scheme = \"bearer\"",
            "sign requests",
        ),
        (
            "{ aws-imds = false }",
            "scheme = \"aws-sigv4\"",
            "`aws-imds` is `true`",
        ),
        (
            "{ aws = false }",
            "scheme = \"aws-sigv4\"",
            "name of a profile",
        ),
        (
            "{ aws = \"a]\" }",
            "scheme = \"aws-sigv4\"",
            "name of a profile",
        ),
        (
            "{ netrc = true }",
            "scheme = \"aws-sigv4\"",
            "no access keys",
        ),
        (
            "{ helper = \"h\" }",
            "scheme = \"aws-sigv4\"",
            "whole headers",
        ),
        (
            "{ env = \"T\" }",
            "scheme = \"bearer\"\nregion = \"eu\"",
            "go along with",
        ),
        (
            "{ env = \"T\" }",
            "scheme = \"aws-sigv4:eu\"\nregion = \"eu\"",
            "go along with",
        ),
        (
            "{ env = \"T\" }",
            "scheme = \"aws-sigv4\"\nregion = \"E U\"",
            "region",
        ),
        (
            "{ env = \"T\" }",
            "scheme = \"aws-sigv4\"\nservice = \"sqs\"",
            "region",
        ),
    ] {
        let error = aws(source, scheme).unwrap_err().to_string();
        assert!(error.contains(says), "{source} {scheme}: {error}");
    }
}

#[test]
fn each_mistake_has_its_own_message() {
    for (text, message) in [
        (
            "allow-metadata = 1".to_owned(),
            "`allow-metadata` is an integer, not `true` or `false`",
        ),
        (
            "allow_metadata = true".to_owned(),
            "unknown key `allow_metadata`",
        ),
        (
            "grant = 1".to_owned(),
            "`grant` is an integer, not an array of tables, written `[[grant]]`",
        ),
        (
            "[grant]\nmodule = \"builtin:http\"".to_owned(),
            "written `[[grant]]`",
        ),
        (
            "credential = []".to_owned(),
            "`credential` is an array, not a table",
        ),
        (
            "[credential.netrc]\n".to_owned() + &CREDENTIAL[19..],
            "cannot name a credential",
        ),
        (
            CREDENTIAL.replace("work", "\"a b\""),
            "is not a credential name",
        ),
        (
            CREDENTIAL.replace("source = { env = \"T\" }", ""),
            "needs `source`",
        ),
        (
            CREDENTIAL.replace("{ env = \"T\" }", "\"env:T\""),
            "`source` is a string, not a table",
        ),
        (
            CREDENTIAL.replace("{ env = \"T\" }", "{}"),
            "`source` needs one of `env`, `file`, `age`, `command`, `helper`, `netrc`, `systemd`, `aws`, `aws-imds` and `client-certificate`",
        ),
        (
            CREDENTIAL.replace("\"T\" }", "\"T\", file = \"f\" }"),
            "both `env` and `file`; it takes one",
        ),
        (
            CREDENTIAL.replace("\"T\" }", "\"T\", insecure-permissions = true }"),
            "belongs to a `file` or `netrc` source",
        ),
        (
            CREDENTIAL.replace("env = \"T\"", "env = \"T T\""),
            "name of an environment variable",
        ),
        (
            CREDENTIAL.replace("env = \"T\"", "file = \"~/t\""),
            "`~` is not expanded",
        ),
        (
            CREDENTIAL.replace("env = \"T\"", "file = \"\""),
            "needs the path of a file",
        ),
        (
            CREDENTIAL.replace("env =", "evn ="),
            "unknown key `evn` in `source`",
        ),
        (
            CREDENTIAL.replace(
                "env = \"T\"",
                "command = [\"p\"], timeout = 9223372036854775807",
            ),
            "`timeout` is longer than 24 h",
        ),
        (
            CREDENTIAL.replace("env = \"T\"", "command = [\"p\"], refresh = \"25 h\""),
            "`refresh` is longer than 24 h",
        ),
        (
            CREDENTIAL.replace("bearer", "digest"),
            "`basic` (of a netrc), `header:NAME`, `aws-sigv4` or `mtls` (of a client certificate)",
        ),
        (
            CREDENTIAL.replace("bearer", "basic"),
            "`basic` needs a user name",
        ),
        (
            CREDENTIAL.replace("bearer", "header:Host"),
            "cannot carry a credential",
        ),
        (
            CREDENTIAL.replace("scheme = \"bearer\"", ""),
            "`[credential.work]` needs `scheme`",
        ),
        (
            CREDENTIAL.replace("a.example", "*.a.example"),
            "wildcard where one exact origin is needed",
        ),
        (
            CREDENTIAL.replace("[\"https://a.example\"]", "[]"),
            "`origins` in `[credential.work]` is empty",
        ),
        (
            CREDENTIAL.replace("[\"https://a.example\"]", "\"https://a.example\""),
            "not an array of strings",
        ),
        (
            CREDENTIAL.replace("[\"h", "[\"https://a.example\", \"h"),
            "written twice",
        ),
        (
            "[[grant]]\norigins = [\"https://a.example\"]".to_owned(),
            "`[[grant]]` needs `module`",
        ),
        (grant(""), "`[[grant]]` needs `origins`"),
        (grant("origins = []"), "`origins` in `[[grant]]` is empty"),
        (grant("origins = [\"*\"]"), "stands for every server"),
        (
            grant("origins = [\"http://*.a.example\"]"),
            "exact origins only",
        ),
        (
            grant("origins = [\"https://a.example\"]\nmethods = []"),
            "`methods` in `[[grant]]` is empty",
        ),
        (
            grant("origins = [\"https://a.example\"]\nmethods = [\"get\"]"),
            "`get` is not a method",
        ),
        (
            grant("origins = [\"https://a.example\"]\npaths = []"),
            "`paths` in `[[grant]]` is empty",
        ),
        (
            grant("origins = [\"https://a.example\"]\npaths = [\"api\"]"),
            "does not start with `/`",
        ),
        (
            grant("origins = [\"https://a.example\"]\ncredentials = { token = 1 }"),
            "`token` is an integer",
        ),
        (
            grant("origins = [\"https://a.example\"]\ncredentials = { Token = \"w\" }"),
            "not a slot name",
        ),
        (
            grant("origins = [\"https://a.example\"]").replace("builtin:http", "http"),
            "is not a module",
        ),
        (
            "[limits]\nmemroy = 1".to_owned(),
            "unknown key `memroy` in `[limits]`",
        ),
        (
            "[limits]\nmemory = \"1 MB\"".to_owned(),
            "`memory` in `[limits]` is not a size",
        ),
        ("[limits]\nmemory = -1".to_owned(), "is not a size"),
        (
            "[limits]\nmemory = 1.5".to_owned(),
            "`memory` is a float, not a size",
        ),
        (
            "[limits]\nrequests = \"many\"".to_owned(),
            "is not a number",
        ),
        ("[limits]\nrequests = 0".to_owned(), "limit `requests` is 0"),
        (
            "[limits]\ndepth = 65".to_owned(),
            "limit `depth` is at most 64",
        ),
    ] {
        let error = parse(&text).unwrap_err();
        assert!(error.to_string().contains(message), "{text}\n{error}");
    }
}

#[test]
fn a_secret_in_a_wrong_place_is_not_repeated() {
    for text in [
        CREDENTIAL.replace("{ env = \"T\" }", "\"glpat-s3cret\""),
        CREDENTIAL.replace("env = \"T\"", "env = \"glpat-s3cret\""),
        CREDENTIAL
            .replace("source", "secret")
            .replace("{ env = \"T\" }", "\"glpat-s3cret\""),
    ] {
        let error = parse(&text).unwrap_err();
        assert!(
            !format!("{error} {:?} {error:?}", error.hint()).contains("s3cret"),
            "{error}"
        );
    }
}

#[test]
fn a_module_that_is_not_built_in_needs_its_paths_written() {
    let text = format!(
        "[[grant]]\nmodule = \"sha256:{}\"\norigins = [\"https://a.example\"]\n",
        "00".repeat(32)
    );
    let error = parse(&text).unwrap_err();
    assert!(error.to_string().contains("needs `paths`"), "{error}");
    assert!(parse(&format!("{text}paths = [\"/**\"]\n")).is_ok());
}

#[test]
fn limits_are_sizes_durations_and_numbers() {
    let limits = parse("[limits]\nmemory = \"512 MiB\"\nread-bytes = 0x1000\ncall-timeout = \"2min\"\nfuel = 5_000\n")
        .unwrap()
        .limits();
    assert_eq!(limits.memory, 512 << 20);
    assert_eq!(limits.read_bytes, 4096);
    assert_eq!(limits.call_timeout.as_secs(), 120);
    assert_eq!(limits.fuel, 5_000);
    assert_eq!(limits.requests, Limits::default().requests);
}

#[test]
fn what_is_no_setting_of_the_gateway_is_refused() {
    for (line, message) in [
        ("port = 0", "not a port from 1 to 65535"),
        ("port = 65536", "not a port from 1 to 65535"),
        ("port = \"8459\"", "not a port from 1 to 65535"),
        ("max-fetches = 0", "not a number from 1 to 65535"),
        ("cache-size = \"4 GB\"", "not a size"),
        (
            "daemon-peers = \"all\"",
            "\"open\", \"approved\" or \"none\"",
        ),
        ("upstreams = \"file:///a\"", "not an array of strings"),
        (
            "upstreams = [\"s3://a?profile=b\"]",
            "followed by nothing but",
        ),
        ("upstreams = [\"https://u:p@a.example\"]", "no user name"),
        ("share-with-local-users = 1", "not `true` or `false`"),
        (
            "listen = \"0.0.0.0\"",
            "unknown key `listen` in `[gateway]`",
        ),
    ] {
        let error = parse(&format!("[gateway]\n{line}\n")).unwrap_err();
        assert!(error.to_string().contains(message), "{line}: {error}");
    }
}
