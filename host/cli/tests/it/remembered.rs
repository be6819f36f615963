//! What is told of signatures and remembered results, and of exports of them.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::home::Home;

/// What an expression looks up in vain is told as it is typed, and as a terminal may show it.
#[test]
fn the_command_that_would_remember_a_result_can_be_typed() {
    let home = Home::new();
    home.configure(
        "[[grant]]\nmodule = \"builtin:http\"\norigins = [\"https://nobody.invalid\"]\nremember = true\nremember-for = \"1 d\"\n",
    );
    let params = json!({
        "url": "https://nobody.invalid/x",
        "unpack": true,
        "mirror": ["https://one.invalid/\u{1b}[2J", "https://two.invalid/x"],
    });
    let said = home
        .run(&["exec", "http-file", &params.to_string()])
        .fails(3);
    for part in [
        "nix-fetchhost run http-file ",
        " --unpack",
        " --url https://nobody.invalid/x",
        r" --mirror $'https://one.invalid/\033[2J' --mirror https://two.invalid/x",
    ] {
        assert!(said.contains(part), "{said}");
    }
    assert!(!said.contains('\u{1b}'), "{said:?}");
}

/// A server that has nothing, and what it was asked.
fn empty_server() -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let log = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let lines = BufReader::new(&stream).lines().map_while(Result::ok);
            let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
            log.lock().unwrap().extend(head.into_iter().next());
            let answer = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    (origin, asked)
}

#[test]
fn who_may_only_read_what_is_shared_looks_up_and_does_not_sign() {
    let home = Home::new();
    let (origin, asked) = empty_server();
    let key = key(&home);
    home.configure(&format!(
        "[memo]\ncache = \"s3://team?endpoint={origin}&region=x\"\n\n[[grant]]\nmodule = \"host:cache\"\norigins = [\"{origin}\"]\npaths = [\"/**\"]\n\n[[grant]]\nmodule = \"builtin:http\"\norigins = [\"https://nobody.invalid\"]\nremember = true\nremember-for = \"1 d\"\n\n{key}"
    ));
    let params = r#"{"url": "https://nobody.invalid/x"}"#;
    let said = home.run(&["exec", "http-file", params]).fails(3);
    assert!(said.contains("none is remembered"), "{said}");
    fs::write(home.path("content"), "content").unwrap();
    let content = format!("content={}", home.path("content").display());
    let to = format!("out:{}", home.path("signature").display());
    let words = ["run", "signer", "--key-id", "release", "--format", "raw"];
    let said = home
        .run(&[&words[..], &["--input", &content, "--to", &to]].concat())
        .fails(3);
    assert!(said.contains("may not send `PUT`"), "{said}");
    assert!(!home.path("signature").exists());
    let asked = asked.lock().unwrap();
    assert!(
        !asked.is_empty() && asked.iter().all(|line| !line.starts_with("PUT ")),
        "{asked:?}"
    );
}

#[test]
fn what_is_no_export_is_a_matter_of_usage() {
    let home = Home::new();
    let file = home.path("export");
    fs::write(&file, "{}\n").unwrap();
    let said = home
        .run(&["memo", "import", file.to_str().unwrap()])
        .fails(2);
    assert!(said.contains("memo export"), "{said}");
}

/// Ed25519 in PKCS#8 (RFC 8410, section 10.3).
const KEY: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";

/// The lines of the key `release`, which makes bare signatures.
fn key(home: &Home) -> String {
    let file = home.path("key");
    fs::write(&file, KEY).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    format!(
        "[key.release]\nsource = {{ file = \"{}\" }}\nuse = [\"raw\"]\n",
        file.display()
    )
}

#[test]
fn only_a_signature_and_nothing_else_counts_as_verified() {
    let home = Home::new();
    home.configure(&key(&home));
    fs::write(home.path("content"), "content").unwrap();
    let content = format!("content={}", home.path("content").display());
    let to = format!("out:{}", home.path("signature").display());
    let sign = |more: &[&str]| {
        let words = ["run", "signer", "--key-id", "release", "--format", "raw"];
        let places = ["--input", &content, "--to", &to, "--json"];
        let said = home.run(&[&words[..], &places, more].concat()).succeeds();
        let report: Value = serde_json::from_str(&said).unwrap();
        report["verified"].clone()
    };
    assert_eq!(sign(&[]), json!(true));
    // Remembered.
    assert_eq!(sign(&[]), json!(true));
    // Something is made of it.
    assert_eq!(sign(&["--executable"]), json!(false));
}
