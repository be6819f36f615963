//! Servers that send the secret back, and what is known of it by then.

use std::time::Duration;

use fetchhost_policy::{Proxies, Proxy};
use fetchhost_transport::{Category, Client, Settings, TransportError};

use crate::support::{CANARY, Granted, Server, Step, answer, body, get, keyring, quick, redirect};

/// Demands an echo of `tok`, told without the secret.
#[track_caller]
fn is_echo(error: TransportError, server: &Server) {
    let shown = format!("{error} {error:?} {:?}", error.hint());
    assert!(!shown.contains("canary"), "{shown}");
    assert_eq!(error.category(), Category::Module);
    let TransportError::Echoed { origin, credential } = error else {
        panic!("{shown}")
    };
    assert_eq!(
        (origin.to_string(), credential.as_str()),
        (server.origin(), "tok")
    );
}

#[tokio::test]
async fn a_redirect_with_the_secret_in_its_target_is_neither_followed_nor_recorded() {
    let encoded: String = CANARY.bytes().map(|byte| format!("%{byte:02x}")).collect();
    for target in [
        format!("/{CANARY}/file"),
        format!("/file?token={CANARY}"),
        format!("/file?token={encoded}"),
        format!("/{encoded}"),
        format!("/users/sign_in?t={CANARY}"),
        format!("http://{CANARY}.example.com/"),
        format!(
            "http://{}.example.com/",
            CANARY.to_uppercase().to_lowercase()
        ),
        format!("http://[{CANARY}"),
        format!("/file#{CANARY}"),
    ] {
        let to = target.clone();
        let server = Server::start(move |number, _| match number {
            0 => redirect(302, &to),
            _ => answer("200 OK", "followed"),
        })
        .await;
        let broker = Granted::to(server.origin())
            .credential("header:PRIVATE-TOKEN")
            .broker();
        let client = Client::new(quick(), keyring());
        let error = get(&client, &broker, &server.url("/start"))
            .await
            .unwrap_err();
        is_echo(error, &server);
        assert_eq!(server.received().len(), 1, "{target}");
        let journal = format!("{:?}", client.journal());
        assert_eq!(client.journal().len(), 1, "{journal}");
        assert!(!journal.contains("canary"), "{target}: {journal}");
    }
}

#[tokio::test]
async fn a_secret_is_known_although_its_request_failed() {
    let server = Server::start(|_, _| vec![Step::Reset]).await;
    let broker = Granted::to(server.origin()).credential("bearer").broker();
    let client = Client::new(quick(), keyring());
    assert!(client.echo().patterns().is_none());
    get(&client, &broker, &server.url("/")).await.unwrap_err();

    let other = Server::start(|_, _| redirect(302, format!("/{CANARY}"))).await;
    let without = Granted::to(other.origin()).broker();
    let error = get(&client, &without, &other.url("/")).await.unwrap_err();
    is_echo(error, &other);
    assert!(client.clone().echo().patterns().is_some());
    assert!(client.with_own_journal().echo().patterns().is_none());
}

#[tokio::test]
async fn a_secret_is_known_before_its_request_is_answered() {
    let server = Server::start(|_, _| vec![Step::Wait(Duration::from_secs(10))]).await;
    let broker = Granted::to(server.origin()).credential("bearer").broker();
    let client = Client::new(quick(), keyring());
    let url = server.url("/");
    let asking = get(&client, &broker, &url);
    let searching = async {
        while server.received().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let origin = server.origin().parse().unwrap();
        let found = client.echo().check(CANARY.as_bytes(), &origin);
        assert!(found.is_err());
        assert!(client.echo().went_to(&origin));
    };
    tokio::select! {
        answered = asking => panic!("{answered:?}"),
        () = searching => {}
    }
}

#[tokio::test]
async fn the_login_of_a_proxy_is_known_where_requests_carry_it() {
    let proxy = Server::start(|_, _| answer("200 OK", "x")).await;
    let named: Option<Proxy> = format!("me:pass@127.0.0.1:{}", proxy.port).parse().ok();
    let proxies = Proxies {
        http: Ok(named),
        ..Default::default()
    };
    let settings = Settings { proxies, ..quick() };
    let client = Client::new(settings, keyring());
    let origin = "http://files.example.com";
    let broker = Granted::to(origin).broker();
    get(&client, &broker, &format!("{origin}/").parse().unwrap())
        .await
        .unwrap();
    let received = proxy.received();
    let header = received[0].header("proxy-authorization").unwrap();
    let origin = origin.parse().unwrap();
    let echoed = client.echo().check(header.as_bytes(), &origin).unwrap_err();
    assert_eq!(echoed.credential.as_str(), "proxy");
    assert!(client.echo().went_to(&origin));
}

#[tokio::test]
async fn an_encoding_that_is_no_name_is_not_passed_on() {
    for (sent, read) in [
        ("gzip", Some("gzip")),
        ("Gzip, br", Some("gzip, br")),
        ("identity", None),
        ("got a-b", Some("unknown")),
        ("abcdefghijklmnopq", Some("unknown")),
    ] {
        let head = format!("200 OK\r\nContent-Encoding: {sent}");
        let server = Server::start(move |_, _| answer(&head, "x")).await;
        let broker = Granted::to(server.origin()).broker();
        let client = Client::new(quick(), keyring());
        let response = get(&client, &broker, &server.url("/")).await.unwrap();
        assert_eq!(response.content_encoding().as_deref(), read);
        body(response).await.unwrap();
    }
}
