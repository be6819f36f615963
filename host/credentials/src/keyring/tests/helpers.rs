//! Credential helpers.

use std::time::UNIX_EPOCH;

use super::{
    programs::{problem, shell},
    *,
};
use crate::{Problem, ProgramProblem};

fn helper(script: &str, scheme: &str) -> CredentialSpec {
    let source = SourceSpec::Helper(shell(script, Duration::from_secs(20)));
    spec(source, scheme.parse().unwrap())
}

/// A helper that answers with this JSON, whatever it is asked.
fn answering(json: &str, scheme: &str) -> CredentialSpec {
    helper(&format!("cat > /dev/null; printf '%s' '{json}'"), scheme)
}

/// Seconds from 1970 to 2030-01-01T00:00:00Z.
const NEW_YEAR: u64 = 1_893_456_000;

fn at_new_year(stage: &Stage, before: u64) {
    *stage.now.lock().unwrap() = UNIX_EPOCH + Duration::from_secs(NEW_YEAR - before);
}

#[test]
fn a_helper_is_asked_for_the_origin_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let asked = folder.path().join("asked");
    let script = format!(
        "echo \"$1\" > {0}; cat >> {0}; echo '{{\"headers\":{{\"PRIVATE-TOKEN\":[\"{CANARY}\"]}}}}'",
        asked.display()
    );
    let stage = stage(&[], None);
    let spec = helper(&script, "header:PRIVATE-TOKEN");
    assert_eq!(stage.get(&spec).unwrap(), CANARY);
    assert_eq!(
        std::fs::read_to_string(&asked).unwrap(),
        "get\n{\"uri\":\"https://gitlab.example.com/\"}"
    );
    let secret = stage.keyring.resolve(&spec, &other_origin()).unwrap();
    assert_eq!(secret.expose(), CANARY);
    assert_eq!(
        std::fs::read_to_string(&asked).unwrap(),
        "get\n{\"uri\":\"https://other.example.com:8443/\"}"
    );
}

#[test]
fn an_origin_that_the_credential_is_not_for_is_never_asked_about() {
    let folder = tempfile::tempdir().unwrap();
    let asked = folder.path().join("asked");
    let spec = helper(&format!("touch {}", asked.display()), "bearer");
    let evil = "https://evil.example".parse().unwrap();
    let error = stage(&[], None).keyring.resolve(&spec, &evil).unwrap_err();
    assert!(matches!(error, CredentialError::NotForOrigin { .. }));
    assert!(!asked.exists());
}

#[test]
fn only_the_header_that_the_scheme_names_is_taken() {
    let json = r#"{"headers":{"Cookie":["evil"],"authorization":["Bearer canary-5ecret"],"Host":["evil"]},"more":1}"#;
    let stage = stage(&[], None);
    assert_eq!(
        stage.get(&answering(json, "header:Authorization")).unwrap(),
        "Bearer canary-5ecret"
    );
    // The token alone is the secret, so that an echo of it is found.
    assert_eq!(stage.get(&answering(json, "bearer")).unwrap(), CANARY);
    let error = stage.refusal(&answering(json, "header:PRIVATE-TOKEN"));
    assert!(matches!(problem(error), ProgramProblem::NoHeader(name) if name == "PRIVATE-TOKEN"));
}

#[test]
fn answers_that_cannot_be_one_header_are_refused() {
    let stage = stage(&[], None);
    for json in [
        r#"{"headers":{"X-Key":["canary","canary"]}}"#,
        r#"{"headers":{"X-Key":["canary"],"x-key":["canary"]}}"#,
    ] {
        let error = stage.refusal(&answering(json, "header:X-Key"));
        assert!(matches!(problem(error), ProgramProblem::SeveralValues(_)));
    }
    for json in [r#"{"headers":{"X-Key":[]}}"#, "{}"] {
        let error = stage.refusal(&answering(json, "header:X-Key"));
        assert!(matches!(problem(error), ProgramProblem::NoHeader(_)));
    }
    for json in [
        "canary",
        r#"{"headers":"canary"}"#,
        r#"{"headers":{"X-Key":"canary"}}"#,
        r#"{"headers":{"X-Key":["canary"]},"expires":"canary"}"#,
        r#"{"headers":{"X-Key":["canary"]},"expires":12}"#,
        r#"{"headers":{"X-Key":["canary"]}} canary"#,
        "",
    ] {
        let error = stage.refusal(&answering(json, "header:X-Key"));
        assert!(
            matches!(problem(error), ProgramProblem::Protocol(_)),
            "{json}"
        );
    }
    let basic = r#"{"headers":{"Authorization":["Basic canary"]}}"#;
    let error = stage.refusal(&answering(basic, "bearer"));
    assert!(matches!(problem(error), ProgramProblem::Protocol(_)));
}

#[test]
fn a_value_that_would_start_another_header_is_refused() {
    let stage = stage(&[], None);
    for json in [
        r#"{"headers":{"X-Key":["canary\r\nX-Evil: 1"]}}"#,
        r#"{"headers":{"X-Key":["canary\n"]}}"#,
    ] {
        let spec = answering(json, "header:X-Key");
        match stage.refusal(&spec) {
            CredentialError::Unusable { problem, .. } => {
                assert_eq!(problem, Problem::SeveralLines);
            }
            other => panic!("{other}"),
        }
    }
}

#[test]
fn what_expires_is_asked_for_again_before_it_does() {
    let folder = tempfile::tempdir().unwrap();
    let counter = folder.path().join("runs");
    let script = format!(
        "cat > /dev/null; echo x >> {0}; printf '{{\"headers\":{{\"X-Key\":[\"key-%d\"]}},\"expires\":\"2030-01-01T00:00:00Z\"}}' $(wc -l < {0})",
        counter.display()
    );
    let spec = helper(&script, "header:X-Key");
    let stage = stage(&[], None);
    at_new_year(&stage, 3600);
    assert_eq!(stage.get(&spec).unwrap(), "key-1");
    at_new_year(&stage, 61);
    assert_eq!(stage.get(&spec).unwrap(), "key-1");
    // Within a minute of its end it is used once and not remembered.
    at_new_year(&stage, 60);
    assert_eq!(stage.get(&spec).unwrap(), "key-2");
    at_new_year(&stage, 1);
    assert_eq!(stage.get(&spec).unwrap(), "key-3");
    at_new_year(&stage, 0);
    let error = stage.refusal(&spec);
    assert!(matches!(problem(error), ProgramProblem::Expired));
}

#[test]
fn a_helper_that_does_not_read_its_question_is_no_error() {
    let json = r#"echo '{"headers":{"X-Key":["k"]}}'"#;
    assert_eq!(
        stage(&[], None)
            .get(&helper(&format!("exec <&-; {json}"), "header:X-Key"))
            .unwrap(),
        "k"
    );
}
