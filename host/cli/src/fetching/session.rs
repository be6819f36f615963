//! What the fetches of one command share.

use std::sync::{Arc, OnceLock};

use fetchhost_credentials::{Cancel, ask_hidden};
use fetchhost_keys::Signers;
use fetchhost_memo::Memo;
use fetchhost_pipeline::Unlocking;
use fetchhost_transport::Client;

use crate::context::Context;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::signing::Desks;

/// What fetches go through; those of one command share connections and the credentials that were read.
#[derive(Clone)]
pub(crate) struct Session {
    pub(super) client: Client,
    /// Unlocks keys, each once.
    keys: Arc<Unlocking>,
    /// What signs with them, made when the first fetch needs it.
    desks: Arc<OnceLock<Desks>>,
    /// Ends questions and programs for credentials and keys; not for one of several fetches.
    cancel: Vec<Cancel>,
    pub(super) progress: Arc<Progress>,
}

impl Session {
    pub(crate) fn new(context: &Context, progress: Progress) -> Self {
        let progress = Arc::new(progress);
        let asking = Arc::clone(&progress);
        let keyring = context
            .keyring()
            .asking(move |question, cancel| asking.make_room(|| ask_hidden(question, cancel)));
        let asking = Arc::clone(&progress);
        let signers = Signers::new()
            .asking(move |question, cancel| asking.make_room(|| ask_hidden(question, cancel)));
        Self {
            cancel: vec![keyring.cancel(), signers.cancel()],
            client: context.client(Arc::new(keyring)),
            keys: Arc::new(Unlocking::new(signers)),
            desks: Arc::default(),
            progress,
        }
    }

    /// For one of several fetches, with its own record of who was asked.
    pub(crate) fn share(&self, progress: Progress) -> Self {
        Self {
            client: self.client.with_own_journal(),
            keys: Arc::clone(&self.keys),
            desks: Arc::clone(&self.desks),
            cancel: Vec::new(),
            progress: Arc::new(progress),
        }
    }

    /// What signs, for all fetches that share this.
    pub(super) fn desks(&self, context: &Context) -> Result<&Desks, Failure> {
        if let Some(desks) = self.desks.get() {
            return Ok(desks);
        }
        let desks = Desks::new(context, &self.client, Arc::clone(&self.keys))?;
        Ok(self.desks.get_or_init(|| desks))
    }

    /// What is remembered.
    pub(super) fn memo(&self, context: &Context) -> Result<Arc<Memo>, Failure> {
        Ok(self.desks(context)?.memo())
    }

    /// What shows the course of it.
    pub(crate) fn progress(&self) -> &Progress {
        &self.progress
    }

    /// What waits for the user or a program tidies up before this process ends.
    pub(crate) fn end(&self) {
        self.cancel.iter().for_each(Cancel::fire);
        self.progress.finish();
    }
}
