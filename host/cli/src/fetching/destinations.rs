//! Where the output is wanted, from what was typed.

use fetchhost_sinks::{Destination, DestinationError};

use super::{Session, Wanted, with_hint};
use crate::caches::{self, Purpose};
use crate::context::Context;
use crate::failure::Failure;

/// The destinations that were typed, or the default one.
pub(super) fn destinations(
    context: &Context,
    session: &Session,
    wanted: &Wanted<'_>,
) -> Result<Vec<Destination>, Failure> {
    let default = wanted.default.filter(|_| wanted.to.is_empty());
    let texts = wanted.to.iter().map(String::as_str).chain(default);
    let parsed = texts.map(|text| {
        if text.starts_with("s3:") {
            // What goes to a bucket is no part of the fetch's own record.
            let client = session.client.with_own_journal();
            let cache = caches::open(context, &client, caches::parse(text)?, Purpose::One)?;
            return Ok(Destination::Cache(cache));
        }
        text.parse()
            .map_err(|error: DestinationError| with_hint(&error, error.hint()))
    });
    let mut destinations = parsed.collect::<Result<Vec<Destination>, _>>()?;
    if let Some(link) = wanted.gc_root {
        let link = std::path::absolute(link)
            .map_err(|error| Failure::usage(format!("`--gc-root {}`: {error}", link.display())))?;
        let mut stores = destinations
            .iter_mut()
            .filter_map(|destination| match destination {
                Destination::Store(store) => Some(store),
                _ => None,
            });
        match (stores.next(), stores.next()) {
            (Some(store), None) => store.gc_root = Some(link),
            _ => {
                return Err(Failure::usage(
                    "`--gc-root` needs exactly one store among the destinations",
                )
                .with_hint("add `--to store`, or leave it out: a plain file needs no root"));
            }
        }
    }
    Ok(destinations)
}
