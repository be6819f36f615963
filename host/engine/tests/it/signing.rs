//! Modules that misuse inputs and keys, and what the host does for those that do not.
//!
//! `tests/hostile/README.md` says what each deed is. The desk is a stand-in that writes down what it is asked.

mod stage;

use std::io::Write as _;
use std::time::Duration;

use fetchhost_engine::{
    ErrorKind, FetchFailure, Input, InputError, Misbehaviour, Plan, SigningErrorKind, Source,
};
use fetchhost_policy::{Limit, Limits};
use sha2::{Digest as _, Sha256};

use stage::{Answer, CONTENT, Stage, refusal};

/// Those of the module's own words.
#[track_caller]
fn reported(failure: FetchFailure) -> String {
    match failure {
        FetchFailure::Reported(reported) => {
            // What only the host says is the module's when the module says it.
            assert!(matches!(
                reported.kind,
                ErrorKind::Other | ErrorKind::Unsupported
            ));
            reported.message
        }
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn limit(failure: FetchFailure) -> Limit {
    match failure {
        FetchFailure::Misbehaved(misbehaved) => match misbehaved.what {
            Misbehaviour::Limit(overrun) => overrun.limit,
            other => panic!("{other}"),
        },
        other => panic!("{other:?}"),
    }
}

/// The bytes of a plan that is a file made by the module.
#[track_caller]
fn file(plan: Plan) -> Vec<u8> {
    match plan {
        Plan::File {
            source: Source::Bytes(bytes),
            executable: false,
        } => bytes.into(),
        other => panic!("{other:?}"),
    }
}

/// A large file that takes no room.
fn zeros(bytes: u64) -> Input {
    let file = tempfile::tempfile().unwrap();
    file.set_len(bytes).unwrap();
    Input::new(file).unwrap()
}

#[tokio::test]
async fn what_is_not_described_is_not_there() {
    let stage = Stage::new().await;
    for (deed, message) in [
        ("undeclared-input", "no input `another`"),
        ("input-by-path", "no input `/etc/passwd`"),
        ("input-out-of-reach", "no input `../content`"),
        ("undeclared-key", "no key `another`"),
        ("key-by-credential-slot", "no key `token`"),
        ("key-by-its-name", "no key `release`"),
        ("undeclared-envelope", "no `raw` for the key `key`"),
        ("key-as-credential", "no such slot"),
        ("unknown-digest", "no digest `md5\\u{1b}[2J`"),
        ("unknown-padding", "no padding `none`"),
    ] {
        let told = reported(stage.run(deed).await.unwrap_err());
        assert!(told.contains(message), "{deed}: {told}");
    }
    assert_eq!(stage.asked(), [""; 0]);
}

#[tokio::test]
async fn a_text_does_not_break_out_of_its_envelope() {
    let stage = Stage::new().await;
    for (deed, message) in [
        ("comment-line-break", "a comment is one line"),
        ("huge-comment", "a comment is one line"),
        ("namespace-line-break", "`file\\nother` is no namespace"),
        ("namespace-pattern", "`*` is no namespace"),
        ("empty-namespace", "`` is no namespace"),
    ] {
        let told = reported(stage.run(deed).await.unwrap_err());
        assert!(told.contains(message), "{deed}: {told}");
    }
    assert_eq!(stage.asked(), [""; 0]);
}

#[tokio::test]
async fn an_input_that_was_not_given_is_asked_of_the_user_whatever_the_module_says() {
    let stage = Stage::new().await;
    for deed in ["missing-input", "hide-missing-input"] {
        let failure = stage.run(deed).await.unwrap_err();
        assert!(
            matches!(&failure, FetchFailure::Input(InputError::NotGiven(name)) if name.as_str() == "missing"),
            "{failure:?}"
        );
        assert_eq!(failure.to_string(), "input `missing` was not given");
        assert_eq!(
            failure.hint().as_deref(),
            Some("add `--input missing=PATH`")
        );
    }
}

#[tokio::test]
async fn handles_are_not_taken_for_what_they_are_not() {
    let stage = Stage::new().await;
    for deed in ["use-input-after-drop", "input-of-another-kind"] {
        let failure = stage.run(deed).await.unwrap_err();
        let FetchFailure::Misbehaved(misbehaved) = failure else {
            panic!("{deed}: {failure:?}")
        };
        assert!(
            matches!(misbehaved.what, Misbehaviour::Trap { .. }),
            "{deed}: {misbehaved}"
        );
    }
    assert_eq!(stage.asked(), [""; 0]);
}

#[tokio::test]
async fn whoever_takes_too_much_ends_at_a_limit() {
    let mut stage = Stage::new().await;
    // To hash it as often as the module asks would take hours.
    stage.give("content", zeros(64 << 20));
    stage.limits = Limits {
        fuel: 200_000_000,
        read_bytes: 2 << 20,
        table_entries: 100,
        ..Limits::default()
    };
    for (deed, limit_) in [
        ("read-input-too-much", Limit::ReadBytes),
        ("digest-without-end", Limit::Fuel),
        ("hoard-inputs", Limit::TableEntries),
    ] {
        let failure = stage.run(deed).await.unwrap_err();
        assert_eq!(limit(failure), limit_, "{deed}");
    }
    stage.limits = Limits::default();
    for deed in ["sign-too-often", "ask-public-key-too-often"] {
        let failure = stage.run(deed).await.unwrap_err();
        assert_eq!(limit(failure), Limit::Requests, "{deed}");
        assert_eq!(stage.asked().len(), 1_000, "{deed}");
        stage.forget();
    }
}

#[tokio::test]
async fn reading_is_no_progress() {
    let mut stage = Stage::new().await;
    stage.limits.call_timeout = Duration::from_millis(300);
    let failure = stage.run("read-input-and-sleep").await.unwrap_err();
    assert_eq!(limit(failure), Limit::CallTimeout);
}

#[tokio::test]
async fn the_time_of_the_host_and_of_the_user_is_not_the_modules() {
    let mut stage = Stage::new().await;
    stage.limits.call_timeout = Duration::from_secs(1);
    // A passphrase that takes its time.
    stage.desk.delay(Duration::from_millis(2500));
    assert!(!file(stage.run("sign").await.unwrap()).is_empty());
    stage.give("content", zeros(384 << 20));
    stage.desk.delay(Duration::ZERO);
    let digests = file(stage.run("show-digests").await.unwrap());
    assert_eq!(digests.len(), 32 + 64 + 64);
}

#[tokio::test]
async fn a_fetcher_reads_what_it_was_given_and_its_digests() {
    let stage = Stage::new().await;
    let whole = file(stage.run("read-input-past-end").await.unwrap());
    assert_eq!(whole, CONTENT);
    let digests = file(stage.run("show-digests").await.unwrap());
    assert_eq!(digests[..32], Sha256::digest(CONTENT)[..]);
    assert_eq!(digests[32..96], sha2::Sha512::digest(CONTENT)[..]);
    // `b2sum` of the content.
    assert_eq!(digests[96..], stage::BLAKE2B_512);
}

#[tokio::test]
async fn a_signature_is_over_the_input_in_the_envelope_that_was_named() {
    let stage = Stage::new().await;
    let signature = file(stage.run("sign").await.unwrap());
    assert_eq!(signature, stage::SIGNATURE);
    let sha256 = format!("{:x}", Sha256::digest(CONTENT));
    let asked = format!("key minisign signature from nix-fetchhost | a comment over {sha256}");
    assert_eq!(stage.asked(), [asked]);
    let key = String::from_utf8(file(stage.run("show-public-key").await.unwrap())).unwrap();
    let (fingerprint, rest) = key.split_once(' ').unwrap();
    assert!(fingerprint.starts_with("minisign-ed25519:sha256:"), "{key}");
    assert_eq!(rest, format!("ed25519 {}", stage::PUBLIC_KEY));
}

#[tokio::test]
async fn the_user_reads_why_nothing_was_signed_and_the_module_does_not() {
    for (kind, told) in [
        (SigningErrorKind::Denied, "denied: the user does not allow"),
        (SigningErrorKind::Key, "credential: the key could not"),
        (
            SigningErrorKind::Unsupported,
            "unsupported: the key does not",
        ),
        (SigningErrorKind::Memo, "other: what is remembered"),
    ] {
        let stage = Stage::new().await;
        stage.desk.answer(Answer::Refuse(kind));
        for deed in ["hide-refusal", "panic-when-refused", "sign"] {
            let failure = stage.run(deed).await.unwrap_err();
            let FetchFailure::Signing(error) = &failure else {
                panic!("{deed}: {failure:?}")
            };
            assert_eq!(*error, refusal(kind), "{deed}");
            assert_eq!(failure.to_string(), stage::STORY);
            assert_eq!(failure.hint().as_deref(), Some(stage::HINT));
        }
        let lines = stage.logged();
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].contains(told), "{lines:?}");
        assert!(!lines[0].contains("canary"), "{lines:?}");
        // A module may do without.
        let plan = stage.run("hide-refusal-and-succeed").await.unwrap();
        assert!(matches!(plan, Plan::Tree(_)));
    }
}

#[tokio::test]
async fn nobody_is_asked_for_a_passphrase_twice() {
    let stage = Stage::new().await;
    stage.desk.answer(Answer::Refuse(SigningErrorKind::Key));
    let failure = stage.run("insist").await.unwrap_err();
    assert!(matches!(failure, FetchFailure::Signing(_)), "{failure:?}");
    assert_eq!(stage.asked().len(), 1);
}

#[tokio::test]
async fn without_a_desk_nothing_is_signed() {
    let mut stage = Stage::new().await;
    stage.has_desk = false;
    let failure = stage.run("sign").await.unwrap_err();
    let FetchFailure::Signing(error) = &failure else {
        panic!("{failure:?}")
    };
    assert_eq!(error.kind, SigningErrorKind::Denied);
    assert!(error.message.contains("`key`"), "{error}");
}

#[tokio::test]
async fn a_file_that_is_written_to_is_not_signed() {
    let mut stage = Stage::new().await;
    let mut written = tempfile::NamedTempFile::new().unwrap();
    written.write_all(b"first").unwrap();
    let input = Input::new(written.reopen().unwrap()).unwrap();
    assert_eq!(input.size(), 5);
    written.write_all(b", then more").unwrap();
    stage.give("content", input);
    for deed in [
        "sign",
        "show-digests",
        "read-input-past-end",
        "hide-refusal",
    ] {
        let failure = stage.run(deed).await.unwrap_err();
        assert!(
            matches!(failure, FetchFailure::Input(InputError::Unusable { .. })),
            "{deed}: {failure:?}"
        );
        assert_eq!(
            failure.to_string(),
            "input `content` cannot be used: it was written to while it was used"
        );
    }
    assert_eq!(stage.asked(), [""; 0]);
    assert!(
        !stage.logged()[0].contains("written"),
        "{:?}",
        stage.logged()
    );
}

#[tokio::test]
async fn digests_are_those_of_what_was_signed_before_the_file_changed() {
    let mut stage = Stage::new().await;
    let mut written = tempfile::NamedTempFile::new().unwrap();
    written.write_all(b"first").unwrap();
    let input = Input::new(written.reopen().unwrap()).unwrap();
    let content = input.content().unwrap();
    // Of the same length: only the time tells, and clocks of file systems are coarse.
    std::thread::sleep(Duration::from_millis(30));
    std::fs::write(written.path(), b"other").unwrap();
    stage.give("content", input);
    let failure = stage.run("sign").await.unwrap_err();
    assert!(matches!(failure, FetchFailure::Input(_)), "{failure:?}");
    let first: [u8; 32] = Sha256::digest(b"first").into();
    assert_eq!(*content.digests().sha256(), first);
}

#[test]
fn what_is_no_regular_file_is_no_input() {
    for path in ["/dev/null", "/"] {
        let error = Input::new(std::fs::File::open(path).unwrap()).unwrap_err();
        assert!(error.to_string().contains("no regular file"), "{error}");
    }
}

#[tokio::test]
async fn a_module_that_describes_itself_has_no_inputs_and_no_keys() {
    for lie in ["call-inputs", "call-keys"] {
        let error = stage::load(lie).await.unwrap_err();
        assert!(error.to_string().contains("in `fetch` only"), "{error}");
    }
}
