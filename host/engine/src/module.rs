//! A loaded module: what it says of itself, and how it is run.

use std::sync::Arc;

use fetchhost_policy::describe::Description;
use fetchhost_policy::{Limit, Limits};

use crate::bindings::FetcherPre;
use crate::failure::{FetchFailure, ModuleError};
use crate::host::error::{HostTrouble, reported};
use crate::plan::Plan;
use crate::progress::Progress;
use crate::session::{Declared, Fetch, Session};
use crate::store::{self, Host};
use crate::trap::{Stop, explain, shown};

/// A module that is ready to run. Clones share it.
#[derive(Clone)]
pub struct Module(Arc<Inner>);

struct Inner {
    digest: [u8; 32],
    imports: Vec<String>,
    description: Description,
    pre: FetcherPre<Host>,
}

impl std::fmt::Debug for Module {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Module")
            .field("digest", &self.0.digest)
            .finish_non_exhaustive()
    }
}

impl Module {
    pub(crate) fn new(
        digest: [u8; 32],
        imports: Vec<String>,
        description: Description,
        pre: FetcherPre<Host>,
    ) -> Self {
        Self(Arc::new(Inner {
            digest,
            imports,
            description,
            pre,
        }))
    }

    /// The SHA-256 of the component's bytes.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        self.0.digest
    }

    /// What the module says of itself, and what it asks for.
    #[must_use]
    pub fn description(&self) -> &Description {
        &self.0.description
    }

    /// The names of all imports, in the module's order. Foreign text: escape it before it is shown.
    #[must_use]
    pub fn imports(&self) -> Vec<String> {
        self.0.imports.clone()
    }

    /// Those of the imports that are linked to traps: parts of WASI that fetchers do not have.
    #[must_use]
    pub fn trapped_imports(&self) -> Vec<String> {
        self.0
            .imports
            .iter()
            .filter(|name| crate::linker::is_trap(name))
            .cloned()
            .collect()
    }

    /// Runs the fetcher called `fetcher` in a new instance, which is gone when this returns.
    ///
    /// `params` is a JSON object that the caller has checked against the fetcher's schema.
    ///
    /// # Errors
    /// [`FetchFailure`]: the fetcher reported one, was denied something, or misbehaved.
    pub async fn fetch(
        &self,
        fetcher: &str,
        params: &str,
        session: Session,
    ) -> Result<Plan, FetchFailure> {
        let Some(description) = self.0.description.fetchers.get(fetcher) else {
            return Err(FetchFailure::UnknownFetcher(shown(fetcher)));
        };
        let host = |error: wasmtime::Error| FetchFailure::Host(format!("{error:#}"));
        let limits = session.limits.clone();
        let fetch = Fetch::new(session, Declared::of(description));
        let progress = Arc::clone(&fetch.progress);
        let pre = &self.0.pre;
        let (mut store, printed) = store::new(pre.engine(), &limits, Some(fetch)).map_err(host)?;
        let call = async {
            let instance = pre.instantiate_async(&mut store).await?;
            instance.call_fetch(&mut store, fetcher, params).await
        };
        let outcome = watched(call, &progress, &limits).await;
        let (mut table, fetch) = store.into_data().into_parts();
        let verdict = fetch.map(|fetch| fetch.verdict).unwrap_or_default();
        match outcome {
            Ok(Ok(plan)) => match table.delete(plan) {
                Ok(planned) => Ok(planned.plan),
                Err(error) => Err(host(error.into())),
            },
            Ok(Err(error)) => {
                let word = error.kind.clone();
                Err(verdict.of_report(&word, reported(error)))
            }
            Err(error) => match error.downcast_ref::<HostTrouble>() {
                Some(HostTrouble(text)) => Err(FetchFailure::Host(text.clone())),
                None => Err(verdict.of_trap(explain(&error, &limits, &printed))),
            },
        }
    }
}

/// Runs `describe`, and returns what it says together with the text that it said it in.
pub(crate) async fn describe(
    pre: &FetcherPre<Host>,
    limits: &Limits,
) -> Result<(Description, String), ModuleError> {
    let (mut store, printed) =
        store::new(pre.engine(), limits, None).map_err(|error| ModuleError::Sandbox {
            detail: format!("{error:#}"),
        })?;
    let call = async {
        let instance = pre.instantiate_async(&mut store).await?;
        let json = instance.call_describe(&mut store).await?;
        if json.len() as u64 > limits.describe_bytes {
            return Err(Stop::Limit(limits.overrun(Limit::DescribeBytes)).into());
        }
        Ok(json)
    };
    let json = watched(call, &Progress::new(), limits)
        .await
        .map_err(|error| ModuleError::Misbehaved(explain(&error, limits, &printed)))?;
    Ok((Description::parse(json.as_bytes())?, json))
}

/// Runs a guest call until it ends or gets nowhere.
async fn watched<T>(
    call: impl Future<Output = wasmtime::Result<T>>,
    progress: &Progress,
    limits: &Limits,
) -> wasmtime::Result<T> {
    tokio::select! {
        outcome = call => outcome,
        () = progress.stalled(limits.call_timeout) => {
            Err(Stop::Limit(limits.overrun(Limit::CallTimeout)).into())
        }
    }
}
