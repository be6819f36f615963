//! The tables of `echo.rs`.

use super::*;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use fetchhost_credentials::Secret;

const SECRET: &str = "glpat-Zk3w+/Canary?~Q7 T1";

fn echo(secret: &str) -> Echo {
    let echo = Echo::default();
    note(&echo, "work", "header:X-Token", secret);
    echo
}

/// Notes a secret that goes out in a header of its own, or as `scheme` says.
fn note(echo: &Echo, name: &str, scheme: &str, secret: &str) {
    let secret = Secret::from(secret.to_owned());
    let sent = Sent::new(name.parse().unwrap(), &scheme.parse().unwrap(), &secret);
    echo.note(sent, &origin());
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
fn read(echo: &Echo, body: &[u8], chunk: usize, max: usize) -> (Vec<u8>, Result<(), Echoed>) {
    let mut passage = Passage::default();
    let mut got = Vec::new();
    let mut chunks = body.chunks(chunk);
    loop {
        match passage.take(max, echo, &origin()) {
            Err(echoed) => return (got, Err(echoed)),
            Ok(taken) if !taken.is_empty() => got.extend(taken),
            Ok(_) if passage.has_ended() => return (got, Ok(())),
            Ok(_) => match chunks.next() {
                None => passage.end(),
                Some(chunk) => {
                    if let Err(echoed) = passage.push(chunk, echo, &origin()) {
                        return (got, Err(echoed));
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

#[track_caller]
fn finds(scheme: &str, secret: &str, texts: &[&str]) {
    let echo = Echo::default();
    note(&echo, "work", scheme, secret);
    for text in texts {
        let found = echo.check(format!("<{text}>").as_bytes(), &origin());
        assert!(found.is_err(), "{scheme} {secret}: {text}");
    }
}

#[track_caller]
fn passes(scheme: &str, secret: &str, texts: &[&str]) {
    let echo = Echo::default();
    note(&echo, "work", scheme, secret);
    for text in texts {
        let found = echo.check(text.as_bytes(), &origin());
        assert_eq!(found, Ok(()), "{scheme} {secret}: {text}");
    }
}

#[test]
fn a_whole_header_is_found_by_what_follows_its_scheme_too() {
    for scheme in ["Bearer", "token", "NEGOTIATE"] {
        let header = format!("{scheme} canary-token-1");
        finds(
            "header:Authorization",
            &header,
            &["canary-token-1", &header],
        );
    }
    passes(
        "header:Authorization",
        "Bearer canary-token-1",
        &["Bearer other"],
    );
}

#[test]
fn what_follows_a_space_is_searched_for_only_where_a_scheme_comes_before_it() {
    passes(
        "header:X-Token",
        "correct horse-battery",
        &["a horse-battery"],
    );
    passes("bearer", "token public-word", &["a public-word"]);
    finds("bearer", "token public-word", &["token public-word"]);
}

#[test]
fn basic_authentication_is_found_by_the_pair_and_by_the_password() {
    let pair = STANDARD.encode("me:short");
    finds(
        "basic:me",
        "short",
        &["me:short", &pair, pair.trim_end_matches('=')],
    );
    finds("basic:me", "canary-password", &["canary-password"]);
    passes("basic:me", "short", &["short"]);
    let pair = STANDARD.encode("me:canary-password");
    let header = format!("Basic {pair}");
    finds(
        "header:Authorization",
        &header,
        &["canary-password", &pair, &header, "me:canary-password"],
    );
}

#[test]
fn a_short_secret_is_searched_for_only_with_what_goes_along_with_it() {
    let echo = echo("1234567");
    assert!(echo.patterns().is_none());
    assert!(echo.check(b"1234567", &origin()).is_ok());
    passes("bearer", "1234567", &["1234567"]);
    finds("bearer", "1234567", &["Authorization: Bearer 1234567"]);
}

#[test]
fn the_login_of_a_proxy_is_found_as_its_own() {
    let echo = Echo::default();
    let sent = Sent::login("proxy".parse().unwrap(), "me", "pass");
    echo.note(sent, &origin());
    let echoed = echo
        .check(STANDARD.encode("me:pass").as_bytes(), &origin())
        .unwrap_err();
    assert_eq!(echoed.credential.as_str(), "proxy");
}

#[test]
fn a_secret_that_is_sent_later_is_found_in_what_arrived_before() {
    let echo = Echo::default();
    let mut passage = Passage::default();
    passage
        .push(b"a canary-token in a body", &echo, &origin())
        .unwrap();
    assert_eq!(passage.take(4, &echo, &origin()).unwrap(), b"a ca");
    note(&echo, "late", "bearer", "canary-token");
    let Err(Echoed { credential, .. }) = passage.take(4, &echo, &origin()) else {
        panic!()
    };
    assert_eq!(credential.as_str(), "late");
}

#[test]
fn it_names_origin_and_credential_and_not_the_secret() {
    let echo = Echo::default();
    note(&echo, "one", "bearer", "canary-one");
    note(&echo, "two", "bearer", "canary-two");
    let echoed = echo.check(b"... canary-two ...", &origin()).unwrap_err();
    let shown = format!("{echoed} {echoed:?} {echo:?} {:?}", echo.patterns());
    assert!(
        shown.contains("`two`") && shown.contains("gitlab.example.com"),
        "{shown}"
    );
    assert!(!shown.contains("canary"), "{shown}");
}

#[test]
fn the_origin_of_a_percent_encoded_hit_is_the_one_at_its_own_position() {
    let echo = echo("canary-token");
    let first = "%41".repeat(20);
    let text = format!("{first}c%61nary-toke%6E");
    let other: Origin = "https://other.example.com".parse().unwrap();
    let patterns = echo.patterns().unwrap();
    let of = |position| match position < first.len() {
        true => other.clone(),
        false => origin(),
    };
    let echoed = patterns.check(text.as_bytes(), of).unwrap_err();
    assert_eq!(echoed.origin, origin());
    let echoed = patterns
        .check(format!("%63anary-token{first}").as_bytes(), |position| {
            assert_eq!(position, "%63anary-token".len() - 1);
            other.clone()
        })
        .unwrap_err();
    assert_eq!(echoed.origin, other);
}

#[test]
fn who_received_a_secret_is_known() {
    let echo = echo("canary-token");
    assert!(echo.went_to(&origin()));
    assert!(!echo.went_to(&"https://other.example.com".parse().unwrap()));
}
