//! The URL of one fetch: what is read, what is refused, and that both agree.

use fetchhost_formats::{FixedOutput, Hash, HashAlgorithm, OutputMode};
use fetchhost_gateway::{FetchUrl, OwnerId, StoreInputs};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

const RIGHT: &str = "/v1/fetch/start-nix-fetchhost-serve/http-file/content?mode=flat&name=a.txt\
    &hash=sha256-47DEQpj8HBSa%2B%2FTImW%2B5JCeuQeRkm5NMpJWZG3hSuFU%3D&params=%7B%22url%22%3A%22https%3A%2F%2Fa.example%2Fa%22%7D";

/// A file of the store.
pub(crate) const STORE_FILE: &str = "/nix/store/0123456789abcdfghijklmnpqrsvwxyz-app-1.0/bin/app";
/// The same as an input, encoded.
const INPUT: &str = "%7B%22content%22%3A%22%2Fnix%2Fstore%2F0123456789abcdfghijklmnpqrsvwxyz-app-1.0%2Fbin%2Fapp%22%7D";

fn refused(text: &str) -> String {
    FetchUrl::parse(text).unwrap_err().to_string()
}

#[test]
fn a_url_is_read_and_printed_the_same() {
    let url = FetchUrl::parse(RIGHT).unwrap();
    assert_eq!(url.fetcher, "http-file");
    assert_eq!(url.output.mode, OutputMode::Flat);
    assert_eq!(url.output.name.as_str(), "a.txt");
    assert_eq!(
        Value::Object(url.params.clone()),
        json!({ "url": "https://a.example/a" })
    );
    assert!(!url.executable && url.owner.is_none());
    assert_eq!(url.to_string(), RIGHT);

    let full = format!(
        "{}&inputs={INPUT}&executable=1&owner=00112233aabbccff",
        RIGHT.replace("mode=flat", "mode=nar")
    );
    let url = FetchUrl::parse(&full).unwrap();
    assert!(url.executable);
    let inputs: Vec<_> = url.inputs.iter().collect();
    assert_eq!(inputs, [(&"content".parse().unwrap(), STORE_FILE)]);
    assert_eq!(url.owner.as_ref().unwrap().to_string(), "00112233aabbccff");
    assert_eq!(url.to_string(), full);
}

#[test]
fn a_url_of_a_gateway_is_told_by_its_address_and_path() {
    for address in ["127.0.0.1", "127.0.0.1:8459", "[::1]:1", "localhost:8459"] {
        let url = FetchUrl::of_gateway(&format!("http://{address}{RIGHT}"));
        assert_eq!(url, Some(FetchUrl::parse(RIGHT)), "{address}");
    }
    let broken = RIGHT.replace("mode=flat", "mode=tar");
    assert!(matches!(
        FetchUrl::of_gateway(&format!("http://127.0.0.1:1{broken}")),
        Some(Err(_))
    ));
    for other in [
        "https://127.0.0.1:8459",
        "http://127.0.0.1.example",
        "http://127.0.0.1@evil.example",
        "http://127.0.0.1:8459@evil.example",
        "http://127.0.0.2:8459",
        "http://gitlab.example",
        "",
    ] {
        assert_eq!(
            FetchUrl::of_gateway(&format!("{other}{RIGHT}")),
            None,
            "{other}"
        );
    }
    assert_eq!(FetchUrl::of_gateway("http://127.0.0.1:8459/v1/other"), None);
    assert_eq!(FetchUrl::of_gateway("http://127.0.0.1:8459"), None);
}

#[test]
fn bytes_from_0x80_on_may_stand_raw_and_mean_the_same() {
    let encoded = RIGHT.replace("a.example%2Fa", "a.example%2F%C3%BC");
    let raw = RIGHT.replace("a.example%2Fa", "a.example%2Fü");
    let url = FetchUrl::parse(&raw).unwrap();
    assert_eq!(url, FetchUrl::parse(&encoded).unwrap());
    assert_eq!(url.to_string(), encoded);
    assert!(refused(&RIGHT.replace("example%2Fa", "example%2F%FF")).contains("percent-encoded"));
}

#[test]
fn another_spelling_is_refused_with_what_is_wrong() {
    let (path, query) = RIGHT.split_once('?').unwrap();
    let members: Vec<&str> = query.split('&').collect();
    for (text, wrong) in [
        (path.to_owned(), "`mode` is not there"),
        (format!("{path}?"), "`mode` is not there"),
        (format!("{path}/?{query}"), "the path is not"),
        (format!("/{RIGHT}"), "the path is not"),
        (RIGHT.replace("/content", "/content.xz"), "the path is not"),
        (RIGHT.replace("/v1/", "/v2/"), "the path is not"),
        (RIGHT.replace("http-file", "..%2Fx"), "FETCHER"),
        (RIGHT.replace("http-file", "a/b"), "FETCHER"),
        (RIGHT.replace("http-file", "m.wasm"), "FETCHER"),
        (RIGHT.replace("http-file", ""), "FETCHER"),
        (RIGHT.replace("http-file", &"a".repeat(65)), "FETCHER"),
        (format!("{RIGHT}&"), "after `params`"),
        (format!("{RIGHT}&x=1"), "after `params`"),
        (format!("{RIGHT}&{}", members[0]), "after `params`"),
        (
            format!("{RIGHT}&owner=0011223344556677&executable=1"),
            "after `owner`",
        ),
        (
            format!(
                "{path}?{}&{}&{}&{}",
                members[1], members[0], members[2], members[3]
            ),
            "`mode` is not there",
        ),
        (RIGHT.replace("name=", "Name="), "`name` is not there"),
        (RIGHT.replace("name=a.txt", "name"), "`name` is not there"),
        (RIGHT.replace("name=a.txt", "name="), "`name` is not a name"),
        (
            RIGHT.replace("name=a.txt", "name=a%2Fb"),
            "`name` is not a name",
        ),
        (
            RIGHT.replace("name=a.txt", "name=a.drv"),
            "`name` is not a name",
        ),
        (RIGHT.replace("a.txt", "a%2Etxt"), "the value of `name`"),
        (RIGHT.replace("%2F%2F", "%2f%2F"), "the value of `params`"),
        (RIGHT.replace("%3A", ":"), "the value of `params`"),
        (RIGHT.replace("%22", "\""), "the value of `params`"),
        (format!("{RIGHT}%"), "the value of `params`"),
        (format!("{RIGHT}%2"), "the value of `params`"),
        (format!("{RIGHT}%ü0"), "the value of `params`"),
        (RIGHT.replace("%2B", "+"), "the value of `hash`"),
        (
            RIGHT.replace("hash=sha256-", "hash=sha256%3A"),
            "`hash` is not",
        ),
        (
            RIGHT.replace("hash=sha256-", "hash=sha255-"),
            "`hash` is not",
        ),
        (
            RIGHT.replace("hash=sha256-", "hash=sha512-"),
            "`hash` is not",
        ),
        (
            RIGHT.replace("mode=flat", "mode=recursive"),
            "`mode` is not",
        ),
        (
            RIGHT.replace("%7B", "%7B%22url%22%3A1%2C"),
            "no member stands twice",
        ),
        (RIGHT.replace("%7D", "%7D1"), "`params` is not"),
        (
            RIGHT.replace("%7B", "%5B").replace("%7D", "%5D"),
            "`params` is not",
        ),
        (
            format!("{RIGHT}&executable=1"),
            "`executable` is not possible",
        ),
        (format!("{RIGHT}&executable=0"), "`executable` is not `1`"),
        (
            format!("{RIGHT}&owner=0011223344556677&inputs={INPUT}"),
            "after `owner`",
        ),
        (
            RIGHT.replace("&params=", &format!("&inputs={INPUT}&params=")),
            "`params` is not there",
        ),
        (
            format!("{RIGHT}&inputs={INPUT}&inputs={INPUT}"),
            "after `inputs`",
        ),
        (format!("{RIGHT}&inputs="), "`inputs` is not"),
        (format!("{RIGHT}&owner=0011223344556677f"), "`owner` is not"),
        (format!("{RIGHT}&owner=0011223344556G77"), "`owner` is not"),
        (format!("{RIGHT}#{}", "a".repeat(60_000)), "longer than"),
    ] {
        let error = refused(&text);
        assert!(error.contains(wrong), "{text}\n{error}");
        let control = |c: char| c.is_control();
        assert!(!error.contains(control) && error.len() < 400, "{error}");
    }
}

#[test]
fn an_input_is_a_path_of_the_store_in_its_one_spelling() {
    let read = |json: &str| FetchUrl::parse(&format!("{RIGHT}&inputs={}", encoded(json)));
    let named = |path: &str| json!({ "content": path }).to_string();
    let top = "/nix/store/0123456789abcdfghijklmnpqrsvwxyz-a";
    for path in [top, STORE_FILE, &format!("{top}/ü \"'/...")] {
        let url = read(&named(path)).unwrap();
        assert_eq!(url.inputs.iter().next().unwrap().1, path);
    }
    for path in [
        "",
        "/",
        "/etc/passwd",
        "nix/store/0123456789abcdfghijklmnpqrsvwxyz-a",
        "/nix/store",
        "/nix/store/",
        "/nix/store/.links/x",
        "/nix/store/../../etc/passwd",
        "/nix//store/0123456789abcdfghijklmnpqrsvwxyz-a",
        "/nix/store//0123456789abcdfghijklmnpqrsvwxyz-a",
        "/nix/store/./0123456789abcdfghijklmnpqrsvwxyz-a",
        "/nix/storex/0123456789abcdfghijklmnpqrsvwxyz-a",
        "/nix/store/0123456789abcdfghijklmnpqrsvwxye-a",
        "/nix/store/0123456789abcdfghijklmnpqrsvwxyz",
        "/tmp/nix/store/0123456789abcdfghijklmnpqrsvwxyz-a",
        &format!("{top}/"),
        &format!("{top}//b"),
        &format!("{top}/."),
        &format!("{top}/b/.."),
        &format!("{top}/../b"),
        &format!("{top}/b\nc"),
        &format!("{top}/\u{0}"),
        &format!("{top}\u{7f}"),
    ] {
        let told = read(&named(path)).unwrap_err().to_string();
        assert!(told.starts_with("`inputs` is not"), "{path}: {told}");
    }
    for json in [
        "",
        "{}",
        "[]",
        "null",
        "\"x\"",
        r#"{"content":1}"#,
        r#"{"content":["/nix/store/0123456789abcdfghijklmnpqrsvwxyz-a"]}"#,
        r#"{"--to":"/nix/store/0123456789abcdfghijklmnpqrsvwxyz-a"}"#,
        r#"{"":"/nix/store/0123456789abcdfghijklmnpqrsvwxyz-a"}"#,
        // Each of these has another spelling.
        r#"{"content": "/nix/store/0123456789abcdfghijklmnpqrsvwxyz-a"}"#,
        r#"{"content":"\/nix/store/0123456789abcdfghijklmnpqrsvwxyz-a"}"#,
        r#"{"\u0063ontent":"/nix/store/0123456789abcdfghijklmnpqrsvwxyz-a"}"#,
        r#"{"b":"/nix/store/0123456789abcdfghijklmnpqrsvwxyz-a","a":"/nix/store/0123456789abcdfghijklmnpqrsvwxyz-a"}"#,
        r#"{"a":"/nix/store/0123456789abcdfghijklmnpqrsvwxyz-a","a":"/nix/store/0123456789abcdfghijklmnpqrsvwxyz-a"}"#,
        r#"{"a":"/nix/store/0123456789abcdfghijklmnpqrsvwxyz-a"}1"#,
        " {\"a\":\"/nix/store/0123456789abcdfghijklmnpqrsvwxyz-a\"}",
    ] {
        let told = read(json).unwrap_err().to_string();
        assert!(told.starts_with("`inputs` is not"), "{json}: {told}");
    }
}

/// Percent-encoding by the rule of these URLs.
pub(crate) fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| match byte {
            byte if plain(byte) => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect()
}

prop_compose! {
    fn inputs()(
        paths in prop::collection::btree_map(
            "[a-z][a-z0-9-]{0,12}",
            "/nix/store/[0-9a-df-np-sv-z]{32}-[a-zA-Z0-9+_?=-]{1,20}(/[^\\p{Cc}/]{3,12}){0,3}",
            0..4,
        ),
    ) -> StoreInputs {
        let named = |(name, path): (String, String)| Some((name.parse().ok()?, path));
        StoreInputs::new(paths.into_iter().filter_map(named).collect()).unwrap()
    }
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

prop_compose! {
    fn urls()(
        fetcher in "[a-z0-9-]{1,64}",
        name in "[a-zA-Z0-9+_?=-][a-zA-Z0-9+._?=-]{0,40}",
        digest in any::<[u8; 32]>(),
        params in prop::collection::btree_map(any::<String>(), values(), 0..4),
        nar in any::<bool>(),
        inputs in inputs(),
        executable in any::<bool>(),
        owner in prop::option::of(any::<[u8; 8]>()),
    ) -> FetchUrl {
        let params: Map<String, Value> = params.into_iter().collect();
        FetchUrl {
            fetcher,
            output: FixedOutput {
                name: name.replace(".drv", ".dr").parse().unwrap(),
                mode: if nar { OutputMode::Nar } else { OutputMode::Flat },
                hash: Hash::new(HashAlgorithm::Sha256, &digest).unwrap(),
            },
            params,
            inputs,
            executable: executable && nar,
            owner: owner.map(OwnerId::from_bytes),
        }
    }
}

proptest! {
    #[test]
    fn what_is_printed_is_read_back(url in urls()) {
        let text = url.to_string();
        prop_assert_eq!(FetchUrl::parse(&text), Ok(url));
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%&=?/".contains(&byte);
        prop_assert!(text.bytes().all(plain), "{}", text);
    }

    #[test]
    fn what_is_read_has_one_spelling_but_for_raw_bytes(text in mutated()) {
        if let Ok(url) = FetchUrl::parse(&text) {
            let raw: String = text
                .bytes()
                .map(|byte| if byte.is_ascii() { char::from(byte).to_string() } else { format!("%{byte:02X}") })
                .collect();
            // JSON alone has more than one spelling: blanks, the order of keys, escapes.
            let (ours, params) = (url.to_string(), "&params=");
            prop_assert_eq!(ours.split_once(params).unwrap().0, raw.split_once(params).unwrap().0);
        }
    }
}

/// The right URL with one place of it replaced by anything.
fn mutated() -> impl Strategy<Value = String> {
    let place = any::<prop::sample::Index>();
    let inserted = prop_oneof!["\\PC{0,3}", "%[0-9A-Fa-f]{2}", "[&=?/%+.]{1,3}"];
    (place, 0_usize..4, inserted).prop_map(|(place, removed, inserted)| {
        let at = place.index(RIGHT.len());
        let end = (at + removed).min(RIGHT.len());
        format!("{}{inserted}{}", &RIGHT[..at], &RIGHT[end..])
    })
}
