//! What a binary cache says about itself.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::{text, vectors};
use fetchhost_formats::{CacheInfo, CacheInfoError, STORE_DIR};
use proptest::prelude::*;

fn parse(text: &str) -> CacheInfo {
    text.parse().unwrap()
}

#[test]
fn what_nix_writes_is_read() {
    let info = parse(text(&vectors(), "nix-cache-info"));
    assert_eq!(info.store_dir.as_deref(), Some(STORE_DIR));
    assert_eq!((info.want_mass_query, info.priority), (false, None));
    assert_eq!(info.foreign_store(), None);
}

#[test]
fn what_is_written_is_what_nix_reads() {
    let info = CacheInfo::new(true, 30);
    assert_eq!(
        info.to_string(),
        "StoreDir: /nix/store\nWantMassQuery: 1\nPriority: 30\n"
    );
    assert_eq!(parse(&info.to_string()), info);
    assert_eq!(CacheInfo::new(false, u32::MAX).priority, Some(i32::MAX));
}

#[test]
fn lines_are_read_as_nix_reads_them() {
    let info = parse(
        "no colon\n\n StoreDir: /indented\nstoredir: /lower\nPriority:\t 7 \r\nWantMassQuery:1\r\nX: y\nStoreDir:/gnu/store",
    );
    assert_eq!(info.foreign_store(), Some("/gnu/store"));
    assert_eq!((info.want_mass_query, info.priority), (true, Some(7)));
    for (priority, expected) in [
        ("+7", 7),
        ("-5", -5),
        ("40abc", 40),
        ("007", 7),
        ("1.9", 1),
        ("2147483647", i32::MAX),
    ] {
        assert_eq!(
            parse(&format!("Priority: {priority}\n")).priority,
            Some(expected)
        );
    }
    for value in ["0", "true", "yes", "11", ""] {
        assert!(!parse(&format!("WantMassQuery: 1\nWantMassQuery: {value}\n")).want_mass_query);
    }
    assert_eq!(parse("Priority: 1\nPriority: 2\n").priority, Some(2));
    assert_eq!(
        parse("StoreDir: /a\nStoreDir: /a\n").foreign_store(),
        Some("/a")
    );
    assert_eq!(parse("StoreDir:\n").foreign_store(), Some(""));
    assert_eq!(parse("").to_string(), "WantMassQuery: 0\n");
}

#[test]
fn what_nix_stops_at_is_refused_with_a_remedy() {
    for priority in [
        "",
        "x",
        "-",
        "+-1",
        "--1",
        "2147483648",
        "99999999999",
        "\u{1b}[31m",
        "１",
    ] {
        let error = format!("Priority: {priority}\n")
            .parse::<CacheInfo>()
            .unwrap_err();
        assert!(
            matches!(error, CacheInfoError::Priority { .. }),
            "{priority:?}"
        );
        assert!(!error.to_string().contains('\u{1b}'));
        assert!(error.hint().is_some());
    }
    let error = "StoreDir: /nix/store\nStoreDir: /gnu/store\n"
        .parse::<CacheInfo>()
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "its `nix-cache-info` names two stores: `/nix/store` and `/gnu/store`"
    );
    let long = format!("Priority: {}\n", "x".repeat(1 << 20));
    assert!(long.parse::<CacheInfo>().unwrap_err().to_string().len() < 300);
}

proptest! {
    #[test]
    fn it_comes_back_as_it_was_written(
        store_dir in prop::option::of("/[!-~]{0,20}"), want_mass_query in any::<bool>(), priority in any::<Option<i32>>(),
    ) {
        let info = CacheInfo { store_dir, want_mass_query, priority };
        prop_assert_eq!(info.to_string().parse::<CacheInfo>(), Ok(info));
    }

    #[test]
    fn no_text_makes_it_panic(text in "(?s).*", field in "StoreDir|WantMassQuery|Priority") {
        let _ = text.parse::<CacheInfo>();
        let _ = format!("{field}:{text}").parse::<CacheInfo>();
    }
}
