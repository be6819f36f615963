//! The table of `origin`, row by row, and what must hold for every text.
#![allow(clippy::unwrap_used, missing_docs)]

use fetchhost_policy::{Origin, OriginError, OriginPattern, parse_url};
use proptest::prelude::*;
use url::Url;

#[test]
fn canonical_spellings_are_read() {
    for (text, shown, port) in [
        ("https://gitlab.com", "https://gitlab.com", 443),
        ("https://gitlab.com:443", "https://gitlab.com", 443),
        ("http://gitlab.com", "http://gitlab.com", 80),
        ("http://gitlab.com:443", "http://gitlab.com:443", 443),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080", 8080),
        ("https://[::1]:8443", "https://[::1]:8443", 8443),
        ("https://[2001:db8::1]", "https://[2001:db8::1]", 443),
        (
            "https://xn--bcher-kva.example",
            "https://xn--bcher-kva.example",
            443,
        ),
        ("http://localhost:1", "http://localhost:1", 1),
        (
            "https://my_bucket.example",
            "https://my_bucket.example",
            443,
        ),
    ] {
        let origin = Origin::parse(text).unwrap();
        assert_eq!(origin.to_string(), shown, "{text}");
        assert_eq!(origin.port(), port, "{text}");
    }
}

#[test]
fn other_spellings_are_refused_with_the_one_to_write() {
    for (text, canonical) in [
        ("HTTPS://gitlab.com", "https://gitlab.com"),
        ("Http://gitlab.com", "http://gitlab.com"),
        ("https://GitLab.com:8443", "https://gitlab.com:8443"),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
        ("https://gitlab。com", "https://gitlab.com"),
        ("https://2130706433", "https://127.0.0.1"),
        ("https://0x7f.1", "https://127.0.0.1"),
        ("https://127.1", "https://127.0.0.1"),
        ("https://0177.0.0.1", "https://127.0.0.1"),
        ("https://127.0.0.1.", "https://127.0.0.1"),
        ("https://[0:0::1]", "https://[::1]"),
        ("https://[2001:DB8::1]", "https://[2001:db8::1]"),
    ] {
        match Origin::parse(text) {
            Err(OriginError::NotCanonical {
                canonical: said, ..
            }) => assert_eq!(said, canonical, "{text}"),
            other => panic!("{text}: {other:?}"),
        }
    }
}

#[test]
fn what_is_no_origin_is_refused() {
    let label = format!("https://{}.example", "a".repeat(64));
    let host = format!("https://{}example", "abcdefg.".repeat(32));
    for text in [
        "",
        "*",
        "gitlab.com",
        "//gitlab.com",
        "ftp://gitlab.com",
        "https:gitlab.com",
        "https:/gitlab.com",
        "https://",
        "https://:443",
        "https://u@gitlab.com",
        "https://u:p@gitlab.com",
        "https://gitlab.com@evil.example",
        "https://gitlab.com/",
        "https://gitlab.com/a",
        "https://gitlab.com?q",
        "https://gitlab.com#f",
        "https://gitlab.com\\evil.example",
        "https://gitlab.com.",
        "https://a..b",
        "https://.a",
        "https://-a.example",
        "https://a-.example",
        "https://gitlab%2ecom",
        "https://a%2Fb",
        "https://[fe80::1%25eth0]",
        "https://[fe80::1%eth0]",
        "https://[::ffff:127.0.0.1]",
        "https://[::ffff:7f00:1]",
        "https://[::127.0.0.1]",
        "https://[::1",
        "https://::1",
        "https://gitlab.com:",
        "https://gitlab.com:0",
        "https://gitlab.com:0443",
        "https://gitlab.com:+443",
        "https://gitlab.com:99999",
        "https://gitlab.com:443:443",
        "https://git lab.com",
        " https://gitlab.com",
        "https://gitlab.com ",
        "https://gitlab.com\n",
        "https://gitlab\t.com",
        "https://git\0lab.com",
        "https://1.2.3.256",
        "https://*",
        "https://*.example.com",
        "https://a!b.example",
        label.as_str(),
        host.as_str(),
    ] {
        assert!(Origin::parse(text).is_err(), "{text:?} was read");
    }
}

#[test]
fn a_bare_star_is_refused_with_what_to_write() {
    for text in ["*", "https://*", "https://*:8443", "http://*"] {
        let error = OriginPattern::parse(text).unwrap_err();
        assert!(
            matches!(error, OriginError::BareWildcard(_)),
            "{text}: {error:?}"
        );
        assert!(
            error.to_string().contains("https://*.example.com"),
            "{error}"
        );
    }
}

#[test]
fn the_origin_of_a_url_is_what_the_url_reaches() {
    for (url, shown) in [
        ("https://gitlab.com/a/b?c#d", "https://gitlab.com"),
        ("https://GITLAB.com:443/", "https://gitlab.com"),
        ("http://127.1:80/", "http://127.0.0.1"),
        ("https://gitlab.com:8443/", "https://gitlab.com:8443"),
    ] {
        assert_eq!(
            Origin::of_url(&Url::parse(url).unwrap())
                .unwrap()
                .to_string(),
            shown
        );
    }
    for url in [
        "ftp://gitlab.com/",
        "file:///etc/passwd",
        "data:,x",
        "https://u@gitlab.com/",
        "https://:p@gitlab.com/",
        "https://gitlab.com./",
        "https://[::ffff:10.0.0.1]/",
        "https://gitlab.com:0/",
    ] {
        assert!(Origin::of_url(&Url::parse(url).unwrap()).is_err(), "{url}");
    }
}

#[test]
fn an_origin_parameter_may_be_an_origin_or_a_url_below_it() {
    for (value, shown) in [
        ("https://gitlab.example.com", "https://gitlab.example.com"),
        ("https://gitlab.example.com/", "https://gitlab.example.com"),
        ("https://example.com/gitlab/", "https://example.com"),
        ("http://127.0.0.1:8080/a?b", "http://127.0.0.1:8080"),
    ] {
        assert_eq!(Origin::of_parameter(value).unwrap().to_string(), shown);
    }
}

#[test]
fn a_url_text_that_readers_read_differently_is_refused() {
    for text in [
        "",
        "/a",
        "gitlab.com/a",
        "https:gitlab.com",
        "https:///gitlab.com",
        "https://gitlab.com\\@evil.example/",
        "https://gitlab.com/a\\..\\b",
        "https://gitlab.com/a/../b",
        "https://gitlab.com/a/./b",
        "https://gitlab.com/..",
        "https://gitlab.com/%2e%2e/b",
        "https://gitlab.com/.%2E/b",
        "https://gitlab.com/..;a/b",
        "https://gitlab.com/%252e%252e/b",
        "https://gitlab.com/a\tb",
        "https://gitlab.com/a\r\nb",
        " https://gitlab.com/",
        "https://gitlab.com/ ",
        "https://u:p@gitlab.com/",
        "https://@gitlab.com/",
        "https://gitlab%2ecom/",
        "ftp://gitlab.com/",
        "javascript://gitlab.com/",
        &format!("https://gitlab.com/{}", "a".repeat(20_000)),
    ] {
        assert!(parse_url(text).is_err(), "{text:?} was read");
    }
    for text in [
        "https://gitlab.com",
        "https://gitlab.com/a%2Fb?ref=../x&y=%2e%2e#\\",
        "HTTPS://GitLab.com/a",
        "https://gitlab.com//a//b/",
    ] {
        assert!(parse_url(text).is_ok(), "{text:?}");
    }
}

#[test]
fn a_refused_url_shows_neither_password_nor_query() {
    for text in [
        "ftp://user:s3cret@host/",
        "https://user:s3cret@host/a/../b",
        "https://host/a/../b?token=s3cret",
        "https://host /\n?token=s3cret",
    ] {
        let error = parse_url(text).unwrap_err().to_string();
        assert!(!error.contains("s3cret"), "{error}");
    }
}

#[test]
fn a_wildcard_stands_for_subdomains_over_https_only() {
    let pattern = OriginPattern::parse("https://*.example.com").unwrap();
    for (origin, expected) in [
        ("https://a.example.com", true),
        ("https://a.b.example.com", true),
        ("https://example.com", false),
        ("https://aexample.com", false),
        ("https://a.example.com:8443", false),
        ("http://a.example.com", false),
        ("http://a.example.com:443", false),
        ("https://a.example.com.evil.example", false),
    ] {
        assert_eq!(
            pattern.matches(&Origin::parse(origin).unwrap()),
            expected,
            "{origin}"
        );
    }
    let port = OriginPattern::parse("https://*.example.com:8443").unwrap();
    assert!(port.matches(&Origin::parse("https://a.example.com:8443").unwrap()));
    assert!(!port.matches(&Origin::parse("https://a.example.com").unwrap()));
    assert!(!pattern.is_exact());
}

#[test]
fn wildcards_of_another_form_are_refused() {
    for text in [
        "https://*.",
        "https://*.com",
        "https://*.com:443",
        "http://*.example.com",
        "https://*.*.example.com",
        "https://a.*.example.com",
        "https://a*.example.com",
        "https://**.example.com",
        "https://*.example.com.",
        "https://*.example.com/",
        "https://*.Example.com",
        "https://*.0.0.1",
        "https://*.example.com:0",
        "*.example.com",
        "https://*.u@example.com",
    ] {
        assert!(OriginPattern::parse(text).is_err(), "{text:?} was read");
    }
}

fn host() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z][a-z0-9]{0,8}(\\.[a-z][a-z0-9-]{0,6}[a-z0-9]){0,3}",
        any::<[u8; 4]>().prop_map(|octets| std::net::Ipv4Addr::from(octets).to_string()),
        any::<[u16; 8]>().prop_map(|words| format!("[{}]", std::net::Ipv6Addr::from(words))),
        // Addresses with runs of zeros are where spellings differ.
        prop::array::uniform8(prop_oneof![Just(0_u16), Just(1), any::<u16>()])
            .prop_map(|words| format!("[{}]", std::net::Ipv6Addr::from(words))),
    ]
}

proptest! {
    #[test]
    fn whatever_is_read_as_an_origin_reads_back_from_its_display(
        scheme in prop_oneof![Just("http"), Just("https")],
        host in host(),
        port in proptest::option::of(any::<u16>()),
    ) {
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        if let Ok(origin) = Origin::parse(&format!("{scheme}://{host}{port}")) {
            let shown = origin.to_string();
            prop_assert_eq!(&Origin::parse(&shown).unwrap(), &origin);
            // The URL that is sent reaches the same origin.
            let url = Url::parse(&format!("{shown}/a")).unwrap();
            prop_assert_eq!(&Origin::of_url(&url).unwrap(), &origin);
            prop_assert!(OriginPattern::parse(&shown).unwrap().matches(&origin));
        } else {
            // Only embedded IPv4, port 0, an address-like name and a broken encoded one are refused.
            let refused = [port == ":0", host.starts_with("[::"), host.starts_with("[0:"), host.contains("xn--")];
            prop_assert!(refused.contains(&true), "{}{}", host, port);
        }
    }

    #[test]
    fn no_text_makes_the_readers_panic(text in "\\PC{0,40}") {
        let _ = Origin::parse(&text);
        let _ = OriginPattern::parse(&text);
        let _ = parse_url(&text);
        let _ = Origin::parse(&format!("https://{text}"));
        let _ = OriginPattern::parse(&format!("https://*.{text}"));
        let _ = parse_url(&format!("https://{text}"));
    }

    #[test]
    fn a_url_that_is_read_has_the_host_that_it_shows(text in "https://[a-z0-9.@:/\\\\%\\[\\]?#-]{1,30}") {
        if let Ok(url) = parse_url(&text) {
            let authority = text["https://".len()..].split(['/', '?', '#']).next().unwrap();
            let host = authority.rsplit_once(':').filter(|_| !authority.ends_with(']')).map_or(authority, |(host, _)| host);
            let shown = Origin::of_url(&url).unwrap().host();
            // Addresses may be spelt in other ways; names may not.
            prop_assert!(shown == host || url.host().is_some_and(|h| !matches!(h, url::Host::Domain(_))), "{}", text);
        }
    }
}
