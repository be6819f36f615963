//! Entries, as they are written: in the local file, in a cache as `memo/<id>.json`, and as lines of an export.
//!
//! **The threat.** Whoever may write where entries are shared writes what they like: another key's signature, an entry
//! under another's name, a hash of their own file, a megabyte.
//!
//! **The rule.** An entry is taken for what its members say only where these give the name under which it was found.
//! Signatures are verified by whoever uses them; a result counts by the signature of a trusted key. What is not exactly
//! in the form below is refused.
//!
//! ```text
//! { "version": 1, "kind": "signature", "id": HEX, "made": TIME, "supersedes": TIME,      the latter where it was forgotten before
//!   "domain": …, "content": HEX, "key": FINGERPRINT, "format": "minisign", "parameters": {…},   the key
//!   "signature": BASE64, "storePath": "/nix/store/…-signature.minisig" }
//! { "version": 1, "kind": "result", "id": HEX, "made": TIME, "supersedes": TIME,
//!   "domain": …, "fetcher": …, "parameters": {…},                                              the key
//!   "hash": SRI, "mode": "flat", "name": …, "executable": false, "expires": TIME, "storePath": …,
//!   "signatures": ["NAME:BASE64"] }
//! { "version": 1, "kind": "forgotten", "id": HEX, "forgotten": TIME, "sha256": HEX }        the latter where a signature was forgotten
//! ```
//!
//! Times are UTC with milliseconds. A path follows from the rest, and is there for `cache gc`, which keeps it.

mod form;

use std::time::SystemTime;

use fetchhost_cache::MAX_MEMO;
use fetchhost_formats::{
    FixedOutput, Hash, HashAlgorithm, Hasher, OutputMode, PublicKey, Signature, SigningKey,
    StoreName, StorePath, hex,
};
use fetchhost_policy::Use;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use crate::canonical;
use crate::error::Flaw;
use crate::id::MemoId;
use crate::key::{ResultKey, SignatureKey};
use crate::time::Time;

use form::{ForgottenForm, ResultForm, SignatureForm, foreign, sha256, shown, time};

/// The version of this form.
const VERSION: u64 = 1;

/// How the text begins that trusted keys sign. The fingerprint of a store path begins with `1;/nix/store/`.
const SIGNED_PREFIX: &str = "nix-fetchhost-memo-result-1\n";

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A signature.
    Signature(SignatureRecord),
    /// What another fetcher's fetch gave.
    Result(ResultRecord),
    /// Something was here, and is not to come back.
    Forgotten(Tombstone),
}

/// A remembered signature, which nobody has verified yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureRecord {
    /// What it belongs to.
    pub key: SignatureKey,
    /// Its bytes.
    pub signature: Vec<u8>,
    pub(crate) made: Time,
    pub(crate) supersedes: Option<Time>,
}

/// A remembered result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResultRecord {
    /// What it belongs to.
    pub key: ResultKey,
    /// What was fetched.
    pub result: RememberedResult,
    pub(crate) made: Time,
    pub(crate) supersedes: Option<Time>,
    /// By keys that somebody may trust; none of what was fetched here.
    pub(crate) signatures: Vec<Signature>,
}

/// What a fetch gave, by its hash. Nobody declared that hash: it is not verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RememberedResult {
    /// The hash of the output.
    pub hash: Hash,
    /// What it is taken over.
    pub mode: OutputMode,
    /// The name part of its store path.
    pub name: StoreName,
    /// Whether it is an executable file.
    pub executable: bool,
    /// Until when it is used, in whole milliseconds.
    pub expires: SystemTime,
}

/// What is left of an entry that was forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tombstone {
    /// Whose.
    pub id: MemoId,
    pub(crate) forgotten: Time,
    /// The SHA-256 of the signature, where the user had it forgotten here.
    pub(crate) sha256: Option<[u8; 32]>,
}

impl SignatureRecord {
    /// When it was made.
    #[must_use]
    pub fn made(&self) -> SystemTime {
        self.made.system()
    }

    /// The path that it has in the store and in caches: a flat file.
    #[must_use]
    pub fn store_path(&self) -> StorePath {
        output(self.key.format, &self.signature).store_path()
    }
}

impl ResultRecord {
    /// When it was fetched.
    #[must_use]
    pub fn made(&self) -> SystemTime {
        self.made.system()
    }

    /// What trusted keys sign.
    fn signed_text(&self) -> String {
        let mut members = Record::Result(self.clone()).members();
        members.remove("signatures");
        format!(
            "{SIGNED_PREFIX}{}",
            canonical::text(&Value::Object(members))
        )
    }

    /// The same, signed.
    pub(crate) fn signed(mut self, key: &SigningKey) -> Self {
        let signature = key.sign(&self.signed_text());
        self.signatures = vec![signature];
        self
    }

    /// Whether one of these keys has signed it.
    pub(crate) fn is_signed_by(&self, trusted: &[PublicKey]) -> bool {
        let text = self.signed_text();
        let mut pairs = trusted
            .iter()
            .flat_map(|key| self.signatures.iter().map(move |one| (key, one)));
        pairs.any(|(key, signature)| key.verify(&text, signature))
    }
}

impl RememberedResult {
    /// The path that it has in the store.
    #[must_use]
    pub fn store_path(&self) -> StorePath {
        let output = FixedOutput {
            name: self.name.clone(),
            mode: self.mode,
            hash: self.hash.clone(),
        };
        output.store_path()
    }
}

impl Tombstone {
    /// When it was forgotten.
    #[must_use]
    pub fn forgotten(&self) -> SystemTime {
        self.forgotten.system()
    }
}

/// The name of a signature as a file.
pub(crate) fn signature_name(format: Use) -> StoreName {
    let text = match format {
        Use::Minisign => "signature.minisig",
        Use::Sshsig => "signature.sig",
        Use::Raw | Use::Narinfo => "signature.raw",
    };
    let name = text.parse();
    name.expect("letters and a dot are a name")
}

fn output(format: Use, signature: &[u8]) -> FixedOutput {
    FixedOutput {
        name: signature_name(format),
        mode: OutputMode::Flat,
        hash: Hasher::digest(HashAlgorithm::Sha256, signature),
    }
}

impl Record {
    /// The name under which it lies.
    #[must_use]
    pub fn id(&self) -> MemoId {
        match self {
            Self::Signature(record) => record.key.id(),
            Self::Result(record) => record.key.id(),
            Self::Forgotten(tombstone) => tombstone.id,
        }
    }

    /// The text of one line.
    #[must_use]
    pub fn to_json(&self) -> String {
        canonical::text(&Value::Object(self.members()))
    }

    fn members(&self) -> Map<String, Value> {
        let (kind, form) = match self {
            Self::Signature(record) => ("signature", serde_json::to_value(record.form())),
            Self::Result(record) => ("result", serde_json::to_value(record.form())),
            Self::Forgotten(tombstone) => {
                let form = ForgottenForm {
                    forgotten: tombstone.forgotten.to_string(),
                    sha256: tombstone.sha256.map(|sha256| hex(&sha256)),
                };
                ("forgotten", serde_json::to_value(form))
            }
        };
        let mut members = match form {
            Ok(Value::Object(members)) => members,
            // These forms are structures with texts as names.
            _ => Map::new(),
        };
        members.insert("version".to_owned(), VERSION.into());
        members.insert("kind".to_owned(), kind.into());
        members.insert("id".to_owned(), self.id().to_string().into());
        members
    }

    /// Reads an entry, and recomputes its name from its members.
    ///
    /// # Errors
    /// When it is not exactly one, or says another name than its own.
    pub fn parse(text: &[u8]) -> Result<Self, Flaw> {
        if text.len() as u64 > MAX_MEMO {
            return Err(Flaw::TooLarge);
        }
        let malformed = |error: serde_json::Error| foreign(&error.to_string());
        let mut members: Map<String, Value> = serde_json::from_slice(text).map_err(malformed)?;
        match members.remove("version") {
            Some(version) if version == VERSION => {}
            Some(version) => return Err(Flaw::Version(shown(&version))),
            None => return Err(Flaw::Malformed("it has no version".to_owned())),
        }
        let kind = members.remove("kind").unwrap_or_default();
        let said = members.remove("id").unwrap_or_default();
        let said = said.as_str().and_then(|text| text.parse::<MemoId>().ok());
        let said = said.ok_or_else(|| Flaw::Malformed("it has no id".to_owned()))?;
        let members = Value::Object(members);
        let record = match kind.as_str() {
            Some("signature") => serde_json::from_value::<SignatureForm>(members)
                .map_err(malformed)?
                .record()
                .map(Self::Signature)?,
            Some("result") => serde_json::from_value::<ResultForm>(members)
                .map_err(malformed)?
                .record()
                .map(Self::Result)?,
            Some("forgotten") => {
                let form: ForgottenForm = serde_json::from_value(members).map_err(malformed)?;
                Self::Forgotten(Tombstone {
                    id: said,
                    forgotten: time(&form.forgotten)?,
                    sha256: form.sha256.as_deref().map(sha256).transpose()?,
                })
            }
            _ => return Err(Flaw::Malformed(format!("its kind is {}", shown(&kind)))),
        };
        if record.id() == said {
            Ok(record)
        } else {
            Err(Flaw::OtherId)
        }
    }

    /// Reads what was found under the name `id`.
    pub(crate) fn parse_as(text: &[u8], id: MemoId) -> Result<Self, Flaw> {
        let record = Self::parse(text)?;
        if record.id() == id {
            Ok(record)
        } else {
            Err(Flaw::OtherId)
        }
    }

    /// The SHA-256 of what a tombstone remembers it by.
    pub(crate) fn sha256(&self) -> Option<[u8; 32]> {
        match self {
            Self::Signature(record) => Some(Sha256::digest(&record.signature).into()),
            Self::Result(_) => None,
            Self::Forgotten(tombstone) => tombstone.sha256,
        }
    }

    /// The time of the tombstone that this comes after.
    pub(crate) fn supersedes(&self) -> Option<Time> {
        match self {
            Self::Signature(record) => record.supersedes,
            Self::Result(record) => record.supersedes,
            Self::Forgotten(_) => None,
        }
    }
}

#[cfg(test)]
mod tests;
