//! Names in the configuration that nothing in this program has.
//!
//! A grant to a module that is not there, or a route to a fetcher that is not, does no harm and is never used:
//! whoever mistyped one would wait for it. Only what looks at the configuration says so.

use fetchhost_engine::Engine;
use fetchhost_policy::{Config, ModuleId, Provenance};

use crate::catalog::{self, ByName};
use crate::failure::Failure;
use crate::realise::fetches::check_route;

/// Says of each name of a built-in module or fetcher where it was written, if nothing is called so.
pub(crate) async fn misnamed(engine: &Engine, config: &Config) -> Result<Vec<Failure>, Failure> {
    let granted = config
        .grants
        .iter()
        .map(|grant| (&grant.module, &grant.from));
    let denied = config
        .deny
        .iter()
        .flat_map(|deny| deny.modules.iter().map(move |module| (module, &deny.from)));
    let mut found = Vec::new();
    for (module, from) in granted.chain(denied) {
        if let ModuleId::Builtin(name) = module
            && let Err(failure) = catalog::builtin(engine, name).await
        {
            found.push(at(from, failure));
        }
    }
    let fetchers = ByName::new(engine.clone());
    for route in &config.routes {
        let checked = match fetchers.select(&route.fetcher).await {
            Ok(selected) => check_route(&route.from, &route.fetcher, selected.description()?),
            Err(failure) => Err(at(&route.from, failure)),
        };
        found.extend(checked.err());
    }
    Ok(found)
}

fn at(from: &Provenance, failure: Failure) -> Failure {
    Failure {
        message: format!("{from}: {}", failure.message),
        ..failure
    }
}
