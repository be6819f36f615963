use super::{Format, HttpFile, Params, Unpacking};
use fetchhost_sdk::{ArchiveFormat, ErrorKind};
use serde_json::json;

fn params(members: &str) -> Params {
    let json = format!(r#"{{ "url": "https://example.com/a" {members} }}"#);
    fetchhost_sdk::parameters::<HttpFile>(&json).unwrap()
}

#[test]
fn a_file_is_kept_as_it_is_unless_unpacking_is_asked_for() {
    assert_eq!(params("").unpacking().unwrap(), None);
    for (members, format, strip) in [
        (r#", "unpack": true"#, Format::Auto, 0),
        (
            r#", "unpack": true, "strip-components": 1"#,
            Format::Auto,
            1,
        ),
        (
            r#", "unpack": true, "format": "tar.xz", "strip-components": 2"#,
            Format::TarXz,
            2,
        ),
    ] {
        assert_eq!(
            params(members).unpacking().unwrap(),
            Some(Unpacking { format, strip })
        );
    }
}

#[test]
fn what_is_about_unpacking_is_refused_without_it() {
    for (members, name) in [
        (r#", "strip-components": 1"#, "`strip-components` "),
        (r#", "format": "zip""#, "`format` "),
        (r#", "format": "zip", "strip-components": 1"#, "`format` "),
    ] {
        let error = params(members).unpacking().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadParams);
        assert!(error.message().starts_with(name), "{error}");
    }
}

#[test]
fn every_format_has_the_word_of_the_contract() {
    let schema = &fetchhost_sdk::description::<HttpFile>()["parameters"]["properties"]["format"];
    assert_eq!(schema["default"], "auto");
    let words = schema["enum"].as_array().unwrap();
    assert_eq!(words.len(), 7);
    for word in words {
        let word = word.as_str().unwrap();
        let params = params(&format!(r#", "unpack": true, "format": "{word}""#));
        assert_eq!(ArchiveFormat::from(params.format).as_str(), word);
    }
}

#[test]
fn the_places_are_the_url_and_then_the_mirrors_in_their_order() {
    assert_eq!(params("").places().unwrap(), ["https://example.com/a"]);
    let mirrored = params(r#", "mirror": ["http://b.example/x?y", "https://c.example"]"#);
    assert_eq!(
        mirrored.places().unwrap(),
        [
            "https://example.com/a",
            "http://b.example/x?y",
            "https://c.example"
        ]
    );
}

#[test]
fn a_place_that_is_no_url_is_refused_by_its_name_before_anything_is_asked() {
    for (mirror, why) in [
        ("ftp://b.example/a", "has to start with"),
        ("//b.example/a", "has to start with"),
        ("https://me:secret@b.example/a", "must not hold a user"),
        ("https://b.example/a#b", "has a fragment"),
        ("https:///a", "names no host"),
    ] {
        let members = format!(r#", "mirror": ["https://ok.example/a", "{mirror}"]"#);
        let params = params(&members);
        let error = params.places().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadParams);
        assert!(
            error.message().starts_with(&format!("`mirror[1]` {why}")),
            "{error}"
        );
        assert!(!error.message().contains("secret"));
    }
}

#[test]
fn mirrors_are_a_list_of_text_and_none_by_default() {
    let schema = &fetchhost_sdk::description::<HttpFile>()["parameters"]["properties"]["mirror"];
    assert_eq!(schema["type"], "array");
    assert_eq!(schema["items"]["type"], "string");
    assert_eq!(schema["default"], json!([]));
}

#[test]
fn a_tree_is_called_source_and_a_file_as_its_url_says() {
    assert_eq!(
        fetchhost_sdk::description::<HttpFile>()["output"],
        json!([
            { "equals": { "unpack": true }, "mode": "nar", "name": "source" },
            { "mode": "flat", "name-from": "url" },
        ])
    );
}

#[test]
fn every_path_is_asked_for_and_no_origin_of_its_own() {
    assert_eq!(
        fetchhost_sdk::description::<HttpFile>()["needs"],
        json!({ "origin-parameter": "url", "origins": [], "methods": ["GET", "HEAD"], "paths": ["/**"] })
    );
}
