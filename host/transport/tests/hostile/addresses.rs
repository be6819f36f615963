//! Rule 2: resolve once, check every address, connect only to the checked ones.

use std::sync::{Arc, atomic::Ordering};

use fetchhost_policy::AddressDenied;
use fetchhost_transport::{Category, Client, Settings, TransportError};

use crate::support::{Granted, Names, Server, answer, get, keyring, quick, redirect};

/// An address that counts as public and that nobody was ever given.
const UNROUTED: &str = "3ffe::1";

fn once() -> Settings {
    Settings {
        attempts: 1,
        connect_timeout: std::time::Duration::from_millis(200),
        ..quick()
    }
}

fn address_denied(error: &TransportError) -> AddressDenied {
    assert_eq!(error.category(), Category::Denied, "{error}");
    match error {
        TransportError::Address { denied, .. } => *denied,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_name_with_one_public_and_one_private_address_is_refused_whole() {
    let inside = Server::start(|_, _| answer("200 OK", "x")).await;
    let names = Names::of(&[
        ("a.files.test", &[&[UNROUTED, "127.0.0.1"]]),
        ("b.files.test", &[&["127.0.0.1", UNROUTED]]),
    ]);
    let client = Client::with_lookup(once(), keyring(), Arc::new(names));
    let broker = Granted::to(format!("https://*.files.test:{}", inside.port)).broker();
    for name in ["a", "b"] {
        let url = format!("https://{name}.files.test:{}/x", inside.port)
            .parse()
            .unwrap();
        let error = get(&client, &broker, &url).await.unwrap_err();
        assert!(matches!(
            address_denied(&error),
            AddressDenied::Private { .. }
        ));
        assert!(
            error.to_string().contains(&format!("`{name}.files.test`")),
            "{error}"
        );
        assert!(error.to_string().contains("127.0.0.1"), "{error}");
    }
    assert_eq!(inside.connections(), 0);
}

#[tokio::test]
async fn a_name_that_turns_inward_on_its_second_lookup_is_never_connected_to() {
    let inside = Server::start(|_, _| answer("200 OK", "x")).await;
    let names = Names::of(&[("evil.files.test", &[&[UNROUTED], &["127.0.0.1"]])]);
    let lookups = Arc::clone(&names.lookups);
    let client = Client::with_lookup(once(), keyring(), Arc::new(names));
    let broker = Granted::to(format!("https://*.files.test:{}", inside.port)).broker();
    let url = format!("https://evil.files.test:{}/x", inside.port)
        .parse()
        .unwrap();

    let first = get(&client, &broker, &url).await.unwrap_err();
    assert_eq!(first.category(), Category::Network, "{first}");
    assert_eq!(
        lookups.load(Ordering::SeqCst),
        1,
        "one lookup decides and connects"
    );
    let second = get(&client, &broker, &url).await.unwrap_err();
    address_denied(&second);
    assert_eq!(lookups.load(Ordering::SeqCst), 2);
    assert_eq!(inside.connections(), 0);
}

#[tokio::test]
async fn a_host_that_is_granted_exactly_may_be_private() {
    let inside = Server::start(|_, _| answer("200 OK", "x")).await;
    let names = Names::of(&[("gitlab.lan", &[&["127.0.0.1"]])]);
    let client = Client::with_lookup(once(), keyring(), Arc::new(names));
    let origin = format!("http://gitlab.lan:{}", inside.port);
    let broker = Granted::to(origin.clone()).broker();
    let response = get(&client, &broker, &format!("{origin}/x").parse().unwrap())
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(
        inside.received()[0].header("host"),
        Some(format!("gitlab.lan:{}", inside.port).as_str())
    );
}

#[tokio::test]
async fn a_connection_of_an_exact_grant_is_not_lent_to_a_wildcard() {
    let inside = Server::start(|_, _| answer("200 OK", "x")).await;
    let names = Names::of(&[("a.files.test", &[&["127.0.0.1"]])]);
    let client = Client::with_lookup(once(), keyring(), Arc::new(names));
    let url = format!("https://a.files.test:{}/x", inside.port)
        .parse()
        .unwrap();
    // The exact grant gets as far as the TLS handshake, which this server does not speak.
    let exact = Granted::to(format!("https://a.files.test:{}", inside.port)).broker();
    get(&client, &exact, &url).await.unwrap_err();
    assert_eq!(inside.connections(), 1);
    let wildcard = Granted::to(format!("https://*.files.test:{}", inside.port)).broker();
    address_denied(&get(&client, &wildcard, &url).await.unwrap_err());
    assert_eq!(inside.connections(), 1);
}

#[tokio::test]
async fn metadata_addresses_are_refused_even_where_a_redirect_to_them_is_granted() {
    for target in [
        "http://169.254.169.254",
        "http://100.100.100.200",
        "http://[fd00:ec2::254]",
    ] {
        let location = format!("{target}/latest/meta-data/");
        let api = Server::start(move |_, _| redirect(302, &location)).await;
        let broker = Granted::to(api.origin())
            .redirects(&[target.to_owned()])
            .broker();
        let client = Client::new(once(), keyring());
        let error = get(&client, &broker, &api.url("/")).await.unwrap_err();
        assert_eq!(error.category(), Category::Denied, "{error}");
        assert!(error.to_string().contains("metadata"), "{error}");
        assert!(
            error.hint().unwrap().contains("allow-metadata"),
            "{:?}",
            error.hint()
        );
        assert_eq!(client.journal().len(), 1, "the second hop was never sent");
    }
}

#[tokio::test]
async fn a_name_that_leads_to_a_metadata_address_is_refused_in_every_spelling() {
    for address in [
        "169.254.169.254",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
    ] {
        let names = Names::of(&[("meta.lan", &[&[address]])]);
        let client = Client::with_lookup(once(), keyring(), Arc::new(names));
        let broker = Granted::to("http://meta.lan").broker();
        let error = get(&client, &broker, &"http://meta.lan/".parse().unwrap())
            .await
            .unwrap_err();
        assert!(
            matches!(address_denied(&error), AddressDenied::Metadata { .. }),
            "{address}"
        );
    }
}

#[tokio::test]
async fn a_name_without_address_says_so() {
    let client = Client::with_lookup(
        once(),
        keyring(),
        Arc::new(Names::of(&[("empty.lan", &[&[]])])),
    );
    for (host, says) in [
        ("empty.lan", "has no address"),
        ("missing.lan", "no such name"),
    ] {
        let broker = Granted::to(format!("http://{host}")).broker();
        let error = get(
            &client,
            &broker,
            &format!("http://{host}/").parse().unwrap(),
        )
        .await
        .unwrap_err();
        assert!(matches!(error, TransportError::Resolve { .. }), "{error}");
        assert!(
            error.to_string().contains(host) && error.to_string().contains(says),
            "{error}"
        );
    }
}
