//! Signatures of AWS: one for each request as it is sent, and for nobody else's.

use std::sync::Arc;

use fetchhost_credentials::Keyring;
use fetchhost_transport::{Client, TransportError};

use crate::support::{
    Granted, Received, Server, answer, body, get, get_with, quick, redirect, say,
};

const KEY: &str = "canary/S3cretAccessKey";
const TOKEN: &str = "canary-session-token";

pub fn client() -> Client {
    let keyring = Keyring::with_environment(|name| {
        (name == "TOKEN").then(|| format!("AKID:{KEY}:{TOKEN}").into())
    });
    Client::new(quick(), Arc::new(keyring))
}

pub fn signature(request: &Received) -> &str {
    let authorization = request.header("authorization").unwrap();
    authorization.split("Signature=").nth(1).unwrap()
}

#[tokio::test]
async fn a_redirect_within_the_origin_is_signed_for_its_own_url() {
    let api = Server::start(|number, _| match number {
        0 => redirect(307, "/b?x=1"),
        _ => answer("200 OK", "x"),
    })
    .await;
    let broker = Granted::to(api.origin()).credential("aws-sigv4").broker();
    get(&client(), &broker, &api.url("/a")).await.unwrap();
    let seen = api.received();
    assert_eq!(seen[1].target, "/b?x=1");
    assert_ne!(signature(&seen[0]), signature(&seen[1]));
    for request in &seen {
        assert_eq!(request.header("x-amz-security-token"), Some(TOKEN));
        assert!(!format!("{request:?}").contains(KEY));
    }
}

#[tokio::test]
async fn neither_signature_nor_session_token_goes_to_another_origin() {
    let storage = Server::start(|_, _| answer("200 OK", "x")).await;
    let target = storage.url("/object");
    let api = Server::start(move |_, _| redirect(307, &target)).await;
    // The keys may be used for both; having changed the origin is what drops them.
    let mut granted = Granted::to(api.origin()).redirects(&[storage.origin()]);
    granted.credential = Some(("aws-sigv4", vec![api.origin(), storage.origin()]));
    get(&client(), &granted.broker(), &api.url("/a"))
        .await
        .unwrap();
    assert!(api.received()[0].header("x-amz-security-token").is_some());
    let there = &storage.received()[0];
    for name in [
        "authorization",
        "x-amz-security-token",
        "x-amz-date",
        "x-amz-content-sha256",
    ] {
        assert_eq!(there.header(name), None, "{name}");
    }
}

#[tokio::test]
async fn what_is_asked_again_and_the_rest_of_a_body_are_signed_too() {
    let api = Server::start(|number, request| match number {
        0 => answer("503 Service Unavailable", ""),
        1 => say("HTTP/1.1 200 OK\r\nETag: \"e\"\r\nContent-Length: 6\r\n\r\nabc"),
        _ => {
            assert_eq!(request.header("range"), Some("bytes=3-"));
            say(
                "HTTP/1.1 206 Partial Content\r\nETag: \"e\"\r\nContent-Range: bytes 3-5/6\r\nContent-Length: 3\r\n\r\ndef",
            )
        }
    })
    .await;
    let broker = Granted::to(api.origin()).credential("aws-sigv4").broker();
    let response = get(&client(), &broker, &api.url("/a")).await.unwrap();
    assert_eq!(body(response).await.unwrap(), "abcdef");
    let seen = api.received();
    assert_eq!(seen.len(), 3);
    for request in seen {
        assert_eq!(signature(&request).len(), 64);
        assert!(request.header("x-amz-date").is_some());
    }
}

#[tokio::test]
async fn a_guest_cannot_say_what_a_signature_means() {
    let api = Server::start(|_, _| answer("200 OK", "x")).await;
    let signed = Granted::to(api.origin()).credential("aws-sigv4").broker();
    let plain = Granted::to(api.origin()).credential("bearer").broker();
    for name in [
        "x-amz-copy-source",
        "X-Amz-Target",
        "X-Amz-Date",
        "x-amz-content-sha256",
        "x-goog-copy-source",
    ] {
        let headers = [(name, "x")];
        let sent = get_with(&client(), &signed, &api.url("/a"), &headers).await;
        assert!(matches!(sent, Err(TransportError::Header { .. })), "{name}");
        assert!(api.received().is_empty());
    }
    // They are headers like others where nothing is signed.
    let headers = [("x-amz-meta-a", "b")];
    get_with(
        &crate::support::client(quick()),
        &plain,
        &api.url("/a"),
        &headers,
    )
    .await
    .unwrap();
    assert_eq!(api.received()[0].header("x-amz-meta-a"), Some("b"));
}
