//! Parameters from flags, pairs and files.

use serde_json::json;

use super::*;

fn schema() -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["project"],
        "properties": {
            "project": { "type": "string", "description": "The project." },
            "job-id": { "type": ["integer", "null"], "minimum": 0 },
            "unpack": { "type": "boolean", "default": true },
            "mirror": { "type": "array", "items": { "type": "string" } },
            "nested": { "type": "object" },
        }
    })
}

fn collect_from(line: &[&str], pairs: &[&str]) -> Result<Params, Failure> {
    let schema = schema();
    let command = add_flags(Command::new("run"), &schema);
    let matches = command
        .try_get_matches_from([&["run"], line].concat())
        .unwrap();
    let pairs: Vec<String> = pairs.iter().map(|pair| (*pair).to_owned()).collect();
    collect(&schema, None, &pairs, &matches)
}

fn object(line: &[&str], pairs: &[&str]) -> Value {
    Value::Object(collect_from(line, pairs).unwrap().object)
}

fn message(line: &[&str], pairs: &[&str]) -> String {
    collect_from(line, pairs).err().unwrap().message
}

#[test]
fn flags_take_the_type_that_the_schema_gives() {
    let line = [
        "--project",
        "42",
        "--job-id",
        "7",
        "--no-unpack",
        "--mirror",
        "a",
        "--mirror",
        "b",
    ];
    assert_eq!(
        object(&line, &[]),
        json!({ "project": "42", "job-id": 7, "unpack": false, "mirror": ["a", "b"] })
    );
}

#[test]
fn a_flag_that_was_not_given_is_left_to_the_module() {
    assert_eq!(object(&["--project", "p"], &[]), json!({ "project": "p" }));
}

#[test]
fn pairs_are_the_same_as_flags() {
    let pairs = [
        "project=a=b",
        "job-id=7",
        "unpack=true",
        "mirror=x",
        "mirror=y",
        "nested={\"a\":1}",
    ];
    assert_eq!(
        object(&[], &pairs),
        json!({
            "project": "a=b", "job-id": 7, "unpack": true, "mirror": ["x", "y"], "nested": { "a": 1 }
        })
    );
}

#[test]
fn what_is_wrong_is_named() {
    assert_eq!(message(&[], &[]), "the parameter `--project` is missing");
    assert_eq!(
        message(&["--project", "p", "--job-id", "x"], &[]),
        "the parameter `job-id` must be a whole number, not `x`"
    );
    assert_eq!(
        message(&["--project", "p"], &["nope=1"]),
        "the fetcher has no parameter `nope`"
    );
    assert_eq!(
        message(&["--project", "p"], &["nope"]),
        "`--param nope` has no `=`"
    );
    assert!(message(&["--project", "p", "--job-id=-1"], &[]).contains("`job-id` is not valid"));
}

/// What is told to be typed does the same when it is.
#[test]
fn flags_are_told_as_they_are_typed() {
    let told = |params: Value| {
        let Value::Object(params) = params else {
            unreachable!()
        };
        let mut flags = flags(&schema(), &params);
        flags.sort();
        flags
    };
    assert_eq!(
        told(json!({
            "project": "-x",
            "job-id": 7,
            "unpack": false,
            "mirror": ["https://a", "it's"],
            "nested": {"a": [1]},
        })),
        [
            "--job-id 7",
            r"--mirror 'it'\''s'",
            "--mirror https://a",
            "--no-unpack",
            r#"--param 'nested={"a":[1]}'"#,
            "--project=-x",
        ]
    );
    assert_eq!(
        told(json!({"project": "p", "job-id": null, "unpack": true, "mirror": []})),
        ["--project p", "--unpack"]
    );
    let typed = ["--job-id", "7", "--project=-x", "--no-unpack"];
    let pair = [r#"nested={"a":[1]}"#];
    assert_eq!(
        object(&typed, &pair),
        json!({"project": "-x", "job-id": 7, "unpack": false, "nested": {"a": [1]}})
    );
}

#[test]
fn json_is_checked_like_what_is_typed() {
    let object = from_json(&schema(), r#"{"project":"${p}\n\"","job-id":7}"#).unwrap();
    assert_eq!(
        Value::Object(object),
        json!({ "project": "${p}\n\"", "job-id": 7 })
    );
    let message = |text| from_json(&schema(), text).err().unwrap().message;
    assert_eq!(message("{}"), "the parameter `project` is missing");
    assert_eq!(
        message(r#"{"project":"p","nope":1}"#),
        "the fetcher has no parameter `nope`"
    );
    assert_eq!(message("[]"), "`JSON` holds no JSON object of parameters");
    assert!(message("{").starts_with("`JSON` is no JSON: "));
}

#[test]
fn one_parameter_in_both_forms_is_refused() {
    assert!(message(&["--project", "p"], &["project=q"]).contains("given both as"));
    assert!(message(&[], &["project=p", "project=q"]).contains("more than once"));
}

#[test]
fn every_parameter_given_on_the_command_line_counts_as_typed() {
    let params = collect_from(&["--project", "p"], &["job-id=1"]).unwrap();
    assert_eq!(params.typed, ["job-id", "project"]);
}

#[test]
fn a_value_that_does_not_fit_is_not_repeated() {
    let params = json!({ "project": ["https://a.example/f?X-Amz-Signature=canary"] });
    let Value::Object(params) = params else {
        panic!("an object");
    };
    let failure = validate(&schema(), params, "").unwrap_err();
    assert!(failure.message.contains("`project`"), "{}", failure.message);
    assert!(!failure.message.contains("canary"), "{}", failure.message);
}
