use super::{GitlabFile, Params, address};
use fetchhost_sdk::ErrorKind;
use serde_json::json;

const FILES: &str = "https://gitlab.com/api/v4/projects/group%2Fproject/repository/files";

fn params(reference: &str, path: &str, lfs: bool) -> Params {
    let json = json!({ "project": "group/project", "ref": reference, "path": path, "lfs": lfs });
    fetchhost_sdk::parameters::<GitlabFile>(&json.to_string()).unwrap()
}

#[test]
fn a_path_is_one_segment_with_its_slashes_encoded() {
    for (reference, path, lfs, rest) in [
        ("main", "README.md", false, "README.md/raw?ref=main"),
        (
            "feature/a&b",
            "docs/a b/.c%d",
            false,
            "docs%2Fa%20b%2F.c%25d/raw?ref=feature%2Fa%26b",
        ),
        ("v1", "big/x.bin", true, "big%2Fx.bin/raw?ref=v1&lfs=true"),
    ] {
        assert_eq!(
            address(&params(reference, path, lfs)).unwrap(),
            format!("{FILES}/{rest}")
        );
    }
}

#[test]
fn a_path_that_leaves_the_repository_and_what_is_no_ref_are_refused() {
    for (reference, path, name) in [
        ("main", "../x", "`path` "),
        ("main", "a/../../x", "`path` "),
        ("main", "/etc/passwd", "`path` "),
        ("main", "", "`path` "),
        ("main", "docs/", "`path` "),
        ("a b", "x", "`ref` "),
    ] {
        let error = address(&params(reference, path, false)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadParams);
        assert!(error.message().starts_with(name), "{error}");
    }
}

#[test]
fn the_pointer_of_a_large_file_is_served_unless_its_content_is_asked_for() {
    let json = r#"{ "project": "1", "ref": "main", "path": "a" }"#;
    let params = fetchhost_sdk::parameters::<GitlabFile>(json).unwrap();
    assert!(!params.lfs);
    let description = fetchhost_sdk::description::<GitlabFile>();
    assert_eq!(
        description["parameters"]["properties"]["lfs"]["default"],
        false
    );
}

#[test]
fn the_result_is_a_file_and_one_endpoint_is_asked() {
    let description = fetchhost_sdk::description::<GitlabFile>();
    assert_eq!(
        description["output"],
        json!([{ "mode": "flat", "name-from": "path" }])
    );
    assert_eq!(
        description["needs"]["paths"],
        json!(["/**/api/v4/projects/*/repository/files/*/raw"])
    );
}
