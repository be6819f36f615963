//! The published schema of `describe` and the host's own reader agree.

use fetchhost_policy::describe::Description;
use serde_json::{Value, json};

use crate::guest::DESCRIPTION;

fn schema() -> jsonschema::Validator {
    let text = include_str!("../../../../wit/describe.schema.json");
    jsonschema::validator_for(&serde_json::from_str(text).unwrap()).unwrap()
}

/// A description with everything in it, with the value at `pointer` replaced.
fn with(pointer: &str, value: Value) -> Value {
    let mut description = json!({
        "version": "1.2.3",
        "fetchers": { "demo": {
            "summary": "For tests",
            "parameters": { "type": "object", "properties": {
                "url": { "type": "string" },
                "path": { "type": "string" },
                "unpack": { "type": "boolean", "default": true },
            } },
            "slots": { "token": {
                "summary": "Reads", "scheme": "header:PRIVATE-TOKEN", "optional": true,
            } },
            "inputs": { "content": { "summary": "To be signed" } },
            "keys": { "key": {
                "summary": "Signs", "parameter": "path", "envelopes": ["minisign", "raw"],
            } },
            "needs": {
                "origin-parameter": "url",
                "origins": ["https://example.com"],
                "methods": ["GET"],
                "paths": ["/api/**"],
            },
            "output": [
                { "set": "path", "mode": "flat", "name-from": "path" },
                { "equals": { "unpack": false }, "mode": "flat", "name": "artifacts.zip" },
                { "mode": "nar", "name": "source" },
            ],
        } },
    });
    if !pointer.is_empty() {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let parent = description.pointer_mut(parent).unwrap();
        match parent {
            Value::Array(items) => items[key.parse::<usize>().unwrap()] = value,
            parent => parent[key] = value,
        }
    }
    description
}

fn key(envelopes: Value) -> Value {
    json!({ "summary": "x", "parameter": "path", "envelopes": envelopes })
}

/// One more of them than there may be.
fn many(value: Value) -> Value {
    (0..17).map(|n| (format!("n{n}"), value.clone())).collect()
}

const DEMO: &str = "/fetchers/demo";

#[test]
fn what_the_schema_accepts_the_host_accepts() {
    let schema = schema();
    for (pointer, value) in [
        ("", Value::Null),
        ("/later", json!(1)),
        ("/fetchers/demo/later", json!({})),
        ("/fetchers/demo/slots/token/scheme", json!("bearer")),
        ("/fetchers/demo/slots/token/scheme", json!("basic:oauth2")),
        ("/fetchers/demo/slots", json!({})),
        ("/fetchers/demo/inputs", json!({})),
        ("/fetchers/demo/inputs/content/later", json!(1)),
        ("/fetchers/demo/keys", json!({})),
        ("/fetchers/demo/keys/key/envelopes", json!(["sshsig"])),
        ("/fetchers/demo/keys/key/later", json!(true)),
        ("/fetchers/demo/needs", json!({})),
        (
            "/fetchers/demo/needs",
            json!({ "methods": [], "paths": [] }),
        ),
        ("/fetchers/demo/needs/later", json!(["x"])),
        ("/fetchers/demo/slots/token/later", json!({ "a": 1 })),
        (
            "/fetchers/demo/needs/origins",
            json!(["https://*.example.com"]),
        ),
        (
            "/fetchers/demo/output",
            json!([{ "mode": "flat", "name": "file" }]),
        ),
    ] {
        let description = with(pointer, value);
        let text = description.to_string();
        let errors: Vec<_> = schema
            .iter_errors(&description)
            .map(|e| e.to_string())
            .collect();
        assert!(errors.is_empty(), "{text}\n{errors:?}");
        Description::parse(text.as_bytes()).unwrap();
    }
    assert!(schema.is_valid(&serde_json::from_str(DESCRIPTION).unwrap()));
}

#[test]
fn what_the_schema_refuses_the_host_refuses() {
    let schema = schema();
    let at = |rest: &str| format!("{DEMO}{rest}");
    for (pointer, value) in [
        ("/version".to_owned(), json!("")),
        ("/version".to_owned(), json!("1 2")),
        ("/fetchers".to_owned(), json!({})),
        (at("/summary"), json!("two\nlines")),
        (at("/parameters"), json!({ "type": "array" })),
        (at("/parameters/properties"), json!({ "Url": {} })),
        (
            at("/slots/Token"),
            json!({ "summary": "x", "scheme": "bearer" }),
        ),
        (at("/slots/token"), json!({ "scheme": "bearer" })),
        (at("/slots/token/scheme"), json!("digest")),
        (at("/inputs/content"), json!({})),
        (at("/inputs/Content"), json!({ "summary": "x" })),
        (at("/inputs"), many(json!({ "summary": "x" }))),
        (at("/keys"), many(key(json!(["raw"])))),
        (at("/keys/Key"), key(json!(["raw"]))),
        (
            at("/keys/key"),
            json!({ "summary": "x", "parameter": "path" }),
        ),
        (at("/keys/key"), key(json!([]))),
        (at("/keys/key"), key(json!(["raw", "raw"]))),
        (at("/keys/key"), key(json!(["narinfo"]))),
        (at("/keys/key"), key(json!(["login"]))),
        (at("/keys/key/summary"), json!("two\nlines")),
        (at("/keys/key/parameter"), json!("Path")),
        (at("/needs/methods"), json!(["TRACE"])),
        (at("/needs/methods"), json!([])),
        (at("/needs/paths"), json!(["api"])),
        (at("/needs/paths"), json!([])),
        (at("/needs"), json!({ "origin-parameter": "url" })),
        (at("/needs"), json!({ "origins": ["https://example.com"] })),
        (at("/output"), json!([])),
        (at("/output/2"), json!({ "mode": "nar" })),
        (
            at("/output/2"),
            json!({ "mode": "nar", "name": "a", "name-from": "path" }),
        ),
        (at("/output/2"), json!({ "mode": "tree", "name": "a" })),
        (
            at("/output/2"),
            json!({ "mode": "nar", "name": "a", "unless": "path" }),
        ),
    ] {
        let description = with(&pointer, value);
        let text = description.to_string();
        assert!(!schema.is_valid(&description), "the schema accepts {text}");
        assert!(
            Description::parse(text.as_bytes()).is_err(),
            "the host accepts {text}"
        );
    }
}
