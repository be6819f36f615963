//! What would be done, without doing it.

use std::time::Duration;

use fetchhost_credentials::Keyring;
use fetchhost_formats::{FixedOutput, Hash, hex};
use fetchhost_pipeline::Error;
use fetchhost_policy::{CredentialSpec, SourceSpec};
use fetchhost_sinks::{Destination, SinkError};

use super::{Fetching, elapsed, timed_out};
use crate::failure::Failure;
use crate::report::DryRun;
use crate::signals;

impl Fetching {
    /// What would be done: nothing is contacted, and the module does not run.
    pub(crate) async fn dry_run(
        &self,
        hash: &Hash,
        limit: Option<Duration>,
    ) -> Result<DryRun, Failure> {
        let output = FixedOutput {
            name: self.job.name.clone(),
            mode: self.job.mode,
            hash: hash.clone(),
        };
        let (wanted, all) = (output.clone(), self.job.destinations.clone());
        // A daemon may take its time.
        let looking = tokio::task::spawn_blocking(move || {
            let looked = all.iter().map(|destination| look(destination, &wanted));
            looked.collect::<Result<Vec<_>, _>>()
        });
        let mut stops = signals::Stops::listen();
        let destinations = tokio::select! {
            looked = looking => looked
                .map_err(|_| Error::Thread("a destination".to_owned()))?
                .map_err(Error::Sink)?,
            stop = stops.next() => return Err(Failure::stopped(stop)),
            limit = elapsed(limit) => return Err(timed_out(limit)),
        };
        if destinations.iter().any(|(_, is_there)| !is_there) {
            self.check_credentials()?;
        }
        let granted = self
            .origins
            .iter()
            .map(|origin| self.job.broker.explain(origin).to_string());
        Ok(DryRun {
            store_path: output.store_path().to_string(),
            module: self.selected.id.to_string(),
            module_digest: hex(&self.selected.module.digest()),
            fetcher: self.selected.fetcher.clone(),
            destinations,
            granted: granted.collect(),
        })
    }

    /// Refuses a credential that could not be had, as far as that shows without asking for it: no file
    /// with a secret is read.
    fn check_credentials(&self) -> Result<(), Failure> {
        let keyring = Keyring::new();
        let explained = self
            .origins
            .iter()
            .map(|origin| self.job.broker.explain(origin));
        for (_, spec) in explained.flat_map(|explanation| explanation.slots) {
            if let Some(spec) = spec.filter(is_judged_from_outside)
                && let Err(error) = keyring.look(&spec)
            {
                return Err(Failure {
                    hint: error.hint(),
                    ..Failure::usage(error.to_string())
                });
            }
        }
        Ok(())
    }
}

/// Whether looking at it opens nothing.
fn is_judged_from_outside(spec: &CredentialSpec) -> bool {
    match &spec.source {
        SourceSpec::Env(_)
        | SourceSpec::File { .. }
        | SourceSpec::Systemd(_)
        | SourceSpec::Netrc { .. } => true,
        SourceSpec::Age(_)
        | SourceSpec::Aws(_)
        | SourceSpec::AwsImds
        | SourceSpec::Command { .. }
        | SourceSpec::Helper(_) => false,
    }
}

/// The destination as given, and whether it holds the output already.
fn look(destination: &Destination, output: &FixedOutput) -> Result<(String, bool), SinkError> {
    let found = destination.lookup(output)?;
    if found.is_none() {
        destination.check()?;
    }
    Ok((destination.label(), found.is_some()))
}
