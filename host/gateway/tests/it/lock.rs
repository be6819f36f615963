//! The lock file's format.

use fetchhost_gateway::LockFile;
use proptest::prelude::*;
use serde_json::{Value, json};

const EMPTY: &str = "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";

fn file() -> Value {
    json!({
        "version": 1,
        "fetches": {
            "app": {
                "fetcher": "gitlab-artifact",
                "params": { "project": "g/p", "job-id": 7, "path": "bin/app" },
                "name": "app",
                "mode": "flat",
                "hash": EMPTY,
                "narHash": EMPTY,
                "narSize": 120,
                "storePath": path("app", "flat"),
            },
        },
    })
}

/// The store path of what is empty.
fn path(name: &str, mode: &str) -> String {
    let output = fetchhost_formats::FixedOutput {
        name: name.parse().unwrap(),
        mode: mode.parse().unwrap(),
        hash: EMPTY.parse().unwrap(),
    };
    output.store_path().to_string()
}

fn refusal(change: impl Fn(&mut Value)) -> String {
    let mut file = file();
    change(&mut file);
    let error = LockFile::parse(&file.to_string()).unwrap_err();
    let causes = std::iter::successors(Some(&error as &dyn std::error::Error), |error| {
        error.source()
    });
    causes.map(|cause| format!("{cause}\n")).collect()
}

#[test]
fn what_is_written_is_read_back() {
    let lock = LockFile::parse(&file().to_string()).unwrap();
    let text = lock.text();
    assert_eq!(LockFile::parse(&text).unwrap(), lock);
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), file());
    assert!(
        text.ends_with("}\n") && text.lines().count() > 10,
        "for people too"
    );
    let app = &lock.fetches["app"];
    assert_eq!(
        (app.fetch.fetcher.as_str(), app.nar_size),
        ("gitlab-artifact", 120)
    );
    assert_eq!(
        LockFile::parse(&LockFile::default().text()).unwrap(),
        LockFile::default()
    );
}

#[test]
fn an_executable_says_so() {
    let mut file = file();
    let app = &mut file["fetches"]["app"];
    app["executable"] = true.into();
    app["mode"] = "nar".into();
    app["storePath"] = path("app", "nar").into();
    let lock = LockFile::parse(&file.to_string()).unwrap();
    assert!(lock.fetches["app"].fetch.executable);
    assert_eq!(LockFile::parse(&lock.text()).unwrap(), lock);
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    for (member, value) in [
        ("fetcher", json!("Not one")),
        ("name", json!("a/b")),
        ("mode", json!("recursive")),
        ("executable", json!(true)),
        (
            "hash",
            json!("sha256:0000000000000000000000000000000000000000000000000000"),
        ),
        ("hash", json!("sha256-AAAA")),
        ("narHash", json!("sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk=")),
        (
            "storePath",
            json!("/nix/store/00000000000000000000000000000000-app"),
        ),
        ("params", json!({ "x": "y".repeat(70_000) })),
        ("inputs", json!({ "content": path("app", "flat") })),
    ] {
        let told = refusal(|file| file["fetches"]["app"][member] = value.clone());
        assert!(told.contains(&format!("`{member}`")), "{told}");
        assert!(told.contains("`app`"), "{told}");
    }
    for (member, value) in [
        ("narSize", json!(-1)),
        ("params", json!([])),
        ("netrc", json!(1)),
    ] {
        let told = refusal(|file| file["fetches"]["app"][member] = value.clone());
        assert!(told.contains("no lock file"), "{told}");
    }
    for name in ["", "-a", ".a", "a b", "a/b", "ä"] {
        let told = refusal(|file| {
            let app = file["fetches"]["app"].take();
            file["fetches"] = json!({ name: app });
        });
        assert!(told.contains("is called"), "{told}");
    }
    let later = refusal(|file| {
        file["version"] = 2.into();
        file["fetches"] = json!("who knows");
    });
    assert!(later.contains("version is 2"), "{later}");
    let unknown = refusal(|file| file["approve"] = true.into());
    assert!(unknown.contains("approve"), "{unknown}");
}

#[test]
fn what_stands_twice_is_refused() {
    let text = file().to_string();
    let twice = |member: &str| {
        let at = text.find(&format!("\"{member}\":")).unwrap();
        let value = file();
        let value = match member {
            "app" => &value["fetches"]["app"],
            "fetches" => &value["fetches"],
            _ => &value["fetches"]["app"]["params"]["project"],
        };
        format!("{}\"{member}\":{value},{}", &text[..at], &text[at..])
    };
    for member in ["app", "fetches", "project"] {
        let told = LockFile::parse(&twice(member)).unwrap_err();
        let cause = std::error::Error::source(&told).unwrap().to_string();
        assert!(
            cause.contains("twice") || cause.contains("duplicate"),
            "{cause}"
        );
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in ".{0,200}") {
        let _ = LockFile::parse(&text);
        let _ = LockFile::parse(&format!("{{\"version\":1,\"fetches\":{{{text}}}}}"));
    }
}
