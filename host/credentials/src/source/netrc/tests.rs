//! netrc files, orderly and hostile.

use super::*;

const HOST: &str = "gitlab.example.com";

fn find_in(text: &str, scheme: &Scheme) -> Result<(String, Option<String>), NetrcProblem> {
    let secret = find(text.as_bytes(), HOST, scheme, false)?;
    Ok((
        secret.expose().to_owned(),
        secret.login().map(str::to_owned),
    ))
}

fn basic(username: &str) -> Scheme {
    Scheme::basic(username).unwrap()
}

#[test]
fn entries_are_read_in_every_usual_layout() {
    for text in [
        "machine gitlab.example.com login me password s3cret",
        "machine gitlab.example.com\n\tlogin me\n\tpassword s3cret\n",
        "machine gitlab.example.com\r\nlogin me\r\npassword s3cret\r\n",
        "# mine\nmachine other.example login x password y\n\nmachine gitlab.example.com password s3cret account a login me # end",
        "machine GitLab.Example.COM login \"me\" password \"s3cret\"",
        "macdef init\ncd /pub\nmachine gitlab.example.com password evil\n\nmachine gitlab.example.com login me password s3cret",
        "macdef init\r\ncd /pub\r\nmachine gitlab.example.com password evil\r\n\r\nmachine gitlab.example.com login me password s3cret\r\n",
        "default login anonymous password evil\nmachine gitlab.example.com login me password s3cret",
    ] {
        let found = find_in(text, &Scheme::BasicLogin);
        assert_eq!(
            found.unwrap(),
            ("s3cret".into(), Some("me".into())),
            "{text}"
        );
    }
}

#[test]
fn passwords_may_hold_what_looks_like_syntax() {
    for (written, password) in [
        ("#s3cret", "#s3cret"),
        ("machine", "machine"),
        ("\"two words\"", "two words"),
        ("\"a\\\"b\\\\c\"", "a\"b\\c"),
        ("a\"b", "a\"b"),
        ("\"\"", ""),
    ] {
        let text = format!("machine gitlab.example.com login me password {written}\n");
        assert_eq!(find_in(&text, &Scheme::Bearer).unwrap().0, password);
    }
}

#[test]
fn only_the_host_itself_matches() {
    for machine in [
        "example.com",
        "a.gitlab.example.com",
        "gitlab.example.com.",
        "gitlab.example.com:443",
        "*.example.com",
        "https://gitlab.example.com",
        "gitlab",
    ] {
        let text = format!("machine {machine} login me password s3cret");
        let error = find_in(&text, &Scheme::Bearer).unwrap_err();
        assert_eq!(error, NetrcProblem::NoEntry(HOST.to_owned()), "{machine}");
    }
}

#[test]
fn default_counts_only_where_the_configuration_says_so() {
    let text = "default login anonymous password s3cret";
    let error = find_in(text, &Scheme::BasicLogin).unwrap_err();
    assert!(matches!(error, NetrcProblem::NoEntry(_)));
    let secret = find(text.as_bytes(), HOST, &Scheme::BasicLogin, true).unwrap();
    assert_eq!(
        (secret.expose(), secret.login()),
        ("s3cret", Some("anonymous"))
    );
    // Even then an entry of the host's own comes first, and a broken one is not passed over.
    let text = format!("{text}\nmachine {HOST} login me");
    let error = find(text.as_bytes(), HOST, &Scheme::BasicLogin, true).unwrap_err();
    assert_eq!(error, NetrcProblem::NoPassword(HOST.to_owned()));
}

#[test]
fn a_user_name_in_the_scheme_chooses_the_entry() {
    let text = format!(
        "machine {HOST} login one password first\nmachine {HOST} login two password second"
    );
    assert_eq!(find_in(&text, &basic("two")).unwrap().0, "second");
    for scheme in [Scheme::Bearer, Scheme::BasicLogin] {
        let error = find_in(&text, &scheme).unwrap_err();
        assert_eq!(error, NetrcProblem::Several(HOST.to_owned()));
    }
    let error = find_in(&text, &basic("three")).unwrap_err();
    assert!(matches!(error, NetrcProblem::NoLogin { .. }));
    let twice = format!("{text}\nmachine {HOST} login two password third");
    assert!(matches!(
        find_in(&twice, &basic("two")).unwrap_err(),
        NetrcProblem::Several(_)
    ));
}

#[test]
fn what_is_no_netrc_is_refused_by_line_and_never_shown() {
    let entry = format!("machine {HOST}\n");
    for (text, expected) in [
        ("canary".to_owned(), NetrcProblem::Word(1)),
        ("login canary".to_owned(), NetrcProblem::Word(1)),
        (format!("{entry}pasword canary"), NetrcProblem::Word(2)),
        (format!("{entry}login a canary"), NetrcProblem::Word(2)),
        (format!("{entry}password \"canary"), NetrcProblem::Quote(2)),
        (
            format!("{entry}password \"canary\n\""),
            NetrcProblem::Quote(2),
        ),
        (
            format!("{entry}password \"can\\nary\""),
            NetrcProblem::Escape(2),
        ),
        (
            format!("{entry}login ca:nary password x"),
            NetrcProblem::User(2),
        ),
        (
            format!("{entry}password"),
            NetrcProblem::NoValue {
                line: 2,
                keyword: "password",
            },
        ),
        (
            "machine".to_owned(),
            NetrcProblem::NoValue {
                line: 1,
                keyword: "machine",
            },
        ),
        (
            format!("{entry}password canary password canary"),
            NetrcProblem::Twice {
                line: 2,
                keyword: "password",
            },
        ),
        (
            format!("{entry}login me"),
            NetrcProblem::NoPassword(HOST.to_owned()),
        ),
    ] {
        let error = find_in(&text, &Scheme::Bearer).unwrap_err();
        assert_eq!(error, expected, "{text}");
        let shown = format!("{error} {error:?} {}", error.hint().unwrap());
        assert!(!shown.contains("canary"));
    }
    let no_user = format!("machine {HOST} password x");
    let error = find_in(&no_user, &Scheme::BasicLogin).unwrap_err();
    assert_eq!(error, NetrcProblem::NoUser(HOST.to_owned()));
    let find = |content: &[u8]| find(content, HOST, &Scheme::Bearer, false).unwrap_err();
    assert_eq!(find(b"machine \xff"), NetrcProblem::NotText);
    assert_eq!(find(&vec![b' '; MAX_BYTES + 1]), NetrcProblem::TooLarge);
}
