//! `store=…`: daemons that lie, flood, stall and break off.

use std::io::Write as _;
use std::thread;
use std::time::{Duration, Instant};

use fetchhost_artifact::Verified;
use fetchhost_formats::nar::Event;
use fetchhost_sinks::{Destination, SinkError};
use proptest::prelude::*;

use crate::common::{FLAT, flat, incoming, pieces, verified};
use crate::scripted::{
    ADD_TEMPORARY_ROOT, DAEMON_MAGIC, Info, LAST, LINE, Peer, Scripted, declared, encoded,
};

/// What a client says of a daemon that it cannot even greet.
fn greeting(script: impl FnOnce(&mut Peer) + Send + 'static) -> String {
    let daemon = Scripted::start(script);
    let mut store = daemon.store();
    store.patience = Duration::from_millis(200);
    let error = Destination::Store(store).open(&incoming()).err().unwrap();
    daemon.outcome();
    assert!(!error.is_configuration());
    let text = error.to_string();
    let (label, message) = text.split_once("`: ").unwrap();
    assert!(label.starts_with("`store=unix:///"), "{label}");
    message.to_owned()
}

#[test]
fn what_does_not_greet_like_nix_is_not_nix() {
    let not_nix =
        |what: &str| format!("what answers is not Nix: it sent {what} while it was greeted");
    let huge = u64::MAX;
    let after_versions = |client: &mut Peer, numbers: &[u64]| {
        client.tell([DAEMON_MAGIC, 0x123]);
        for number in numbers {
            client.tell([*number]);
        }
        // Until the client has gone: closing earlier could take back what was sent.
        while client.try_number().is_ok() {}
    };
    let wait = |client: &mut Peer| while client.try_number().is_ok() {};

    assert_eq!(
        greeting(move |client| {
            client.tell([1]);
            wait(client)
        }),
        not_nix("another greeting")
    );
    let http = move |client: &mut Peer| {
        client
            .0
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .unwrap();
        wait(client);
    };
    assert_eq!(greeting(http), not_nix("another greeting"));
    for version in [0x200 | 35, huge, 35] {
        let error = greeting(move |client| {
            client.tell([DAEMON_MAGIC, version]);
            wait(client)
        });
        assert_eq!(error, not_nix("a version that does not exist"));
    }
    let old = greeting(move |client| {
        client.tell([DAEMON_MAGIC, 0x100 | 21]);
        wait(client)
    });
    assert_eq!(
        old,
        "this Nix is too old: it speaks version 1.21 of the worker protocol"
    );
    let error = greeting(move |client| after_versions(client, &[huge]));
    assert_eq!(error, not_nix("a text that is too long"));
    let error = greeting(move |client| after_versions(client, &[3, huge]));
    assert_eq!(error, not_nix("padding that is not zero"));
    let error = greeting(move |client| after_versions(client, &[0, 0, 0x1234]));
    assert_eq!(error, not_nix("a message of an unknown kind"));
    // A list that never ends: what comes next decides, nothing is held in advance.
    let error = greeting(move |client| after_versions(client, &[0, 0, 0x5253_4c54, 1, 1, huge, 9]));
    assert_eq!(error, not_nix("a field of an unknown kind"));
}

#[test]
fn a_daemon_that_goes_or_says_nothing_is_told_apart() {
    assert_eq!(
        greeting(|_| ()),
        "Nix closed the connection while it was greeted"
    );
    let closing = greeting(|client| {
        client.number();
        client.number();
        client.tell([DAEMON_MAGIC]);
    });
    assert_eq!(closing, "Nix closed the connection while it was greeted");
    let start = Instant::now();
    let silent = greeting(|_| thread::sleep(Duration::from_millis(600)));
    assert_eq!(silent, "Nix did nothing for 0 seconds while it was greeted");
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_daemon_that_drips_is_given_up() {
    let start = Instant::now();
    let dripping = greeting(move |client| {
        client.tell([DAEMON_MAGIC, 0x123, 0, 0]);
        while start.elapsed() < Duration::from_secs(10) && client.0.write_all(&LINE_X).is_ok() {
            thread::sleep(Duration::from_millis(20));
        }
    });
    assert_eq!(
        dripping,
        "Nix did not come to an end within 0 seconds while it was greeted"
    );
    assert!(start.elapsed() < Duration::from_secs(5));
}

/// A message that says `x`.
const LINE_X: [u8; 24] = *b"gmlo\0\0\0\0\x01\0\0\0\0\0\0\0x\0\0\0\0\0\0\0";

#[test]
fn nobody_at_the_socket_is_an_error_that_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let destination: Destination = format!("store=unix://{}", path.display()).parse().unwrap();
    for stale in [false, true] {
        if stale {
            drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        }
        let error = destination.open(&incoming()).err().unwrap();
        let text = format!("cannot connect to the Nix daemon at `{}`: ", path.display());
        assert!(error.to_string().contains(&text), "{error}");
        let hint = error.hint().unwrap();
        assert!(
            hint.contains("nix-daemon") && hint.contains("file:///DIR"),
            "{hint}"
        );
    }
}

/// Adds `content` to a daemon, which after the greeting follows `script`.
async fn adding(
    content: Vec<u8>,
    patience: Duration,
    script: impl FnOnce(&mut Peer, Info) + Send + 'static,
) -> Result<(), SinkError> {
    let verified = verified(FLAT, flat(content.clone())).await;
    let info = Info::of(&verified);
    let daemon = Scripted::start(move |client| {
        client.greet(35);
        client.operation(ADD_TEMPORARY_ROOT);
        client.tell([LAST, 1]);
        script(client, info);
    });
    let mut store = daemon.store();
    store.patience = patience;
    let result = add(&Destination::Store(store), &content, &verified);
    daemon.outcome();
    result
}

fn add(to: &Destination, content: &[u8], verified: &Verified) -> Result<(), SinkError> {
    let file = Event::File {
        executable: false,
        size: content.len() as u64,
    };
    let chunks = content
        .chunks(256 * 1024)
        .map(|chunk| Event::Data(chunk.to_vec().into()));
    let events = std::iter::once(file).chain(chunks).chain([Event::EndFile]);
    let mut staged = to.open(&declared(verified))?;
    for piece in pieces(events).chunks(1) {
        staged.write(piece)?;
    }
    staged.commit(verified).map(drop)
}

const PATIENT: Duration = Duration::from_secs(20);
const MUCH: usize = 8 * 1024 * 1024;

fn message(result: Result<(), SinkError>) -> String {
    let text = result.unwrap_err().to_string();
    text.split_once("`: ").unwrap().1.to_owned()
}

#[tokio::test]
async fn a_failure_in_the_middle_ends_the_writing_with_what_nix_said() {
    for reads in [false, true] {
        let result = adding(vec![1; MUCH], PATIENT, move |client, _| {
            client.fail("\u{1b}[31;1mno space\u{1b}[0m left\non\u{1b}]0;x\u{7} device");
            if reads {
                assert_eq!(client.addition().2, None, "the client went on and ended it");
            }
        });
        let expected =
            "Nix failed while adding the artifact: no space left on\\u{1b}]0;x\\u{7} device";
        assert_eq!(message(result.await), expected);
    }
}

#[tokio::test]
async fn a_daemon_that_takes_nothing_is_given_up() {
    let patience = Duration::from_millis(300);
    let result = adding(vec![1; MUCH], patience, |client, _| {
        client.tell([LINE]);
        client.say("waiting for the big garbage collector lock...");
        thread::sleep(Duration::from_secs(1));
    });
    assert_eq!(
        message(result.await),
        "Nix did nothing for 0 seconds while adding the artifact; \
         it said last: waiting for the big garbage collector lock..."
    );
}

#[tokio::test]
async fn a_daemon_that_never_finishes_is_given_up() {
    let patience = Duration::from_millis(300);
    let result = adding(vec![1; 10], patience, |client, _| {
        client.addition();
        thread::sleep(Duration::from_secs(1));
    });
    assert_eq!(
        message(result.await),
        "Nix did nothing for 0 seconds while adding the artifact"
    );
}

#[tokio::test]
async fn a_flood_of_messages_ends() {
    let flood = |client: &mut Peer| {
        let line = [&LINE.to_le_bytes()[..], &encoded(&"x".repeat(65_000))].concat();
        while client.0.write_all(&line).is_ok() {}
    };
    let result = adding(vec![1; 10], PATIENT, move |client, _| {
        client.addition();
        flood(client);
    });
    let endless = "what answers is not Nix: it sent endless messages while adding the artifact";
    assert_eq!(message(result.await), endless);
    // While it is still being fed, and takes nothing of it.
    let result = adding(vec![1; MUCH], PATIENT, move |client, _| flood(client)).await;
    let text = message(result);
    let refused = ["endless messages", "more than it was asked for"];
    assert!(refused.iter().any(|what| text.contains(what)), "{text}");
}

#[tokio::test]
async fn small_messages_without_number_end_soon_too() {
    let start = Instant::now();
    let result = adding(vec![1; 10], PATIENT, |client, _| {
        client.addition();
        let stops = [0x5354_4f50_u64.to_le_bytes(), 1_u64.to_le_bytes()]
            .concat()
            .repeat(4096);
        while client.0.write_all(&stops).is_ok() {}
    });
    assert!(message(result.await).contains("endless messages"));
    assert!(
        start.elapsed() < Duration::from_secs(20),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test]
async fn what_nix_reports_must_be_what_was_verified() {
    let zeros = "0".repeat(64);
    type Lie = fn(&mut Info);
    let lies: [(&str, Lie); 6] = [
        ("store path", |info| info.path.replace_range(11..12, "~")),
        ("store path", |info| info.path.clear()),
        ("NAR hash", |info| info.nar_hash = "0".repeat(64)),
        ("NAR size", |info| info.nar_size += 8),
        ("number of references", |info| {
            info.references.push("/nix/store/x".to_owned())
        }),
        ("content address", |info| {
            info.content_address = "text:sha256:x".to_owned()
        }),
    ];
    for (what, lie) in lies {
        let result = adding(b"hello\n".to_vec(), PATIENT, move |client, mut info| {
            client.addition();
            lie(&mut info);
            client.tell([LAST]);
            client.say(&info.path);
            client.info(&info);
        });
        let error = result.await.unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains(&format!("Nix reports the {what} `")),
            "{text}"
        );
        assert!(text.ends_with("` was verified"), "{text}");
    }
    let result = adding(b"hello\n".to_vec(), PATIENT, move |client, mut info| {
        client.addition();
        info.nar_hash = zeros[1..].to_owned();
        client.tell([LAST]);
        client.say(&info.path);
        client.info(&info);
    });
    let none = "what answers is not Nix: it sent a NAR hash that is none while adding the artifact";
    assert_eq!(message(result.await), none);
}

#[tokio::test]
async fn a_result_before_the_end_is_refused() {
    let result = adding(vec![1; MUCH], PATIENT, |client, info| {
        client.tell([LAST]);
        client.say(&info.path);
        client.info(&info);
        assert_eq!(client.addition().2, None, "the client went on and ended it");
    });
    let early =
        "what answers is not Nix: it sent a result before its time while adding the artifact";
    assert_eq!(message(result.await), early);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_a_daemon_sends_there_is_an_error_and_an_end(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        greets: bool,
    ) {
        let daemon = Scripted::start(move |client| {
            if greets {
                client.greet(35);
            }
            let _ = client.0.write_all(&bytes);
        });
        prop_assert!(add(&daemon.destination(), b"hello\n", &some()).is_err());
        daemon.outcome();
    }
}

/// Something verified.
fn some() -> Verified {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(verified(FLAT, flat("hello\n")))
}
