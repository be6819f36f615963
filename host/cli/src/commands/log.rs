//! `nix-fetchhost log`

use crate::context::Context;
use crate::failure::Failure;
use crate::journal::{Journal, Record};

/// How many records are listed.
const LISTED: usize = 30;

/// Lists the latest runs, or shows one by its ticket.
pub(crate) fn log(context: &Context, ticket: Option<&str>) -> Result<(), Failure> {
    let Some(state) = &context.environment.state else {
        return Err(Failure::usage("there is no record without a home folder")
            .with_hint("set HOME or XDG_STATE_HOME"));
    };
    let journal = Journal::new(state);
    let records = journal.records().map_err(|error| {
        Failure::usage(format!(
            "the record `{}` cannot be read: {error}",
            journal.path().display()
        ))
    })?;
    match ticket {
        Some(ticket) => {
            let record = records
                .iter()
                .rev()
                .find(|record| record.ticket == ticket)
                .ok_or_else(|| {
                    Failure::usage(format!("no run has the ticket `{ticket}`"))
                        .with_hint("`nix-fetchhost log` lists the latest ones")
                })?;
            context.printer.json(record)
        }
        None if records.is_empty() => {
            context.printer.note("no run is recorded yet");
            Ok(())
        }
        None => {
            let skipped = records.len().saturating_sub(LISTED);
            records
                .iter()
                .skip(skipped)
                .try_for_each(|record| context.printer.result(&line(record)))
        }
    }
}

fn line(record: &Record) -> String {
    let said = match (&record.result, &record.error) {
        (Some(result), _) => result.get("storePath"),
        (None, Some(error)) => error.pointer("/error/message"),
        (None, None) => None,
    };
    let said = said.and_then(serde_json::Value::as_str).unwrap_or_default();
    let said = said.lines().next().unwrap_or_default();
    // What follows on further lines is left out.
    let said = said.strip_suffix(':').unwrap_or(said);
    format!(
        "{}  {}  {:>3}  {}  {said}",
        record.time, record.ticket, record.exit_code, record.fetcher
    )
}
