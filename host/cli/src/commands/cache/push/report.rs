//! What `cache push` did.

use std::collections::BTreeSet;

use fetchhost_cache::{Outcome, PushError};
use indicatif::HumanBytes;
use schemars::JsonSchema;
use serde::Serialize;

use super::plan::Plan;
use crate::exit::ExitStatus;
use crate::failure::{Failure, Partial};
use crate::printer::Printer;
use crate::report::SCHEMA_VERSION;

/// What `cache push` did, or with `--dry-run` would do.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(title = "nix-fetchhost push")]
pub(crate) struct PushReport {
    /// 1.
    schema_version: u32,
    /// The cache's URL without its parameters.
    cache: String,
    /// Each path once, after those that it refers to; those that are skipped come last.
    paths: Vec<PathReport>,
    /// How it ends where not all went well.
    #[serde(skip)]
    failed: Option<(ExitStatus, &'static str, Option<String>)>,
    /// Whether trying again may help.
    #[serde(skip)]
    is_unfinished: bool,
}

/// How one path fared.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct PathReport {
    /// The store path.
    store_path: String,
    /// `pushed`: the cache has it now. `signed`: it was there, and has our signatures now. `present`: it was
    /// there. `differs`: another build of it is there, and stays. `planned`: it would be pushed. `unsigned`: it
    /// would be signed. `skipped`: its content address does not prove it. `failed`, `left-out` (because of
    /// something that it refers to), `not-begun`: the cache does not have it.
    status: &'static str,
    /// The size of its NAR in bytes.
    nar_size: u64,
    /// The size of the file with its NAR in bytes, where that was written.
    file_size: Option<u64>,
    /// Why it is not in the cache.
    reason: Option<String>,
}

impl PushReport {
    pub(super) fn new(cache: String, plan: &Plan, outcomes: Vec<Outcome>) -> Self {
        let mut failed: Option<(ExitStatus, &'static str, Option<String>)> = None;
        let mut is_unfinished = false;
        let mut paths = Vec::with_capacity(plan.offered.len() + plan.skipped.len());
        for (offered, outcome) in plan.offered.iter().zip(outcomes) {
            let (status, file_size, reason) = match &outcome {
                Outcome::Pushed { file_size } => ("pushed", Some(*file_size), None),
                Outcome::Signed => ("signed", None, None),
                Outcome::Present => ("present", None, None),
                Outcome::Differs => ("differs", None, None),
                Outcome::Planned => ("planned", None, None),
                Outcome::Unsigned => ("unsigned", None, None),
                Outcome::Failed(error) => ("failed", None, Some(error.to_string())),
                Outcome::LeftOut { because } => {
                    ("left-out", None, Some(format!("it refers to `{because}`")))
                }
                Outcome::NotBegun => ("not-begun", None, None),
            };
            paths.push(PathReport {
                store_path: offered.path.to_string(),
                status,
                nar_size: offered.nar_size,
                file_size,
                reason,
            });
            is_unfinished |= match &outcome {
                Outcome::NotBegun => true,
                Outcome::Failed(error) => {
                    matches!(
                        error,
                        PushError::Cache(_) | PushError::Unreadable { .. } | PushError::Gone { .. }
                    )
                }
                _ => false,
            };
            if let Outcome::Failed(error) = outcome {
                let (hint, met) = (error.hint(), status_of(error));
                let is_graver = failed
                    .as_ref()
                    .is_none_or(|(other, ..)| met.0.gravity() < other.gravity());
                if is_graver {
                    failed = Some((met.0, met.1, hint));
                }
            }
        }
        for skipped in &plan.skipped {
            paths.push(PathReport {
                store_path: skipped.path.to_string(),
                status: "skipped",
                nar_size: skipped.nar_size,
                file_size: None,
                reason: Some(skipped.reason.clone()),
            });
        }
        if failed.is_none() && plan.skipped.iter().any(|skipped| skipped.is_named) {
            let hint =
                "push them without `--only-content-addressed`, with access keys that are trusted";
            failed = Some((ExitStatus::FetchFailed, "skipped", Some(hint.to_owned())));
        }
        Self {
            schema_version: SCHEMA_VERSION,
            cache,
            paths,
            failed,
            is_unfinished,
        }
    }

    /// The paths that the cache has, or that will not be pushed whatever comes.
    pub(super) fn settled(&self) -> BTreeSet<&str> {
        let is_settled = |one: &&PathReport| match one.status {
            "failed" | "left-out" => !self.is_unfinished,
            status => status != "not-begun",
        };
        let settled = self.paths.iter().filter(is_settled);
        settled.map(|one| one.store_path.as_str()).collect()
    }

    /// Prints it, and says whether that is all that was asked for.
    pub(super) fn finish(self, printer: Printer, json: bool) -> Result<(), Failure> {
        for one in self.paths.iter().filter(|one| one.status == "skipped") {
            let reason = one.reason.as_deref().unwrap_or_default();
            printer.note(&format!("`{}` is skipped: {reason}", one.store_path));
        }
        let lines = self.paths.iter().filter_map(|one| match one.status {
            "pushed" | "signed" => Some(one.store_path.clone()),
            "planned" => Some(format!("{}  would be pushed", one.store_path)),
            "unsigned" => Some(format!("{}  would be signed", one.store_path)),
            _ => None,
        });
        let lines: Vec<_> = lines.collect();
        if !json && !lines.is_empty() {
            printer.result(&lines.join("\n"))?;
        }
        printer.note(&self.summary());
        let Some((status, kind, hint)) = self.failed.clone() else {
            return if json { printer.json(&self) } else { Ok(()) };
        };
        let count = |status: &str| self.paths.iter().filter(|one| one.status == status).count();
        let lost = count("failed") + count("left-out") + count("not-begun");
        let message = match lost {
            0 => format!(
                "{} of {} paths were skipped, one of them by name; the reasons are above",
                count("skipped"),
                self.paths.len()
            ),
            _ => format!(
                "{lost} of {} paths were not pushed to `{}`; the reasons are above",
                self.paths.len(),
                self.cache
            ),
        };
        Err(Failure {
            status,
            kind,
            hint,
            done: Some(Box::new(Partial::Pushed(self))),
            ..Failure::usage(message)
        })
    }

    /// All of it on one line.
    pub(super) fn summary(&self) -> String {
        let of = |status: &'static str| self.paths.iter().filter(move |one| one.status == status);
        let bytes = HumanBytes(of("pushed").map(|one| one.nar_size).sum());
        let files = HumanBytes(of("pushed").filter_map(|one| one.file_size).sum());
        let mut parts = vec![match of("pushed").count() {
            0 => "nothing was pushed".to_owned(),
            pushed => format!("{pushed} pushed ({bytes}, {files} compressed)"),
        }];
        for (status, what) in [
            ("signed", "signed"),
            ("present", "there before"),
            ("differs", "there as another build"),
            ("planned", "would be pushed"),
            ("unsigned", "would be signed"),
            ("skipped", "skipped"),
            ("failed", "failed"),
            ("left-out", "left out"),
            ("not-begun", "not begun"),
        ] {
            match of(status).count() {
                0 => {}
                count => parts.push(format!("{count} {what}")),
            }
        }
        format!("{}: {}", self.cache, parts.join(", "))
    }
}

/// How a push ends that met this.
fn status_of(error: PushError) -> (ExitStatus, &'static str) {
    match error {
        PushError::Corrupt { .. } => (ExitStatus::HashMismatch, "hash-mismatch"),
        PushError::Cache(error) => {
            let failure = Failure::from(error);
            (failure.status, failure.kind)
        }
        PushError::NoSize { .. } | PushError::Unreadable { .. } | PushError::Gone { .. } => {
            (ExitStatus::Sink, "sink")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::PushReport;

    #[test]
    fn the_schema_of_pushes_is_the_published_one() {
        crate::report::tests::is_published::<PushReport>(include_str!(
            "../../../../../../docs/schema/push.schema.json"
        ));
    }
}
