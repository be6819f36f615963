//! Rules 1 and 4, and what a request carries: only permitted ones, with the host's own headers, and
//! with the credential only where it belongs.

use std::{sync::Arc, time::Duration};

use fetchhost_credentials::Keyring;
use fetchhost_policy::Method;
use fetchhost_transport::{Category, Client, Outgoing, Settings, TransportError};

use crate::support::{CANARY, Granted, Server, answer, body, client, get, get_with, quick};

#[tokio::test]
async fn each_scheme_puts_the_credential_where_it_belongs() {
    let api = Server::start(|_, _| answer("200 OK", "x")).await;
    for (scheme, header, value) in [
        ("bearer", "authorization", format!("Bearer {CANARY}")),
        ("header:PRIVATE-TOKEN", "private-token", CANARY.to_owned()),
        (
            "basic:me",
            "authorization",
            "Basic bWU6Y2FuYXJ5LWdscGF0LTVlY3JldA==".to_owned(),
        ),
    ] {
        let broker = Granted::to(api.origin()).credential(scheme).broker();
        get(&client(quick()), &broker, &api.url("/")).await.unwrap();
        assert_eq!(
            api.received().last().unwrap().header(header),
            Some(value.as_str()),
            "{scheme}"
        );
    }
}

#[tokio::test]
async fn a_request_without_a_slot_carries_no_credential() {
    let api = Server::start(|_, _| answer("200 OK", "x")).await;
    let broker = Granted::to(api.origin()).credential("bearer").broker();
    let permit = broker
        .authorize(Method::Get, &api.url("/"), None, false)
        .unwrap();
    let out = Outgoing {
        permit,
        headers: Vec::new(),
        body: None,
    };
    client(quick()).send(broker, out).await.unwrap();
    assert!(!api.received()[0].has_secret());
}

#[tokio::test]
async fn the_credential_overrides_a_header_of_the_same_name() {
    let api = Server::start(|_, _| answer("200 OK", "x")).await;
    let broker = Granted::to(api.origin())
        .credential("header:X-Access")
        .broker();
    get_with(
        &client(quick()),
        &broker,
        &api.url("/"),
        &[("x-access", "planted")],
    )
    .await
    .unwrap();
    let received = &api.received()[0];
    let values: Vec<_> = received
        .headers
        .iter()
        .filter(|(n, _)| n.eq_ignore_ascii_case("x-access"))
        .collect();
    assert_eq!(values.len(), 1);
    assert_eq!(values[0].1, CANARY);
}

#[tokio::test]
async fn headers_that_are_not_for_guests_are_refused_again_at_the_moment_of_sending() {
    let api = Server::start(|_, _| answer("200 OK", "x")).await;
    let broker = Granted::to(api.origin()).broker();
    for (name, value) in [
        ("Authorization", "Bearer planted"),
        ("PRIVATE-TOKEN", "planted"),
        ("Cookie", "a=b"),
        ("Host", "other"),
        ("Range", "bytes=0-1"),
        ("Content-Length", "5"),
        ("Transfer-Encoding", "chunked"),
        ("X-Fine", "a\r\nPRIVATE-TOKEN: b"),
        ("X Bad", "a"),
        ("", "a"),
    ] {
        let error = get_with(&client(quick()), &broker, &api.url("/"), &[(name, value)])
            .await
            .unwrap_err();
        assert!(
            matches!(error, TransportError::Header { .. }),
            "{name}: {error}"
        );
        assert_eq!(error.category(), Category::Module);
        assert!(!error.to_string().contains("planted"));
    }
    assert_eq!(api.connections(), 0);
}

#[tokio::test]
async fn a_credential_that_cannot_be_had_is_an_error_before_anything_is_sent() {
    let api = Server::start(|_, _| answer("200 OK", "x")).await;
    let broker = Granted::to(api.origin()).credential("bearer").broker();
    let client = Client::new(quick(), Arc::new(Keyring::with_environment(|_| None)));
    let error = get(&client, &broker, &api.url("/")).await.unwrap_err();
    assert_eq!(error.category(), Category::Credential);
    assert!(error.to_string().contains("`TOKEN` is not set"), "{error}");
    assert!(error.hint().is_some());
    assert_eq!(api.connections(), 0);
    assert!(client.journal().is_empty());
}

#[tokio::test]
async fn response_headers_that_carry_credentials_are_kept_from_the_guest() {
    let head = "200 OK\r\nSet-Cookie: session=abc\r\nX-Auth-Token: abc\r\nWWW-Authenticate: Basic\r\nETag: \"v\"\r\nX-Name: \u{e9}";
    let api = Server::start(move |_, _| answer(head, "x")).await;
    let broker = Granted::to(api.origin()).broker();
    let response = get(&client(quick()), &broker, &api.url("/")).await.unwrap();
    let shown = response.guest_headers();
    let names: Vec<_> = shown.iter().map(|(name, _)| name.as_str()).collect();
    assert!(
        names.contains(&"etag") && names.contains(&"x-name"),
        "{names:?}"
    );
    for hidden in ["set-cookie", "x-auth-token", "www-authenticate"] {
        assert!(!names.contains(&hidden), "{hidden}");
    }
}

#[tokio::test]
async fn cookies_are_not_kept() {
    let api = Server::start(|_, _| answer("200 OK\r\nSet-Cookie: a=b", "x")).await;
    let broker = Granted::to(api.origin()).broker();
    let client = client(quick());
    for _ in 0..2 {
        get(&client, &broker, &api.url("/")).await.unwrap();
    }
    assert_eq!(api.received()[1].header("cookie"), None);
}

#[tokio::test]
async fn an_encoding_is_not_asked_for_and_reported_when_it_comes() {
    let api = Server::start(|_, _| {
        answer(
            "200 OK\r\nContent-Encoding: GZIP\r\nContent-Type: text/html",
            "x",
        )
    })
    .await;
    let broker = Granted::to(api.origin()).broker();
    let response = get(&client(quick()), &broker, &api.url("/")).await.unwrap();
    assert_eq!(
        api.received()[0].header("accept-encoding"),
        Some("identity")
    );
    assert_eq!(response.content_encoding().as_deref(), Some("gzip"));
    assert_eq!(response.content_type(), Some("text/html"));
}

#[tokio::test]
async fn a_client_with_its_own_journal_does_not_see_the_others_contacts() {
    let api = Server::start(|_, _| answer("200 OK", "x")).await;
    let broker = Granted::to(api.origin()).broker();
    let first = client(quick());
    let second = first.with_own_journal();
    get(&first, &broker, &api.url("/")).await.unwrap();
    assert_eq!(
        (
            first.journal().len(),
            first.clone().journal().len(),
            second.journal().len()
        ),
        (1, 1, 0)
    );
}

#[tokio::test]
async fn a_time_beyond_what_a_clock_can_hold_bounds_nothing() {
    let server = Server::start(|_, _| answer("200 OK", "x")).await;
    let client = client(Settings {
        total_timeout: Some(Duration::MAX),
        ..quick()
    });
    let broker = Granted::to(server.origin()).broker();
    let response = get(&client, &broker, &server.url("/")).await.unwrap();
    assert_eq!(body(response).await.unwrap(), "x");
}
