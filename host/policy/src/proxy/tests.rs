//! The tables of `proxy.rs`, row by row.

use super::*;

fn origin(text: &str) -> Origin {
    Origin::parse(text).unwrap()
}

fn environment(variables: &[(&str, &str)]) -> Proxies {
    Proxies::from_environment(|name| {
        let found = variables.iter().find(|(known, _)| *known == name)?;
        Some(found.1.into())
    })
}

/// The proxy for `to` under `variables`, as it is shown.
fn way(variables: &[(&str, &str)], to: &str) -> Option<String> {
    let proxies = environment(variables);
    let proxy = proxies.for_origin(&origin(to)).unwrap();
    proxy.map(Proxy::to_string)
}

const FILES: &str = "https://files.example.com";
const PLAIN: &str = "http://files.example.com";

#[test]
fn each_scheme_has_its_variables_and_the_first_one_set_decides() {
    let a = Some(String::from("http://a:1"));
    for name in HTTPS {
        assert_eq!(way(&[(name, "http://a:1")], FILES), a, "{name}");
    }
    for name in HTTP {
        assert_eq!(way(&[(name, "http://a:1")], PLAIN), a, "{name}");
    }
    assert_eq!(way(&[("http_proxy", "http://a:1")], FILES), None);
    assert_eq!(way(&[("https_proxy", "http://a:1")], PLAIN), None);
    let both = [("HTTPS_PROXY", "http://b:1"), ("https_proxy", "http://a:1")];
    assert_eq!(way(&both, FILES), a);
    let off = [("https_proxy", ""), ("all_proxy", "http://a:1")];
    assert_eq!(way(&off, FILES), None);
    assert_eq!(way(&off, PLAIN), a);
    assert_eq!(way(&[], FILES), None);
}

#[test]
fn a_program_that_serves_requests_does_not_take_its_proxy_from_a_clients_header() {
    let served = [("REQUEST_METHOD", "GET"), ("HTTP_PROXY", "http://a:1")];
    assert_eq!(way(&served, PLAIN), None);
}

#[test]
fn this_machine_is_never_reached_through_a_proxy() {
    let all = [("all_proxy", "http://a:1")];
    for own in [
        "http://127.0.0.1:8080",
        "http://127.9.9.9",
        "https://localhost:8443",
        "http://gitlab.localhost",
        "http://[::1]:80",
    ] {
        assert_eq!(way(&all, own), None, "{own}");
    }
    assert!(way(&all, "http://10.0.0.1").is_some());
    assert!(way(&all, "http://notlocalhost").is_some());
}

#[test]
fn exceptions_match_as_the_table_says() {
    let table = [
        ("example.com", FILES, true),
        (".example.com", FILES, true),
        ("*.example.com", FILES, true),
        (".example.com", "https://example.com", true),
        ("EXAMPLE.com.", FILES, true),
        ("ample.com", FILES, false),
        ("files.example.com:443", FILES, true),
        ("files.example.com:8443", FILES, false),
        ("a, ,example.com", FILES, true),
        ("a example.com\tb", FILES, true),
        ("exam_ple!.com example.com", FILES, true),
        ("http://files.example.com", FILES, false),
        ("*", FILES, true),
        ("10.0.0.0/8", "https://10.1.2.3", true),
        ("10.0.0.0/8", "https://11.1.2.3", false),
        ("10.1.2.3", "https://10.1.2.3", true),
        ("10.1.2.3", "https://10.1.2.4", false),
        ("10.1.2.3:444", "https://10.1.2.3", false),
        ("0.0.0.0/0", "https://9.9.9.9", true),
        ("0.0.0.0/0", FILES, false),
        ("fd00::/8", "https://[fd12::1]", true),
        ("[fd12::1]:443", "https://[fd12::1]", true),
        ("fd00::/8", "https://[fe12::1]", false),
        ("10.0.0.0/33", "https://10.1.2.3", false),
        ("files.*.com", FILES, false),
        ("", FILES, false),
    ];
    for (list, to, excepted) in table {
        let found = way(&[("all_proxy", "http://a:1"), ("no_proxy", list)], to);
        assert_eq!(found.is_none(), excepted, "{list} {to}");
    }
}

#[test]
fn an_empty_list_of_exceptions_is_as_good_as_unset() {
    let all = ("all_proxy", "http://a:1");
    let lists = [all, ("no_proxy", ""), ("NO_PROXY", "example.com")];
    assert_eq!(way(&lists, FILES), None);
    let first = [all, ("no_proxy", "b.example"), ("NO_PROXY", "example.com")];
    assert!(way(&first, FILES).is_some());
}

#[test]
fn what_cannot_be_used_stops_only_what_would_go_there() {
    let socks = ("all_proxy", "socks5://me:canary@a:1");
    let proxies = environment(&[socks, ("http_proxy", "http://b:1"), ("no_proxy", "lan")]);
    let way = |to: &str| {
        let proxy = proxies.for_origin(&origin(to));
        proxy.map(|proxy| proxy.map(Proxy::to_string))
    };
    assert_eq!(way("https://127.0.0.1"), Ok(None));
    assert_eq!(way("https://git.lan"), Ok(None));
    assert_eq!(way(PLAIN), Ok(Some("http://b:1".to_owned())));
    let error = way(FILES).unwrap_err();
    assert_eq!(error.variable, "all_proxy");
    assert!(!format!("{error:?}").contains("canary"));
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_no_text_is_an_error_and_not_unset() {
    use std::os::unix::ffi::OsStringExt as _;
    for broken in ["https_proxy", "no_proxy"] {
        let proxies = Proxies::from_environment(|name| match name {
            name if name == broken => Some(OsString::from_vec(b"http://\xff".to_vec())),
            "https_proxy" => Some("http://a:1".into()),
            _ => None,
        });
        let error = proxies.for_origin(&origin(FILES)).unwrap_err();
        assert_eq!((error.variable, error.error), (broken, ProxyError::NotText));
        assert_eq!(proxies.for_origin(&origin(PLAIN)), Ok(None));
    }
}

#[test]
fn exceptions_read_back_as_shown() {
    for text in [
        "*",
        "example.com",
        "example.com:8443",
        "10.0.0.0/8",
        "fd00::/8",
    ] {
        let entry = Exception::parse(text).unwrap();
        assert_eq!(entry.to_string(), text);
        assert_eq!(Exception::parse(&entry.to_string()), Some(entry));
    }
}

#[test]
fn a_proxy_is_read_with_its_login_and_shown_without() {
    let proxy: Proxy = "http://canary:p%40ss@proxy.example.com:3128/"
        .parse()
        .unwrap();
    assert_eq!(proxy.to_string(), "http://proxy.example.com:3128");
    assert_eq!(proxy.login(), Some(("canary", "p@ss")));
    let shown = format!("{proxy} {proxy:?}");
    assert!(
        !shown.contains("canary") && !shown.contains("ss@"),
        "{shown}"
    );
    let bare: Proxy = "proxy.example.com:3128".parse().unwrap();
    assert_eq!(bare.to_string(), "http://proxy.example.com:3128");
    assert_eq!(bare.login(), None);
    let short: Proxy = "me:pw@proxy.example.com:3128".parse().unwrap();
    assert_eq!(short.login(), Some(("me", "pw")));
}

#[test]
fn what_is_no_proxy_is_refused_without_being_repeated() {
    for (text, expected) in [
        ("socks5://me:canary@a:1", ProxyError::Scheme),
        ("ftp://a", ProxyError::Scheme),
        ("http://", ProxyError::Form),
        ("http://me:canary@a:99999", ProxyError::Form),
        ("http://a/canary", ProxyError::MoreThanOrigin),
        ("http://a?canary", ProxyError::MoreThanOrigin),
        ("http://me:canary%0d%0aX@a", ProxyError::Login),
        ("http://me:canary%ff@a", ProxyError::Login),
    ] {
        let error = environment(&[("https_proxy", text)]).https.unwrap_err();
        assert_eq!(error.error, expected, "{text}");
        let shown = format!("{error} {error:?}");
        assert!(
            !shown.contains("canary") && shown.contains("https_proxy"),
            "{shown}"
        );
    }
}
