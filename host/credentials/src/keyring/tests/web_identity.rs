//! `aws` with a web identity: which one is taken, what is asked, and what is said when it fails.

use std::fs;

use super::servers::{Scene, aws};
use super::*;

const TOKEN: &str = "eyJ-canary-header.canary-payload.canary-signature";
const ROLE: &str = "arn:aws:iam::123456789012:role/fetch";

/// With a token in its home, and a role that goes with it in the environment.
fn in_environment() -> Scene {
    let scene = with_token();
    let token = scene.path("token");
    scene
        .with("AWS_ROLE_ARN", ROLE)
        .with("AWS_WEB_IDENTITY_TOKEN_FILE", token.to_str().unwrap())
}

fn with_token() -> Scene {
    let scene = Scene::new();
    scene.write("token", &format!("{TOKEN}\n"), 0o644);
    scene
}

impl Scene {
    /// Answers with keys of this name that end at `end`.
    fn gives(&self, name: &str, end: &str) {
        self.answers(
            200,
            &format!(
                "<R><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>{name}</AccessKeyId>\
                 <SecretAccessKey>canary-key</SecretAccessKey><SessionToken>canary-session</SessionToken>\
                 <Expiration>{end}</Expiration></Credentials></AssumeRoleWithWebIdentityResult></R>"
            ),
        );
    }

    /// Whom it asks.
    fn server(&self) -> String {
        self.gives("A", "");
        self.stage().get(&aws(None)).unwrap();
        self.questions().pop().unwrap().0
    }
}

#[test]
fn a_token_is_exchanged_for_keys_that_are_asked_for_again_before_they_end() {
    let scene = in_environment().with("AWS_REGION", "eu-west-1");
    let stage = scene.stage();
    // 2026-11-21T12:00:00Z
    *stage.now.lock().unwrap() = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_262_400);
    scene.gives("ONE", "2026-11-21T12:30:00Z");
    for _ in 0..2 {
        assert!(stage.get(&aws(None)).unwrap().contains("\"ONE\""));
    }
    let (server, form) = scene.questions().remove(0);
    assert_eq!(server, "https://sts.eu-west-1.amazonaws.com/");
    for part in [
        "RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Ffetch",
        "RoleSessionName=nix-fetchhost",
        &format!("WebIdentityToken={TOKEN}"),
    ] {
        assert!(form.split('&').any(|pair| pair == part), "{form}");
    }
    stage.pass(Duration::from_secs(28 * 60));
    assert!(stage.get(&aws(None)).unwrap().contains("\"ONE\""));
    assert_eq!(scene.questions().len(), 1);
    // Whoever writes the token has renewed it.
    scene.write("token", "canary-renewed", 0o600);
    scene.gives("TWO", "2026-11-21T13:20:00Z");
    stage.pass(Duration::from_secs(60));
    assert!(stage.get(&aws(None)).unwrap().contains("\"TWO\""));
    let (_, form) = scene.questions().remove(1);
    assert!(form.ends_with("WebIdentityToken=canary-renewed"), "{form}");
}

#[test]
fn keys_in_the_environment_come_first_and_a_named_profile_before_the_environment() {
    let scene = in_environment();
    scene.write(
        ".aws/credentials",
        "[default]\naws_access_key_id = DEFAULT\naws_secret_access_key = s\n\
         [work]\naws_access_key_id = WORK\naws_secret_access_key = s\n",
        0o600,
    );
    let get = |scene: &Scene, profile| scene.stage().get(&aws(profile)).unwrap();
    scene.gives("IDENTITY", "");
    assert!(get(&scene, None).contains("IDENTITY"));
    assert!(get(&scene, Some("work")).contains("WORK"));
    let scene = scene
        .with("AWS_ACCESS_KEY_ID", "VARIABLE")
        .with("AWS_SECRET_ACCESS_KEY", "s");
    assert!(get(&scene, None).contains("VARIABLE"));
    assert_eq!(scene.questions().len(), 1);
}

#[test]
fn a_profile_may_have_a_web_identity_of_its_own() {
    let scene = in_environment();
    let token = scene.path("token");
    let profile = format!(
        "[profile ci]\nregion = eu-central-1\nrole_arn = arn:aws:iam::1:role/ci\nrole_session_name = job.1\n\
         web_identity_token_file = {}\n[default]\nregion = cn-north-1\n",
        token.display()
    );
    scene.write(".aws/config", &profile, 0o644);
    scene.gives("A", "");
    let secret = scene.stage().get(&aws(Some("ci"))).unwrap();
    assert!(secret.contains("\"A\""));
    let (server, form) = scene.questions().remove(0);
    assert_eq!(server, "https://sts.eu-central-1.amazonaws.com/");
    assert!(form.contains("role%2Fci") && form.contains("RoleSessionName=job.1"));
    // The environment's has the region of the profile in force.
    assert_eq!(scene.server(), "https://sts.cn-north-1.amazonaws.com.cn/");

    scene.write(
        ".aws/config",
        "[profile ci]\nweb_identity_token_file = /t\n[profile role]\nrole_arn = x\nsource_profile = y\n",
        0o644,
    );
    let (message, hint) = scene.refusal(Some("ci"));
    assert!(message.contains("no `role_arn`") && hint.contains("`role_arn`"));
    let (message, hint) = scene.refusal(Some("role"));
    assert!(message.contains("`role_arn`") && hint.contains("export-credentials"));
}

#[test]
fn the_server_is_the_one_that_awss_variables_name() {
    let server = |variables: &[(&str, &str)]| {
        let scene = in_environment();
        let scene = variables
            .iter()
            .fold(scene, |scene, (name, value)| scene.with(name, value));
        scene.server()
    };
    let region = ("AWS_REGION", "eu-west-1");
    let any = ("AWS_ENDPOINT_URL", "http://127.0.0.1:4566");
    let own = ("AWS_ENDPOINT_URL_STS", "https://sts.lan/path");
    for (variables, expected) in [
        (&[][..], "https://sts.amazonaws.com/"),
        (&[region], "https://sts.eu-west-1.amazonaws.com/"),
        (
            &[("AWS_DEFAULT_REGION", "us-gov-west-1")],
            "https://sts.us-gov-west-1.amazonaws.com/",
        ),
        (&[region, any], "http://127.0.0.1:4566/"),
        (&[region, any, own], "https://sts.lan/path"),
        (
            &[region, own, ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")],
            "https://sts.eu-west-1.amazonaws.com/",
        ),
    ] {
        assert_eq!(server(variables), expected, "{variables:?}");
    }
}

#[test]
fn each_failure_has_its_own_message_and_remedy() {
    let refused = |scene: &Scene, says: &str, remedy: &str| {
        let (message, hint) = scene.refusal(None);
        assert!(message.contains(says), "{message}");
        assert!(hint.contains(remedy), "{says}: {hint}");
    };
    let scene = in_environment();
    fs::remove_file(scene.path("token")).unwrap();
    refused(
        &scene,
        "token`: No such file",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
    );
    for (content, says) in [
        ("\n", "is empty"),
        ("canary\ncanary", "several lines"),
        ("can\u{e4}ry-canary", "outside ASCII"),
    ] {
        scene.write("token", content, 0o600);
        refused(&scene, says, "alone");
    }
    scene.write("token", TOKEN, 0o666);
    refused(&scene, "open to others", "chmod");
    scene.write("token", TOKEN, 0o600);

    for (variable, value, says) in [
        ("AWS_ROLE_ARN", "two words", "`AWS_ROLE_ARN` is not the ARN"),
        ("AWS_ROLE_SESSION_NAME", "a/b", "`AWS_ROLE_SESSION_NAME`"),
        ("AWS_REGION", "eu.evil.example/", "`AWS_REGION` is none"),
        (
            "AWS_ENDPOINT_URL",
            "https://u:canary@h",
            "`AWS_ENDPOINT_URL`",
        ),
        ("AWS_ENDPOINT_URL_STS", "sts.lan", "`AWS_ENDPOINT_URL_STS`"),
    ] {
        refused(&in_environment().with(variable, value), says, "");
    }
    let half = in_environment().with("AWS_ROLE_ARN", "");
    refused(&half, "`AWS_ROLE_ARN` is not", "set `AWS_ROLE_ARN`");

    let answered = |status, code: &str, remedy: &str| {
        scene.answers(
            status,
            &format!("<E><Error><Code>{code}</Code><Message>because</Message></Error></E>"),
        );
        refused(&scene, &format!("{code}: because"), remedy);
    };
    answered(400, "ExpiredTokenException", "written anew");
    answered(400, "InvalidIdentityToken", "identity provider");
    answered(403, "AccessDenied", "trust policy");
    answered(403, "RegionDisabledException", "`AWS_REGION`");
    answered(400, "IDPCommunicationError", "same command again");
    scene.answers(
        400,
        &format!(
            "<E><Error><Code>InvalidIdentityToken</Code><Message>not {TOKEN}</Message></Error></E>"
        ),
    );
    refused(&scene, "InvalidIdentityToken", "identity provider");
    scene.answers(200, "<html>canary</html>");
    refused(
        &scene,
        "does not answer as AWS does",
        "`AWS_ENDPOINT_URL_STS`",
    );
    scene.gives("A", "2001-01-01T00:00:00Z");
    refused(&scene, "expired already", "clock");
    scene.fails("no route");
    refused(&scene, "no route", "`AWS_ENDPOINT_URL_STS` any other");
    let scene = scene.with("AWS_REGION", "eu-wst-1");
    scene.fails("no such name");
    refused(&scene, "no such name", "`eu-wst-1` (`AWS_REGION`)");
}

#[test]
fn looking_asks_no_server_and_without_a_way_to_ask_there_are_no_keys() {
    let scene = in_environment();
    let keyring = scene.stage().keyring;
    assert_eq!(keyring.look(&aws(None)).unwrap(), Looked::Unknown);
    assert_eq!(scene.questions(), []);
    fs::remove_file(scene.path("token")).unwrap();
    assert!(keyring.look(&aws(None)).is_err());

    let scene = in_environment();
    let error = scene.alone().refusal(&aws(None));
    assert!(error.to_string().contains("is not asked here"), "{error}");
}
