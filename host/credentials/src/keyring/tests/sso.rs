//! `aws` with a profile of SSO.

use super::servers::{Scene, aws};
use super::*;

const CONFIG: &str = "[profile work]\nsso_session = corp\nsso_account_id = 123456789012\nsso_role_name = Read Only\n\
     [sso-session corp]\nsso_region = eu-west-1\nsso_start_url = https://corp.example/start\n\
     [profile old]\nsso_start_url = https://corp.example/start\nsso_region = eu-north-1\nsso_account_id = 1\nsso_role_name = r\n";
const SESSION: &str = r#"{"accessToken":"canary-session","expiresAt":"2999-01-01T00:00:00Z","refreshToken":"canary"}"#;

/// Where AWS's tools keep the session called `corp`, and the one of the start URL: by their SHA-1.
const CORP: &str = ".aws/sso/cache/ee0bfd2552fbd840c02cc48b6e823320543c450f.json";
const START: &str = ".aws/sso/cache/f7c9b39d0b4c7a7d82c79307585f77e1c5e74378.json";

fn scene() -> Scene {
    let scene = Scene::new();
    scene.write(".aws/config", CONFIG, 0o644);
    scene.write(CORP, SESSION, 0o600);
    scene
}

fn keys(expiration: &str) -> String {
    format!(
        r#"{{"roleCredentials":{{"accessKeyId":"ASIA","secretAccessKey":"canary-key","sessionToken":"canary-token","expiration":{expiration}}}}}"#
    )
}

#[test]
fn a_session_is_exchanged_for_the_keys_of_the_profiles_role() {
    let scene = scene();
    let stage = scene.stage();
    scene.answers(200, &keys("32503680000000"));
    for _ in 0..2 {
        assert!(stage.get(&aws(Some("work"))).unwrap().contains("ASIA"));
    }
    let portal = "https://portal.sso.eu-west-1.amazonaws.com/federation/credentials";
    let asked = (
        format!("GET {portal}?role_name=Read+Only&account_id=123456789012"),
        "x-amz-sso_bearer_token: canary-session".to_owned(),
    );
    assert_eq!(scene.questions(), [asked]);
    // However long they last, they are asked for again within the hour.
    stage.pass(Duration::from_secs(59 * 60));
    scene.answers(200, &keys("null"));
    stage.get(&aws(Some("work"))).unwrap();
    assert_eq!(scene.questions().len(), 2);

    scene.write(START, SESSION, 0o600);
    scene.answers(200, &keys("null"));
    scene.stage().get(&aws(Some("old"))).unwrap();
    assert!(scene.questions()[2].0.contains(".eu-north-1."));
}

#[test]
fn each_failure_has_its_own_message_and_remedy() {
    let scene = scene();
    let refused = |says: &str, remedy: &str| {
        let (message, hint) = scene.refusal(Some("work"));
        assert!(message.contains(says), "{message}");
        assert!(hint.contains(remedy), "{says}: {hint}");
    };
    let login = "aws sso login --profile work";
    for (session, says) in [
        ("canary", "not of the form"),
        (r#"{"accessToken":"canary"}"#, "not of the form"),
        (
            r#"{"accessToken":"canary","expiresAt":"soon"}"#,
            "when it ends",
        ),
        (
            r#"{"accessToken":"canary","expiresAt":"2001-01-01T00:00:00UTC"}"#,
            "has expired",
        ),
        (
            "{\"accessToken\":\"canary\\ncanary\",\"expiresAt\":\"2999-01-01T00:00:00Z\"}",
            "holds no token",
        ),
    ] {
        scene.write(CORP, session, 0o600);
        refused(says, login);
        assert!(scene.stage().keyring.look(&aws(Some("work"))).is_err());
    }
    scene.write(CORP, SESSION, 0o644);
    refused("open to others", "chmod 600");
    std::fs::remove_file(scene.path(CORP)).unwrap();
    refused("is not there", login);
    assert_eq!(scene.questions(), []);

    scene.write(CORP, SESSION, 0o600);
    let look = scene.stage().keyring.look(&aws(Some("work")));
    assert_eq!(look.unwrap(), Looked::Unknown);
    for (status, body, says, remedy) in [
        (401, "canary", "answers 401", login),
        (403, "canary", "answers 403", "`sso_role_name`"),
        (200, "canary", "no access keys", "AWS"),
        (200, "{\"roleCredentials\":{}}", "no access keys", "AWS"),
        (200, &keys("1"), "expired already", "clock"),
        (200, &keys("1").replace("ASIA", "a/b"), "expired", "clock"),
        (
            200,
            &keys("null").replace("ASIA", "a/b"),
            "are no access keys",
            "AWS",
        ),
    ] {
        scene.answers(status, body);
        refused(says, remedy);
    }
    scene.fails("no route");
    refused("no route", "`sso_region`");
    for (config, says) in [
        (CONFIG.replace("eu-west-1", "eu/x"), "`sso_region` is none"),
        (CONFIG.replace("sso_region = eu-west-1", ""), "`sso_region`"),
        (
            CONFIG.replace("sso_role_name = Read Only", ""),
            "`sso_role_name`",
        ),
    ] {
        scene.write(".aws/config", &config, 0o644);
        refused(says, "");
    }
}
