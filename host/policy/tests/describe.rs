//! `describe` documents: what is read, what a hostile one meets.
#![allow(clippy::unwrap_used, missing_docs)]

use fetchhost_formats::OutputMode;
use fetchhost_policy::describe::{DescribeError, Description, OutputError, RESERVED_FLAGS};
use fetchhost_policy::{InputName, Method, Scheme, Use};
use serde_json::{Map, Value, json};

fn document() -> Value {
    json!({
        "version": "0.1.0",
        "fetchers": {
            "gitlab-artifact": {
                "summary": "An artifact of a CI job",
                "parameters": {
                    "$schema": "https://json-schema.org/draft/2020-12/schema",
                    "type": "object",
                    "properties": {
                        "url": { "type": "string", "default": "https://gitlab.com" },
                        "project": { "type": "string" },
                        "path": { "type": ["string", "null"] },
                        "unpack": { "type": "boolean", "default": true },
                        "version": { "$ref": "#/$defs/Version" }
                    },
                    "$defs": { "Version": { "type": "string" } },
                    "required": ["project"],
                    "additionalProperties": false
                },
                "slots": {
                    "token": { "summary": "A token", "scheme": "header:PRIVATE-TOKEN", "optional": true }
                },
                "needs": {
                    "origin-parameter": "url",
                    "origins": ["https://gitlab.com"],
                    "paths": ["/api/v4/**"]
                },
                "output": [
                    { "set": "path", "mode": "flat", "name-from": "path" },
                    { "equals": { "unpack": false }, "mode": "flat", "name": "artifacts.zip" },
                    { "mode": "nar", "name": "source" }
                ]
            }
        }
    })
}

fn parse(document: &Value) -> Result<Description, DescribeError> {
    Description::parse(document.to_string().as_bytes())
}

/// The document with `value` at `pointer` below the fetcher.
fn with(pointer: &str, value: Value) -> Value {
    let mut document = document();
    let fetcher = &mut document["fetchers"]["gitlab-artifact"];
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    fetcher.pointer_mut(parent).unwrap()[key] = value;
    document
}

fn params(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

#[test]
fn a_document_is_read_and_written_in_the_published_shape() {
    let description = parse(&document()).unwrap();
    let fetcher = &description.fetchers["gitlab-artifact"];
    assert_eq!(fetcher.needs.methods, Method::READING);
    let token = &fetcher.slots[&"token".parse().unwrap()];
    assert_eq!(token.scheme, Scheme::header("PRIVATE-TOKEN").unwrap());
    assert!(token.optional);
    let mut expected = with("/needs/methods", json!(["GET", "HEAD"]));
    expected["fetchers"]["gitlab-artifact"]["parameters"] =
        document()["fetchers"]["gitlab-artifact"]["parameters"].clone();
    assert_eq!(serde_json::to_value(&description).unwrap(), expected);
}

#[test]
fn keys_of_newer_documents_are_passed_over_except_in_output_rules() {
    let mut newer = document();
    newer["homepage"] = json!("https://example.com");
    newer["fetchers"]["gitlab-artifact"]["needs"]["keys"] = json!(["k"]);
    assert!(parse(&newer).is_ok());
    let rule = json!([{ "unless": "path", "mode": "nar", "name": "source" }]);
    assert!(matches!(
        parse(&with("/output", rule)),
        Err(DescribeError::Json(_))
    ));
}

#[test]
fn the_first_rule_that_matches_decides_mode_and_name() {
    let description = parse(&document()).unwrap();
    let fetcher = &description.fetchers["gitlab-artifact"];
    for (given, mode, name) in [
        (json!({}), OutputMode::Nar, "source"),
        (json!({ "unpack": true }), OutputMode::Nar, "source"),
        (json!({ "path": null }), OutputMode::Nar, "source"),
        (
            json!({ "unpack": false }),
            OutputMode::Flat,
            "artifacts.zip",
        ),
        (
            json!({ "path": "out/hello.txt", "unpack": false }),
            OutputMode::Flat,
            "hello.txt",
        ),
        (
            json!({ "path": "out/my file@1.txt" }),
            OutputMode::Flat,
            "my-file-1.txt",
        ),
        (json!({ "path": "/a/b/" }), OutputMode::Flat, "b"),
        (json!({ "path": "a?b#c" }), OutputMode::Flat, "a?b-c"),
    ] {
        let (got_mode, got_name) = fetcher.output_for(&params(given.clone()), None).unwrap();
        assert_eq!((got_mode, got_name.as_str()), (mode, name), "{given}");
    }
    for path in ["", "/", "..", "a/..", "x.drv", &"a".repeat(300)] {
        let error = fetcher
            .output_for(&params(json!({ "path": path })), None)
            .unwrap_err();
        assert!(matches!(error, OutputError::Name { .. }), "{path}");
        assert!(error.hint().unwrap().contains("--name"));
    }
}

#[test]
fn a_default_counts_for_equals_and_names_but_not_for_set() {
    let rules = json!([
        { "set": "url", "mode": "flat", "name": "set" },
        { "equals": { "unpack": true }, "mode": "nar", "name-from": "url" }
    ]);
    let description = parse(&with("/output", rules)).unwrap();
    let fetcher = &description.fetchers["gitlab-artifact"];
    let (mode, _) = fetcher
        .output_for(&params(json!({ "url": "https://a.example/x" })), None)
        .unwrap();
    assert_eq!(mode, OutputMode::Flat);
    // The default URL has no path, so no name.
    assert!(matches!(
        fetcher.output_for(&Map::new(), None),
        Err(OutputError::Name { .. })
    ));
    // One that is given needs no rule.
    let given = Some("given".parse().unwrap());
    let (mode, name) = fetcher.output_for(&Map::new(), given).unwrap();
    assert_eq!((mode, name.as_str()), (OutputMode::Nar, "given"));
    assert_eq!(
        fetcher.output_for(&params(json!({ "unpack": false })), None),
        Err(OutputError::NoRule)
    );
}

#[test]
fn a_name_from_a_url_is_its_last_path_segment_without_query() {
    let rules = json!([{ "mode": "flat", "name-from": "url" }]);
    let description = parse(&with("/output", rules)).unwrap();
    let fetcher = &description.fetchers["gitlab-artifact"];
    for (url, name) in [
        ("https://a.example/dir/file.tar.gz?token=x/y", "file.tar.gz"),
        ("https://a.example/dir/file.tar.gz#frag", "file.tar.gz"),
        ("https://a.example/a%20b", "a-20b"),
        ("https://a.example/dir/", "dir"),
    ] {
        let (_, got) = fetcher
            .output_for(&params(json!({ "url": url })), None)
            .unwrap();
        assert_eq!(got.as_str(), name, "{url}");
    }
    assert!(
        fetcher
            .output_for(&params(json!({ "url": "https://a.example" })), None)
            .is_err()
    );
}

#[test]
fn documents_that_break_a_rule_are_refused() {
    let deep = (0..40).fold(json!("x"), |inner, _| json!([inner]));
    let property = |name: &str| {
        let mut properties = Map::new();
        properties.insert(name.to_owned(), json!({ "type": "string" }));
        with("/parameters/properties", Value::Object(properties))
    };
    for (document, message) in [
        (json!([]), "cannot be read"),
        (
            json!({ "version": "1", "fetchers": {} }),
            "describes 0 fetchers",
        ),
        (
            {
                let mut d = document();
                d["version"] = json!("");
                d
            },
            "version",
        ),
        (
            {
                let mut d = document();
                d["version"] = json!("1\n2");
                d
            },
            "version",
        ),
        (
            {
                let mut d = document();
                d["fetchers"]["Bad Name"] = d["fetchers"]["gitlab-artifact"].clone();
                d
            },
            "`Bad Name`",
        ),
        (with("/summary", json!("two\nlines")), "one line"),
        (with("/summary", json!("\u{1b}[2J")), "one line"),
        (with("/summary", json!("a".repeat(2000))), "one line"),
        (
            with("/parameters/type", json!("string")),
            "not of `\"type\": \"object\"`",
        ),
        (
            with("/parameters/properties", json!(1)),
            "not of `\"type\": \"object\"`",
        ),
        (
            with("/parameters/description", json!("a".repeat(300 * 1024))),
            "larger than",
        ),
        (with("/parameters/default", deep), "nested deeper"),
        (
            with(
                "/parameters/properties/url/$ref",
                json!("https://evil.example/s.json"),
            ),
            "`https://evil.example/s.json`",
        ),
        (
            with(
                "/parameters/properties/url/$ref",
                json!("file:///etc/passwd"),
            ),
            "`file:///etc/passwd`",
        ),
        (
            with("/parameters/properties/url/$ref", json!("other.json#/x")),
            "refers to",
        ),
        (
            with("/parameters/$id", json!("https://evil.example/")),
            "refers to",
        ),
        (
            with("/parameters/$dynamicRef", json!("https://evil.example/")),
            "refers to",
        ),
        (property("hash"), "flag of the program"),
        (property("allow"), "flag of the program"),
        (property("input"), "flag of the program"),
        (property("no-unpack"), "turns a parameter off"),
        (property("Job"), "is not made of"),
        (property("a b"), "is not made of"),
        (property("-x"), "is not made of"),
        (property("a="), "is not made of"),
        (
            with("/slots/token/scheme", json!("header:Host")),
            "cannot carry a credential",
        ),
        (
            with("/slots/token/scheme", json!("aws-sigv4:EU")),
            "region and the service",
        ),
        (with("/slots", json!({ "To Ken": {} })), "not a slot name"),
        (
            with("/needs/origin-parameter", json!("nope")),
            "no parameter of type string",
        ),
        (
            with("/needs/origin-parameter", json!("unpack")),
            "no parameter of type string",
        ),
        (with("/needs/origins", json!(["*"])), "every server"),
        (with("/needs/methods", json!(["TRACE"])), "cannot be read"),
        (with("/needs/methods", json!([])), "no paths or no methods"),
        (with("/needs/paths", json!([])), "no paths or no methods"),
        (with("/needs/paths", json!(["/../**"])), "climbs"),
        (with("/output", json!([])), "no `output`"),
        (
            with("/output", json!([{ "mode": "nar" }])),
            "one of `name` and `name-from`",
        ),
        (
            with(
                "/output",
                json!([{ "mode": "nar", "name": "a", "name-from": "url" }]),
            ),
            "one of",
        ),
        (
            with("/output", json!([{ "mode": "nar", "name": "../x" }])),
            "rule is refused",
        ),
        (
            with("/output", json!([{ "mode": "nar", "name": "x.drv" }])),
            "rule is refused",
        ),
        (
            with("/output", json!([{ "mode": "tar", "name": "x" }])),
            "cannot be read",
        ),
        (
            with("/output", json!([{ "mode": "nar", "name-from": "nope" }])),
            "`nope` is no parameter",
        ),
        (
            with(
                "/output",
                json!([{ "set": "nope", "mode": "nar", "name": "x" }]),
            ),
            "`nope` is no parameter",
        ),
        (
            with(
                "/output",
                json!([{ "equals": { "nope": 1 }, "mode": "nar", "name": "x" }]),
            ),
            "`nope`",
        ),
    ] {
        let error = parse(&document).unwrap_err();
        assert!(error.to_string().contains(message), "{message}: {error}");
        assert!(
            !error.to_string().chars().any(char::is_control),
            "{error:?}"
        );
    }
}

/// The document with a fetcher that signs `content` with the key that `ref` names.
fn signing() -> Value {
    let mut document = with("/parameters/properties/ref", json!({ "type": "string" }));
    let fetcher = &mut document["fetchers"]["gitlab-artifact"];
    fetcher["inputs"] = json!({ "content": { "summary": "The file" } });
    fetcher["keys"] = json!({
        "key": { "summary": "A key", "parameter": "ref", "envelopes": ["minisign", "raw"] }
    });
    document
}

#[test]
fn inputs_and_keys_are_read_and_written_in_the_published_shape() {
    let description = parse(&signing()).unwrap();
    let fetcher = &description.fetchers["gitlab-artifact"];
    assert!(fetcher.signs());
    let content = "content".parse::<InputName>().unwrap();
    assert_eq!(fetcher.inputs[&content].summary, "The file");
    let key = &fetcher.keys[&"key".parse().unwrap()];
    assert_eq!(key.parameter, "ref");
    assert_eq!(key.envelopes, [Use::Minisign, Use::Raw]);
    let written = serde_json::to_value(&description).unwrap();
    for part in ["inputs", "keys"] {
        let part = format!("/fetchers/gitlab-artifact/{part}");
        assert_eq!(written.pointer(&part), signing().pointer(&part));
    }
    assert!(!parse(&document()).unwrap().fetchers["gitlab-artifact"].signs());
}

/// Else a module that declares a key would be spared the hash of whatever it fetches.
#[test]
fn only_what_signs_and_reaches_nothing_needs_no_hash() {
    let needs_no_hash = |needs: Value| {
        let mut document = signing();
        document["fetchers"]["gitlab-artifact"]["needs"] = needs;
        parse(&document).unwrap().fetchers["gitlab-artifact"].needs_no_hash()
    };
    assert!(needs_no_hash(json!({})));
    assert!(!needs_no_hash(
        json!({ "origin-parameter": "url", "paths": ["/**"] })
    ));
    assert!(!needs_no_hash(
        json!({ "origins": ["https://gitlab.com"], "paths": ["/**"] })
    ));
    let document = with("/needs", json!({}));
    assert!(!parse(&document).unwrap().fetchers["gitlab-artifact"].needs_no_hash());
}

#[test]
fn inputs_and_keys_that_break_a_rule_are_refused() {
    let one_more =
        |value: &Value| -> Value { (0..17).map(|n| (format!("n{n}"), value.clone())).collect() };
    let (key, input) = (
        signing()["fetchers"]["gitlab-artifact"]["keys"]["key"].clone(),
        json!({ "summary": "x" }),
    );
    for (pointer, value, message) in [
        ("/inputs", json!({ "A b": {} }), "does not name an input"),
        ("/inputs", one_more(&input), "more than 16 inputs"),
        ("/inputs/content/summary", json!("a\nb"), "one line"),
        ("/keys", one_more(&key), "more than 16 keys"),
        ("/keys/key/summary", json!("\u{1b}[2J"), "one line"),
        (
            "/keys/key/parameter",
            json!("nope"),
            "no parameter of type string",
        ),
        (
            "/keys/key/parameter",
            json!("unpack"),
            "no parameter of type string",
        ),
        (
            "/keys/key/parameter",
            json!("\u{1b}"),
            "no parameter of type string",
        ),
        ("/keys/key/parameter", json!("url"), "has a default"),
        ("/keys/key/envelopes", json!([]), "no envelope"),
        (
            "/keys/key/envelopes",
            json!(["narinfo"]),
            "no module signs `narinfo`",
        ),
        ("/keys/key/envelopes", json!(["raw", "raw"]), "`raw` twice"),
        ("/keys/key/envelopes", json!(["login"]), "no use of a key"),
        ("/keys/token", key.clone(), "credential's slot"),
        ("/keys/client-certificate", key, "is the host's"),
    ] {
        let mut document = signing();
        let fetcher = &mut document["fetchers"]["gitlab-artifact"];
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        fetcher.pointer_mut(parent).unwrap()[name] = value;
        let error = parse(&document).unwrap_err().to_string();
        assert!(error.contains(message), "{message}: {error}");
        assert!(!error.chars().any(char::is_control), "{error:?}");
    }
}

#[test]
fn size_is_judged_before_anything_is_read() {
    let huge = vec![b' '; (1 << 20) + 1];
    assert_eq!(
        Description::parse(&huge),
        Err(DescribeError::TooLarge {
            bytes: (1 << 20) + 1
        })
    );
    let nested = format!("{}{}", "[".repeat(500_000), "]".repeat(500_000));
    assert!(Description::parse(nested.as_bytes()).is_err());
}

#[test]
fn version_is_a_parameter_and_host_flags_are_not() {
    assert!(!RESERVED_FLAGS.contains(&"version"));
    assert!(RESERVED_FLAGS.is_sorted());
    // The key of an object, of the built-in module `s3`.
    assert!(!RESERVED_FLAGS.contains(&"key"));
    for flag in [
        "hash",
        "to",
        "allow",
        "credential",
        "param",
        "params",
        "refetch",
        "gc-root",
        "executable",
    ] {
        assert!(RESERVED_FLAGS.contains(&flag), "{flag}");
    }
}

#[test]
fn a_module_does_not_describe_the_slot_of_client_certificates() {
    let slot = json!({ "summary": "A token", "scheme": "bearer", "optional": true });
    let taken = with("/slots/client-certificate", slot.clone());
    let error = parse(&taken).unwrap_err();
    assert!(
        error.to_string().contains("`client-certificate`"),
        "{error}"
    );
    assert!(parse(&with("/slots/client-key", slot)).is_ok());
}
