//! Derivations, as Nix writes them and as somebody else might.
#![allow(clippy::unwrap_used, missing_docs)]

use fetchhost_formats::{Derivation, DerivationError, MAX_DERIVATION_BYTES, OutputMode, StorePath};
use proptest::prelude::*;

const HASH: &str = "b5bb9d8014a0f9b1d61e21e796d78dccdf1352f23cd32812f4850b878ae4944c";
const INPUT: &str = "/nix/store/00000000000000000000000000000000-dep.drv";

fn path(name: &str) -> StorePath {
    format!("/nix/store/11111111111111111111111111111111-{name}")
        .parse()
        .unwrap()
}

/// A derivation of one output with these attributes; `method` such as `r:sha256`.
fn file(method: &str, hash: &str, environment: &str) -> String {
    format!(
        "Derive([(\"out\",\"/nix/store/22222222222222222222222222222222-x\",\"{method}\",\"{hash}\")],\
         [(\"{INPUT}\",[\"out\"])],[],\"builtin\",\"builtin:fetchurl\",[],[{environment}])"
    )
}

fn read(content: &str) -> Result<Derivation, DerivationError> {
    Derivation::parse(&path("x.drv"), content.as_bytes())
}

#[test]
fn a_fixed_output_is_named_by_name_mode_and_hash() {
    for (method, mode) in [("sha256", OutputMode::Flat), ("r:sha256", OutputMode::Nar)] {
        let derivation =
            read(&file(method, HASH, "(\"url\",\"https://a.example/\\\"x\")")).unwrap();
        let output = derivation.fixed_output().unwrap();
        assert_eq!((output.name.as_str(), output.mode), ("x", mode));
        assert_eq!(output.hash.hex(), HASH);
        assert_eq!(derivation.builder(), "builtin:fetchurl");
        assert_eq!(derivation.attribute("url"), "https://a.example/\"x");
        let inputs: Vec<_> = derivation.inputs().map(|path| path.to_string()).collect();
        assert_eq!(inputs, [INPUT]);
        // Not the path that the file claims.
        assert!(!output.store_path().to_string().contains("2222222222"));
    }
}

#[test]
fn other_outputs_are_not_fixed_ones() {
    let built = "(\"out\",\"/nix/store/22222222222222222222222222222222-x\",\"\",\"\")";
    let more = "(\"dev\",\"/nix/store/22222222222222222222222222222222-x-dev\",\"\",\"\")";
    for outputs in [built.to_owned(), format!("{built},{more}"), String::new()] {
        let text = format!("Derive([{outputs}],[],[],\"s\",\"/bin/sh\",[],[])");
        assert_eq!(read(&text).unwrap().fixed_output(), None, "{outputs}");
    }
    for method in ["text:sha256", "git:sha1"] {
        let hash = if method == "git:sha1" {
            &HASH[..40]
        } else {
            HASH
        };
        let read = read(&file(method, hash, ""));
        assert!(read.is_err() || read.unwrap().fixed_output().is_none());
    }
}

#[test]
fn attributes_are_read_in_both_forms() {
    let json = r#"{"urls":["https://a.example/1","https://b.example/2"],"executable":true,"postFetch":"","curlOptsList":[],"no":false,"n":null,"deep":{"a":1}}"#;
    let plain = read(&file(
        "sha256",
        HASH,
        "(\"postFetch\",\" \"),(\"urls\",\"https://a.example/1 https://b.example/2\")",
    ));
    let structured = format!("(\"__json\",\"{}\")", json.replace('"', "\\\""));
    let structured = read(&file("sha256", HASH, &structured)).unwrap();
    for derivation in [&plain.unwrap(), &structured] {
        let urls = derivation.attribute("urls");
        assert_eq!(
            urls.split_whitespace().collect::<Vec<_>>(),
            ["https://a.example/1", "https://b.example/2"]
        );
        for unset in ["postFetch", "curlOpts", "curlOptsList", "no", "n"] {
            assert!(!derivation.has(unset), "{unset}");
        }
    }
    assert!(structured.has("executable") && structured.has("deep"));
}

#[test]
fn what_is_no_derivation_is_refused() {
    let right = file("sha256", HASH, "");
    assert_eq!(
        Derivation::parse(&path("x"), right.as_bytes()).unwrap_err(),
        DerivationError::Name
    );
    let nested = format!("(\"__json\",\"{}\")", "[".repeat(100_000));
    for text in [
        String::new(),
        "Derive(".to_owned(),
        "Derive([[[[".repeat(10_000),
        format!("{right}x"),
        right.replace("Derive", "DrvWithVersion"),
        right.replace(INPUT, "/etc/passwd"),
        right.replace(INPUT, "/nix/store/../../etc/passwd.drv"),
        file("sha256", &HASH[1..], ""),
        file("sha257", HASH, ""),
        file("sha256", HASH, &nested),
    ] {
        assert!(read(&text).is_err(), "{}", &text[..text.len().min(100)]);
    }
    let large = vec![b'x'; MAX_DERIVATION_BYTES + 1];
    assert_eq!(
        Derivation::parse(&path("x.drv"), &large).unwrap_err(),
        DerivationError::TooLarge
    );
    let error = read("Derive([\u{1b}[31m").unwrap_err().to_string();
    assert!(!error.contains('\u{1b}'), "{error}");
}

proptest! {
    #[test]
    fn damage_is_an_error_or_another_derivation_but_no_panic(
        at in 0_usize..400,
        bytes in proptest::collection::vec(any::<u8>(), 0..8),
        keep in any::<bool>(),
    ) {
        let json = r#"(\"__json\",\"{\\\"a\\\":[1,{}]}\"),(\"url\",\"x\")"#.replace("\\\"", "\"");
        let mut content = file("r:sha256", HASH, &json).into_bytes();
        let at = at.min(content.len());
        let end = if keep { at } else { (at + bytes.len()).min(content.len()) };
        content.splice(at..end, bytes);
        if let Ok(derivation) = Derivation::parse(&path("x.drv"), &content) {
            drop(derivation.fixed_output());
            drop(derivation.attribute("a"));
            let _ = derivation.inputs().count();
        }
    }
}
