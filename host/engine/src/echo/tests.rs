//! The tables of `echo.rs`.

use super::*;

use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use fetchhost_credentials::Secret;

const SECRET: &str = "glpat-Zk3w+/Canary?~Q7 T1";

fn sent(name: &str, secret: &str) -> Vec<Sent> {
    vec![Sent {
        credential: name.parse().unwrap(),
        secret: Arc::new(Secret::from(secret.to_owned())),
    }]
}

fn echo(secret: &str) -> Echo {
    let echo = Echo::default();
    echo.learn(sent("work", secret));
    echo
}

fn origin() -> Origin {
    "https://gitlab.example.com".parse().unwrap()
}

/// All forms of the first table, in the middle of other text.
fn echoes() -> Vec<(&'static str, String)> {
    type Kept = fn(&u8) -> bool;
    let kept: [Kept; 4] = [
        |_| false,
        u8::is_ascii_alphanumeric,
        |byte| byte.is_ascii_alphanumeric() || b"-._~".contains(byte),
        |byte| !b"/ ".contains(byte),
    ];
    let escaped = |keep: Kept, large: bool| -> String {
        SECRET
            .bytes()
            .map(|byte| match (keep(&byte), large) {
                (true, _) => char::from(byte).to_string(),
                (false, true) => format!("%{byte:02X}"),
                (false, false) => format!("%{byte:02x}"),
            })
            .collect()
    };
    let mut echoes = vec![("raw", SECRET.to_owned())];
    for keep in kept {
        for large in [false, true] {
            echoes.push(("escaped", escaped(keep, large)));
            echoes.push(("form", escaped(keep, large).replace("%20", "+")));
        }
    }
    let in_url = STANDARD
        .encode(SECRET)
        .replace('+', "%2B")
        .replace('/', "%2f");
    echoes.push(("base64 in a URL", in_url));
    for before in ["", "u", "me:", "user:"] {
        for after in ["", "}", "\r\n"] {
            let text = format!("{before}{SECRET}{after}");
            echoes.push(("base64", STANDARD.encode(&text)));
            echoes.push(("base64url", URL_SAFE.encode(&text)));
        }
    }
    echoes
}

/// What a module gets of `body` in chunks of `chunk` bytes when it reads `max` at a time.
fn read(echo: &Echo, body: &[u8], chunk: usize, max: usize) -> (Vec<u8>, Result<(), Stop>) {
    let mut passage = Passage::default();
    let mut got = Vec::new();
    let mut chunks = body.chunks(chunk);
    loop {
        match passage.take(max, echo, &origin()) {
            Err(stop) => return (got, Err(stop)),
            Ok(taken) if !taken.is_empty() => got.extend(taken),
            Ok(_) if passage.has_ended() => return (got, Ok(())),
            Ok(_) => match chunks.next() {
                None => passage.end(),
                Some(chunk) => {
                    if let Err(stop) = passage.push(chunk, echo, &origin()) {
                        return (got, Err(stop));
                    }
                }
            },
        }
    }
}

#[test]
fn every_form_of_the_table_is_found_wherever_the_chunks_end_and_nothing_of_it_is_given() {
    let echo = echo(SECRET);
    for (form, text) in echoes() {
        let body = format!("before {text} after");
        for chunk in [1, 2, 3, 7, 16, 1000] {
            for max in [1, 5, 64] {
                let (got, outcome) = read(&echo, body.as_bytes(), chunk, max);
                assert!(outcome.is_err(), "{form} {chunk}: {text}");
                assert!(
                    got.len() < "before ".len() + 9,
                    "{form} {chunk} {max}: {got:?}"
                );
            }
        }
    }
}

#[test]
fn what_holds_no_secret_passes_unchanged() {
    let echo = echo(SECRET);
    let almost = [
        &SECRET[..SECRET.len() - 1],
        &SECRET[1..],
        "%67%6c%",
        "Z2xwYXQ",
        "%4",
    ]
    .concat();
    let long = "0123456789abcdef".repeat(20_000);
    for body in [almost.as_bytes(), long.as_bytes(), b"", b"x"] {
        for (chunk, max) in [(1, 1), (7, 3), (16 * 1024, 64 * 1024), (100_000, 1000)] {
            if body.len() > 1000 && chunk < 1000 {
                continue;
            }
            let (got, outcome) = read(&echo, body, chunk, max);
            assert!(outcome.is_ok() && got == body, "{chunk} {max}");
        }
    }
    assert!(read(&Echo::default(), SECRET.as_bytes(), 3, 5).1.is_ok());
}

#[test]
fn a_whole_header_is_found_by_its_value_too() {
    let echo = echo("Bearer canary-token-1");
    for text in ["canary-token-1", "Bearer canary-token-1"] {
        assert!(echo.check(text.as_bytes(), &origin()).is_err());
    }
    assert!(echo.check(b"Bearer other", &origin()).is_ok());
}

#[test]
fn a_short_secret_is_not_searched_for() {
    let echo = echo("1234567");
    assert!(echo.patterns().is_none());
    assert!(echo.check(b"1234567", &origin()).is_ok());
}

#[test]
fn a_secret_that_is_sent_later_is_found_in_what_arrived_before() {
    let echo = Echo::default();
    let mut passage = Passage::default();
    passage
        .push(b"a canary-token in a body", &echo, &origin())
        .unwrap();
    assert_eq!(passage.take(4, &echo, &origin()).unwrap(), b"a ca");
    echo.learn(sent("late", "canary-token"));
    let Err(Stop::Echoed { credential, .. }) = passage.take(4, &echo, &origin()) else {
        panic!()
    };
    assert_eq!(credential.as_str(), "late");
}

#[test]
fn the_stop_names_origin_and_credential_and_not_the_secret() {
    let echo = Echo::default();
    echo.learn(sent("one", "canary-one"));
    echo.learn(sent("two", "canary-two"));
    let stop = echo.check(b"... canary-two ...", &origin()).unwrap_err();
    let shown = format!("{stop} {stop:?}");
    assert!(
        shown.contains("`two`") && shown.contains("gitlab.example.com"),
        "{shown}"
    );
    assert!(!shown.contains("canary"), "{shown}");
}

#[test]
fn a_part_of_a_file_is_searched_with_its_surroundings() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = fetchhost_artifact::Spool::create(folder.path()).unwrap();
    spool.append(b"0123456789 canary-token 0123456789").unwrap();
    let blob = spool.finish().unwrap();
    let echo = echo("canary-token");
    let check = |offset, length| echo.check_part(&blob, offset, length, |_| origin());
    assert!(check(11, 1).is_err(), "its first byte");
    assert!(check(22, 1).is_err(), "its last byte");
    assert!(check(15, 2).is_err());
    assert!(check(0, 34).is_err());
    assert!(
        Echo::default()
            .check_part(&blob, 0, 34, |_| origin())
            .is_ok()
    );
}
