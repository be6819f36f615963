//! `aws-imds`.

use super::servers::{Scene, signing};
use super::*;

const KEYS: &str = r#"{"Code":"Success","Type":"AWS-HMAC","AccessKeyId":"ASIA","SecretAccessKey":"canary-key","Token":"canary-token","Expiration":"2999-01-01T00:00:00Z"}"#;
const MACHINE: &str = "http://169.254.169.254/latest";

fn imds() -> CredentialSpec {
    signing(SourceSpec::AwsImds)
}

#[test]
fn a_machine_is_asked_for_a_token_its_role_and_the_keys() {
    let scene = Scene::new();
    for body in ["canary-imds==", "role-1\n", KEYS] {
        scene.answers(200, body);
    }
    let stage = scene.stage();
    assert_eq!(stage.keyring.look(&imds()).unwrap(), Looked::Unknown);
    for _ in 0..2 {
        assert!(stage.get(&imds()).unwrap().contains("ASIA"));
    }
    let token = "X-aws-ec2-metadata-token: canary-imds==".to_owned();
    let roles = format!("GET {MACHINE}/meta-data/iam/security-credentials/");
    assert_eq!(
        scene.questions(),
        [
            (
                format!("PUT {MACHINE}/api/token"),
                "X-aws-ec2-metadata-token-ttl-seconds: 60".to_owned()
            ),
            (roles.clone(), token.clone()),
            (format!("{roles}role-1"), token),
        ]
    );
    // However long they last, they are asked for again within the hour.
    stage.pass(Duration::from_secs(59 * 60));
    scene.fails("no route");
    assert!(stage.get(&imds()).is_err());
}

#[test]
fn a_container_has_a_server_of_its_own() {
    let asked = |variables: &[(&str, &str)]| {
        let scene = Scene::new();
        scene.write("token", "canary-container\n", 0o644);
        let scene = variables.iter().fold(scene, |scene, (name, value)| {
            let path = scene.path("token");
            scene.with(name, &value.replace("TOKEN", path.to_str().unwrap()))
        });
        scene.answers(200, KEYS);
        scene.stage().get(&imds()).unwrap();
        scene.questions().remove(0)
    };
    let relative = ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/x");
    let full = (
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "http://169.254.170.23/v1/credentials",
    );
    assert_eq!(
        asked(&[relative, full]),
        ("GET http://169.254.170.2/v2/x".to_owned(), String::new())
    );
    let eks = "GET http://169.254.170.23/v1/credentials".to_owned();
    for token in [
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "TOKEN"),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "canary-container"),
    ] {
        let header = "Authorization: canary-container".to_owned();
        assert_eq!(asked(&[full, token]), (eks.clone(), header));
    }
    for url in [
        "http://[fd00:ec2::23]/v1",
        "http://127.0.0.1:1/x",
        "https://a.example/x",
    ] {
        let full = ("AWS_CONTAINER_CREDENTIALS_FULL_URI", url);
        assert_eq!(asked(&[full]).0, format!("GET {url}"));
    }
}

#[test]
fn each_failure_has_its_own_message_and_remedy() {
    let refused = |scene: &Scene, says: &str, remedy: &str| {
        let (message, hint) = scene.refusal_of(&imds());
        assert!(message.contains(says), "{message}");
        assert!(hint.contains(remedy), "{says}: {hint}");
    };
    for (variable, value, says) in [
        (
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            "http://a.example/canary",
            "plain `http`",
        ),
        (
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            "http://10.0.0.1/canary",
            "plain `http`",
        ),
        (
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            "https://u:canary@h/",
            "names no server",
        ),
        (
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
            "@canary",
            "is no path",
        ),
        ("AWS_EC2_METADATA_DISABLED", "true", "not to be asked"),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "x", "names no server"),
    ] {
        let scene = Scene::new().with(variable, value);
        refused(&scene, says, "");
        assert!(scene.questions().is_empty());
    }
    let container = Scene::new()
        .with("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/x")
        .with("AWS_CONTAINER_AUTHORIZATION_TOKEN", "two\nlines");
    refused(&container, "holds no token", "");

    let scene = Scene::new();
    scene.fails("no route");
    refused(&scene, "no route", "outside of AWS");
    for (answers, says, remedy) in [
        (&[(403, "canary")][..], "answers 403", "hop limit"),
        (&[(200, "")], "gives no token", ""),
        (&[(200, "can\nary")], "gives no token", ""),
        (&[(200, "t"), (404, "canary")], "answers 404", "no role"),
        (&[(200, "t"), (200, "../canary")], "names no role", ""),
        (&[(200, "t"), (200, "..")], "names no role", ""),
        (
            &[(200, "t"), (200, "r"), (200, "{\"Code\":\"canary\"}")],
            "no access keys",
            "",
        ),
    ] {
        let scene = Scene::new();
        for (status, body) in answers {
            scene.answers(*status, body);
        }
        refused(&scene, says, remedy);
        assert_eq!(scene.questions().len(), answers.len());
    }
}
