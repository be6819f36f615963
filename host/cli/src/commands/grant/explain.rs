//! `nix-fetchhost grant explain`

use fetchhost_policy::{Broker, Consent, Origin};

use crate::catalog;
use crate::context::Context;
use crate::failure::{Failure, with_causes};
use crate::fetching;

/// Explains what a fetcher may ask of an origin, and why.
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
    let selected = catalog::select(&context.engine()?, fetcher).await?;
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
    };
    let broker = Broker::new(
        selected.id.clone(),
        &selected.fetcher,
        selected.description()?,
        &context.settings.config,
        Some(&consent),
    )?;
    context
        .printer
        .result(broker.explain(&origin).to_string().trim_end())
}
