//! Direct requests, row by row of the broker's table.

use fetchhost_policy::{DenialKind, Method};
use serde_json::json;

use crate::*;

const GRANT: &str = r#"
[credential.work]
source = { env = "T" }
scheme = "header:PRIVATE-TOKEN"
origins = ["https://gitlab.example.com"]

[[grant]]
module = "builtin:gitlab"
origins = ["https://gitlab.example.com"]
credentials = { token = "work" }
"#;

#[test]
fn without_a_grant_nothing_goes_out() {
    let broker = configured("");
    for to in [
        "https://gitlab.com/api/v4/x",
        "https://gitlab.example.com/api/v4/x",
    ] {
        assert_eq!(kind(get(&broker, to)), Some(DenialKind::Origin), "{to}");
    }
}

#[test]
fn a_request_needs_origin_method_and_path_of_the_grant() {
    let broker = configured(GRANT);
    for (method, to, denial) in [
        (
            Method::Get,
            "https://gitlab.example.com/api/v4/projects/a%2Fb",
            None,
        ),
        (Method::Head, "https://gitlab.example.com/api/v4/x", None),
        (
            Method::Get,
            "https://gitlab.example.com:443/g/p/-/releases/v1/x?y#z",
            None,
        ),
        (Method::Get, "https://gitlab.example.com/sub/api/v4/x", None),
        (
            Method::Post,
            "https://gitlab.example.com/api/v4/x",
            Some(DenialKind::Method),
        ),
        (
            Method::Delete,
            "https://gitlab.example.com/api/v4/x",
            Some(DenialKind::NotDeclared),
        ),
        (
            Method::Get,
            "https://gitlab.example.com/admin",
            Some(DenialKind::NotDeclared),
        ),
        (
            Method::Get,
            "http://gitlab.example.com/api/v4/x",
            Some(DenialKind::Origin),
        ),
        (
            Method::Get,
            "https://gitlab.example.com:8443/api/v4/x",
            Some(DenialKind::Origin),
        ),
        (
            Method::Get,
            "https://evil.example/api/v4/x",
            Some(DenialKind::Origin),
        ),
        (
            Method::Get,
            "https://gitlab.example.com.evil.example/api/v4/x",
            Some(DenialKind::Origin),
        ),
        (
            Method::Get,
            "https://u:p@gitlab.example.com/api/v4/x",
            Some(DenialKind::Url),
        ),
        (
            Method::Get,
            "https://gitlab.example.com./api/v4/x",
            Some(DenialKind::Url),
        ),
        (
            Method::Get,
            "https://gitlab.example.com/api/v4/a%2F..%2F..%2Fadmin",
            Some(DenialKind::Url),
        ),
        (
            Method::Get,
            "https://gitlab.example.com/api/v4/..;/..;/admin",
            Some(DenialKind::Url),
        ),
        (
            Method::Get,
            "ftp://gitlab.example.com/api/v4/x",
            Some(DenialKind::Url),
        ),
        (Method::Get, "file:///etc/passwd", Some(DenialKind::Url)),
    ] {
        let result = broker.authorize(method, &url(to), None, false);
        assert_eq!(
            result.err().map(|denial| denial.kind()),
            denial,
            "{method} {to}"
        );
    }
}

#[test]
fn a_grant_for_one_module_is_none_for_another() {
    let broker = try_broker("builtin:http", &gitlab(), GRANT, None).unwrap();
    assert_eq!(
        kind(get(&broker, "https://gitlab.example.com/api/v4/x")),
        Some(DenialKind::Origin)
    );
}

#[test]
fn paths_of_a_grant_narrow_what_the_module_declares_and_never_widen_it() {
    let toml = GRANT.replace(
        "credentials =",
        "paths = [\"/api/v4/projects/7/**\", \"/admin/**\"]\ncredentials =",
    );
    let broker = configured(&toml);
    assert!(get(&broker, "https://gitlab.example.com/api/v4/projects/7/jobs").is_ok());
    let denied = |to: &str| kind(get(&broker, to));
    assert_eq!(
        denied("https://gitlab.example.com/api/v4/projects/8"),
        Some(DenialKind::Path)
    );
    assert_eq!(
        denied("https://gitlab.example.com/admin/x"),
        Some(DenialKind::NotDeclared)
    );
}

#[test]
fn methods_of_a_grant_replace_the_default_and_bodies_need_a_method_that_has_one() {
    let toml = GRANT.replace(
        "credentials =",
        "methods = [\"POST\", \"DELETE\"]\ncredentials =",
    );
    let broker = configured(&toml);
    let ask = |method, body| {
        broker.authorize(
            method,
            &url("https://gitlab.example.com/api/v4/x"),
            None,
            body,
        )
    };
    assert!(ask(Method::Post, true).is_ok());
    assert!(ask(Method::Post, false).is_ok());
    assert_eq!(kind(ask(Method::Get, false)), Some(DenialKind::Method));
    assert_eq!(
        kind(ask(Method::Delete, false)),
        Some(DenialKind::NotDeclared)
    );
    let reading = configured(GRANT);
    let body = reading.authorize(
        Method::Get,
        &url("https://gitlab.example.com/api/v4/x"),
        None,
        true,
    );
    assert_eq!(kind(body), Some(DenialKind::Body));
}

#[test]
fn a_fetcher_without_an_origin_parameter_reaches_only_what_it_declares() {
    let fixed = describe(&json!({ "origins": ["https://*.example.com"], "paths": ["/**"] }));
    let toml = "[[grant]]\nmodule = \"builtin:gitlab\"\norigins = [\"https://a.example.com\", \"https://b.example.org\"]";
    let broker = try_broker(GITLAB, &fixed, toml, None).unwrap();
    assert!(get(&broker, "https://a.example.com/x").is_ok());
    assert_eq!(
        kind(get(&broker, "https://b.example.org/x")),
        Some(DenialKind::NotDeclared)
    );
}

#[test]
fn a_fetcher_that_declares_nothing_reaches_nothing() {
    let nothing = describe(&json!({}));
    let all = consent("https://a.example", "https://a.example", "");
    let broker = try_broker(GITLAB, &nothing, "", Some(&all)).unwrap();
    assert_eq!(
        kind(get(&broker, "https://a.example/")),
        Some(DenialKind::NotDeclared)
    );
}

#[test]
fn the_most_exact_grant_decides_alone() {
    let broker = configured(
        r#"
[[grant]]
module = "builtin:gitlab"
origins = ["https://*.example.com"]
methods = ["GET", "HEAD", "POST"]

[[grant]]
module = "builtin:gitlab"
origins = ["https://*.eu.example.com"]
paths = ["/api/v4/eu/**"]

[[grant]]
module = "builtin:gitlab"
origins = ["https://a.eu.example.com"]
paths = ["/api/v4/a/**"]
"#,
    );
    for (to, allowed) in [
        ("https://x.example.com/api/v4/any", true),
        ("https://x.eu.example.com/api/v4/eu/x", true),
        ("https://x.eu.example.com/api/v4/any", false),
        ("https://a.eu.example.com/api/v4/a/x", true),
        ("https://a.eu.example.com/api/v4/eu/x", false),
    ] {
        assert_eq!(get(&broker, to).is_ok(), allowed, "{to}");
    }
    let post = broker.authorize(
        Method::Post,
        &url("https://a.eu.example.com/api/v4/a/x"),
        None,
        true,
    );
    assert_eq!(
        kind(post),
        Some(DenialKind::Method),
        "the wildcard's methods do not leak in"
    );
}

#[test]
fn what_is_sent_is_what_was_matched() {
    let broker = configured(GRANT);
    let permit = get(
        &broker,
        "https://GITLAB.example.com:443/%61pi/v4/a%2fb/%7Ex*?q=%2e%2e#frag",
    )
    .unwrap();
    assert_eq!(
        permit.url().as_str(),
        "https://gitlab.example.com/api/v4/a%2Fb/~x%2A?q=%2e%2e"
    );
    assert_eq!(permit.path().as_str(), permit.url().path());
    assert_eq!(permit.origin(), &origin("https://gitlab.example.com"));
    assert_eq!(permit.method(), Method::Get);
    assert!(!permit.crossed_origin());
}

#[test]
fn a_credential_goes_where_slot_grant_and_its_own_origins_agree() {
    let toml = GRANT.replace(
        "origins = [\"https://gitlab.example.com\"]\ncredentials",
        "origins = [\"https://gitlab.example.com\", \"https://other.example.com\"]\ncredentials",
    );
    let broker = configured(&toml);
    let name =
        |permit: fetchhost_policy::Permit| permit.credential().map(|spec| spec.name.to_string());
    let api = "https://gitlab.example.com/api/v4/x";
    assert_eq!(
        name(get_with_token(&broker, api).unwrap()),
        Some("work".to_owned())
    );
    assert_eq!(name(get(&broker, api).unwrap()), None, "no slot was named");
    assert_eq!(
        name(get_with_token(&broker, "https://other.example.com/api/v4/x").unwrap()),
        None
    );
    assert!(
        broker
            .credential_for(&slot("token"), &origin("https://gitlab.example.com"))
            .is_some()
    );
    assert!(
        broker
            .credential_for(&slot("token"), &origin("https://other.example.com"))
            .is_none()
    );
    assert!(
        broker
            .credential_for(&slot("required"), &origin("https://gitlab.example.com"))
            .is_none()
    );
}

#[test]
fn a_slot_must_be_declared_and_filled_unless_it_is_optional() {
    let broker = configured(GRANT);
    let api = url("https://gitlab.example.com/api/v4/x");
    let ask = |name: &str| kind(broker.authorize(Method::Get, &api, Some(&slot(name)), false));
    assert_eq!(ask("token"), None);
    assert_eq!(ask("required"), Some(DenialKind::Credential));
    assert_eq!(ask("undeclared"), Some(DenialKind::Slot));
}

#[test]
fn a_grants_credential_goes_only_along_requests_that_the_grant_itself_permits() {
    let toml = GRANT.replace(
        "credentials =",
        "paths = [\"/api/v4/projects/7/**\"]\ncredentials =",
    );
    let typed = consent("https://gitlab.example.com", "", "");
    let broker = try_broker(GITLAB, &gitlab(), &toml, Some(&typed)).unwrap();
    let seven = get_with_token(&broker, "https://gitlab.example.com/api/v4/projects/7/x").unwrap();
    assert!(seven.credential().is_some());
    let eight = get_with_token(&broker, "https://gitlab.example.com/api/v4/projects/8/x").unwrap();
    assert!(
        eight.credential().is_none(),
        "typing the origin grants reach, not the grant's credential"
    );
}

#[test]
fn private_addresses_need_an_origin_written_exactly() {
    let broker = configured(
        r#"
[[grant]]
module = "builtin:gitlab"
origins = ["https://*.example.com", "https://gitlab.lan", "http://10.0.0.1:8080", "http://169.254.169.254"]
"#,
    );
    let private = |to: &str| get(&broker, to).unwrap().addresses().private;
    assert!(!private("https://a.example.com/api/v4/x"));
    assert!(private("https://gitlab.lan/api/v4/x"));
    assert!(private("http://10.0.0.1:8080/api/v4/x"));
    assert!(
        !get(&broker, "https://gitlab.lan/api/v4/x")
            .unwrap()
            .addresses()
            .metadata
    );
    assert_eq!(
        kind(get(&broker, "http://169.254.169.254/api/v4/x")),
        Some(DenialKind::Address)
    );
}

#[test]
fn metadata_services_need_allow_metadata_too() {
    let broker = configured(
        "allow-metadata = true\n[[grant]]\nmodule = \"builtin:gitlab\"\norigins = [\"http://169.254.169.254\", \"http://0.0.0.0\"]",
    );
    assert!(
        get(&broker, "http://169.254.169.254/api/v4/x")
            .unwrap()
            .addresses()
            .metadata
    );
    assert_eq!(
        kind(get(&broker, "http://0.0.0.0/api/v4/x")),
        Some(DenialKind::Address)
    );
}

#[test]
fn a_permit_shows_neither_query_nor_secret_source() {
    let broker = configured(GRANT);
    let permit = get_with_token(&broker, "https://gitlab.example.com/api/v4/x?sig=s3cret").unwrap();
    let shown = format!("{permit:?}");
    assert!(!shown.contains("s3cret"), "{shown}");
    assert!(shown.contains("work"), "{shown}");
}
