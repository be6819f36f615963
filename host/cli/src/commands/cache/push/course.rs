//! The course of a push: where its archives come from, and how it is shown.

use std::sync::{Arc, OnceLock};

use fetchhost_cache::{Archive, Course, Outcome, SourceError};
use fetchhost_formats::StoreEntry;
use fetchhost_sinks::StoreReader;
use indicatif::HumanBytes;

use crate::caches::Stopping;
use crate::printer::Printer;
use crate::realise::progress::Progress;

/// A push of paths of a store.
pub(super) struct Pushing<'a> {
    printer: Printer,
    reader: &'a StoreReader,
    stopping: &'a Stopping,
    progress: OnceLock<Arc<Progress>>,
}

impl<'a> Pushing<'a> {
    pub(super) fn new(printer: Printer, reader: &'a StoreReader, stopping: &'a Stopping) -> Self {
        Self {
            printer,
            reader,
            stopping,
            progress: OnceLock::new(),
        }
    }

    /// Shows that it begins with so many paths.
    pub(super) fn begin(&self, total: usize) {
        self.progress
            .get_or_init(|| Progress::of(self.printer, total, "paths"));
    }

    /// Shows nothing more.
    pub(super) fn finish(&self) {
        if let Some(progress) = self.progress.get() {
            progress.finish();
        }
    }
}

impl Course for Pushing<'_> {
    fn archive(&self, offered: &StoreEntry) -> Result<Archive, SourceError> {
        Ok(self.reader.archive(offered)?)
    }

    fn is_stopping(&self) -> bool {
        self.stopping.is_asked_for()
    }

    fn read(&self, bytes: u64) {
        if let Some(progress) = self.progress.get() {
            progress.received(bytes);
        }
    }

    fn ended(&self, offered: &StoreEntry, outcome: &Outcome) {
        let Some(progress) = self.progress.get() else {
            return;
        };
        let path = &offered.path;
        match outcome {
            Outcome::Failed(error) => {
                let hint = error.hint().map(|hint| format!(" ({hint})"));
                progress.error(&format!("{error}{}", hint.unwrap_or_default()));
            }
            Outcome::LeftOut { because } => progress.error(&format!(
                "`{path}` is left out, because it refers to `{because}`"
            )),
            Outcome::Differs => progress.warning(&format!(
                "the cache has another build of `{path}`, which stays as it is"
            )),
            Outcome::NotBegun => return,
            _ => {}
        }
        progress.passed(&match outcome {
            Outcome::Pushed { file_size } => format!(
                "{path}: {}, {} compressed",
                HumanBytes(offered.nar_size),
                HumanBytes(*file_size)
            ),
            Outcome::Signed => format!("{path}: signed"),
            _ => path.to_string(),
        });
    }

    fn warning(&self, text: &str) {
        if let Some(progress) = self.progress.get() {
            progress.warning(text);
        }
    }
}
