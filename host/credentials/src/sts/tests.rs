use std::time::{Duration, UNIX_EPOCH};

use proptest::prelude::*;

use super::*;
use crate::key_server::LIFETIME;

/// A token of the form that identity providers issue; a canary, which no error may show.
const TOKEN: &str = "eyJjYW5hcnkiOiJoZWFkZXIifQ.eyJzdWIiOiJjYW5hcnkifQ.Y2FuYXJ5LXNpZ25hdHVyZQ";

fn token() -> Secret {
    Secret::from(TOKEN.to_owned())
}

fn now() -> SystemTime {
    // 2026-11-21T12:00:00Z
    UNIX_EPOCH + Duration::from_secs(1_795_262_400)
}

fn answer(status: u16, body: &str) -> KeyAnswer {
    KeyAnswer {
        status,
        body: Zeroizing::new(body.as_bytes().to_owned()),
    }
}

/// An answer as AWS's reference shows it, with these credentials in it.
fn giving(credentials: &str) -> KeyAnswer {
    answer(
        200,
        &format!(
            r#"<?xml version="1.0"?>
<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <AssumeRoleWithWebIdentityResult>
    <SubjectFromWebIdentityToken>repo:o/r:ref:refs/heads/main</SubjectFromWebIdentityToken>
    <Audience>sts.amazonaws.com</Audience>
    <AssumedRoleUser>
      <Arn>arn:aws:sts::123456789012:assumed-role/r/s</Arn>
      <AssumedRoleId>AROA:s</AssumedRoleId>
    </AssumedRoleUser>
    <Credentials>{credentials}</Credentials>
    <Provider>arn:aws:iam::123456789012:oidc-provider/token.example</Provider>
  </AssumeRoleWithWebIdentityResult>
  <ResponseMetadata><RequestId>ad4156e9</RequestId></ResponseMetadata>
</AssumeRoleWithWebIdentityResponse>"#
        ),
    )
}

fn keys(expiration: &str) -> String {
    format!(
        "<SessionToken>tok/en==</SessionToken><SecretAccessKey>s/+=</SecretAccessKey>\
         <Expiration>{expiration}</Expiration><AccessKeyId>ASIA</AccessKeyId>"
    )
}

fn read_at_noon(answer: &KeyAnswer) -> Result<Given, Refused> {
    read(answer, &token(), now())
}

#[test]
fn the_form_is_the_one_of_awss_reference() {
    let form = form("arn:aws:iam::123456789012:role/a b", "me@example", &token());
    assert_eq!(
        form.as_str(),
        format!(
            "Action=AssumeRoleWithWebIdentity&Version=2011-06-15\
             &RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fa+b\
             &RoleSessionName=me%40example&WebIdentityToken={TOKEN}"
        )
    );
}

#[test]
fn the_keys_are_those_of_the_answer() {
    let given = read_at_noon(&giving(&keys("2026-11-21T12:30:00Z"))).ok();
    let secret = given.unwrap().keys;
    let keys: serde_json::Value = serde_json::from_str(secret.expose()).unwrap();
    assert_eq!(keys["AccessKeyId"], "ASIA");
    assert_eq!(keys["SecretAccessKey"], "s/+=");
    assert_eq!(keys["SessionToken"], "tok/en==");
}

#[test]
fn keys_are_used_until_shortly_before_they_end_and_never_longer_than_was_asked_for() {
    for (expiration, seconds) in [
        ("2026-11-21T12:30:00Z", 29 * 60),
        ("2026-11-21T13:00:00.123Z", 59 * 60),
        ("2027-01-01T00:00:00Z", 59 * 60),
        ("9999-12-31T23:59:59Z", 59 * 60),
        // Used for one request, and asked for again for the next.
        ("2026-11-21T12:00:30Z", -30),
        ("", 60),
        ("soon", 60),
    ] {
        let given = read_at_noon(&giving(&keys(expiration))).ok().unwrap();
        let lasts = match given.until.duration_since(now()) {
            Ok(lasts) => i64::try_from(lasts.as_secs()).unwrap(),
            Err(past) => -i64::try_from(past.duration().as_secs()).unwrap(),
        };
        assert_eq!(lasts, seconds, "{expiration}");
    }
    for expiration in ["2026-11-21T12:00:00Z", "2020-01-01T00:00:00Z"] {
        let error = read_at_noon(&giving(&keys(expiration))).err();
        assert_eq!(
            error,
            Some(Refused::NotGiven(NotGiven::Expired)),
            "{expiration}"
        );
    }
}

#[test]
fn what_is_no_answer_is_refused_without_its_words() {
    let whole = keys("2026-11-21T12:30:00Z");
    let deep = "<Credentials>".repeat(10_000);
    for body in [
        String::new(),
        "<html><body>canary</body></html>".to_owned(),
        r#"{"Credentials":{"AccessKeyId":"canary"}}"#.to_owned(),
        "<!DOCTYPE a [<!ENTITY x \"canary\">]><a>&x;</a>".to_owned(),
        deep,
    ] {
        let error = read_at_noon(&answer(200, &body)).err().unwrap();
        assert!(
            matches!(error, Refused::NotGiven(NotGiven::Answer(_))),
            "{body}"
        );
    }
    for credentials in [
        whole.replace("<AccessKeyId>ASIA</AccessKeyId>", ""),
        whole.replace("ASIA", "AS IA"),
        whole.replace("ASIA", "A/B"),
        whole.replace("s/+=", ""),
        whole.replace("s/+=", "a&#10;b"),
        whole.replace("s/+=", "&canary;"),
        whole.replace("tok/en==", ""),
        whole.replace("tok/en==", "é"),
        format!("{whole}<AccessKeyId>B</AccessKeyId>"),
    ] {
        let error = read_at_noon(&giving(&credentials)).err().unwrap();
        assert!(
            matches!(error, Refused::NotGiven(NotGiven::Answer(_))),
            "{credentials}"
        );
    }
    let mut cut = giving(&whole);
    let half = cut.body.len() / 2;
    cut.body.truncate(half);
    assert!(read_at_noon(&cut).is_err());
}

#[test]
fn a_refusal_is_told_in_the_servers_words_where_they_hold_nothing_of_the_token() {
    let refusal = |code: &str, message: &str| {
        let body = format!(
            "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>\
             <Code>{code}</Code><Message>{message}</Message></Error><RequestId>r</RequestId></ErrorResponse>"
        );
        match read_at_noon(&answer(400, &body)).err().unwrap() {
            Refused::Said { code, message } => (code, message),
            other => panic!("{other:?}"),
        }
    };
    let told = |text: &str| Some(text.to_owned());
    assert_eq!(
        refusal(
            "ExpiredTokenException",
            "Token expired: current date/time 1"
        ),
        (
            told("ExpiredTokenException"),
            told("Token expired: current date/time 1")
        )
    );
    assert_eq!(
        refusal("AccessDenied", "a\u{1b}[31m&lt;b&gt;").1.unwrap(),
        printable("a\u{1b}[31m<b>")
    );
    // Part of the token, the whole of it, or more than a message.
    let part = &TOKEN[4..20];
    for message in [
        TOKEN,
        &format!("bad: {part}"),
        &"x".repeat(MESSAGE_BYTES + 1),
        "",
    ] {
        assert_eq!(refusal("AccessDenied", message).1, None, "{message}");
    }
    for code in [
        &TOKEN[..20],
        "Access denied",
        "",
        &"A".repeat(CODE_BYTES + 1),
    ] {
        assert_eq!(refusal(code, "m").0, None, "{code}");
    }
    let page = answer(502, "<html>canary</html>");
    let error = read_at_noon(&page).err().unwrap();
    let (code, message) = (None, None);
    assert_eq!(error, Refused::Said { code, message });
}

proptest! {
    #[test]
    fn no_answer_makes_the_reader_panic(status in 100_u16..600, body in proptest::collection::vec(any::<u8>(), 0..300)) {
        let answer = KeyAnswer { status, body: Zeroizing::new(body) };
        prop_assert!(read_at_noon(&answer).is_err());
    }

    #[test]
    fn no_document_of_its_form_makes_the_reader_panic(text in "[<>/&;!\\[\\]A-Ca-c \"=?#-]{0,60}", at in 0..600_usize) {
        let mut body = String::from_utf8(giving(&keys("2026-11-21T12:30:00Z")).body.to_vec()).unwrap();
        body.insert_str(at.min(body.len()), &text);
        let _ = read_at_noon(&answer(200, &body));
        let _ = read_at_noon(&answer(400, &body));
    }

    #[test]
    fn what_is_given_expires_within_an_hour(text in "[0-9TZ:.+-]{0,30}", year in 2026..9999_u32) {
        for text in [text, format!("{year}-12-01T00:00:00Z")] {
            if let Ok(given) = read_at_noon(&giving(&keys(&text))) {
                prop_assert!(given.until < now() + LIFETIME);
            }
        }
    }
}
