use std::path::Path;

use super::*;

const HASH: &str = "b5bb9d8014a0f9b1d61e21e796d78dccdf1352f23cd32812f4850b878ae4944c";

fn config() -> Config {
    let text = "[[route]]\nurl = \"https://a.example/**\"\n[[route]]\nurl = \"https://b.example/**\"\nfetcher = \"other\"\n";
    Config::parse(text, Path::new("/c.toml")).unwrap()
}

/// What is decided about a derivation `x` of one output, with these attributes.
fn decided(method: &str, builder: &str, attributes: &[(&str, &str)]) -> Decision {
    let attributes: Vec<_> = attributes
        .iter()
        .map(|(name, value)| format!("(\"{name}\",\"{}\")", value.replace('"', "\\\"")))
        .collect();
    let text = format!(
        "Derive([(\"out\",\"/nix/store/22222222222222222222222222222222-x\",\"{method}\",\"{}\")],[],[],\"s\",\"{builder}\",[],[{}])",
        if method.is_empty() { "" } else { HASH },
        attributes.join(",")
    );
    let path = "/nix/store/11111111111111111111111111111111-x.drv";
    let derivation = Derivation::parse(&path.parse().unwrap(), text.as_bytes()).unwrap();
    decide(&derivation, &config())
}

#[track_caller]
fn reason(decision: Decision) -> String {
    match decision {
        Decision::Leave(reason) => reason,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn fetch(decision: Decision) -> FetchUrl {
    match decision {
        Decision::Fetch(url, _) => *url,
        other => panic!("{other:?}"),
    }
}

/// A gateway's URL for the output `name` with this hash.
fn ours(name: &str, mode: &str, hash: &str) -> String {
    let hash: fetchhost_formats::Hash = format!("sha256:{hash}").parse().unwrap();
    let sri = hash
        .sri()
        .replace('+', "%2B")
        .replace('/', "%2F")
        .replace('=', "%3D");
    format!(
        "http://127.0.0.1:8459/v1/fetch/start-nix-fetchhost-serve/http-file/content?mode={mode}&name={name}&hash={sri}&params=%7B%22url%22%3A%22https%3A%2F%2Fc.example%2Fx%22%7D"
    )
}

#[test]
fn ours_is_what_names_the_same_output() {
    let url = ours("x", "flat", HASH);
    let fetch = fetch(decided("sha256", BUILTIN, &[("url", &url)]));
    assert_eq!(fetch.fetcher, "http-file");
    assert_eq!(fetch.params["url"], "https://c.example/x");
    let zeros = "0".repeat(64);
    for (method, url) in [
        ("sha256", ours("y", "flat", HASH)),
        ("sha256", ours("x", "nar", HASH)),
        ("r:sha256", ours("x", "flat", HASH)),
        ("sha256", ours("x", "flat", &zeros)),
    ] {
        let reason = reason(decided(method, BUILTIN, &[("url", &url)]));
        assert!(
            reason.contains("names another name, mode or hash"),
            "{reason}"
        );
    }
    let broken = url.replace("mode=flat", "mode=tar");
    let reason = reason(decided("sha256", BUILTIN, &[("url", &broken)]));
    assert!(reason.contains("`mode` is not"), "{reason}");
    // Not Nix's own fetcher; and no fixed output.
    assert_eq!(
        decided("sha256", "/bin/sh", &[("url", &url)]),
        Decision::Other
    );
    assert_eq!(decided("", BUILTIN, &[("url", &url)]), Decision::Other);
}

#[test]
fn an_ordinary_download_is_routed_by_the_first_of_its_urls_that_matches() {
    for (builder, attributes, fetcher, url) in [
        (
            BUILTIN,
            &[("url", "https://a.example/x?y")][..],
            "http-file",
            "https://a.example/x?y",
        ),
        (
            "/b",
            &[("url", "https://A.example:443/x#f")],
            "http-file",
            "https://a.example/x",
        ),
        (
            "/b",
            &[(
                "urls",
                "mirror://gnu/x https://c.example/x https://b.example/x https://a.example/x",
            )],
            "other",
            "https://b.example/x",
        ),
        (
            "/b",
            &[
                ("urls", "https://c.example/x"),
                ("url", "https://a.example/x"),
            ],
            "http-file",
            "https://a.example/x",
        ),
        (
            "/b",
            &[
                ("url", "https://a.example/x"),
                ("postFetch", ""),
                ("executable", ""),
                ("curlOpts", " "),
            ],
            "http-file",
            "https://a.example/x",
        ),
        (
            "/b",
            &[(
                "__json",
                r#"{"urls":["https://a.example/x"],"executable":false,"curlOptsList":[]}"#,
            )],
            "http-file",
            "https://a.example/x",
        ),
    ] {
        let fetch = fetch(decided("sha256", builder, attributes));
        assert_eq!(
            (fetch.fetcher.as_str(), &fetch.params["url"]),
            (fetcher, &url.into())
        );
        assert_eq!(fetch.output.hash.hex(), HASH);
    }
}

#[test]
fn what_its_builder_alone_understands_is_left_to_nix_with_a_note() {
    let url = ("url", "https://a.example/x?secret");
    for attribute in ALTERING {
        for builder in [BUILTIN, "/b"] {
            let reason = reason(decided("sha256", builder, &[url, (attribute, "1")]));
            assert!(reason.contains(&format!("`{attribute}`")), "{reason}");
            assert!(!reason.contains("secret"), "{reason}");
        }
    }
    let list = r#"{"url":"https://a.example/x","curlOptsList":["-u","a:b"]}"#;
    assert!(reason(decided("sha256", "/b", &[("__json", list)])).contains("curlOptsList"));
    let exported = r#"{"url":"https://a.example/x","env":{"NIX_CURL_FLAGS":"-H a:b"}}"#;
    assert!(reason(decided("sha256", "/b", &[("__json", exported)])).contains("NIX_CURL_FLAGS"));
    assert!(reason(decided("r:sha256", "/b", &[url])).contains("that of a NAR"));
    assert!(reason(decided("r:sha256", BUILTIN, &[url])).contains("that of a NAR"));
}

#[test]
fn what_no_route_matches_is_none_of_our_business() {
    for url in [
        "https://c.example/x",
        "https://a.example@c.example/x",
        "https://a.example/../x",
        "http://a.example/x",
        "mirror://a.example/x",
        "",
    ] {
        assert_eq!(
            decided("sha256", "/b", &[("url", url)]),
            Decision::Other,
            "{url}"
        );
    }
    let url = ("url", "https://a.example/x");
    assert_eq!(decided("", "/b", &[url]), Decision::Other);
    // Nix's own fetcher does not look at `urls`.
    let urls = [
        ("urls", "https://a.example/x"),
        ("url", "https://c.example/x"),
    ];
    assert_eq!(decided("sha256", BUILTIN, &urls), Decision::Other);
}
