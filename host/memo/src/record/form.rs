//! The members of entries, as JSON has them: exactly these.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fetchhost_formats::{Hash, OutputMode, Signature, StorePath};
use fetchhost_policy::{Domain, Use, printable};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{RememberedResult, ResultRecord, SignatureRecord};
use crate::error::Flaw;
use crate::id::from_hex;
use crate::key::{ResultKey, SignatureKey};
use crate::time::Time;
use fetchhost_formats::hex;

/// How many characters of somebody else's words are told.
const MAX_WORDS: usize = 200;

/// Of a signature.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct SignatureForm {
    domain: String,
    content: String,
    key: String,
    format: String,
    parameters: BTreeMap<String, String>,
    signature: String,
    store_path: String,
    made: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    supersedes: Option<String>,
}

/// Of a result.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct ResultForm {
    domain: String,
    fetcher: String,
    parameters: Map<String, Value>,
    hash: Hash,
    mode: OutputMode,
    name: String,
    executable: bool,
    expires: String,
    store_path: String,
    made: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    supersedes: Option<String>,
    signatures: Vec<String>,
}

/// Of a tombstone.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ForgottenForm {
    pub(super) forgotten: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sha256: Option<String>,
}

impl SignatureRecord {
    pub(super) fn form(&self) -> SignatureForm {
        SignatureForm {
            domain: self.key.domain.to_string(),
            content: hex(&self.key.content),
            key: self.key.key.clone(),
            format: self.key.format.name().to_owned(),
            parameters: self.key.parameters.clone(),
            signature: STANDARD.encode(&self.signature),
            store_path: self.store_path().to_string(),
            made: self.made.to_string(),
            supersedes: self.supersedes.map(|time| time.to_string()),
        }
    }
}

impl SignatureForm {
    pub(super) fn record(self) -> Result<SignatureRecord, Flaw> {
        let format: Use = self.format.parse().map_err(wrong("format"))?;
        if format == Use::Narinfo {
            return Err(Flaw::Malformed(
                "signatures of store paths are not remembered".to_owned(),
            ));
        }
        let content = sha256(&self.content)?;
        let signature = STANDARD.decode(&self.signature);
        let record = SignatureRecord {
            key: SignatureKey {
                domain: domain(&self.domain)?,
                content,
                key: self.key,
                format,
                parameters: self.parameters,
            },
            signature: signature.map_err(wrong("signature"))?,
            made: time(&self.made)?,
            supersedes: self.supersedes.as_deref().map(time).transpose()?,
        };
        check_path(&self.store_path, &record.store_path())?;
        Ok(record)
    }
}

impl ResultRecord {
    pub(super) fn form(&self) -> ResultForm {
        let result = &self.result;
        ResultForm {
            domain: self.key.domain.to_string(),
            fetcher: self.key.fetcher.clone(),
            parameters: self.key.parameters.clone(),
            hash: result.hash.clone(),
            mode: result.mode,
            name: result.name.to_string(),
            executable: result.executable,
            expires: Time::at(result.expires).to_string(),
            store_path: result.store_path().to_string(),
            made: self.made.to_string(),
            supersedes: self.supersedes.map(|time| time.to_string()),
            signatures: self.signatures.iter().map(Signature::to_string).collect(),
        }
    }
}

impl ResultForm {
    pub(super) fn record(self) -> Result<ResultRecord, Flaw> {
        let signatures = self.signatures.iter().map(|text| text.parse());
        let record = ResultRecord {
            key: ResultKey {
                domain: domain(&self.domain)?,
                fetcher: self.fetcher,
                parameters: self.parameters,
            },
            result: RememberedResult {
                hash: self.hash,
                mode: self.mode,
                name: self.name.parse().map_err(wrong("name"))?,
                executable: self.executable,
                expires: time(&self.expires)?.system(),
            },
            made: time(&self.made)?,
            supersedes: self.supersedes.as_deref().map(time).transpose()?,
            signatures: signatures
                .collect::<Result<_, _>>()
                .map_err(wrong("signatures"))?,
        };
        check_path(&self.store_path, &record.result.store_path())?;
        Ok(record)
    }
}

fn domain(text: &str) -> Result<Domain, Flaw> {
    Domain::recorded(text).map_err(wrong("domain"))
}

pub(super) fn sha256(text: &str) -> Result<[u8; 32], Flaw> {
    let digest = from_hex(text);
    digest.ok_or_else(|| foreign(&format!("`{text}` is no SHA-256")))
}

pub(super) fn time(text: &str) -> Result<Time, Flaw> {
    Time::parse(text).ok_or_else(|| {
        Flaw::Malformed(format!(
            "`{}` is no time in UTC with milliseconds",
            printable(text)
        ))
    })
}

fn check_path(said: &str, own: &StorePath) -> Result<(), Flaw> {
    if said == own.to_string() {
        Ok(())
    } else {
        Err(Flaw::Malformed("`storePath` is another's".to_owned()))
    }
}

fn wrong<E: std::fmt::Display>(member: &'static str) -> impl Fn(E) -> Flaw {
    move |error| foreign(&format!("`{member}`: {error}"))
}

/// What is wrong, in words that may be those of whoever wrote the entry.
pub(super) fn foreign(text: &str) -> Flaw {
    let text: String = text.chars().take(MAX_WORDS).collect();
    Flaw::Malformed(printable(&text).into_owned())
}

/// A value of somebody else's in few characters.
pub(super) fn shown(value: &Value) -> String {
    let text = value.to_string();
    let text: String = text.chars().take(40).collect();
    format!("`{}`", printable(&text))
}
