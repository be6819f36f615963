//! What must hold for every path.
#![allow(clippy::unwrap_used, missing_docs)]

use fetchhost_policy::{NormalPath, PathPattern};
use proptest::prelude::*;
use url::Url;

/// Text that is rich in what could climb.
fn nasty_path() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("..".to_owned()),
        Just(".".to_owned()),
        Just("%2e".to_owned()),
        Just("%252e".to_owned()),
        Just("%2F".to_owned()),
        Just("%5c".to_owned()),
        Just("\\".to_owned()),
        Just("/".to_owned()),
        Just("//".to_owned()),
        Just(";".to_owned()),
        Just("%3b".to_owned()),
        Just("%25".to_owned()),
        Just("*".to_owned()),
        Just("public".to_owned()),
        "[a-zA-Z0-9%._~-]{1,4}",
        "\\PC{1,2}",
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| format!("/{}", pieces.concat()))
}

/// Where a server ends that decodes twice, cuts parameters, takes `\` for `/`,
/// merges slashes and resolves dots. `None`: outside of the root.
fn careless_server(path: &str) -> Option<Vec<String>> {
    let decode = |text: &str| {
        let mut bytes = Vec::new();
        let mut rest = text.as_bytes();
        while let Some((first, tail)) = rest.split_first() {
            let digits = tail
                .get(..2)
                .and_then(|digits| std::str::from_utf8(digits).ok());
            match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
                Some(byte) if *first == b'%' => {
                    bytes.push(byte);
                    rest = &tail[2..];
                }
                _ => {
                    bytes.push(*first);
                    rest = tail;
                }
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let mut segments = Vec::new();
    for segment in decode(&decode(path)).split(['/', '\\']) {
        match segment.split(';').next().unwrap() {
            "" | "." => {}
            ".." => {
                segments.pop()?;
            }
            name => segments.push(name.to_owned()),
        }
    }
    Some(segments)
}

proptest! {
    #[test]
    fn a_matched_path_never_leaves_its_folder_on_a_careless_server(path in nasty_path()) {
        let pattern = PathPattern::parse("/public/**").unwrap();
        let mut url = Url::parse("https://example.com/").unwrap();
        url.set_path(&format!("/public{path}"));
        if let Ok(normal) = NormalPath::of_url(&url) && pattern.matches(&normal) {
            let reached = careless_server(normal.as_str());
            prop_assert!(
                reached.as_ref().is_some_and(|segments| segments.first().is_some_and(|first| first == "public")),
                "{} reaches {:?}", normal, reached
            );
        }
    }

    #[test]
    fn the_normal_form_has_no_dot_segment_and_is_stable(path in nasty_path()) {
        let url = Url::parse(&format!("https://example.com{path}"));
        if let Ok(url) = url && let Ok(normal) = NormalPath::of_url(&url) {
            prop_assert!(normal.segments().all(|segment| segment != "." && segment != ".."));
            let mut sent = url.clone();
            sent.set_path(normal.as_str());
            prop_assert_eq!(sent.path(), normal.as_str());
            prop_assert_eq!(&NormalPath::of_url(&sent).unwrap(), &normal);
        }
    }

    #[test]
    fn patterns_read_back_from_their_display(text in "(/(\\*|\\*\\*|[a-zA-Z0-9._~%2F-]{0,5})){1,6}") {
        if let Ok(pattern) = PathPattern::parse(&text) {
            prop_assert_eq!(pattern.to_string(), text);
        }
    }

    #[test]
    fn a_pattern_of_a_plain_path_matches_that_path_alone(a in "(/[a-z0-9]{1,4}){1,4}", b in "(/[a-z0-9]{1,4}){1,4}") {
        let path = |text: &str| NormalPath::of_url(&Url::parse(&format!("https://h.example{text}")).unwrap()).unwrap();
        let pattern = PathPattern::parse(&a).unwrap();
        prop_assert!(pattern.matches(&path(&a)));
        prop_assert_eq!(pattern.matches(&path(&b)), a == b);
    }
}
