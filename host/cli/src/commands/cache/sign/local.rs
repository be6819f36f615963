//! The store of this machine, which is believed: what it holds as valid, it would run.

use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};

use fetchhost_cache::{Known, Said};
use fetchhost_formats::StorePath;
use fetchhost_pipeline::Error;
use fetchhost_sinks::{SinkError, Store, StoreReader, StoreUrl, StoreUrlError};

use crate::args::cache::SignArgs;
use crate::failure::{Failure, with_causes};

/// A store that is opened when something is to be asked.
pub(super) struct LocalStore {
    /// None where none is to be asked.
    url: Option<StoreUrl>,
    /// Whether the user named it.
    is_named: bool,
    reader: OnceLock<Option<StoreReader>>,
    /// The first thing that went wrong.
    trouble: Mutex<Option<SinkError>>,
}

impl LocalStore {
    /// The one that was typed, or that Nix itself would use.
    pub(super) fn of(args: &SignArgs) -> Result<Self, Failure> {
        let url = match &args.store {
            None => StoreUrl::Auto,
            Some(text) => text.parse().map_err(|error: StoreUrlError| {
                let failure = Failure::usage(with_causes(&error));
                match error.hint() {
                    Some(hint) => failure.with_hint(hint),
                    None => failure,
                }
            })?,
        };
        Ok(Self {
            url: (!args.no_store).then_some(url),
            is_named: args.store.is_some(),
            reader: OnceLock::new(),
            trouble: Mutex::default(),
        })
    }

    /// Opens the store that the user named; another one may be missing.
    pub(super) fn open_if_named(&self) -> Result<(), Failure> {
        if self.is_named && self.reader().is_none() {
            return Err(self
                .troubles()
                .1
                .unwrap_or_else(|| Failure::usage("no store")));
        }
        Ok(())
    }

    /// The path that was typed: a store path, or where a store is known, something that leads to one.
    pub(super) fn resolve(&self, typed: &Path) -> Result<StorePath, Failure> {
        if let Some(path) = typed.to_str().and_then(|text| text.parse().ok()) {
            return Ok(path);
        }
        match self.reader() {
            Some(reader) => reader
                .resolve(typed)
                .map_err(|error| Error::Sink(error).into()),
            None => Err(
                Failure::usage(format!("`{}` is no store path", typed.display()))
                    .with_hint("without a store to ask, name it as `/nix/store/HASH-NAME`"),
            ),
        }
    }

    /// What the store says of a path.
    pub(super) fn ask(&self, path: &StorePath) -> Said {
        let Some(reader) = self.reader() else {
            return Said::Nothing;
        };
        match reader.info(path) {
            Ok(None) => Said::Invalid,
            Ok(Some(entry)) => Said::Known(Known {
                nar_hash: entry.nar_hash,
                nar_size: entry.nar_size,
                references: entry.references,
            }),
            Err(error) => {
                self.remember(error);
                Said::Nothing
            }
        }
    }

    /// Why the store could not be asked: something to tell, or a failure where the user named the store.
    pub(super) fn troubles(&self) -> (Option<String>, Option<Failure>) {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        match (trouble.take(), self.is_named) {
            (None, _) => (None, None),
            (Some(error), false) => (Some(with_causes(&error)), None),
            (Some(error), true) => (None, Some(Error::Sink(error).into())),
        }
    }

    fn reader(&self) -> Option<&StoreReader> {
        let opened = self.reader.get_or_init(|| {
            let url = self.url.clone()?;
            StoreReader::open(Store::new(url))
                .map_err(|error| self.remember(error))
                .ok()
        });
        opened.as_ref()
    }

    fn remember(&self, error: SinkError) {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        trouble.get_or_insert(error);
    }
}
