use super::{GitlabArchive, Params, address};
use fetchhost_sdk::ErrorKind;
use serde_json::json;

const ARCHIVE: &str =
    "https://gitlab.com/api/v4/projects/group%2Fproject/repository/archive.tar.gz";

fn params(reference: &str, subdirectory: Option<&str>) -> Params {
    let mut json = json!({ "project": "group/project", "ref": reference });
    if let Some(folder) = subdirectory {
        json["subdirectory"] = folder.into();
    }
    fetchhost_sdk::parameters::<GitlabArchive>(&json.to_string()).unwrap()
}

#[test]
fn the_archive_is_asked_for_by_ref_and_folder() {
    for (reference, folder, query) in [
        ("main", None, "sha=main"),
        ("feature/a&b#c", None, "sha=feature%2Fa%26b%23c"),
        ("v1+2", Some("docs/a b"), "sha=v1%2B2&path=docs%2Fa%20b"),
    ] {
        assert_eq!(
            address(&params(reference, folder)).unwrap(),
            format!("{ARCHIVE}?{query}")
        );
    }
}

#[test]
fn what_is_no_ref_or_leaves_the_repository_is_refused() {
    for (reference, folder, name) in [
        ("", None, "`ref` "),
        ("main..dev", None, "`ref` "),
        ("HEAD~1", None, "`ref` "),
        ("main", Some(""), "`subdirectory` "),
        ("main", Some("../x"), "`subdirectory` "),
        ("main", Some("/docs"), "`subdirectory` "),
        ("main", Some("docs/"), "`subdirectory` "),
    ] {
        let error = address(&params(reference, folder)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadParams);
        assert!(error.message().starts_with(name), "{error}");
    }
}

#[test]
fn the_result_is_a_tree_and_one_endpoint_is_asked() {
    let description = fetchhost_sdk::description::<GitlabArchive>();
    assert_eq!(
        description["output"],
        json!([{ "mode": "nar", "name": "source" }])
    );
    assert_eq!(
        description["needs"]["paths"],
        json!(["/**/api/v4/projects/*/repository/archive.tar.gz"])
    );
    assert_eq!(
        description["parameters"]["required"],
        json!(["project", "ref"])
    );
}
