//! What the output's hash must be.

use std::sync::Arc;

use fetchhost_formats::{Hash, HashAlgorithm};
use fetchhost_pipeline::Expectation;
use serde_json::{Map, Value};

use super::{Remembering, Session};
use crate::catalog::Selected;
use crate::context::Context;
use crate::failure::{Failure, with_causes};

/// What the output's hash must be, when it is declared or the fetcher does nothing but sign: no signature is known
/// beforehand.
pub(crate) fn expectation(
    context: &Context,
    selected: &Selected,
    hash: Option<&str>,
) -> Result<Option<Expectation>, Failure> {
    match hash {
        Some(text) => declared_hash(context, text).map(|hash| Some(Expectation::Declared(hash))),
        None if selected.description()?.needs_no_hash() => {
            Ok(Some(Expectation::Unknown(HashAlgorithm::Sha256)))
        }
        None => Ok(None),
    }
}

/// The expectation, or one from what is remembered.
pub(crate) async fn known(
    context: &Context,
    session: &Session,
    selected: &Selected,
    params: &Map<String, Value>,
    expectation: Option<Expectation>,
    executable: bool,
    is_typed: bool,
) -> Result<(Expectation, Option<Arc<Remembering>>), Failure> {
    if let Some(expectation) = expectation {
        return Ok((expectation, None));
    }
    let remembering =
        Remembering::look_up(context, session, selected, params, executable, is_typed).await?;
    Ok((remembering.expectation(), Some(Arc::new(remembering))))
}

/// Reads a declared hash; weak ones are accepted with a warning, as Nix does.
fn declared_hash(context: &Context, text: &str) -> Result<Hash, Failure> {
    let hash: Hash = text
        .parse()
        .map_err(|error: fetchhost_formats::HashError| {
            Failure::usage(format!("`--hash {text}`: {}", with_causes(&error)))
                .with_hint("write `sha256-…` (SRI, with its `=`), or `sha256:` and hex or nix32")
        })?;
    if hash.algorithm().is_weak() {
        context.printer.warning(&format!(
            "{} no longer proves what was fetched; `prefetch` prints a sha256",
            hash.algorithm()
        ));
    }
    Ok(hash)
}
