use std::time::Duration;

use fetchhost_policy::Domain;
use proptest::prelude::*;
use serde_json::json;

use super::*;

const TIME: &str = "2026-11-21T21:30:00.125Z";
const LATER: &str = "2026-12-21T00:00:00.000Z";

fn signature() -> SignatureRecord {
    SignatureRecord {
        key: SignatureKey {
            domain: "acme".parse().unwrap(),
            content: [7; 32],
            key: format!("minisign-ed25519:sha256:{}", "0a".repeat(32)),
            format: Use::Minisign,
            parameters: [("trusted-comment".to_owned(), "file:a é".to_owned())].into(),
        },
        signature: b"a signature\n".to_vec(),
        made: Time::parse(TIME).unwrap(),
        supersedes: None,
    }
}

fn result() -> ResultRecord {
    let Value::Object(parameters) = json!({"url": "https://example.com/x", "n": [1, null]}) else {
        unreachable!()
    };
    ResultRecord {
        key: ResultKey {
            domain: Domain::recorded("builtin:http").unwrap(),
            fetcher: "http-file".to_owned(),
            parameters,
        },
        result: RememberedResult {
            hash: Hasher::digest(HashAlgorithm::Sha256, b"x"),
            mode: OutputMode::Flat,
            name: "x".parse().unwrap(),
            executable: false,
            expires: Time::parse(LATER).unwrap().system(),
        },
        made: Time::parse(TIME).unwrap(),
        supersedes: Time::parse(TIME),
        signatures: Vec::new(),
    }
}

/// What older versions wrote is read by all later ones.
#[test]
fn the_form_is_the_same_in_every_version() {
    let tombstone = Record::Forgotten(Tombstone {
        id: signature().key.id(),
        forgotten: Time::parse(TIME).unwrap(),
        sha256: None,
    });
    let own = Record::Forgotten(Tombstone {
        id: signature().key.id(),
        forgotten: Time::parse(TIME).unwrap(),
        sha256: Some([1; 32]),
    });
    for (record, text) in [
        (
            Record::Signature(signature()),
            r#"{"content":"0707070707070707070707070707070707070707070707070707070707070707","domain":"acme","format":"minisign","id":"9d92f0024a548062d49a7c44cb0a354ece7b356b7a7f8b0cb424eb40cfaee0fa","key":"minisign-ed25519:sha256:0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a","kind":"signature","made":"2026-11-21T21:30:00.125Z","parameters":{"trusted-comment":"file:a é"},"signature":"YSBzaWduYXR1cmUK","storePath":"/nix/store/rilvrsd660a8sgmr8lfjm1j6c85l8052-signature.minisig","version":1}"#,
        ),
        (
            Record::Result(result()),
            r#"{"domain":"builtin:http","executable":false,"expires":"2026-12-21T00:00:00.000Z","fetcher":"http-file","hash":"sha256-LXEWQrcmsEQBYnyp+6wy9chTD7GQPMTbAiWHF5IaSIE=","id":"ca69dc0acb5e36c552cbef73d29808853bf257515a56469579a73d1731d635e0","kind":"result","made":"2026-11-21T21:30:00.125Z","mode":"flat","name":"x","parameters":{"n":[1,null],"url":"https://example.com/x"},"signatures":[],"storePath":"/nix/store/prmfd0ax3s09yxyl9j2z0c5x6zsbz1px-x","supersedes":"2026-11-21T21:30:00.125Z","version":1}"#,
        ),
        (
            tombstone,
            r#"{"forgotten":"2026-11-21T21:30:00.125Z","id":"9d92f0024a548062d49a7c44cb0a354ece7b356b7a7f8b0cb424eb40cfaee0fa","kind":"forgotten","version":1}"#,
        ),
        (
            own,
            r#"{"forgotten":"2026-11-21T21:30:00.125Z","id":"9d92f0024a548062d49a7c44cb0a354ece7b356b7a7f8b0cb424eb40cfaee0fa","kind":"forgotten","sha256":"0101010101010101010101010101010101010101010101010101010101010101","version":1}"#,
        ),
    ] {
        assert_eq!(record.to_json(), text);
        assert_eq!(Record::parse(text.as_bytes()).unwrap(), record);
    }
}

#[test]
fn a_signed_result_is_signed_by_that_key_and_no_other() {
    let key = |seed| SigningKey::from_seed("team", &[seed; 32].into()).unwrap();
    let signed = result().signed(&key(1));
    assert!(signed.is_signed_by(&[key(2).public_key(), key(1).public_key()]));
    assert!(!signed.is_signed_by(&[key(2).public_key()]));
    assert!(!signed.is_signed_by(&[]));
    assert!(!result().is_signed_by(&[key(1).public_key()]));
    let read = Record::parse(Record::Result(signed.clone()).to_json().as_bytes());
    assert_eq!(read.unwrap(), Record::Result(signed.clone()));
    let mut changed = signed;
    changed.result.expires += Duration::from_secs(1);
    assert!(!changed.is_signed_by(&[key(1).public_key()]));
}

/// The key of a team may also sign its cache: neither is ever taken for the other.
#[test]
fn what_is_signed_is_no_fingerprint_of_a_store_path() {
    let text = result().signed_text();
    assert!(text.starts_with("nix-fetchhost-memo-result-1\n{"));
    assert!(!text.starts_with("1;"));
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        content: [u8; 32],
        key in ".{0,20}",
        parameters in prop::collection::btree_map(".{0,8}", ".{0,8}", 0..3),
        format in 0_usize..3,
        millis in prop::option::of(0_u64..4_000_000_000_000),
    ) {
        let time = |millis| Time::at(SystemTime::UNIX_EPOCH + Duration::from_millis(millis));
        let record = Record::Signature(SignatureRecord {
            key: SignatureKey { content, key, parameters, format: Use::ALL[format], ..signature().key },
            signature: bytes,
            supersedes: millis.map(time),
            ..signature()
        });
        let text = record.to_json();
        prop_assert_eq!(Record::parse(text.as_bytes()).unwrap(), record.clone());
        prop_assert!(Record::parse_as(text.as_bytes(), signature().key.id()).is_err());
        let path = fetchhost_cache::memo_path(text.as_bytes()).unwrap();
        prop_assert!(path.name().starts_with("signature."));
    }

    #[test]
    fn nothing_makes_the_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Record::parse(&bytes).is_err());
    }

    /// Whatever single character is changed: it is refused, or says the same.
    #[test]
    fn a_changed_entry_is_refused_or_of_another_name(at in any::<prop::sample::Index>(), by in any::<char>()) {
        let text = Record::Signature(signature()).to_json();
        let mut changed: Vec<char> = text.chars().collect();
        let at = at.index(changed.len());
        changed[at] = by;
        let changed: String = changed.into_iter().collect();
        if let Ok(Record::Signature(read)) = Record::parse_as(changed.as_bytes(), signature().key.id()) {
            prop_assert_eq!(read.key, signature().key);
        }
    }
}
