//! What `--json` prints: a versioned contract, published as `docs/schema/*.json`.

mod dry_run;
mod signature;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use fetchhost_formats::hex;
use fetchhost_pipeline::{Outcome, Signed, SinkStatus};
use fetchhost_transport::Contact;

use crate::commands::cache::push::PushReport;
use crate::commands::cache::sign::SignReport;
use crate::failure::{Failure, Partial};
use crate::realise::report::RealiseReport;
pub(crate) use dry_run::DryRun;
pub(crate) use signature::SignatureReport;

/// The version of every object below. It grows only when a member changes its meaning or goes away.
pub(crate) const SCHEMA_VERSION: u32 = 1;

/// The result of `run` and `prefetch`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(title = "nix-fetchhost result")]
pub(crate) struct ResultReport {
    /// 1.
    schema_version: u32,
    /// The module, as grants name it: `builtin:NAME` or `sha256:HEX`.
    module: String,
    /// The SHA-256 of the module's component, in hex.
    module_digest: String,
    /// The fetcher's name.
    fetcher: String,
    /// The logical store path.
    store_path: String,
    /// The output's name.
    name: String,
    /// `flat` or `nar`.
    mode: String,
    /// The output's hash as SRI: the declared one, or for `prefetch` the one computed.
    hash: String,
    /// The SHA-256 of the NAR as SRI; null when nothing was fetched because it was there.
    nar_hash: Option<String>,
    /// The size of the NAR in bytes; null likewise.
    nar_size: Option<u64>,
    /// Each destination, in the order given.
    destinations: Vec<DestinationReport>,
    /// Each request that was sent, in order.
    contacts: Vec<ContactReport>,
    /// Each signature that the module was given, in order.
    signatures: Vec<SignatureReport>,
    /// Whether the output was compared with a hash that somebody declared, or is a signature that was verified. What
    /// was computed (`prefetch`) or remembered (`remember = true`) is not.
    verified: bool,
}

/// How one destination fared.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct DestinationReport {
    /// The destination as given.
    destination: String,
    /// `present`: it held the output before. `done`: it holds it now. `failed`: it does not.
    status: &'static str,
    /// Where the bytes lie.
    physical: Option<String>,
    /// The narinfo, for a binary cache.
    narinfo: Option<String>,
    /// Why it failed.
    error: Option<String>,
}

/// One request that was sent.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ContactReport {
    /// The method.
    method: String,
    /// The URL without its query.
    url: String,
    /// The name of the credential that was attached, if one was.
    credential: Option<String>,
    /// The name of the client certificate that the connection showed to who asked for one.
    certificate: Option<String>,
    /// The status of the answer, if one came.
    status: Option<u16>,
}

impl ResultReport {
    pub(crate) fn new(
        module: &fetchhost_policy::ModuleId,
        digest: &[u8; 32],
        fetcher: &str,
        outcome: &Outcome,
        contacts: &[Contact],
        signed: &[Signed],
    ) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            module: module.to_string(),
            module_digest: hex(digest),
            fetcher: fetcher.to_owned(),
            store_path: outcome.output.store_path().to_string(),
            name: outcome.output.name.to_string(),
            mode: outcome.output.mode.to_string(),
            hash: outcome.output.hash.to_string(),
            nar_hash: outcome
                .verified
                .as_ref()
                .map(|verified| verified.nar_hash().to_string()),
            nar_size: outcome
                .verified
                .as_ref()
                .map(|verified| verified.nar_size()),
            destinations: outcome.sinks.iter().map(DestinationReport::new).collect(),
            contacts: contacts.iter().map(ContactReport::new).collect(),
            signatures: signed.iter().map(SignatureReport::new).collect(),
            verified: true,
        }
    }

    /// Whether it was compared with what somebody declared, or is a signature.
    pub(crate) fn verified(self, verified: bool) -> Self {
        Self { verified, ..self }
    }
}

/// The results of `run --each`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(title = "nix-fetchhost results of a list")]
pub(crate) struct EachReport {
    /// 1.
    schema_version: u32,
    /// What succeeded, in the order of the list.
    results: Vec<EachResult>,
}

/// The result for one path of the list.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct EachResult {
    /// The path as the list has it.
    path: String,
    /// What came of it.
    result: ResultReport,
}

impl EachReport {
    pub(crate) fn new<'a>(results: impl Iterator<Item = (String, &'a ResultReport)>) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            results: results
                .map(|(path, result)| EachResult {
                    path,
                    result: result.clone(),
                })
                .collect(),
        }
    }
}

/// What the statement of provenance needs.
impl ResultReport {
    pub(crate) fn store_path(&self) -> &str {
        &self.store_path
    }

    pub(crate) fn module(&self) -> &str {
        &self.module
    }

    pub(crate) fn module_digest(&self) -> &str {
        &self.module_digest
    }

    pub(crate) fn fetcher(&self) -> &str {
        &self.fetcher
    }

    pub(crate) fn nar_hash(&self) -> Option<&str> {
        self.nar_hash.as_deref()
    }

    /// The signatures that the module was given.
    pub(crate) fn signatures(&self) -> &[SignatureReport] {
        &self.signatures
    }

    /// The URLs that were asked, without their queries.
    pub(crate) fn contacted(&self) -> impl Iterator<Item = &str> {
        self.contacts.iter().map(|contact| contact.url.as_str())
    }
}

impl DestinationReport {
    fn new(report: &fetchhost_pipeline::SinkReport) -> Self {
        let shown = |path: &std::path::Path| Some(path.display().to_string());
        let (status, physical, narinfo, error) = match &report.status {
            SinkStatus::Present(existing) => (
                "present",
                shown(&existing.nar),
                existing.narinfo.as_deref().and_then(shown),
                None,
            ),
            SinkStatus::Done(committed) => {
                let narinfo = committed.narinfo.as_deref().and_then(shown);
                ("done", shown(&committed.physical), narinfo, None)
            }
            SinkStatus::Failed(error) => ("failed", None, None, Some(error.to_string())),
        };
        Self {
            destination: report.label.clone(),
            status,
            physical,
            narinfo,
            error,
        }
    }
}

impl ContactReport {
    pub(crate) fn new(contact: &Contact) -> Self {
        Self {
            method: contact.method.to_string(),
            url: contact.url.clone(),
            credential: contact.credential.as_ref().map(ToString::to_string),
            certificate: contact.certificate.as_ref().map(ToString::to_string),
            status: contact.status,
        }
    }
}

/// A failure of any command with `--json`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(title = "nix-fetchhost failure")]
pub(crate) struct ErrorReport {
    /// 1.
    schema_version: u32,
    /// What went wrong.
    error: ErrorDetail,
    /// What was done all the same: given when one of several destinations failed.
    result: Option<ResultReport>,
    /// What was done all the same: given when some of the outputs of `realise` failed.
    realised: Option<RealiseReport>,
    /// What was done all the same: given when some of the records of `cache sign` were not signed.
    signed: Option<SignReport>,
    /// What was done all the same: given when some of the paths of `cache push` were not pushed.
    pushed: Option<PushReport>,
}

/// What went wrong.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ErrorDetail {
    /// One word: `usage`, `configuration`, `invalid-module`, `denied`, `hash-mismatch`, `module`, `sink`,
    /// `memo`, `key`, `network`, `upstream`, `not-found`, `unauthorized`, `denied-upstream`, `rate-limited`,
    /// `interrupted`, or one that a module reported. More may come.
    kind: String,
    /// The exit code.
    exit_code: u8,
    /// What happened, to what.
    message: String,
    /// What to do next.
    hint: Option<String>,
    /// Names the record of the run, for `nix-fetchhost log TICKET`; null where none was kept.
    ticket: Option<String>,
}

impl ErrorReport {
    pub(crate) fn new(failure: &Failure) -> Self {
        let mut report = Self {
            schema_version: SCHEMA_VERSION,
            error: ErrorDetail::new(failure),
            result: None,
            realised: None,
            signed: None,
            pushed: None,
        };
        match failure.done.as_deref().cloned() {
            None => {}
            Some(Partial::Result(done)) => report.result = Some(done),
            Some(Partial::Realised(done)) => report.realised = Some(done),
            Some(Partial::Signed(done)) => report.signed = Some(done),
            Some(Partial::Pushed(done)) => report.pushed = Some(done),
        }
        report
    }
}

impl ErrorDetail {
    pub(crate) fn new(failure: &Failure) -> Self {
        Self {
            kind: failure.kind.to_owned(),
            exit_code: failure.status.code(),
            message: failure.message.clone(),
            hint: failure.hint.clone(),
            ticket: failure.ticket.clone(),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Compares with the published schema. After a wanted change, write what the failure prints.
    #[track_caller]
    pub(crate) fn is_published<T: JsonSchema>(published: &str) {
        let schema = serde_json::to_string_pretty(&schemars::schema_for!(T)).unwrap();
        assert!(
            schema.trim() == published.trim(),
            "the schema is now:\n{schema}"
        );
    }

    #[test]
    fn the_schema_of_results_is_the_published_one() {
        is_published::<ResultReport>(include_str!("../../../docs/schema/result.schema.json"));
    }

    #[test]
    fn the_schema_of_failures_is_the_published_one() {
        is_published::<ErrorReport>(include_str!("../../../docs/schema/error.schema.json"));
    }

    #[test]
    fn the_schema_of_lists_of_results_is_the_published_one() {
        is_published::<EachReport>(include_str!("../../../docs/schema/results.schema.json"));
    }
}
