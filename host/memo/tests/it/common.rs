//! Memos that tests make. A signature here is a text that begins with `valid`.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use fetchhost_cache::{Cache, CacheUrl};
use fetchhost_keys::VerifyError;
use fetchhost_memo::{Found, Memo, SignatureKey};
use fetchhost_policy::Use;
use tempfile::TempDir;

/// A folder with memos, and a cache in which they remember together.
pub(crate) struct Scene {
    pub(crate) dir: TempDir,
    pub(crate) warnings: Arc<Mutex<Vec<String>>>,
}

impl Scene {
    pub(crate) fn new() -> Self {
        Self {
            dir: TempDir::new().unwrap(),
            warnings: Arc::default(),
        }
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name).join("memo.sqlite")
    }

    /// A memo that remembers alone.
    pub(crate) fn alone(&self, name: &str) -> Memo {
        let warnings = Arc::clone(&self.warnings);
        let memo = Memo::open(&self.file(name)).unwrap();
        memo.with_warnings(Arc::new(move |text| {
            warnings.lock().unwrap().push(text.to_owned());
        }))
    }

    /// One that remembers together with all others.
    pub(crate) fn together(&self, name: &str) -> Memo {
        self.alone(name).with_shared(self.cache())
    }

    pub(crate) fn cache(&self) -> Cache {
        let dir = self.dir.path().join("cache");
        Cache::on_disk(CacheUrl::folder(dir), false).unwrap()
    }

    /// The shared entry of a key.
    pub(crate) fn shared(&self, key: &SignatureKey) -> PathBuf {
        let name = format!("{}.json", key.id());
        self.dir.path().join("cache/memo").join(name)
    }

    /// The warnings since the last time.
    pub(crate) fn warned(&self) -> Vec<String> {
        std::mem::take(&mut *self.warnings.lock().unwrap())
    }
}

pub(crate) fn key(content: u8) -> SignatureKey {
    SignatureKey {
        domain: "acme".parse().unwrap(),
        content: [content; 32],
        key: format!("ed25519:sha256:{}", "0a".repeat(32)),
        format: Use::Sshsig,
        parameters: [("namespace".to_owned(), "file".to_owned())].into(),
    }
}

pub(crate) fn verify(signature: &[u8]) -> Result<(), VerifyError> {
    match signature.starts_with(b"valid") {
        true => Ok(()),
        false => Err(VerifyError::Invalid),
    }
}

pub(crate) fn look_up(memo: &Memo, key: &SignatureKey) -> Found {
    memo.signature(key, &verify).unwrap()
}

pub(crate) fn remember(memo: &Memo, key: &SignatureKey, text: &str) -> String {
    let bytes = memo.remember_signature(key, text.as_bytes(), &verify);
    String::from_utf8(bytes.unwrap()).unwrap()
}

pub(crate) fn remembered(text: &str) -> Found {
    Found::Remembered(text.as_bytes().to_vec())
}

pub(crate) fn is_forgotten(memo: &Memo, key: &SignatureKey) -> bool {
    matches!(look_up(memo, key), Found::Forgotten { .. })
}

/// Whether there was something here, and together.
pub(crate) fn forget(memo: &Memo, key: &SignatureKey) -> [bool; 2] {
    let buried = memo.forget(key.id()).unwrap();
    [buried.here, buried.together]
}
