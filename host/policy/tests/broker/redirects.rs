//! Redirects, row by row of the broker's table.

use fetchhost_policy::{Broker, DenialKind, Method, Permit};

use crate::*;

const API: &str = "https://gitlab.example.com/api/v4/x";

const GRANT: &str = r#"
[credential.work]
source = { env = "T" }
scheme = "header:PRIVATE-TOKEN"
origins = ["https://gitlab.example.com", "https://cdn.example.net", "https://second.example.com"]

[[grant]]
module = "builtin:gitlab"
origins = ["https://gitlab.example.com"]
methods = ["GET", "HEAD", "POST"]
redirects = ["https://cdn.example.net", "https://*.storage.example.net", "http://10.0.0.1:9000"]
credentials = { token = "work" }

[[grant]]
module = "builtin:gitlab"
origins = ["https://second.example.com", "http://plain.example.com"]
redirects = ["http://other-plain.example.com"]
credentials = { token = "work" }
"#;

fn start() -> (Broker, Permit) {
    let broker = configured(GRANT);
    let permit = get_with_token(&broker, API).unwrap();
    assert!(permit.credential().is_some());
    (broker, permit)
}

#[test]
fn the_same_origin_keeps_the_credential_and_is_judged_like_a_request() {
    let (broker, permit) = start();
    let next = follow(&broker, &permit, "https://gitlab.example.com:443/api/v4/y").unwrap();
    assert!(next.credential().is_some());
    assert!(!next.crossed_origin());
    let denied = |to: &str| kind(follow(&broker, &permit, to));
    assert_eq!(
        denied("https://gitlab.example.com/admin"),
        Some(DenialKind::NotDeclared)
    );
    assert_eq!(
        denied("https://u:p@gitlab.example.com/api/v4/y"),
        Some(DenialKind::Url)
    );
    assert_eq!(
        denied("https://gitlab.example.com/api/v4/..;/x"),
        Some(DenialKind::Url)
    );
}

#[test]
fn another_origin_must_be_listed_and_gets_no_credential_even_when_it_could() {
    let (broker, permit) = start();
    let cdn = follow(
        &broker,
        &permit,
        "https://cdn.example.net/any/path?X-Amz-Signature=1",
    )
    .unwrap();
    assert!(
        cdn.credential().is_none(),
        "also when the credential is for that origin"
    );
    assert!(cdn.crossed_origin());
    assert!(cdn.url().query().is_some());
    for to in [
        "https://evil.example/",
        "https://second.example.com/api/v4/x",
        "https://cdn.example.net:8443/",
        "https://gitlab.example.com:8443/api/v4/x",
        "https://storage.example.net/",
    ] {
        assert_eq!(
            kind(follow(&broker, &permit, to)),
            Some(DenialKind::Redirect),
            "{to}"
        );
    }
}

#[test]
fn https_to_http_is_refused_whatever_is_granted() {
    let (broker, permit) = start();
    for to in [
        "http://10.0.0.1:9000/x",
        "http://gitlab.example.com/api/v4/x",
        "http://evil.example/",
    ] {
        let denial = follow(&broker, &permit, to).unwrap_err();
        assert_eq!(denial.kind(), DenialKind::Downgrade, "{to}");
        assert!(denial.flags().is_empty() && denial.config_lines().is_none());
    }
    let allowing = typed(&consent(
        "https://gitlab.example.com",
        "http://gitlab.example.com",
        "",
    ));
    let permit = get(&allowing, API).unwrap();
    assert_eq!(
        kind(follow(
            &allowing,
            &permit,
            "http://gitlab.example.com/api/v4/x"
        )),
        Some(DenialKind::Downgrade)
    );
}

#[test]
fn plain_http_may_redirect_to_a_listed_plain_http_origin_and_up_to_https_by_listing_only() {
    let broker = configured(GRANT);
    let plain = get(&broker, "http://plain.example.com/api/v4/x").unwrap();
    assert!(follow(&broker, &plain, "http://other-plain.example.com/y").is_ok());
    assert_eq!(
        kind(follow(
            &broker,
            &plain,
            "https://plain.example.com/api/v4/x"
        )),
        Some(DenialKind::Redirect)
    );
}

#[test]
fn coming_back_does_not_restore_the_credential() {
    let (broker, permit) = start();
    let cdn = follow(&broker, &permit, "https://cdn.example.net/a").unwrap();
    let back = follow(&broker, &cdn, API).unwrap();
    assert!(back.credential().is_none());
    assert!(back.crossed_origin());
    let on = follow(&broker, &back, "https://gitlab.example.com/api/v4/z").unwrap();
    assert!(
        on.credential().is_none(),
        "nor does a hop within the first origin"
    );
    assert_eq!(
        kind(follow(&broker, &cdn, "https://gitlab.example.com/admin")),
        Some(DenialKind::NotDeclared),
        "and its paths still hold"
    );
}

#[test]
fn a_redirect_target_may_redirect_within_itself_and_on_to_other_listed_ones() {
    let (broker, permit) = start();
    let cdn = follow(&broker, &permit, "https://cdn.example.net/a").unwrap();
    let same = follow(&broker, &cdn, "https://cdn.example.net/b").unwrap();
    assert!(same.credential().is_none() && same.crossed_origin());
    let storage = follow(&broker, &same, "https://eu.storage.example.net/c").unwrap();
    assert!(storage.credential().is_none());
    assert_eq!(
        kind(follow(&broker, &storage, "https://evil.example/")),
        Some(DenialKind::Redirect)
    );
}

#[test]
fn other_origins_are_only_read() {
    let broker = configured(GRANT);
    let post = broker
        .authorize(Method::Post, &url(API), Some(&slot("token")), true)
        .unwrap();
    let cdn = url("https://cdn.example.net/a");
    assert_eq!(
        kind(broker.redirect(&post, Method::Post, &cdn)),
        Some(DenialKind::Method)
    );
    assert!(
        broker.redirect(&post, Method::Get, &cdn).is_ok(),
        "a 303 changes the method"
    );
    let same = url("https://gitlab.example.com/api/v4/y");
    assert!(
        broker
            .redirect(&post, Method::Post, &same)
            .unwrap()
            .credential()
            .is_some()
    );
}

#[test]
fn a_listed_target_is_private_only_when_it_is_written_exactly() {
    let (broker, permit) = start();
    let private = |to: &str| follow(&broker, &permit, to).unwrap().addresses().private;
    assert!(private("https://cdn.example.net/a"));
    assert!(!private("https://eu.storage.example.net/a"));
}

#[test]
fn an_origin_that_is_redirect_only_cannot_be_asked_directly() {
    let broker = configured(GRANT);
    assert_eq!(
        kind(get(&broker, "https://cdn.example.net/api/v4/x")),
        Some(DenialKind::Origin)
    );
}

#[test]
fn redirects_belong_to_the_grant_that_the_request_started_with() {
    let broker = configured(GRANT);
    let second = get_with_token(&broker, "https://second.example.com/api/v4/x").unwrap();
    assert_eq!(
        kind(follow(&broker, &second, "https://cdn.example.net/a")),
        Some(DenialKind::Redirect)
    );
}

#[test]
fn gitlab_coms_own_storage_is_known_for_gitlab_com_alone() {
    let storage = "https://cdn.artifacts.gitlab-static.net/a?sig";
    let broker = typed(&consent("", "", ""));
    let permit = get(&broker, "https://gitlab.com/api/v4/x").unwrap();
    let hop = follow(&broker, &permit, storage).unwrap();
    assert!(!hop.addresses().private, "our word is not the user's");
    assert!(
        follow(
            &broker,
            &permit,
            "https://storage.googleapis.com/gitlab-gprd-artifacts/a"
        )
        .is_ok()
    );

    let other = typed(&consent("https://gitlab.example.com", "", ""));
    let permit = get(&other, API).unwrap();
    assert_eq!(
        kind(follow(&other, &permit, storage)),
        Some(DenialKind::Redirect)
    );

    let configured =
        configured("[[grant]]\nmodule = \"builtin:gitlab\"\norigins = [\"https://gitlab.com\"]");
    let permit = get(&configured, "https://gitlab.com/api/v4/x").unwrap();
    assert!(follow(&configured, &permit, storage).is_ok());
}

#[test]
fn what_the_first_request_was_not_given_no_redirect_adds() {
    let broker = configured(GRANT);
    let bare = get(&broker, API).unwrap();
    assert!(
        follow(&broker, &bare, "https://gitlab.example.com/api/v4/y")
            .unwrap()
            .credential()
            .is_none()
    );
}
