//! `nix-fetchhost grant explain`

use fetchhost_policy::{Broker, Consent, HostPart, ModuleId, Origin};

use super::takes_no_grant;
use crate::catalog;
use crate::context::Context;
use crate::failure::{Failure, with_causes};
use crate::fetching;

/// Explains what a fetcher, or each of a built-in module's, may ask of an origin, and why.
pub(crate) async fn explain(
    context: &Context,
    fetcher: &str,
    origin: &str,
    allow: &[String],
    credential: &[String],
) -> Result<(), Failure> {
    let origin: Origin = origin
        .parse()
        .map_err(|error: fetchhost_policy::OriginError| {
            Failure::usage(format!("`{origin}`: {}", with_causes(&error)))
        })?;
    if let Ok(module @ ModuleId::Host(part)) = fetcher.parse() {
        // Requests of the host itself. What typing the URL of a bucket would add is not asked for here.
        let needs = part.needs().ok_or_else(|| takes_no_grant(&module))?;
        let config = &context.settings.config;
        let broker = Broker::new(module, part.name(), &needs, config, None)?;
        let mut explained = broker.explain(&origin).to_string();
        if part == HostPart::Cache {
            explained.push_str("\nwho types a bucket's URL needs no grant, unless one holds for its server: see `nix-fetchhost cache --help`\n");
        }
        return context.printer.result(explained.trim_end());
    }
    let all = catalog::select_all(&context.engine()?, fetcher).await?;
    let credentials = fetching::credentials(credential)?;
    let consent = Consent {
        // Asking what a credential would do supposes that its origin is typed, as on `run`.
        typed_origins: if credentials.is_empty() {
            Vec::new()
        } else {
            vec![origin.clone()]
        },
        allow: fetching::origins(allow)?,
        credentials,
        ..Consent::default()
    };
    let mut explained = Vec::new();
    for selected in all {
        let broker = Broker::new(
            selected.id.clone(),
            &selected.fetcher,
            selected.description()?,
            &context.settings.config,
            Some(&consent),
        )?;
        explained.push(broker.explain(&origin).to_string());
    }
    context.printer.result(explained.join("\n").trim_end())
}
