use super::{GitlabArtifact, Params, Wanted, address};
use fetchhost_sdk::ErrorKind;

const API: &str = "https://gitlab.com/api/v4/projects/group%2Fproject";

fn params(json: &str) -> Params {
    fetchhost_sdk::parameters::<GitlabArtifact>(json).unwrap()
}

/// Parameters of one project, the rest given as members of a JSON object.
fn of_project(members: &str) -> Params {
    params(&format!(r#"{{ "project": "group/project", {members} }}"#))
}

fn refusal(members: &str) -> String {
    let params = of_project(members);
    let error = address(&params)
        .and_then(|_| Wanted::of(&params))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadParams);
    error.message().to_owned()
}

#[test]
fn the_whole_archive_has_one_address_by_job_and_one_by_ref() {
    for (members, path) in [
        (r#""job-id": 7"#, "jobs/7/artifacts"),
        (
            r#""ref": "main", "job": "build""#,
            "jobs/artifacts/main/download?job=build",
        ),
    ] {
        assert_eq!(
            address(&of_project(members)).unwrap(),
            format!("{API}/{path}")
        );
    }
}

#[test]
fn one_file_has_its_own_address_by_job_and_by_ref() {
    for (members, path) in [
        (
            r#""job-id": 7, "path": "dist/app v1.bin""#,
            "jobs/7/artifacts/dist/app%20v1.bin",
        ),
        (
            r#""ref": "main", "job": "build", "path": "dist/app.bin""#,
            "jobs/artifacts/main/raw/dist/app.bin?job=build",
        ),
    ] {
        assert_eq!(
            address(&of_project(members)).unwrap(),
            format!("{API}/{path}")
        );
    }
}

#[test]
fn a_ref_keeps_its_slashes_and_a_job_name_cannot_leave_its_value() {
    let params = of_project(r#""ref": "feature/a#b", "job": "build: [linux, x86] & test""#);
    assert_eq!(
        address(&params).unwrap(),
        format!(
            "{API}/jobs/artifacts/feature/a%23b/download?job=build%3A%20%5Blinux%2C%20x86%5D%20%26%20test"
        )
    );
}

#[test]
fn a_path_that_looks_like_a_query_stays_a_path() {
    let params = of_project(r#""job-id": 7, "path": "a?private_token=x#y""#);
    assert_eq!(
        address(&params).unwrap(),
        format!("{API}/jobs/7/artifacts/a%3Fprivate_token%3Dx%23y")
    );
}

#[test]
fn the_instance_is_gitlab_com_unless_another_is_named() {
    let params = params(r#"{ "url": "http://127.0.0.1:8080/lab/", "project": "1", "job-id": 7 }"#);
    assert_eq!(
        address(&params).unwrap(),
        "http://127.0.0.1:8080/lab/api/v4/projects/1/jobs/7/artifacts"
    );
}

#[test]
fn a_job_that_is_not_named_in_one_way_is_refused_with_what_to_do() {
    for (members, message) in [
        (r#""unpack": true"#, "no job is named: give `job-id`"),
        (r#""ref": "main""#, "`ref` needs `job`"),
        (r#""job": "build""#, "`job` needs `ref`"),
        (
            r#""job-id": 7, "ref": "main""#,
            "`job-id` names the job already",
        ),
        (
            r#""job-id": 7, "job": "build""#,
            "`job-id` names the job already",
        ),
        (
            r#""job-id": 7, "ref": "main", "job": "build""#,
            "`job-id` names the job already",
        ),
        (r#""ref": "main", "job": """#, "`job` is empty"),
        (r#""ref": "", "job": "build""#, "`ref` is empty"),
        (r#""ref": "a/../b", "job": "build""#, "`ref` must not hold"),
    ] {
        let refusal = refusal(members);
        assert!(refusal.starts_with(message), "{members}: {refusal}");
    }
}

#[test]
fn a_commit_is_no_ref_for_gitlab() {
    for reference in ["HEAD", "0123456789abcdef0123456789abcdef01234567"] {
        let refusal = refusal(&format!(r#""ref": "{reference}", "job": "build""#));
        assert!(refusal.contains("use `job-id`"), "{refusal}");
    }
    let branch = of_project(r#""ref": "0123456789", "job": "build""#);
    assert!(address(&branch).is_ok());
}

#[test]
fn a_path_that_leaves_the_archive_is_refused() {
    for path in ["../x", "a/../../x", "/etc/passwd", "dist/", "a//b", ""] {
        let refusal = refusal(&format!(r#""job-id": 7, "path": "{path}""#));
        assert!(refusal.starts_with("`path` "), "{path}: {refusal}");
    }
}

#[test]
fn the_result_is_a_tree_unless_a_file_or_the_zip_is_wanted() {
    for (members, wanted) in [
        (r#""job-id": 7"#, Wanted::Tree { strip: 0 }),
        (
            r#""job-id": 7, "strip-components": 2"#,
            Wanted::Tree { strip: 2 },
        ),
        (r#""job-id": 7, "unpack": false"#, Wanted::Zip),
        (r#""job-id": 7, "path": "a""#, Wanted::Member),
        (
            r#""job-id": 7, "path": "a", "unpack": false"#,
            Wanted::Member,
        ),
    ] {
        assert_eq!(Wanted::of(&of_project(members)).unwrap(), wanted);
    }
}

#[test]
fn stripping_what_is_not_unpacked_is_refused() {
    for members in [
        r#""job-id": 7, "strip-components": 1, "path": "a""#,
        r#""job-id": 7, "strip-components": 1, "unpack": false"#,
    ] {
        assert!(refusal(members).starts_with("`strip-components` "));
    }
}

#[test]
fn the_description_asks_for_the_api_by_get_and_head_and_for_no_origin_of_its_own() {
    let description = fetchhost_sdk::description::<GitlabArtifact>();
    assert_eq!(description["needs"]["origin-parameter"], "url");
    assert_eq!(description["needs"]["origins"], serde_json::json!([]));
    assert_eq!(
        description["needs"]["methods"],
        serde_json::json!(["GET", "HEAD"])
    );
    assert_eq!(
        description["needs"]["paths"],
        serde_json::json!(["/**/api/v4/projects/*/jobs/**"])
    );
    assert_eq!(
        description["slots"]["token"]["scheme"],
        "header:PRIVATE-TOKEN"
    );
}

#[test]
fn the_parameters_are_flags_with_help_and_defaults() {
    let parameters = &fetchhost_sdk::description::<GitlabArtifact>()["parameters"];
    assert_eq!(parameters["required"], serde_json::json!(["project"]));
    assert_eq!(parameters["additionalProperties"], false);
    let parameters = parameters["properties"].as_object().unwrap();
    let mut names: Vec<_> = parameters.keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "job",
            "job-id",
            "path",
            "project",
            "ref",
            "strip-components",
            "unpack",
            "url"
        ]
    );
    for (name, schema) in parameters {
        assert!(schema["description"].is_string(), "`{name}` has no help");
        assert!(schema["type"].is_string(), "`{name}` is not of one type");
    }
    assert_eq!(parameters["url"]["default"], "https://gitlab.com");
    assert_eq!(parameters["unpack"]["default"], true);
    assert_eq!(parameters["strip-components"]["default"], 0);
}
