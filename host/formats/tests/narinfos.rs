//! Narinfo records and signatures: what is read, what is refused, what is written.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::{cases, text, vectors};
use fetchhost_formats::{Compression, Hash, NarInfo, NarUrl, PublicKey, Signature, SigningKey};
use proptest::prelude::*;

const SECRET: &str = "vectors.example-1:gda3n0rbsqDy1tM6gxj9G40ZSRwYVXzRR0hkH0Jabe3RV1XkT9wsJkyi17cKkfbFhkvL8BnOVv4QGKCTPNN2YA==";
const PUBLIC: &str = "vectors.example-1:0VdV5E/cLCZMote3CpH2xYZLy/AZzlb+EBigkzzTdmA=";

/// The record of `hello.txt`, compressed with xz.
fn sample() -> String {
    let vectors = vectors();
    let found = cases(&vectors, "narinfo")
        .into_iter()
        .find(|case| text(case, "compression") == "xz" && text(case, "text").contains("hello.txt"));
    text(&found.unwrap(), "text").to_owned()
}

/// The record without the line of `field`.
fn without(field: &str) -> String {
    sample()
        .lines()
        .filter(|line| !line.starts_with(&format!("{field}:")))
        .map(|line| format!("{line}\n"))
        .collect()
}

/// The record with another value for `field`.
fn with(field: &str, value: &str) -> String {
    sample()
        .lines()
        .map(|line| {
            if line.starts_with(&format!("{field}:")) {
                format!("{field}: {value}\n")
            } else {
                format!("{line}\n")
            }
        })
        .collect()
}

#[test]
fn optional_fields_may_be_missing() {
    for field in ["FileHash", "FileSize", "References", "Sig", "CA"] {
        let record = NarInfo::parse(&without(field)).unwrap();
        assert_eq!(NarInfo::parse(&record.to_string()).unwrap(), record);
    }
    assert_eq!(
        NarInfo::parse(&without("Compression")).unwrap().compression,
        Compression::Bzip2
    );
}

#[test]
fn required_fields_may_not_be_missing_or_doubled() {
    for field in ["StorePath", "URL", "NarHash", "NarSize"] {
        assert!(NarInfo::parse(&without(field)).is_err(), "{field}");
        let line = sample()
            .lines()
            .find(|line| line.starts_with(field))
            .unwrap()
            .to_owned();
        assert!(
            NarInfo::parse(&format!("{}{line}\n", sample())).is_err(),
            "{field} twice"
        );
    }
    assert!(
        NarInfo::parse(&format!(
            "{}CA: fixed:sha256:{}\n",
            sample(),
            "0".repeat(52)
        ))
        .is_err()
    );
}

#[test]
fn unknown_fields_are_ignored() {
    let record = NarInfo::parse(&format!("{}X-Progress: 1\n", sample())).unwrap();
    assert_eq!(record.to_string(), sample());
}

#[test]
fn an_empty_file_size_is_not_written() {
    let mut record = NarInfo::parse(&sample()).unwrap();
    record.file_size = Some(0);
    assert!(!record.to_string().contains("FileSize"));
}

#[test]
fn signatures_are_written_sorted_and_once_and_other_texts_are_dropped() {
    let signature = sample()
        .lines()
        .find(|line| line.starts_with("Sig:"))
        .unwrap()
        .to_owned();
    let other = signature.replace("vectors.example-1", "a.example-1");
    let text = format!(
        "{}{other}\n{signature}\nSig: broken\nSig: x:AAAA\n",
        sample()
    );
    let written = NarInfo::parse(&text).unwrap().to_string();
    let lines: Vec<_> = written
        .lines()
        .filter(|line| line.starts_with("Sig:"))
        .collect();
    assert_eq!(lines, [other, signature]);
}

#[test]
fn records_that_nix_would_misread_are_refused() {
    let sample = sample();
    for damaged in [
        String::new(),
        "\n".to_owned(),
        sample.trim_end().to_owned(),
        sample[..sample.len() / 2].to_owned(),
        format!("{sample}\n"),
        format!("\n{sample}"),
        sample.replace("References: \n", "References:\n"),
        sample.replace('\n', "\r\n"),
        sample.replace(": ", ":"),
        sample.replace(": ", "  "),
        format!("{sample}no colon\n"),
        sample.replace("hello.txt", "hello\0.txt"),
    ] {
        assert!(NarInfo::parse(&damaged).is_err(), "{damaged:?}");
    }
}

#[test]
fn values_that_cannot_be_are_refused() {
    let sri = "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
    assert!(
        NarInfo::parse(&with("NarHash", sri)).is_ok(),
        "Nix reads any encoding there"
    );
    for (field, value) in [
        ("StorePath", "hello.txt"),
        ("StorePath", "/nix/store/../etc/passwd"),
        ("StorePath", "gy454w1cxaq731grqwylhzf4pp9r5izh-hello.txt"),
        ("URL", ""),
        ("URL", "nar/a b.nar"),
        ("URL", "nar/ü.nar"),
        ("Compression", "rar"),
        ("NarHash", "sha1:143xibwh31h9bvxzalr0sjvbbvpa6ffs"),
        ("NarHash", "1"),
        ("NarSize", "0"),
        ("NarSize", "-1"),
        ("NarSize", "18446744073709551616"),
        ("FileSize", "x"),
        (
            "FileHash",
            "blake3:0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73",
        ),
        ("References", "not-a-path"),
        ("CA", "fixed:0"),
        ("CA", "nonsense"),
    ] {
        assert!(
            NarInfo::parse(&with(field, value)).is_err(),
            "{field}: {value}"
        );
    }
}

#[test]
fn a_huge_record_is_refused_with_a_short_error() {
    let error = NarInfo::parse(&format!("{}X: {}\n", sample(), "x".repeat(2 << 20))).unwrap_err();
    assert!(error.to_string().len() < 300, "{error}");
    let error = NarInfo::parse(&with("NarHash", &"x".repeat(100_000))).unwrap_err();
    assert!(error.to_string().len() < 300, "{error}");
}

#[test]
fn the_url_of_a_file_is_its_hash() {
    let hash: Hash = "sha256:0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73"
        .parse()
        .unwrap();
    for (compression, ending) in [
        (Compression::None, "nar"),
        (Compression::Xz, "nar.xz"),
        (Compression::Zstd, "nar.zst"),
    ] {
        let url = NarUrl::for_file(&hash, compression);
        assert_eq!(url.as_str(), format!("nar/{}.{ending}", hash.nix32()));
        assert_eq!(url.as_str().parse::<NarUrl>().unwrap(), url);
    }
}

#[test]
fn a_secret_key_is_read_with_or_without_its_newline() {
    assert_eq!(
        SigningKey::parse(SECRET).unwrap().public_key().to_string(),
        PUBLIC
    );
    assert_eq!(
        SigningKey::parse(&format!("{SECRET}\n")).unwrap().name(),
        "vectors.example-1"
    );
}

#[test]
fn a_secret_key_is_never_shown() {
    let key = SigningKey::parse(SECRET).unwrap();
    assert_eq!(
        format!("{key:?}"),
        "SigningKey { name: \"vectors.example-1\", .. }"
    );

    let (name, encoded) = SECRET.split_once(':').unwrap();
    for damaged in [
        encoded.to_owned(),
        format!(":{encoded}"),
        format!("a b:{encoded}"),
        format!("{name}:{}", encoded.trim_end_matches('=')),
        format!("{name}:{} {}", &encoded[..40], &encoded[40..]),
        format!("{name}:{}", &encoded[..84]),
        format!("{name}:{encoded}{encoded}"),
        format!("{name}:{}", encoded.replacen("gda3", "gda4", 1)),
        format!("{name}:"),
        PUBLIC.to_owned(),
    ] {
        let error = SigningKey::parse(&damaged).unwrap_err();
        for shown in [error.to_string(), format!("{error:?}")] {
            assert!(
                !shown.contains(&encoded[..8]) && !shown.contains(&encoded[20..28]),
                "{shown}"
            );
        }
    }
}

#[test]
fn public_keys_and_signatures_are_read_strictly() {
    let signature = SigningKey::parse(SECRET).unwrap().sign("x").to_string();
    assert!(signature.parse::<Signature>().is_ok());
    for refused in [
        signature.trim_end_matches('='),
        &signature[18..],
        "a:",
        "a:AAAA",
        "",
        "a\nb:AAAA",
    ] {
        assert!(refused.parse::<Signature>().is_err(), "{refused:?}");
    }
    for refused in [
        PUBLIC.trim_end_matches('='),
        &PUBLIC[18..],
        SECRET,
        "a:",
        "a b:AAAA",
        "",
    ] {
        assert!(refused.parse::<PublicKey>().is_err(), "{refused:?}");
    }
}

#[test]
fn a_signature_holds_for_its_key_name_and_text_only() {
    let secret = SigningKey::parse(SECRET).unwrap();
    let public = secret.public_key();
    let signature = secret.sign("fingerprint");
    assert!(public.verify("fingerprint", &signature));
    assert!(!public.verify("fingerprint ", &signature));
    let renamed: Signature = signature
        .to_string()
        .replace("vectors", "others")
        .parse()
        .unwrap();
    assert!(!public.verify("fingerprint", &renamed));
    let mut flipped = signature.to_string();
    flipped.replace_range(30..31, if &flipped[30..31] == "A" { "B" } else { "A" });
    assert!(!public.verify("fingerprint", &flipped.parse().unwrap()));
}

proptest! {
    #[test]
    fn a_mutated_record_is_refused_or_written_back_to_what_it_means(
        position in 0usize..600, replacement in prop::sample::select(b"\n\r: \0/-azAZ09=".to_vec()), pick in 0usize..12,
    ) {
        let vectors = vectors();
        let mut bytes = text(&cases(&vectors, "narinfo")[pick], "text").as_bytes().to_vec();
        let position = position % bytes.len();
        bytes[position] = replacement;
        if let Ok(record) = NarInfo::parse(&String::from_utf8(bytes).unwrap()) {
            prop_assert_eq!(NarInfo::parse(&record.to_string()).unwrap(), record);
        }
    }

    #[test]
    fn no_text_makes_a_parser_panic(text in "(?s).*") {
        let _ = NarInfo::parse(&text);
        let _ = NarInfo::parse(&format!("StorePath: {text}\nURL: {text}\nNarHash: {text}\nNarSize: {text}\n"));
        let _ = SigningKey::parse(&text);
        let _ = text.parse::<PublicKey>();
        let _ = text.parse::<Signature>();
    }
}
