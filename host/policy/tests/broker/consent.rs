//! Consent by command line, to the letter.

use fetchhost_policy::{DenialKind, Method, PolicyError, Scheme};
use serde_json::json;

use crate::*;

const WORK: &str = r#"
[credential.work]
source = { env = "T" }
scheme = "header:PRIVATE-TOKEN"
origins = ["https://gitlab.example.com"]
"#;

const API: &str = "https://gitlab.example.com/api/v4/x";

fn digest() -> String {
    format!("sha256:{}", "ab".repeat(32))
}

#[test]
fn a_typed_origin_is_granted_for_reading_what_the_module_declares() {
    let broker = typed(&consent("https://gitlab.example.com", "", ""));
    assert!(get(&broker, API).is_ok());
    assert!(get(&broker, API).unwrap().addresses().private);
    let post = broker.authorize(Method::Post, &url(API), None, true);
    assert_eq!(kind(post), Some(DenialKind::Method));
    assert_eq!(
        kind(get(&broker, "https://gitlab.example.com/admin")),
        Some(DenialKind::NotDeclared)
    );
    assert_eq!(
        kind(get(&broker, "https://gitlab.com/api/v4/x")),
        Some(DenialKind::Origin),
        "the default is not granted when another origin was typed"
    );
}

#[test]
fn a_built_in_fetchers_own_origin_is_granted_when_none_was_typed_but_not_as_private() {
    let broker = typed(&consent("", "", ""));
    let permit = get(&broker, "https://gitlab.com/api/v4/x").unwrap();
    assert!(!permit.addresses().private);
    let third = try_broker(&digest(), &gitlab(), "", Some(&consent("", "", ""))).unwrap();
    assert_eq!(
        kind(get(&third, "https://gitlab.com/api/v4/x")),
        Some(DenialKind::Origin)
    );
    let unasked = try_broker(GITLAB, &gitlab(), "", None).unwrap();
    assert_eq!(
        kind(get(&unasked, "https://gitlab.com/api/v4/x")),
        Some(DenialKind::Origin)
    );
}

#[test]
fn several_declared_origins_or_a_wildcard_are_no_default() {
    for (module, origins, has_default) in [
        ("builtin:gitlab", json!([]), true),
        ("builtin:gitlab", json!(["https://gitlab.com"]), true),
        ("builtin:http", json!(["https://a.example"]), true),
        ("builtin:http", json!([]), false),
        (
            "builtin:gitlab",
            json!(["https://a.example", "https://b.example"]),
            false,
        ),
        ("builtin:gitlab", json!(["https://*.example.com"]), false),
        (&digest(), json!(["https://a.example"]), false),
    ] {
        let needs = json!({ "origin-parameter": "url", "origins": origins, "paths": ["/**"] });
        let result = try_broker(
            module,
            &describe(&needs),
            "",
            Some(&consent("", "", "token=env:T,bearer")),
        );
        match result {
            Ok(_) => assert!(has_default, "{module} {origins}"),
            Err(PolicyError::NeedsOrigin { .. }) => assert!(!has_default, "{module} {origins}"),
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn allow_grants_reach_directly_and_by_redirect_but_no_credential() {
    let broker = typed(&consent(
        "https://gitlab.example.com",
        "https://b.example",
        "token=env:T",
    ));
    let direct = get_with_token(&broker, "https://b.example/api/v4/x").unwrap();
    assert!(direct.credential().is_none());
    let permit = get_with_token(&broker, API).unwrap();
    assert!(permit.credential().is_some());
    let hop = follow(&broker, &permit, "https://b.example/anything").unwrap();
    assert!(hop.credential().is_none());
    assert!(hop.addresses().private, "it was written exactly");
    assert_eq!(
        kind(get(&broker, "https://b.example/anything")),
        Some(DenialKind::NotDeclared)
    );
}

#[test]
fn a_credential_is_bound_to_the_single_typed_origin() {
    let broker = typed(&consent("https://gitlab.example.com", "", "token=env:T"));
    let spec = broker
        .credential_for(&slot("token"), &origin("https://gitlab.example.com"))
        .unwrap();
    assert_eq!(
        spec.scheme,
        Scheme::header("PRIVATE-TOKEN").unwrap(),
        "a built-in's suggestion"
    );
    assert_eq!(spec.origins, [origin("https://gitlab.example.com")]);
    assert!(
        broker
            .credential_for(&slot("token"), &origin("https://gitlab.com"))
            .is_none()
    );
}

#[test]
fn the_same_origin_typed_twice_is_one() {
    let twice = consent(
        "https://gitlab.example.com https://gitlab.example.com:443",
        "",
        "token=env:T",
    );
    assert!(try_broker(GITLAB, &gitlab(), "", Some(&twice)).is_ok());
}

#[test]
fn a_credential_is_bound_to_gitlab_com_when_nothing_was_typed() {
    let broker = typed(&consent("", "", "token=env:T"));
    assert!(
        get_with_token(&broker, "https://gitlab.com/api/v4/x")
            .unwrap()
            .credential()
            .is_some()
    );
}

#[test]
fn with_several_typed_origins_the_credential_must_say_which() {
    let two = consent("https://a.example https://b.example", "", "token=env:T");
    let error = try_broker(GITLAB, &gitlab(), "", Some(&two)).unwrap_err();
    assert!(matches!(error, PolicyError::NeedsOrigin { .. }));
    assert!(
        error
            .hint()
            .unwrap()
            .contains("--credential token=SOURCE@https://")
    );
    let said = consent(
        "https://a.example https://b.example",
        "",
        "token=env:T@https://b.example",
    );
    let broker = typed(&said);
    assert!(
        get_with_token(&broker, "https://b.example/api/v4/x")
            .unwrap()
            .credential()
            .is_some()
    );
    assert!(
        get_with_token(&broker, "https://a.example/api/v4/x")
            .unwrap()
            .credential()
            .is_none()
    );
}

#[test]
fn allow_alone_is_no_origin_to_bind_to_but_may_be_named() {
    let third = |credentials: &str| {
        try_broker(
            &digest(),
            &gitlab(),
            "",
            Some(&consent("", "https://a.example", credentials)),
        )
    };
    assert!(matches!(
        third("token=env:T,bearer"),
        Err(PolicyError::NeedsOrigin { .. })
    ));
    let broker = third("token=env:T,bearer@https://a.example").unwrap();
    assert!(
        get_with_token(&broker, "https://a.example/api/v4/x")
            .unwrap()
            .credential()
            .is_some()
    );
}

#[test]
fn a_credential_for_an_origin_that_nothing_grants_is_an_error() {
    let stray = consent("https://a.example", "", "token=env:T@https://b.example");
    let error = try_broker(GITLAB, &gitlab(), "", Some(&stray)).unwrap_err();
    assert!(matches!(error, PolicyError::Unreachable { .. }));
    assert!(error.hint().unwrap().contains("--allow https://b.example"));
}

#[test]
fn a_third_partys_suggested_scheme_must_be_said() {
    let silent = consent("https://a.example", "", "token=env:T");
    let error = try_broker(&digest(), &gitlab(), "", Some(&silent)).unwrap_err();
    assert!(matches!(error, PolicyError::NeedsScheme { .. }));
    assert!(
        error
            .hint()
            .unwrap()
            .contains("token=SOURCE,header=PRIVATE-TOKEN")
    );
    let said = consent("https://a.example", "", "token=env:T,bearer");
    let broker = try_broker(&digest(), &gitlab(), "", Some(&said)).unwrap();
    let permit = get_with_token(&broker, "https://a.example/api/v4/x").unwrap();
    assert_eq!(permit.credential().unwrap().scheme, Scheme::Bearer);
}

#[test]
fn a_configured_credential_keeps_its_own_origins_and_scheme() {
    let new = |typed: &str, credential: &str| {
        try_broker(
            GITLAB,
            &gitlab(),
            WORK,
            Some(&consent(typed, "", credential)),
        )
    };
    assert!(new("https://gitlab.example.com", "token=work").is_ok());
    let error = new("https://evil.example", "token=work").unwrap_err();
    assert!(matches!(error, PolicyError::NotForOrigin { .. }), "{error}");
    assert!(error.hint().unwrap().contains("https://evil.example"));
    let error = new(
        "https://evil.example",
        "token=work@https://gitlab.example.com",
    )
    .unwrap_err();
    assert!(matches!(error, PolicyError::Unreachable { .. }), "{error}");
    let error = new("https://gitlab.example.com", "token=work,bearer").unwrap_err();
    assert!(
        matches!(error, PolicyError::SchemeIsConfigured { .. }),
        "{error}"
    );
}

#[test]
fn a_credential_that_is_not_configured_is_not_repeated() {
    let consent = consent("https://gitlab.example.com", "", "token=glpat-s3cret");
    let error = try_broker(GITLAB, &gitlab(), WORK, Some(&consent)).unwrap_err();
    assert!(matches!(error, PolicyError::UnknownCredential { .. }));
    let shown = format!("{error} {error:?} {:?}", error.hint());
    assert!(
        shown.contains("work") && !shown.contains("s3cret"),
        "{shown}"
    );
}

#[test]
fn an_unknown_slot_is_an_error_that_names_the_known_ones() {
    let error =
        try_broker(GITLAB, &gitlab(), "", Some(&consent("", "", "tokne=env:T"))).unwrap_err();
    assert_eq!(
        error.to_string(),
        "fetcher `f` has no credential slot `tokne`"
    );
    assert_eq!(error.hint().unwrap(), "did you mean `token`?");
}

#[test]
fn two_credentials_for_one_slot_and_origin_are_an_error() {
    let twice = consent(
        "https://a.example",
        "",
        "token=env:A token=env:B@https://a.example",
    );
    let error = try_broker(GITLAB, &gitlab(), "", Some(&twice)).unwrap_err();
    assert!(matches!(error, PolicyError::Twice { .. }));
}

#[test]
fn what_is_typed_goes_before_what_is_configured() {
    let toml = format!(
        "{WORK}\n[[grant]]\nmodule = \"builtin:gitlab\"\norigins = [\"https://gitlab.example.com\"]\ncredentials = {{ token = \"work\" }}"
    );
    let consent = consent("https://gitlab.example.com", "", "token=env:OTHER,bearer");
    let broker = try_broker(GITLAB, &gitlab(), &toml, Some(&consent)).unwrap();
    let permit = get_with_token(&broker, API).unwrap();
    assert_eq!(permit.credential().unwrap().scheme, Scheme::Bearer);
}

#[test]
fn a_configuration_that_does_not_fit_itself_is_an_error_here_too() {
    let toml = "[[grant]]\nmodule = \"builtin:gitlab\"\norigins = [\"https://a.example\"]\ncredentials = { token = \"gone\" }";
    let unmerged = Config::parse(toml, std::path::Path::new("config.toml")).unwrap();
    let result = Broker::new(GITLAB.parse().unwrap(), "f", &gitlab(), &unmerged, None);
    assert!(matches!(result, Err(PolicyError::Config(_))));
}
