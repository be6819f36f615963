//! No secret and no signed query in anything that leaves the process, at any verbosity.

use std::{
    io,
    sync::{Arc, Mutex},
};

use fetchhost_policy::{Proxies, Proxy};
use fetchhost_transport::{Client, Settings, TransportError};
use tracing::level_filters::LevelFilter;

use crate::support::{
    CANARY, Granted, Server, Step, answer, body, get, keyring, quick, redirect, say,
};

/// Part of every signed query in here.
const SIGNATURE: &str = "canary-signature";

/// Everything that was written so far.
#[derive(Clone, Default)]
struct Capture(Arc<Mutex<Vec<u8>>>);

impl Capture {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl io::Write for Capture {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The traces of the HTTP libraries go through `log`.
struct LogCapture(Capture);

impl log::Log for LogCapture {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        use io::Write;
        writeln!(self.0.clone(), "{} {}", record.target(), record.args()).unwrap();
    }

    fn flush(&self) {}
}

#[track_caller]
fn assert_clean(what: &str, text: &str) {
    assert!(!text.contains("canary"), "{what}: {text}");
}

#[tokio::test]
async fn neither_traces_nor_errors_nor_the_journal_show_a_secret_or_a_signed_query() {
    let capture = Capture::default();
    log::set_boxed_logger(Box::new(LogCapture(capture.clone()))).unwrap();
    log::set_max_level(log::LevelFilter::Trace);
    let writer = capture.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    // On a runtime of one thread the guard covers all of its tasks.
    let _guard = tracing::subscriber::set_default(subscriber);

    let storage = Server::start(|number, _| match number {
        // Answered, broken off, then each way to fail.
        0 => answer("200 OK", "whole"),
        1 => say("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"),
        2 => say("HTTP/1.1 200 OK\r\nBad Header: x\r\n\r\n"),
        3 => vec![Step::Reset],
        4 => redirect(302, format!("http://127.0.0.1:1/away?sig={SIGNATURE}")),
        5 => redirect(302, format!("http://[?sig={SIGNATURE}")),
        6 => redirect(302, format!("/users/sign_in?sig={SIGNATURE}")),
        _ => redirect(302, format!("/loop?sig={SIGNATURE}")),
    })
    .await;
    let target = storage.url(&format!("/object?X-Amz-Signature={SIGNATURE}"));
    let api = Server::start(move |_, _| redirect(302, &target)).await;
    let broker = Granted::to(api.origin())
        .redirects(&[storage.origin()])
        .credential("header:PRIVATE-TOKEN")
        .broker();
    let client = Client::new(
        Settings {
            attempts: 1,
            ..quick()
        },
        keyring(),
    );
    let url = api.url(&format!("/artifacts?private_token={SIGNATURE}"));

    let mut failures = Vec::new();
    for _ in 0..8 {
        match get(&client, &broker, &url).await {
            Ok(response) => {
                assert_clean("a response", &format!("{response:?}"));
                assert_clean("guest headers", &format!("{:?}", response.guest_headers()));
                failures.extend(body(response).await.err());
            }
            Err(error) => failures.push(error),
        }
    }
    assert_eq!(failures.len(), 7);
    for error in &failures {
        assert_clean("an error", &format!("{error} {error:?} {:?}", error.hint()));
    }
    assert!(
        failures
            .iter()
            .any(|error| matches!(error, TransportError::TooManyRedirects { .. }))
    );
    let signed = sign().await;
    through_proxies(&mut failures).await;
    for error in &failures {
        assert_clean("an error", &format!("{error} {error:?} {:?}", error.hint()));
    }
    assert_clean("the journal", &format!("{:?}", client.journal()));
    assert_clean("the client", &format!("{client:?} {:?}", keyring()));

    assert!(
        api.received()
            .iter()
            .all(|request| request.header("private-token") == Some(CANARY))
    );
    let traces = capture.text();
    assert!(
        traces.contains("sending") && traces.contains("/artifacts?…"),
        "{traces}"
    );
    assert_clean("the traces", &traces);
    assert!(!traces.contains(&signed), "{traces}");
}

/// A request that is signed; its signature.
async fn sign() -> String {
    let server = Server::start(|_, _| answer("200 OK", "x")).await;
    let broker = Granted::to(server.origin())
        .credential("aws-sigv4")
        .broker();
    let client = crate::signatures::client();
    get(&client, &broker, &server.url("/a")).await.unwrap();
    assert_clean("the journal", &format!("{:?}", client.journal()));
    crate::signatures::signature(&server.received()[0]).to_owned()
}

/// The same through a proxy that has a login of its own, and that fails in every way.
async fn through_proxies(failures: &mut Vec<TransportError>) {
    let proxy = Server::start(|number, _| match number {
        0 => answer("200 OK", "whole"),
        1 => answer("407 Proxy Authentication Required", ""),
        2 => vec![Step::Reset],
        _ => say("nonsense"),
    })
    .await;
    let named: Option<Proxy> = format!("canary-me:canary-pass@127.0.0.1:{}", proxy.port)
        .parse()
        .ok();
    let settings = Settings {
        attempts: 1,
        proxies: Proxies {
            https: Ok(named.clone()),
            http: Ok(named),
            ..Proxies::default()
        },
        ..quick()
    };
    let client = Client::new(settings, keyring());
    for scheme in ["http", "http", "http", "https", "https"] {
        let origin = format!("{scheme}://files.example.com");
        let broker = Granted::to(&origin).broker();
        match get(&client, &broker, &format!("{origin}/").parse().unwrap()).await {
            Ok(response) => assert_clean("a response", &format!("{response:?}")),
            Err(error) => failures.push(error),
        }
    }
    assert_eq!(failures.len(), 11);
    for request in proxy.received() {
        assert!(
            request.header("proxy-authorization").is_some(),
            "{request:?}"
        );
    }
    assert_clean("the journal", &format!("{:?} {client:?}", client.journal()));
}

#[tokio::test]
async fn control_characters_of_a_server_are_escaped_in_errors() {
    let api = Server::start(|_, _| redirect(302, "/\u{9b}31m/users/sign_in")).await;
    let broker = Granted::to(api.origin()).broker();
    let error = get(&Client::new(quick(), keyring()), &broker, &api.url("/"))
        .await
        .unwrap_err();
    assert!(
        !error.to_string().chars().any(char::is_control),
        "{error:?}"
    );
}
