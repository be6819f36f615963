//! What is told of signatures and remembered results, and of exports of them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

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

#[test]
fn only_a_signature_and_nothing_else_counts_as_verified() {
    let home = Home::new();
    let key = home.path("key");
    fs::write(&key, KEY).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    home.configure(&format!(
        "[key.release]\nsource = {{ file = \"{}\" }}\nuse = [\"raw\"]\n",
        key.display()
    ));
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
