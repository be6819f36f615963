use super::{Format, Params, Signer, Wanted, named};
use fetchhost_sdk::ErrorKind;
use fetchhost_sdk::keys::Padding;
use serde_json::json;

fn params(members: &str) -> Params {
    let json = format!(r#"{{ "key-id": "release", {members} }}"#);
    fetchhost_sdk::parameters::<Signer>(&json).unwrap()
}

#[test]
fn what_is_not_given_is_what_the_help_says() {
    for (members, wanted) in [
        (
            r#""format": "minisign""#,
            Wanted::Minisign { comment: None },
        ),
        (
            r#""format": "minisign", "comment": """#,
            Wanted::Minisign {
                comment: Some(String::new()),
            },
        ),
        (
            r#""format": "sshsig""#,
            Wanted::Sshsig {
                namespace: "file".to_owned(),
            },
        ),
        (
            r#""format": "sshsig", "namespace": "a@example.com""#,
            Wanted::Sshsig {
                namespace: "a@example.com".to_owned(),
            },
        ),
        (
            r#""format": "raw""#,
            Wanted::Raw {
                padding: Padding::Pss,
            },
        ),
        (
            r#""format": "raw", "padding": "pkcs1""#,
            Wanted::Raw {
                padding: Padding::Pkcs1,
            },
        ),
    ] {
        assert_eq!(params(members).wanted().unwrap(), wanted, "{members}");
    }
}

#[test]
fn what_belongs_to_another_format_is_refused_by_its_name() {
    for (members, name, format) in [
        (
            r#""format": "minisign", "namespace": "file""#,
            "namespace",
            "sshsig",
        ),
        (
            r#""format": "minisign", "padding": "pss""#,
            "padding",
            "raw",
        ),
        (
            r#""format": "sshsig", "comment": "x""#,
            "comment",
            "minisign",
        ),
        (
            r#""format": "sshsig", "padding": "pkcs1""#,
            "padding",
            "raw",
        ),
        (r#""format": "raw", "comment": "x""#, "comment", "minisign"),
        (
            r#""format": "raw", "namespace": "file""#,
            "namespace",
            "sshsig",
        ),
    ] {
        let error = params(members).wanted().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadParams, "{members}");
        let message = format!("`{name}` belongs to the format `{format}`");
        assert_eq!(error.message(), message);
    }
}

#[test]
fn the_key_and_the_format_are_demanded() {
    for json in [r#"{ "key-id": "a" }"#, r#"{ "format": "raw" }"#] {
        let error = fetchhost_sdk::parameters::<Signer>(json).unwrap_err();
        assert!(error.message().contains("missing field"), "{error}");
    }
    let description = fetchhost_sdk::description::<Signer>();
    assert_eq!(
        description["parameters"]["required"],
        json!(["key-id", "format"])
    );
    let formats = &description["parameters"]["properties"]["format"]["enum"];
    assert_eq!(*formats, json!(["minisign", "sshsig", "raw"]));
}

#[test]
fn the_module_asks_for_a_key_a_file_and_nothing_else() {
    let description = fetchhost_sdk::description::<Signer>();
    assert_eq!(
        description["keys"]["key"],
        json!({
            "summary": "the key to sign with",
            "parameter": "key-id",
            "envelopes": ["minisign", "sshsig", "raw"],
        })
    );
    assert!(description["inputs"]["content"].is_object());
    assert_eq!(description["needs"]["origins"], json!([]));
    assert!(description["needs"].get("origin-parameter").is_none());
    assert_eq!(description["slots"], json!({}));
}

#[test]
fn the_names_of_the_formats_are_those_of_the_parameter() {
    for format in [Format::Minisign, Format::Sshsig, Format::Raw] {
        assert_eq!(serde_json::to_value(format).unwrap(), json!(format.word()));
    }
}

#[test]
fn a_content_is_named_by_its_digest() {
    assert_eq!(named(&[0, 1, 0xab, 0xff]), "sha256:0001abff");
}
