//! The built-in module `signer`, with keys that really sign.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fetchhost_credentials::Keyring;
use fetchhost_engine::{
    Desk, FetchFailure, Input, Plan, Session, SigningError, SigningErrorKind, Source, Trust,
};
use fetchhost_keys::{Content, Envelope, Padding, PublicKey, Signers};
use fetchhost_policy::{Broker, Config, KeySource, KeySpec, Limits, SlotName, Use, Uses};
use fetchhost_transport::{Client, Settings};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::guest::engine;

const CONTENT: &[u8] = b"a release\n";

/// One key for everything.
struct OneKey {
    signers: Signers,
    spec: KeySpec,
}

impl Desk for OneKey {
    fn public_key(&self, slot: &SlotName) -> Result<PublicKey, SigningError> {
        assert_eq!(slot.as_str(), "key");
        Ok(self
            .signers
            .unlock(&self.spec)
            .unwrap()
            .public_key()
            .clone())
    }

    fn sign(
        &self,
        slot: &SlotName,
        envelope: &Envelope,
        content: &Content,
    ) -> Result<Vec<u8>, SigningError> {
        assert_eq!(slot.as_str(), "key");
        let key = self.signers.unlock(&self.spec).unwrap();
        key.sign(envelope, content).map_err(|error| SigningError {
            kind: SigningErrorKind::Unsupported,
            message: error.to_string(),
            hint: error.hint(),
        })
    }
}

/// A key of Ed25519 as `openssl genpkey` writes it.
fn key(folder: &TempDir) -> Arc<OneKey> {
    // RFC 8410: the number of the version, the algorithm, the key's 32 bytes.
    let prefix = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";
    let der = STANDARD.encode([&prefix[..], &[7; 32]].concat());
    let path = folder.path().join("key.pem");
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{der}\n-----END PRIVATE KEY-----\n");
    fs::write(&path, pem).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    Arc::new(OneKey {
        signers: Signers::new(),
        spec: KeySpec {
            name: "release".parse().unwrap(),
            source: KeySource::File(path),
            uses: Uses::new([Use::Sshsig, Use::Raw]).unwrap(),
            public_key: None,
        },
    })
}

async fn run(desk: Arc<OneKey>, params: Value) -> Result<Vec<u8>, FetchFailure> {
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("compiled");
    let wasm = fetchhost_modules::builtin("signer")
        .unwrap()
        .wasm()
        .unwrap();
    let module = engine(Some(&cache), Limits::default())
        .load(&wasm, Trust::Embedded)
        .await
        .unwrap();
    let description = &module.description().fetchers["signer"];
    let id = "builtin:signer".parse().unwrap();
    let broker = Broker::new(id, "signer", description, &Config::default(), None).unwrap();
    let mut content = tempfile::tempfile().unwrap();
    content.write_all(CONTENT).unwrap();
    let input = Arc::new(Input::new(content).unwrap());
    let session = Session {
        client: Client::new(Settings::default(), Arc::new(Keyring::new())),
        broker: Arc::new(broker),
        limits: Limits::default(),
        tmp: std::env::temp_dir(),
        log: Arc::new(|_| ()),
        inputs: BTreeMap::from([("content".parse().unwrap(), input)]),
        desk: Some(desk),
    };
    match module.fetch("signer", &params.to_string(), session).await? {
        Plan::File {
            source: Source::Bytes(bytes),
            executable: false,
        } => Ok(bytes.into()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_signature_verifies_over_the_content_in_its_envelope_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let desk = key(&folder);
    let public = desk.public_key(&"key".parse().unwrap()).unwrap();
    let namespace = |text: &str| Envelope::Sshsig {
        namespace: text.parse().unwrap(),
    };
    let raw = Envelope::Raw {
        padding: Padding::Pss,
    };
    for (params, envelope) in [
        (json!({ "format": "sshsig" }), namespace("file")),
        (
            json!({ "format": "sshsig", "namespace": "release@example.com" }),
            namespace("release@example.com"),
        ),
        (json!({ "format": "raw" }), raw),
    ] {
        let mut params = params;
        params["key-id"] = json!("release");
        let signature = run(Arc::clone(&desk), params).await.unwrap();
        let content = Content::of_bytes(CONTENT);
        public.verify(&envelope, &content, &signature).unwrap();
        let other = Content::of_bytes(*b"another release\n");
        public.verify(&envelope, &other, &signature).unwrap_err();
    }
}

#[tokio::test]
async fn a_key_that_makes_no_such_signatures_is_the_users_to_change() {
    let folder = tempfile::tempdir().unwrap();
    let params = json!({ "key-id": "release", "format": "minisign" });
    let failure = run(key(&folder), params).await.unwrap_err();
    assert!(matches!(failure, FetchFailure::Signing(_)), "{failure:?}");
    assert!(failure.to_string().contains("`minisign`"), "{failure}");
    assert!(failure.hint().is_some());
}

#[tokio::test]
async fn what_an_envelope_does_not_take_is_a_bad_parameter() {
    let folder = tempfile::tempdir().unwrap();
    for (params, name) in [
        (
            json!({ "format": "minisign", "comment": "two\nlines" }),
            "`comment`: ",
        ),
        (
            json!({ "format": "sshsig", "namespace": "a b" }),
            "`namespace`: ",
        ),
        (
            json!({ "format": "raw", "namespace": "file" }),
            "`namespace` belongs",
        ),
    ] {
        let mut params = params;
        params["key-id"] = json!("release");
        let failure = run(key(&folder), params).await.unwrap_err();
        let FetchFailure::Reported(reported) = failure else {
            panic!("{failure:?}")
        };
        assert_eq!(reported.kind, fetchhost_engine::ErrorKind::BadParams);
        assert!(reported.message.starts_with(name), "{reported}");
    }
}
