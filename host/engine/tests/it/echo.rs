//! Servers that send the credential back.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fetchhost_credentials::Keyring;
use fetchhost_engine::{FetchFailure, Misbehaviour, Plan, Session};
use fetchhost_policy::{Broker, Config, Limits, ModuleId};
use fetchhost_transport::{Client, Settings};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::guest::Guest;

const TOKEN: &str = "glpat-canary-Zk3w8QxT";

/// How the guest gets at the answer.
#[derive(Clone, Copy)]
enum By {
    /// `send`, then `read` with this `max` until the end.
    Read(u32),
    /// `send`, and nothing more.
    SendOnly,
    /// `send-all`, then `read`.
    SendAll,
}

/// A guest that asks `url`, with the credential of its slot `token`.
fn guest(url: &str, by: By) -> Guest {
    let send = match by {
        By::SendAll => {
            "(call $store (i32.const 2048) (local.get $handle))
             (call $send_all (i32.const 2048) (i32.const 1) (i64.const 1000000) (i32.const 1100))
             (local.set $handle (call $load (i32.const 1100)))"
        }
        _ => {
            "(call $send (local.get $handle) (i32.const 1100))
             (local.set $handle (i32.const 1100))"
        }
    };
    let read = match by {
        By::SendOnly => String::new(),
        By::Read(max) => reading(max),
        By::SendAll => reading(1000),
    };
    let fetch = format!(
        "(local $handle i32)
         (local.set $handle (call $new (i32.const 0) (i32.const 0) (i32.const {length})))
         (call $authorize (local.get $handle) (i32.const 512) (i32.const 5) (i32.const 1024))
         {send}
         (if (i32.and (call $load (local.get $handle)) (i32.const 255)) (then (return (i32.const 4096))))
         (local.set $handle (call $load (i32.add (local.get $handle) (i32.const 4))))
         {read}
         (call $ok)",
        length = url.len()
    );
    let description = r#"{ "version": "1", "fetchers": { "demo": {
        "summary": "Reads", "parameters": { "type": "object", "properties": { "url": { "type": "string" } } },
        "slots": { "token": { "summary": "Read", "scheme": "header:X-Token", "optional": true } },
        "needs": { "origin-parameter": "url", "paths": ["/**"] },
        "output": [{ "mode": "nar", "name": "source" }] } } }"#;
    Guest {
        description: description.to_owned(),
        imports: imports(url),
        declared: r#"
            (import "extra" "new" (func $new (param i32 i32 i32) (result i32)))
            (import "extra" "authorize" (func $authorize (param i32 i32 i32 i32)))
            (import "extra" "send" (func $send (param i32 i32)))
            (import "extra" "send-all" (func $send_all (param i32 i32 i64 i32)))
            (import "extra" "read" (func $read (param i32 i32 i32)))
            (import "extra" "load" (func $load (param i32) (result i32)))
            (import "extra" "store" (func $store (param i32 i32)))"#,
        lowered: r#"(with "extra" (instance
            (export "new" (func $request))
            (export "authorize" (func $authorize))
            (export "send" (func $send))
            (export "send-all" (func $send-all))
            (export "read" (func $read))
            (export "load" (func $memory "load"))
            (export "store" (func $memory "store"))))"#,
        fetch: fetch.leak(),
        report: ("other", "the request failed"),
        ..Guest::default()
    }
}

fn reading(max: u32) -> String {
    format!(
        "(block $end (loop $more
           (call $read (local.get $handle) (i32.const {max}) (i32.const 1200))
           (if (i32.and (call $load (i32.const 1200)) (i32.const 255)) (then (return (i32.const 4096))))
           (br_if $end (i32.eqz (call $load (i32.const 1208))))
           (br $more)))"
    )
}

fn imports(url: &str) -> String {
    format!(
        r#"(import "nix-fetchhost:fetcher/http@0.1.0" (instance $http
          (type $methods (enum "get" "head" "post" "put" "patch" "delete"))
          (export "method" (type $method (eq $methods)))
          (alias outer 1 $fetch-error (type $error))
          (export "fetch-error" (type $fetch-error (eq $error)))
          (export "request" (type $request (sub resource)))
          (export "response" (type $response (sub resource)))
          (export "[constructor]request"
            (func (param "method" $method) (param "url" string) (result (own $request))))
          (export "[method]request.authorize"
            (func (param "self" (borrow $request)) (param "slot" string)
              (result (result bool (error $fetch-error)))))
          (export "[method]response.read"
            (func (param "self" (borrow $response)) (param "max" u32)
              (result (result (list u8) (error $fetch-error)))))
          (export "send" (func (param "request" (own $request))
            (result (result (own $response) (error $fetch-error)))))
          (export "send-all" (func
            (param "requests" (list (own $request))) (param "max-body" u64)
            (result (list (result (own $response) (error $fetch-error))))))))
        (core module $memory (memory (export "memory") 8)
          (func (export "load") (param i32) (result i32) (i32.load (local.get 0)))
          (func (export "store") (param i32 i32) (i32.store (local.get 0) (local.get 1)))
          (global $heap (mut i32) (i32.const 8192))
          (func (export "realloc") (param i32 i32 i32 i32) (result i32)
            (global.get $heap)
            (global.set $heap (i32.add (global.get $heap)
              (i32.and (i32.add (local.get 3) (i32.const 7)) (i32.const -8)))))
          (data (i32.const 0) "{url}")
          (data (i32.const 512) "token"))
        (core instance $memory (instantiate $memory))
        (core func $request (canon lower (func $http "[constructor]request")
          (memory (core memory $memory "memory"))))
        (core func $authorize (canon lower (func $http "[method]request.authorize")
          (memory (core memory $memory "memory")) (realloc (core func $memory "realloc"))))
        (core func $read (canon lower (func $http "[method]response.read")
          (memory (core memory $memory "memory")) (realloc (core func $memory "realloc"))))
        (core func $send (canon lower (func $http "send")
          (memory (core memory $memory "memory")) (realloc (core func $memory "realloc"))))
        (core func $send-all (canon lower (func $http "send-all")
          (memory (core memory $memory "memory")) (realloc (core func $memory "realloc"))))"#
    )
}

/// A server that answers each request with these pieces, with a pause between them.
async fn server(answer: impl Fn(&str) -> Vec<String> + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            let head = String::from_utf8(head).unwrap();
            let basic = STANDARD.encode(format!("me:{TOKEN}"));
            assert!(head.contains(TOKEN) || head.contains(&basic), "{head}");
            for piece in answer(&head) {
                stream.write_all(piece.as_bytes()).await.unwrap();
                stream.flush().await.unwrap();
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        }
    });
    origin
}

/// A whole answer in two pieces, with the border in the middle of the body.
fn answer(headers: &str, body: &str) -> Vec<String> {
    let (first, second) = body.split_at(body.len() / 2);
    let length = body.len();
    vec![
        format!(
            "HTTP/1.1 200 OK\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{first}"
        ),
        second.to_owned(),
    ]
}

async fn fetch(origin: &str, by: By) -> Result<Plan, FetchFailure> {
    fetch_as("header:X-Token", origin, by).await
}

/// The same with a credential that is sent as `scheme` says.
async fn fetch_as(scheme: &str, origin: &str, by: By) -> Result<Plan, FetchFailure> {
    let module = guest(&format!("{origin}/file"), by).load().await.unwrap();
    let id = ModuleId::Digest(module.digest());
    let config = format!(
        "[credential.work]\nsource = {{ env = \"TOKEN\" }}\nscheme = \"{scheme}\"\norigins = [\"{origin}\"]\n\
         [[grant]]\nmodule = \"{id}\"\norigins = [\"{origin}\"]\npaths = [\"/**\"]\ncredentials = {{ token = \"work\" }}\n"
    );
    let config = Config::parse(&config, "config.toml".as_ref()).unwrap();
    let description = &module.description().fetchers["demo"];
    let broker = Broker::new(id, "demo", description, &config, None).unwrap();
    let keyring = Keyring::with_environment(|name| (name == "TOKEN").then(|| TOKEN.into()));
    let session = Session {
        client: Client::new(Settings::default(), Arc::new(keyring)),
        broker: Arc::new(broker),
        limits: Limits::default(),
        tmp: std::env::temp_dir(),
        log: Arc::new(|_| ()),
        inputs: BTreeMap::new(),
        desk: None,
    };
    module.fetch("demo", "{}", session).await
}

/// Demands that the run ended because of an echo, and that nothing shows the token.
#[track_caller]
fn is_echo(outcome: Result<Plan, FetchFailure>, origin: &str) {
    let Err(failure) = outcome else {
        panic!("it succeeded")
    };
    let shown = format!("{failure} {failure:?} {:?}", failure.hint());
    assert!(!shown.contains("canary"), "{shown}");
    let FetchFailure::Misbehaved(misbehaved) = failure else {
        panic!("{shown}")
    };
    let Misbehaviour::EchoedSecret {
        origin: named,
        credential,
    } = misbehaved.what
    else {
        panic!("{shown}")
    };
    assert_eq!(
        (named.to_string().as_str(), credential.as_str()),
        (origin, "work")
    );
}

const EVERY_WAY: [By; 4] = [By::Read(1), By::Read(7), By::Read(65536), By::SendAll];

#[tokio::test]
async fn a_body_that_holds_the_token_ends_the_run_however_it_is_read() {
    let encoded = STANDARD.encode(format!("user:{TOKEN}"));
    for body in [
        format!("{{\"x-token\": \"{TOKEN}\"}}"),
        format!("<a href=\"/file?auth={encoded}\">"),
        TOKEN.replace('-', "%2d"),
    ] {
        let text = format!("some text {body} and more of it");
        let origin = server(move |_| answer("", &text)).await;
        for by in EVERY_WAY {
            is_echo(fetch(&origin, by).await, &origin);
        }
    }
}

#[tokio::test]
async fn an_echo_of_all_headers_ends_the_run_whatever_the_credentials_scheme_is() {
    let origin = server(|head| answer("", head)).await;
    for scheme in ["bearer", "basic:me", "header:Private-Token"] {
        for by in EVERY_WAY {
            is_echo(fetch_as(scheme, &origin, by).await, &origin);
        }
    }
}

#[tokio::test]
async fn a_header_or_url_that_holds_the_token_ends_the_run_before_anything_is_read() {
    let in_header = server(|_| answer(&format!("X-Debug: got {TOKEN}\r\n"), "x")).await;
    let in_url = server(|head| {
        if head.starts_with("GET /file ") {
            let location = format!("Location: /{TOKEN}/file\r\nContent-Length: 0\r\n");
            return vec![format!(
                "HTTP/1.1 302 Found\r\n{location}Connection: close\r\n\r\n"
            )];
        }
        answer("", "x")
    })
    .await;
    for origin in [in_header, in_url] {
        is_echo(fetch(&origin, By::SendOnly).await, &origin);
        is_echo(fetch(&origin, By::SendAll).await, &origin);
    }
}

#[tokio::test]
async fn headers_that_no_module_sees_may_hold_anything() {
    let origin = server(|_| answer(&format!("Set-Cookie: t={TOKEN}\r\n"), "x")).await;
    fetch(&origin, By::Read(100)).await.unwrap();
}

#[tokio::test]
async fn a_body_that_the_module_does_not_read_is_not_searched() {
    let origin = server(|_| answer("", TOKEN)).await;
    fetch(&origin, By::SendOnly).await.unwrap();
}

#[tokio::test]
async fn a_body_without_the_token_is_read_to_its_end() {
    let text = format!(
        "{}{}",
        &TOKEN[..TOKEN.len() - 1],
        "0123456789".repeat(10_000)
    );
    let origin = server(move |_| answer("", &text)).await;
    for by in [By::Read(65536), By::SendAll] {
        fetch(&origin, by).await.unwrap();
    }
}
