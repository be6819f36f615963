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

/// A server whose answer is another each time. The first `together` answers wait for each other.
fn fickle_server(together: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let mut waiting = Vec::new();
        for (number, stream) in listener.incoming().enumerate() {
            let stream = stream.unwrap();
            let lines = BufReader::new(&stream).lines().map_while(Result::ok);
            lines.take_while(|line| !line.is_empty()).for_each(drop);
            waiting.push((number, stream));
            if number + 1 < together {
                continue;
            }
            for (number, mut stream) in waiting.drain(..) {
                let body = format!("answer {number:04}\n");
                let length = body.len();
                let head = format!(
                    "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
                );
                let _ = stream.write_all(format!("{head}{body}").as_bytes());
            }
        }
    });
    origin
}

fn granted(origin: &str) -> Home {
    let home = Home::new();
    home.configure(&format!(
        "[[grant]]\nmodule = \"builtin:http\"\norigins = [\"{origin}\"]\npaths = [\"/**\"]\nremember = true\nremember-for = \"1 d\"\n",
    ));
    home
}

#[test]
fn the_first_result_is_the_declared_one_from_then_on_and_is_called_unverified() {
    let origin = fickle_server(1);
    let home = granted(&origin);
    let url = format!("{origin}/x");
    let to = |name: &str| format!("out:{}", home.path(name).display());
    let run = |name: &str, more: &[&str]| {
        let words = [
            "run",
            "http-file",
            "--url",
            &url,
            "--to",
            &to(name),
            "--json",
        ];
        home.run(&[&words[..], more].concat())
    };
    let first: Value = serde_json::from_str(&run("first", &[]).succeeds()).unwrap();
    assert_eq!(first["verified"], false);
    let hash = first["hash"].as_str().unwrap();
    // What comes now is something else.
    let said = run("second", &[]).fails(4);
    assert!(
        said.contains(hash) && said.contains("memo forget"),
        "{said}"
    );
    assert!(!home.path("second").exists());
    // Another kind of output is not what was remembered.
    let said = run("third", &["--mode", "nar"]).fails(2);
    assert!(said.contains("of the mode `flat`"), "{said}");
    // A declared hash needs no memory, and a forgotten one makes room for the next.
    run("fourth", &["--hash", hash]).fails(4);
    let listed: Value =
        serde_json::from_str(&home.run(&["memo", "list", "--json"]).succeeds()).unwrap();
    home.run(&[
        "memo",
        "forget",
        listed["entries"][0]["id"].as_str().unwrap(),
    ])
    .succeeds();
    let fifth: Value = serde_json::from_str(&run("fifth", &[]).succeeds()).unwrap();
    assert_ne!(fifth["hash"], first["hash"]);
}

#[test]
fn of_two_that_are_first_at_once_one_emits_nothing() {
    let origin = fickle_server(2);
    let home = granted(&origin);
    let start = |name: &str| {
        let mut program = home.program();
        program.args(["run", "http-file", "--url", &format!("{origin}/x")]);
        program.args(["--to", &format!("out:{}", home.path(name).display())]);
        program
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::piped());
        program.spawn().unwrap()
    };
    let ended = [start("one"), start("two")].map(|child| child.wait_with_output().unwrap());
    let mut codes = ended
        .iter()
        .map(|output| output.status.code())
        .collect::<Vec<_>>();
    codes.sort_unstable();
    assert_eq!(codes, [Some(0), Some(4)], "{ended:?}");
    for (name, output) in ["one", "two"].iter().zip(&ended) {
        assert_eq!(home.path(name).exists(), output.status.success(), "{name}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(
            said.contains("another run was first"),
            !output.status.success(),
            "{said}"
        );
    }
}
