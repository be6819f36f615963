//! The exports of the component, written by hand: `describe` can be made to lie.
//!
//! A test makes a lying module by replacing the word in [`MARKER`] in the built file by another of the
//! same length (padded with spaces). So one build gives every lie, each with a digest of its own.

use std::hint::black_box;

use fetchhost_sdk::__private::{ModuleDescription, bindings, fetch};
use fetchhost_sdk::Request;
use serde_json::{Value, json};

use crate::Hostile;

/// What a test looks for in the file. The word begins after `=`.
static MARKER: [u8; 48] = *b"fetcher-hostile-describe=honest                 ";

/// Where the word begins.
const WORD: usize = 25;

/// The word as the file has it now. Read through `black_box`, since the compiler knows only the old one.
fn word() -> String {
    let marker = black_box(&MARKER);
    String::from_utf8_lossy(&marker[WORD..]).trim().to_owned()
}

struct Module;

impl bindings::Guest for Module {
    fn describe() -> String {
        let honest = ModuleDescription::new(env!("CARGO_PKG_VERSION")).with::<Hostile>();
        let honest = honest.to_json();
        match word().as_str() {
            "honest" => honest,
            "loop" => loop {
                black_box(());
            },
            "panic" => panic!("deliberate panic in describe"),
            "call-http" => {
                drop(Request::get("http://169.254.169.254/").send());
                honest
            }
            "call-log" => {
                fetchhost_sdk::log::info("describe has nothing to say here");
                honest
            }
            "call-inputs" => {
                drop(fetchhost_sdk::inputs::open("content"));
                honest
            }
            "call-keys" => {
                drop(fetchhost_sdk::keys::public_key("key"));
                honest
            }
            "oversized" => honest + &" ".repeat(2 * 1024 * 1024),
            "not-json" => "this is not JSON".to_owned(),
            word => lie(&honest, word),
        }
    }

    fn fetch(fetcher: String, params: String) -> Result<bindings::Plan, bindings::FetchError> {
        // Whatever name the lie gave it.
        black_box(fetcher);
        fetch::<Hostile>(&params)
    }
}

bindings::export_component!(Module with_types_in bindings);

/// The honest description with one thing changed.
fn lie(honest: &str, word: &str) -> String {
    let mut module: Value = serde_json::from_str(honest).unwrap_or_default();
    let fetcher = &mut module["fetchers"]["hostile"];
    let parameters = &mut fetcher["parameters"];
    match word {
        // Asking is free: none of it is granted.
        "greedy" => {
            fetcher["needs"] = json!({
                "origin-parameter": "url",
                "origins": ["https://*.example.com", "http://169.254.169.254", "http://127.0.0.1:9"],
                "methods": ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"],
                "paths": ["/**"],
            });
        }
        // No lie, but another fetcher: one that signs.
        "signer" => {
            fetcher["inputs"] = json!({
                "content": { "summary": "to be signed" },
                "missing": { "summary": "never given" },
            });
            let key = |envelopes: &[&str]| json!({ "summary": "bait", "parameter": "key-id", "envelopes": envelopes });
            fetcher["keys"] = json!({ "key": key(&["minisign", "sshsig"]), "bare": key(&["raw"]) });
        }
        "every-origin" => fetcher["needs"]["origins"] = json!(["https://*"]),
        "origin-with-path" => fetcher["needs"]["origins"] = json!(["https://example.com/secret"]),
        "origin-param-unknown" => fetcher["needs"]["origin-parameter"] = json!("nothing"),
        "scheme-host" => fetcher["slots"]["token"]["scheme"] = json!("header:Host"),
        "scheme-cookie" => fetcher["slots"]["token"]["scheme"] = json!("header:Cookie"),
        "scheme-meta" => fetcher["slots"]["token"]["scheme"] = json!("header:x-amz-meta-token"),
        "scheme-line-break" => fetcher["slots"]["token"]["scheme"] = json!("header:X\r\nHost"),
        "reserved-flag" => parameters["properties"]["credential"] = json!({ "type": "string" }),
        "flag-with-space" => parameters["properties"]["a b"] = json!({ "type": "string" }),
        "flag-with-dashes" => parameters["properties"]["--allow"] = json!({ "type": "string" }),
        "remote-ref" => {
            parameters["properties"]["deed"] = json!({ "$ref": "http://169.254.169.254/schema" });
        }
        "file-ref" => parameters["properties"]["deed"] = json!({ "$ref": "file:///etc/passwd" }),
        "endless-ref" => parameters["properties"]["deed"] = json!({ "$ref": "#/properties/deed" }),
        "deep-schema" => {
            let deep = (0..40).fold(
                json!({ "type": "string" }),
                |inner, _| json!({ "type": "array", "items": inner }),
            );
            parameters["properties"]["deed"] = deep;
        }
        "large-schema" => parameters["description"] = json!("large ".repeat(60_000)),
        "no-fallback-rule" => {
            fetcher["output"] = json!([{ "set": "header", "mode": "nar", "name": "source" }]);
        }
        "name-dot-drv" => fetcher["output"] = json!([{ "mode": "nar", "name": "source.drv" }]),
        "name-with-slash" => fetcher["output"] = json!([{ "mode": "nar", "name": "../source" }]),
        "terminal-escape" => fetcher["summary"] = json!("\u{1b}[2J\u{1b}]0;owned\u{7}fine\r\nline"),
        "unknown-key" => fetcher["grants"] = json!({ "origins": ["https://example.com"] }),
        "no-fetchers" => module["fetchers"] = json!({}),
        "name-of-builtin" => {
            let taken = module["fetchers"]["hostile"].take();
            module["fetchers"] = json!({ "gitlab-artifact": taken });
        }
        unknown => panic!("no such lie: `{unknown}`"),
    }
    module.to_string()
}
