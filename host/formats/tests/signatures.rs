//! Signatures that are added to records which are in a cache already.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::borrow::Cow;
use std::collections::BTreeSet;

use common::{cases, text, vectors};
use fetchhost_formats::{
    MAX_NARINFO_BYTES, NarInfo, NarInfoError, PublicKey, Signature, SigningKey, add_signatures,
};
use proptest::prelude::*;

fn key(name: &str, seed: u8) -> SigningKey {
    SigningKey::from_seed(name, &[seed; 32].into()).unwrap()
}

/// A record with one signature and a content address.
fn sample() -> String {
    let vectors = vectors();
    let found = cases(&vectors, "narinfo")
        .into_iter()
        .find(|case| text(case, "text").contains("hello.txt"));
    text(&found.unwrap(), "text").to_owned()
}

fn without(field: &str) -> String {
    let kept = |line: &&str| !line.starts_with(&format!("{field}: "));
    let text = sample();
    text.split_inclusive('\n').filter(kept).collect()
}

/// The lines that are no signatures, and the signatures.
fn split(text: &str) -> (Vec<&str>, Vec<&str>) {
    text.split('\n')
        .partition(|line| !line.starts_with("Sig: "))
}

/// The record signed by `keys`.
fn signed(text: &str, keys: &[SigningKey]) -> String {
    let fingerprint = NarInfo::parse(text).unwrap().fingerprint();
    let signatures: Vec<_> = keys.iter().map(|key| key.sign(&fingerprint)).collect();
    add_signatures(text, &signatures).unwrap().into_owned()
}

#[test]
fn a_signed_record_is_the_one_that_would_have_been_written() {
    for start in [sample(), without("Sig"), without("CA")] {
        let mut record = NarInfo::parse(&start).unwrap();
        for key in [key("z-1", 1), key("a-1", 2), key("z-1", 1)] {
            record.sign(&key);
        }
        let keys = [key("z-1", 1), key("a-1", 2), key("z-1", 1)];
        assert_eq!(signed(&start, &keys), record.to_string());
    }
}

#[test]
fn signatures_stand_where_nix_writes_them_and_all_else_stays() {
    let signature = key("k-1", 1).sign("x");
    let line = format!("Sig: {signature}\n");
    let start = format!("{}X-After: 1\n", without("Sig"));
    let expected = start.replace("CA: ", &format!("{line}CA: "));
    assert_eq!(
        add_signatures(&start, std::slice::from_ref(&signature)).unwrap(),
        expected
    );

    let bare = "NarSize: 1\nX: y\nStorePath: /nix/store/00000000000000000000000000000000-x\nURL:  a\n\
        NarHash: sha256:0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73\nDeriver: unknown-deriver\nY: z\n";
    let expected = bare.replace("Y: ", &format!("{line}Y: "));
    assert_eq!(
        add_signatures(bare, std::slice::from_ref(&signature)).unwrap(),
        expected
    );

    let last = bare.replace("Y: z\n", "");
    assert_eq!(
        add_signatures(&last, &[signature]).unwrap(),
        format!("{last}{line}")
    );
}

#[test]
fn nothing_to_add_changes_nothing_at_all() {
    let other = sample()
        .lines()
        .find(|line| line.starts_with("Sig: "))
        .unwrap()
        .replace("vectors", "a");
    let unsorted = format!("{}{other}\n{other}\n", sample());
    let present = NarInfo::parse(&unsorted).unwrap().signatures;
    for signatures in [&present[..], &[]] {
        let same = add_signatures(&unsorted, signatures).unwrap();
        assert!(matches!(same, Cow::Borrowed(same) if same == unsorted));
    }
}

#[test]
fn signatures_of_a_kind_that_is_not_known_are_kept() {
    let start = sample().replace(
        "CA: ",
        "Sig: new-1:mldsa:AAAA\nSig: broken\nSig: broken\nCA: ",
    );
    let signed = signed(&start, &[key("k-1", 1)]);
    let (_, signatures) = split(&signed);
    assert_eq!(signatures.len(), 4);
    assert!(signatures.contains(&"Sig: new-1:mldsa:AAAA") && signatures.contains(&"Sig: broken"));
}

#[test]
fn what_is_no_record_is_not_signed() {
    let signatures = [key("k-1", 1).sign("x")];
    for refused in [
        String::new(),
        sample().trim_end().to_owned(),
        sample().replace("hello.txt", "hello\0.txt"),
        sample().replace("NarSize: ", "NarSize: -"),
        format!("{}{}", sample(), sample()),
        format!("{}X: {}\n", sample(), "x".repeat(MAX_NARINFO_BYTES)),
    ] {
        assert!(add_signatures(&refused, &signatures).is_err());
    }
}

#[test]
fn a_record_is_not_signed_beyond_the_length_that_is_read() {
    let sample = sample();
    let room = MAX_NARINFO_BYTES - sample.len() - "X: \n".len();
    let full = format!("{sample}X: {}\n", "x".repeat(room));
    assert!(NarInfo::parse(&full).is_ok());
    let error = add_signatures(&full, &[key("k-1", 1).sign("x")]).unwrap_err();
    assert!(matches!(error, NarInfoError::TooLarge { .. }), "{error}");
}

#[test]
fn the_signers_are_those_whose_signature_holds() {
    let keys = [key("a-1", 1), key("b-1", 2), key("c-1", 3)];
    let public: Vec<PublicKey> = keys.iter().map(SigningKey::public_key).collect();
    let mut text = signed(&sample(), &keys[..2]);
    let record = NarInfo::parse(&text).unwrap();
    let names: Vec<_> = record
        .signers(&public)
        .into_iter()
        .map(PublicKey::name)
        .collect();
    assert_eq!(names, ["a-1", "b-1"]);
    assert!(record.signers(&[]).is_empty());

    let impostor = key("a-1", 9).public_key();
    assert!(
        record.signers(&[impostor]).is_empty(),
        "the name alone is nothing"
    );
    text = text.replace("NarSize: 120", "NarSize: 121");
    assert!(NarInfo::parse(&text).unwrap().signers(&public).is_empty());
}

#[test]
fn thousands_of_false_signatures_keep_nobody_busy() {
    let key = key("k-1", 1);
    let public = [key.public_key()];
    let mut record = NarInfo::parse(&sample()).unwrap();
    let signature = key.sign(&record.fingerprint());
    for number in 0..5_000 {
        record.signatures.push(key.sign(&number.to_string()));
    }
    record.signatures.push(signature.clone());
    assert!(record.signers(&public).is_empty());
    record.signatures.insert(60, signature);
    assert_eq!(record.signers(&public).len(), 1);
}

/// Records of all sorts: fields in any order, unknown ones, signatures anywhere.
fn records() -> impl Strategy<Value = String> {
    let extra = prop_oneof![
        "X-[a-z]{1,8}: [ -~]{0,20}",
        "Sig: [ -~]{0,20}",
        (any::<u8>(), "[a-z]{1,3}")
            .prop_map(|(seed, name)| format!("Sig: {}", key(&name, seed % 3).sign("x"))),
    ];
    (
        prop::collection::vec(extra, 0..8),
        any::<prop::sample::Index>(),
    )
        .prop_flat_map(|(extra, pick)| {
            let vectors = vectors();
            let texts = cases(&vectors, "narinfo");
            let base = text(&texts[pick.index(texts.len())], "text").to_owned();
            let lines = base
                .lines()
                .map(str::to_owned)
                .chain(extra)
                .collect::<Vec<_>>();
            Just(lines).prop_shuffle()
        })
        .prop_map(|lines| lines.into_iter().map(|line| line + "\n").collect())
}

proptest! {
    #[test]
    fn signing_keeps_every_other_line_and_loses_no_signature(
        text in records(), seeds in prop::collection::vec((any::<u8>(), "[a-z]{1,3}"), 0..4),
    ) {
        let added: Vec<Signature> = seeds.iter().map(|(seed, name)| key(name, seed % 3).sign("x")).collect();
        let before = NarInfo::parse(&text).unwrap();
        let result = add_signatures(&text, &added).unwrap().into_owned();
        let after = NarInfo::parse(&result).unwrap();

        let texts = |signatures: &[Signature]| signatures.iter().map(Signature::to_string).collect::<BTreeSet<_>>();
        let mut expected = texts(&before.signatures);
        expected.extend(texts(&added));
        prop_assert_eq!(texts(&after.signatures), expected);
        prop_assert_eq!(NarInfo { signatures: Vec::new(), ..after }, NarInfo { signatures: Vec::new(), ..before });

        let ((others_before, found), (others_after, written)) = (split(&text), split(&result));
        prop_assert_eq!(others_before, others_after);
        let unchanged = result == text;
        prop_assert!(unchanged || written.is_sorted_by(|one, next| one < next), "sorted, each once");
        prop_assert!(found.iter().all(|line| written.contains(line)));
        prop_assert_eq!(add_signatures(&result, &added).unwrap(), result.clone());
    }

    #[test]
    fn no_text_makes_it_panic(text in "(?s).*") {
        let _ = add_signatures(&text, &[]);
        let _ = add_signatures(&format!("{}{text}\n", sample()), &[key("k-1", 1).sign("x")]);
    }
}
