//! Which URLs of ordinary derivations are taken over.
#![allow(clippy::unwrap_used, missing_docs)]

use std::path::Path;

use fetchhost_policy::{Config, Origin, RoutedUrl, parse_url};
use proptest::prelude::*;

fn parse(text: &str) -> Result<Config, String> {
    Config::parse(text, Path::new("/c.toml")).map_err(|error| error.to_string())
}

fn config(urls: &[&str]) -> Config {
    let text: String = urls
        .iter()
        .map(|url| format!("[[route]]\nurl = \"{url}\"\n"))
        .collect();
    parse(&text).unwrap()
}

/// What is sent for `url`, if a route takes it over.
fn taken(config: &Config, url: &str) -> Option<String> {
    let url = RoutedUrl::parse(url)?;
    config.route_of(&url).map(|_| url.to_string())
}

#[test]
fn a_url_is_matched_in_the_form_in_which_it_is_sent() {
    let config = config(&["https://gitlab.example.com/group/**"]);
    for (url, sent) in [
        (
            "https://gitlab.example.com/group/a",
            "https://gitlab.example.com/group/a",
        ),
        (
            "HTTPS://GitLab.Example.COM:443/%67roup/a#f",
            "https://gitlab.example.com/group/a",
        ),
        (
            "https://gitlab.example.com/group/a%2fb?inline=false",
            "https://gitlab.example.com/group/a%2Fb?inline=false",
        ),
    ] {
        assert_eq!(taken(&config, url).as_deref(), Some(sent), "{url}");
    }
}

#[test]
fn nothing_is_matched_by_a_trick() {
    let config = config(&[
        "https://gitlab.example.com/group/**",
        "http://127.0.0.1:8080/*",
    ]);
    for url in [
        "https://gitlab.example.com@evil.example/group/a",
        "https://gitlab.example.com:443@evil.example/group/a",
        "https://user:secret@gitlab.example.com/group/a",
        "https://@gitlab.example.com/group/a",
        "https://gitlab.example.com.evil.example/group/a",
        "https://evil.example/https://gitlab.example.com/group/a",
        "https://evil.example/?https://gitlab.example.com/group/a",
        "https://evil.example#@gitlab.example.com/group/a",
        "https://evil.example\\@gitlab.example.com/group/a",
        "https:gitlab.example.com/group/a",
        "https:///gitlab.example.com/group/a",
        "//gitlab.example.com/group/a",
        "http://gitlab.example.com/group/a",
        "https://gitlab.example.com:8443/group/a",
        "https://gitlab.example.com./group/a",
        "https://gitlab%2eexample.com/group/a",
        "https://gitlab.example.com/group/../other/a",
        "https://gitlab.example.com/group/%2e%2e/other/a",
        "https://gitlab.example.com/group/%252e%252e/other/a",
        "https://gitlab.example.com/group\\..\\a",
        "https://gitlab.example.com/group/a%0a",
        " https://gitlab.example.com/group/a",
        "https://gitlab.example.com/Group/a",
        "https://gitlab.example.com/groups/a",
        "https://gitlab.example.com/?/group/a",
        "mirror://gitlab.example.com/group/a",
        "ftp://gitlab.example.com/group/a",
        "file:///group/a",
        "http://127.0.0.1:8080/a/b",
        "http://127.0.0.1/a",
        "http://localhost:8080/a",
        "",
    ] {
        assert_eq!(taken(&config, url), None, "{url:?}");
    }
    assert!(
        taken(&config, "http://127.1:8080/a").is_some(),
        "the same address"
    );
}

#[test]
fn a_wildcard_stands_for_subdomains_and_the_first_route_holds() {
    let config = parse(
        "[[route]]\nurl = \"https://*.example.com/a/**\"\nfetcher = \"first\"\n\
         [[route]]\nurl = \"https://x.example.com/**\"\nfetcher = \"second\"\n",
    )
    .unwrap();
    let fetcher = |url: &str| Some(config.route_of(&RoutedUrl::parse(url)?)?.fetcher.clone());
    assert_eq!(fetcher("https://x.example.com/a/b").unwrap(), "first");
    assert_eq!(fetcher("https://x.example.com/b").unwrap(), "second");
    assert_eq!(fetcher("https://example.com/a/b"), None);
}

#[test]
fn the_administrators_routes_come_first_and_none_is_written_twice() {
    let one = "[[route]]\nurl = \"https://a.example/**\"\n";
    let two = "[[route]]\nurl = \"https://a.example/**\"\nfetcher = \"other\"\n";
    let error = parse(&format!("{one}{two}")).unwrap_err();
    assert!(
        error.contains("/c.toml:3:1") && error.contains("already routed"),
        "{error}"
    );
    let error = Config::merge(parse(one).unwrap(), parse(two).unwrap()).unwrap_err();
    assert!(error.to_string().contains("already routed"), "{error}");
    let three = "[[route]]\nurl = \"https://b.example/**\"\nfetcher = \"other\"\n";
    let merged = Config::merge(parse(one).unwrap(), parse(three).unwrap()).unwrap();
    assert_eq!(merged.to_toml(), format!("{one}\n{three}"));
    let locked = parse(&format!("locked = true\n{one}")).unwrap();
    let merged = Config::merge(locked, parse(three).unwrap()).unwrap();
    assert_eq!(merged.routes.len(), 1);
}

#[test]
fn what_is_no_route_is_told() {
    for (lines, part) in [
        ("", "needs `url`"),
        (
            "url = \"https://a.example\"",
            "write `https://a.example/**`",
        ),
        ("url = \"https://A.example/**\"", "canonical spelling"),
        ("url = \"https://u@a.example/**\"", "user"),
        ("url = \"*/**\"", "stands for every server"),
        ("url = \"https://*/**\"", "`https://*"),
        ("url = \"https://a.example/a*\"", "whole segments"),
        ("url = \"https://a.example/a?b\"", "query"),
        ("url = \"https://a.example/../b\"", "climbs"),
        (
            "url = \"https://a.example/**\"\nfetcher = \"./m.wasm\"",
            "fetcher's name",
        ),
        (
            "url = \"https://a.example/**\"\nfetch = \"x\"",
            "unknown key `fetch`",
        ),
        ("url = 1", "not a string"),
    ] {
        let error = parse(&format!("[[route]]\n{lines}\n")).unwrap_err();
        assert!(error.contains(part), "{lines}: {error}");
    }
}

/// URLs of the route's server, and what is put into them to make them another's.
fn urls() -> impl Strategy<Value = String> {
    let scheme = prop_oneof![6 => "https://", 1 => "http://", 1 => "HTTPS://", 1 => "https:/{0,3}"];
    let any = "[a-z0-9.@:%\\\\/#?-]{0,12}";
    let host = prop_oneof![4 => "gitlab\\.example\\.com", 1 => "evil\\.example", 1 => any];
    let more = prop_oneof![2 => "", 1 => "[@:/\\\\#?.%0-9a-z]{0,6}(gitlab\\.example\\.com|evil\\.example)?"];
    let path = "(/group)?(/(group|\\.\\.|%2e%2e|%2F|a|\\PC{0,2})){0,3}";
    (scheme, host, more, path)
        .prop_map(|(scheme, host, more, path)| format!("{scheme}{host}{more}{path}"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5_000))]
    #[test]
    fn what_is_matched_is_sent_to_the_routes_server_and_nowhere_else(url in urls()) {
        let config = config(&["https://gitlab.example.com/group/**"]);
        if let Some(sent) = taken(&config, &url) {
            let again = parse_url(&sent).unwrap();
            let origin = Origin::of_url(&again).unwrap();
            prop_assert_eq!(origin.to_string(), "https://gitlab.example.com", "{}", url);
            prop_assert!(again.path().starts_with("/group"), "{} -> {}", url, sent);
            prop_assert!(!again.path().contains(".."), "{} -> {}", url, sent);
            // Whoever reads it again reads the same.
            prop_assert_eq!(taken(&config, &sent), Some(sent.clone()));
        }
    }
}
