//! `[proxy]`, client certificates, and what a permit says of its connection.

#![allow(clippy::unwrap_used, missing_docs)]

use std::path::Path;

use fetchhost_policy::describe::Description;
use fetchhost_policy::{
    ArgvCredential, Broker, Config, ConfigError, Consent, Method, ModuleId, Permit, PolicyError,
    Proxy,
};
use url::Url;

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("/c/config.toml"))
}

fn message(text: &str) -> String {
    let error = parse(text)
        .and_then(|config| Config::merge(Config::default(), config))
        .unwrap_err();
    format!("{error} | {}", error.hint().unwrap_or_default())
}

#[test]
fn a_proxy_table_is_read_and_shown() {
    let config = parse(
        r#"
[proxy]
https = "http://proxy.example.com:3128"
http = "http://proxy.example.com:3128"
except = ["corp.example.com", "10.0.0.0/8"]
"#,
    )
    .unwrap();
    let proxies = config.proxies().unwrap();
    let way = |to: &str| {
        let proxy = proxies.for_origin(&to.parse().unwrap()).unwrap();
        proxy.map(Proxy::to_string)
    };
    let through = Some(String::from("http://proxy.example.com:3128"));
    assert_eq!(way("https://files.example.com"), through);
    assert_eq!(way("http://files.example.com"), through);
    assert_eq!(way("https://git.corp.example.com"), None);
    assert_eq!(way("https://10.1.2.3"), None);

    let again = parse(&config.to_toml()).unwrap();
    let again = again.proxies().unwrap();
    assert_eq!(again.https, proxies.https);
    assert_eq!(again.http, proxies.http);
    assert_eq!(again.except, proxies.except);
    // Whoever wants an exception is told where to write it.
    let how = proxies.named_by.how_to_except("files.example.com");
    assert!(
        how.contains("`except` of `[proxy]` at /c/config.toml:2:1"),
        "{how}"
    );
}

#[test]
fn an_empty_proxy_table_says_that_there_is_none_and_no_table_says_nothing() {
    let empty = parse("[proxy]\n").unwrap();
    let to = "https://files.example.com".parse().unwrap();
    assert_eq!(empty.proxies().unwrap().for_origin(&to), Ok(None));
    assert_eq!(parse("").unwrap().proxies(), None);
}

#[test]
fn a_proxy_that_cannot_be_used_is_refused_at_its_place_without_being_repeated() {
    for (text, expected) in [
        ("https = \"socks5://me:canary@a\"", "http://"),
        ("http = \"http://me:canary@a/x\"", "ends after"),
        ("except = [\"*.*.canary\"]", "not a host"),
        ("except = [\"two words.canary\"]", "not a host"),
        ("except = [\"https://canary\"]", "not a host"),
        ("except = [\"10.0.0.0/40\"]", "not a host"),
        (
            "https = \"http://me:canary@a:3128\"",
            "`https_proxy=http://USER:PASSWORD@HOST:PORT`",
        ),
        (
            "http = \"http://canary@a:3128\"",
            "`http_proxy=http://USER:PASSWORD@HOST:PORT`",
        ),
        ("https-proxy = \"http://a\"", "unknown key `https-proxy`"),
        ("https = 3128", "an integer"),
    ] {
        let shown = message(&format!("[proxy]\n{text}\n"));
        assert!(shown.contains(expected) && shown.contains(":2:"), "{shown}");
        assert!(!shown.contains("canary"), "{shown}");
    }
}

#[test]
fn a_users_file_does_not_replace_the_administrators_proxy() {
    let proxy = || parse("[proxy]\nhttps = \"http://a\"\n").unwrap();
    let error = Config::merge(proxy(), proxy()).unwrap_err();
    assert!(error.to_string().contains("already written at"), "{error}");
    for (admin, user) in [(proxy(), Config::default()), (Config::default(), proxy())] {
        assert!(Config::merge(admin, user).unwrap().proxies().is_some());
    }
}

const CORP: &str = r#"
[credential.corp]
source = { client-certificate = { certificate = "corp.pem", key = "/k/corp.key" } }
scheme = "mtls"
origins = ["https://gitlab.example.com"]
"#;

const TOKEN: &str = r#"
[credential.tok]
source = { env = "T" }
scheme = "bearer"
origins = ["https://gitlab.example.com"]
"#;

fn grant(credentials: &str) -> String {
    format!(
        "{CORP}\n[[grant]]\nmodule = \"builtin:test\"\norigins = [\"https://gitlab.example.com\", \"https://*.example.org\"]\npaths = [\"/api/**\"]\nredirects = [\"https://cdn.example.com\", \"https://*.example.net\"]\n{credentials}"
    )
}

#[test]
fn a_client_certificate_is_read_and_shown() {
    let config = parse(CORP).unwrap();
    let spec = &config.certificates[&"corp".parse().unwrap()];
    assert_eq!(spec.certificate, Path::new("/c/corp.pem"));
    assert_eq!(spec.key, Path::new("/k/corp.key"));
    assert!(config.credentials.is_empty());
    assert_eq!(
        parse(&config.to_toml()).unwrap().certificates,
        config.certificates
    );
}

#[test]
fn a_client_certificate_in_a_wrong_form_or_place_is_refused() {
    let plain = CORP.replace("https://", "http://");
    let bearer = CORP.replace("mtls", "bearer");
    let keyless = CORP.replace(", key = \"/k/corp.key\"", "");
    let token = CORP.replace(
        "client-certificate = { certificate = \"corp.pem\", key = \"/k/corp.key\" }",
        "env = \"TOKEN\"",
    );
    let elsewhere = grant("credentials = { client-certificate = \"corp\" }")
        .replace("origins = [\"https://gitlab.example.com\", ", "origins = [");
    for (text, expected) in [
        (plain, "`https` origin"),
        (bearer, "`mtls`"),
        (keyless, "needs `key`"),
        (token, "client-certificate = {"),
        (
            grant("credentials = { token = \"corp\" }"),
            "write `client-certificate = \"corp\"`",
        ),
        (
            grant("credentials = { client-certificate = \"crop\" }"),
            "did you mean `corp`?",
        ),
        (
            grant("credentials = { client-certificate = \"tok\" }") + TOKEN,
            "takes client certificates alone",
        ),
        (
            CORP.replace("client-certificate", "client-certificat")
                .replace("mtls", "bearer"),
            "did you mean `client-certificate`?",
        ),
        (elsewhere, "none of the origins"),
        (format!("{CORP}{}", CORP.replace("gitlab", "other")), "TOML"),
    ] {
        let shown = message(&text);
        assert!(shown.contains(expected), "{expected}: {shown}");
    }
}

#[test]
fn two_files_do_not_define_one_name_as_two_kinds_of_credential() {
    let token = "[credential.corp]\nsource = { env = \"T\" }\nscheme = \"bearer\"\norigins = [\"https://a.example\"]\n";
    let error = Config::merge(parse(CORP).unwrap(), parse(token).unwrap()).unwrap_err();
    assert!(error.to_string().contains("already defined"), "{error}");
}

fn broker(config: &str, consent: Option<&Consent>) -> Broker {
    try_broker(config, consent).unwrap()
}

fn try_broker(config: &str, consent: Option<&Consent>) -> Result<Broker, PolicyError> {
    let description = serde_json::json!({
        "version": "1",
        "fetchers": { "test": {
            "summary": "a test",
            "parameters": { "type": "object", "properties": { "url": { "type": "string" } } },
            "slots": { "corp": { "summary": "a token", "scheme": "bearer", "optional": false } },
            "needs": { "origin-parameter": "url", "methods": ["GET", "POST"], "paths": ["/**"] },
            "output": [{ "mode": "flat", "name": "file" }]
        } }
    });
    let description = Description::parse(description.to_string().as_bytes()).unwrap();
    let module: ModuleId = "builtin:test".parse().unwrap();
    let config = parse(config).unwrap();
    Broker::new(
        module,
        "test",
        &description.fetchers["test"],
        &config,
        consent,
    )
}

fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}

fn shows_certificate(permit: &Permit) -> bool {
    permit.certificate().is_some()
}

#[test]
fn a_certificate_goes_along_what_its_grant_permits_and_never_over_a_change_of_origin() {
    let consent = Consent {
        allow: vec!["https://gitlab.example.com".parse().unwrap()],
        ..Consent::default()
    };
    let config = grant("credentials = { client-certificate = \"corp\" }");
    let broker = broker(&config, Some(&consent));
    let get = |text: &str| {
        broker
            .authorize(Method::Get, &url(text), None, false)
            .unwrap()
    };
    let first = get("https://gitlab.example.com/api/x");
    assert!(shows_certificate(&first));
    // Granted by `--allow` only, which never grants a credential.
    assert!(!shows_certificate(&get("https://gitlab.example.com/other")));
    assert!(!shows_certificate(&get("https://a.example.org/api/x")));

    let follow =
        |from: &Permit, text: &str| broker.redirect(from, Method::Get, &url(text)).unwrap();
    assert!(shows_certificate(&follow(
        &first,
        "https://gitlab.example.com/api/y"
    )));
    let away = follow(&first, "https://cdn.example.com/x");
    assert!(!shows_certificate(&away));
    assert!(!shows_certificate(&follow(
        &away,
        "https://gitlab.example.com/api/y"
    )));
}

#[test]
fn a_permit_knows_whether_its_origin_was_written_exactly() {
    let typed = Consent {
        typed_origins: vec!["https://typed.example.org".parse().unwrap()],
        ..Consent::default()
    };
    let broker = broker(&grant(""), Some(&typed));
    let get = |text: &str| {
        broker
            .authorize(Method::Get, &url(text), None, false)
            .unwrap()
    };
    assert!(get("https://gitlab.example.com/api/x").is_named_exactly());
    assert!(get("https://typed.example.org/api/x").is_named_exactly());
    assert!(!get("https://a.example.org/api/x").is_named_exactly());

    let from = get("https://gitlab.example.com/api/x");
    let follow = |text: &str| broker.redirect(&from, Method::Get, &url(text)).unwrap();
    assert!(follow("https://cdn.example.com/x").is_named_exactly());
    assert!(!follow("https://a.example.net/x").is_named_exactly());
}

#[test]
fn what_a_proxy_may_not_be_given_is_told_with_the_lines_and_the_flag_that_name_it() {
    let consent = Consent::default();
    let config = grant("credentials = { client-certificate = \"corp\" }");
    let broker = broker(&config, Some(&consent));
    let request = broker.authorize(
        Method::Get,
        &url("https://a.example.org/api/x"),
        None,
        false,
    );
    let denial = broker.refuse_unnamed(&request.unwrap());
    assert_eq!(denial.flags(), ["--allow https://a.example.org"]);
    let lines = denial.config_lines().unwrap();
    assert!(
        lines.contains("origins = [\"https://a.example.org\"]"),
        "{lines}"
    );
    // The certificate is for another origin of the grant that these lines are taken from.
    assert!(!lines.contains("corp"), "{lines}");
    assert_eq!(denial.replaces(), None);

    let from = broker.authorize(
        Method::Get,
        &url("https://gitlab.example.com/api/x"),
        None,
        false,
    );
    let hop = broker
        .redirect(&from.unwrap(), Method::Get, &url("https://a.example.net/x"))
        .unwrap();
    let denial = broker.refuse_unnamed(&hop);
    assert_eq!(denial.flags(), ["--allow https://a.example.net"]);
    let lines = denial.config_lines().unwrap();
    assert!(
        lines.contains("\"https://*.example.net\", \"https://a.example.net\"]"),
        "{lines}"
    );
    assert!(denial.replaces().is_some());
    assert!(
        denial
            .hint()
            .unwrap()
            .contains(lines.lines().next().unwrap())
    );
}

#[test]
fn lines_that_are_suggested_keep_the_client_certificate_and_take_no_name_of_one() {
    let wild = CORP.replace("gitlab.example.com", "a.example.org")
        + "[[grant]]\nmodule = \"builtin:test\"\norigins = [\"https://*.example.org\"]\npaths = [\"/api/**\"]\ncredentials = { client-certificate = \"corp\" }\n";
    let broker = broker(&wild, None);
    let denied = |text: &str, slot: Option<&str>| {
        let slot = slot.map(|slot| slot.parse().unwrap());
        let denial = broker.authorize(Method::Get, &url(text), slot.as_ref(), false);
        denial.unwrap_err().config_lines().unwrap().to_owned()
    };
    let lines = denied("https://a.example.org/other", None);
    assert!(lines.contains("client-certificate = \"corp\""), "{lines}");
    let lines = denied("https://b.example.org/other", None);
    assert!(!lines.contains("corp"), "{lines}");
    // `corp` is taken, although by a certificate.
    let lines = denied("https://a.example.org/api/x", Some("corp"));
    assert!(lines.contains("[credential.credential-2]"), "{lines}");
}

#[test]
fn a_client_certificate_that_is_typed_is_told_with_the_grant_that_shows_it() {
    for typed in [
        "corp=corp",
        "client-certificate=corp",
        "corp=corp@https://gitlab.example.com",
    ] {
        let consent = Consent {
            credentials: vec![ArgvCredential::parse(typed).unwrap()],
            ..Consent::default()
        };
        let error = try_broker(&grant(""), Some(&consent)).unwrap_err();
        assert!(
            error.to_string().contains("`corp` is a client certificate"),
            "{typed}: {error}"
        );
        let hint = error.hint().unwrap();
        assert!(
            hint.contains("credentials = { client-certificate = \"corp\" }")
                && hint.contains("\"https://gitlab.example.com\""),
            "{hint}"
        );
    }
}

#[test]
fn grant_explain_names_the_client_certificate() {
    let config = grant("credentials = { client-certificate = \"corp\" }");
    let broker = broker(&config, None);
    let explain = |to: &str| broker.explain(&to.parse().unwrap());
    let own = explain("https://gitlab.example.com");
    assert_eq!(own.certificate, Some("corp".parse().unwrap()));
    assert!(
        own.to_string().contains("client certificate: corp"),
        "{own}"
    );
    let other = explain("https://a.example.org");
    assert_eq!(other.certificate, None);
    assert!(!other.to_string().contains("corp,"), "{other}");
}
