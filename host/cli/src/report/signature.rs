//! What is told of each signature.

use std::collections::BTreeMap;

use fetchhost_formats::hex;
use fetchhost_pipeline::Signed;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One signature that a module was given.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SignatureReport {
    /// What the configuration calls the key.
    pub(crate) key: String,
    /// The public half's fingerprint.
    pub(crate) fingerprint: String,
    /// `minisign`, `sshsig` or `raw`.
    pub(crate) format: String,
    /// What belongs to the format, such as a namespace.
    pub(crate) parameters: BTreeMap<String, String>,
    /// The SHA-256 of the content, in hex.
    pub(crate) content: String,
    /// Whether it was remembered; otherwise the key signed.
    pub(crate) remembered: bool,
    /// What it is remembered under.
    pub(crate) memo: String,
}

impl SignatureReport {
    pub(crate) fn new(signed: &Signed) -> Self {
        Self {
            key: signed.key.clone(),
            fingerprint: signed.fingerprint.clone(),
            format: signed.format.to_owned(),
            parameters: signed.parameters.clone(),
            content: hex(&signed.content),
            remembered: signed.is_remembered,
            memo: signed.memo.clone(),
        }
    }
}
