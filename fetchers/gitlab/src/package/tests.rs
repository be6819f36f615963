use super::{GitlabPackage, Params, address};
use fetchhost_sdk::ErrorKind;
use serde_json::json;

fn params(package: &str, version: &str, file: &str) -> Params {
    let json = json!({
        "project": "group/project", "package": package, "version": version, "file": file,
    });
    fetchhost_sdk::parameters::<GitlabPackage>(&json.to_string()).unwrap()
}

#[test]
fn a_file_is_asked_for_by_package_version_and_name() {
    for (package, version, file, path) in [
        ("engine", "1.4.0", "a.zip", "engine/1.4.0/a.zip"),
        (
            "my_pkg",
            "1.0-rc.1",
            "linux/x86 64/a.zip",
            "my_pkg/1.0-rc.1/linux/x86%2064/a.zip",
        ),
        ("a+b", "1+2", "a?b#c%d.zip", "a%2Bb/1%2B2/a%3Fb%23c%25d.zip"),
    ] {
        assert_eq!(
            address(&params(package, version, file)).unwrap(),
            format!("https://gitlab.com/api/v4/projects/group%2Fproject/packages/generic/{path}")
        );
    }
}

#[test]
fn each_parameter_is_refused_by_its_own_name() {
    for (package, version, file, name) in [
        ("a/b", "1", "a", "`package` "),
        ("..", "1", "a", "`package` "),
        ("a", "1..2", "a", "`version` "),
        ("a", "latest!", "a", "`version` "),
        ("a", "1", "../a", "`file` "),
        ("a", "1", "a~", "`file` "),
    ] {
        let error = address(&params(package, version, file)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadParams);
        assert!(error.message().starts_with(name), "{error}");
    }
}

#[test]
fn the_result_is_a_file_called_as_upstream_calls_it() {
    let description = fetchhost_sdk::description::<GitlabPackage>();
    assert_eq!(
        description["output"],
        json!([{ "mode": "flat", "name-from": "file" }])
    );
    assert_eq!(
        description["parameters"]["required"],
        json!(["project", "package", "version", "file"])
    );
}

#[test]
fn only_generic_packages_are_asked_for() {
    assert_eq!(
        fetchhost_sdk::description::<GitlabPackage>()["needs"],
        json!({
            "origin-parameter": "url",
            "origins": [],
            "methods": ["GET", "HEAD"],
            "paths": ["/**/api/v4/projects/*/packages/generic/**"],
        })
    );
}
