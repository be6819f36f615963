//! Requests that Nix would never send.

use std::io::Write as _;

use serde_json::json;

use crate::world::{Answer, World, flat};

#[test]
fn a_web_page_gets_nothing_and_is_told_nothing() {
    let world = World::new();
    let url = flat("secret content", json!({})).to_string();
    for header in [
        "Origin: https://evil.example",
        "Origin: null",
        "Origin: http://127.0.0.1",
        "Sec-Fetch-Site: none",
        "sec-fetch-mode: no-cors",
        "Referer: https://evil.example/",
    ] {
        let answer = world.ask("GET", &url, &[header]);
        assert_eq!(answer.status, 403, "{header}");
        let allows = |line: &String| line.starts_with("access-control-");
        assert!(!answer.head.iter().any(allows), "{answer:?}");
    }
    for method in ["POST", "OPTIONS", "PUT"] {
        let asked = ["Access-Control-Request-Method: GET", "Content-Length: 0"];
        let answer = world.ask(method, &url, &asked);
        assert_eq!(answer.status, 405, "{method}");
    }
    assert_eq!(world.runs(), 0);
}

#[test]
fn a_name_that_was_rebound_to_loopback_is_not_ours() {
    let world = World::new();
    let url = flat("x", json!({})).to_string();
    let port = world.port;
    for head in [
        format!("GET {url} HTTP/1.1\r\nHost: evil.example:{port}"),
        format!("GET {url} HTTP/1.1\r\nHost: 127.0.0.1"),
        format!("GET {url} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nHost: evil.example"),
        format!("GET http://evil.example{url} HTTP/1.1\r\nHost: 127.0.0.1:{port}"),
        format!("GET {url} HTTP/1.0"),
    ] {
        let answer = world.send(&format!("{head}\r\nConnection: close\r\n\r\n"));
        assert_eq!(answer.status, 421, "{head}");
    }
    assert_eq!(world.runs(), 0);
    for host in ["localhost", "[::1]"] {
        let request =
            format!("GET /healthz HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n");
        assert_eq!(world.send(&request).text(), "ok\n", "{host}");
    }
}

#[test]
fn an_authorization_changes_nothing() {
    let world = World::new();
    let url = flat("x", json!({})).to_string();
    for header in ["Authorization: Basic eDp5", "Authorization: garbage"] {
        let answer = world.ask("GET", &url, &[header, "Accept-Encoding: gzip, br, zstd"]);
        assert_eq!((answer.status, answer.text()), (200, "x"));
        assert_eq!(answer.header("content-encoding"), None);
    }
}

#[test]
fn a_url_that_is_none_says_what_is_wrong() {
    let world = World::new();
    let right = flat("x", json!({})).to_string();
    for (wrong, says) in [
        (right.replace("mode=flat", "mode=Flat"), "`mode` is not"),
        (format!("{right}&extra=1"), "after `params`"),
        (
            right.replace("/content?", "/content.nar.xz?"),
            "the path is not",
        ),
        (right.replace("/scripted/", "/..%2f..%2fetc/"), "FETCHER"),
        ("/v1/fetch/x".to_owned(), "the path is not"),
    ] {
        let answer = world.get(&wrong);
        assert_eq!(answer.status, 400, "{wrong}");
        assert!(answer.text().contains(says), "{}", answer.text());
    }
    for path in [
        "/",
        "/v1/fetch",
        "/v1/wait/x/1",
        "/v1/wait/../1",
        "/nix-cache-info/",
        "/v1/wait/x/0",
        "//healthz",
    ] {
        assert_eq!(world.get(path).status, 404, "{path}");
    }
    assert_eq!(world.runs(), 0);
}

#[test]
fn raw_bytes_from_a_nix_expression_are_read() {
    let world = World::new();
    let url = flat("grün", json!({}));
    let raw = url.to_string().replace("%C3%BC", "ü");
    assert_eq!(world.get(&raw).body, "grün".as_bytes());
    assert_eq!(world.fetch(&url).body, "grün".as_bytes());
    assert_eq!(world.runs(), 1, "both are one fetch");
}

#[test]
fn the_gateway_of_another_owner_is_named() {
    let world = World::new();
    let mut url = flat("x", json!({}));
    url.owner = Some("abababababababab".parse().unwrap());
    assert_eq!(world.fetch(&url).status, 200);
    url.owner = Some("0000000000000000".parse().unwrap());
    let answer = world.fetch(&url);
    assert_eq!(answer.status, 421);
    assert!(answer.text().contains("abababababababab"), "{answer:?}");
}

#[test]
fn what_is_no_http_harms_nobody() {
    let world = World::new();
    for bytes in ["\r\n\r\n", "\0\u{1}\u{2}", "GET", "GET / HTTP/9.9\r\n\r\n"] {
        let mut stream = world.connect();
        stream.write_all(bytes.as_bytes()).unwrap();
    }
    let long = format!("/healthz?{}", "a".repeat(70_000));
    assert!(world.get(&long).status >= 400);
    let header = format!("X: {}", "a".repeat(200_000));
    let mut stream = world.connect();
    // The other end may close before it has read all.
    let _ = stream.write_all(format!("GET / HTTP/1.1\r\n{header}\r\n\r\n").as_bytes());
    assert_eq!(world.get("/healthz").text(), "ok\n");
}

#[test]
fn head_says_how_much_there_is() {
    let world = World::new();
    let url = flat("twelve bytes", json!({})).to_string();
    let answer: Answer = world.ask("HEAD", &url, &[]);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-length"), Some("12"));
    assert!(answer.body.is_empty());
}
