//! `nix-fetchhost memo list` and `show`.

use fetchhost_formats::hex;
use fetchhost_memo::{Flaw, Record};
use fetchhost_policy::printable;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::{find, shared};
use crate::caches;
use crate::context::Context;
use crate::failure::Failure;
use crate::report::SCHEMA_VERSION;
use crate::signing;

/// What `memo list --json` prints.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(title = "nix-fetchhost memo")]
struct MemoReport {
    /// 1.
    schema_version: u32,
    /// What is remembered on this machine, in the order of the ids.
    entries: Vec<EntryReport>,
}

/// One entry.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct EntryReport {
    /// Its id.
    id: String,
    /// The entry, as it is exported; null when it is damaged.
    entry: Option<Value>,
    /// What is wrong with it.
    problem: Option<String>,
}

/// Lists what is remembered on this machine.
pub(super) fn list(context: &Context) -> Result<(), Failure> {
    let listed = signing::memo_here(context)?.list()?;
    if context.printer.json {
        let entries = listed.iter().map(|one| EntryReport {
            id: one.id.clone(),
            entry: one
                .record
                .as_ref()
                .ok()
                .and_then(|record| serde_json::from_str(&record.to_json()).ok()),
            problem: one.record.as_ref().err().map(ToString::to_string),
        });
        return context.printer.json(&MemoReport {
            schema_version: SCHEMA_VERSION,
            entries: entries.collect(),
        });
    }
    if listed.is_empty() {
        context.printer.note("nothing is remembered yet");
    }
    listed.iter().try_for_each(|one| {
        let line = match &one.record {
            Ok(record) => line(record),
            Err(flaw) => format!("not used: {flaw}"),
        };
        context.printer.result(&format!("{}  {line}", one.id))
    })
}

fn time(time: std::time::SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string()
}

/// An entry in one line. Words of whoever made it stand in it, of an import even anybody's.
fn line(record: &Record) -> String {
    let line = match record {
        Record::Signature(signature) => format!(
            "{}  {}  sha256:{}  {}  {}",
            time(signature.made()),
            signature.key.format,
            hex(&signature.key.content),
            signature.key.key,
            signature.key.domain,
        ),
        Record::Result(result) => format!(
            "{}  {}  {}  not verified, until {}  {}",
            time(result.made()),
            result.key.fetcher,
            result.result.hash,
            time(result.result.expires),
            result.key.domain,
        ),
        Record::Forgotten(tombstone) => format!("{}  forgotten", time(tombstone.forgotten())),
    };
    printable(&line).into_owned()
}

/// All members of an entry, on several lines.
fn members(record: &Record) -> String {
    let text = match serde_json::from_str::<Value>(&record.to_json()) {
        Ok(value) => format!("{value:#}"),
        Err(_) => return line(record),
    };
    // JSON escapes but a part of what a terminal obeys.
    let lines: Vec<_> = text.lines().map(printable).collect();
    lines.join("\n")
}

/// Shows what is remembered under an id.
pub(super) async fn show(context: &Context, id: &str) -> Result<(), Failure> {
    let memo = shared(context)?;
    let (printer, id) = (context.printer, id.to_owned());
    caches::work(move |_| {
        let id = find(&memo, &id)?;
        let shown = memo.show(id)?;
        if shown.here.is_none() && shown.together.is_none() {
            return Err(
                Failure::usage(format!("nothing is remembered under `{id}`"))
                    .with_hint("`nix-fetchhost memo list` lists what is, on this machine"),
            );
        }
        let sides = [("here", &shown.here), ("shared", &shown.together)];
        let text = |entry: &Result<Record, Flaw>| match entry {
            Ok(record) => members(record),
            Err(flaw) => format!("not used: {flaw}"),
        };
        sides.iter().try_for_each(|(side, entry)| match entry {
            Some(entry) => printer.result(&format!("{side}: {}", text(entry))),
            None => Ok(()),
        })
    })
    .await
}

#[cfg(test)]
mod tests {
    use crate::report::tests::is_published;

    use super::*;

    #[test]
    fn nothing_of_an_import_acts_on_the_terminal() {
        let folder = tempfile::tempdir().unwrap();
        let memo = fetchhost_memo::Memo::open(&folder.path().join("memo.sqlite")).unwrap();
        let key = fetchhost_memo::SignatureKey {
            domain: "acme".parse().unwrap(),
            content: [7; 32],
            key: "\u{1b}[2J\nours".to_owned(),
            format: fetchhost_policy::Use::Minisign,
            parameters: [("trusted-comment".to_owned(), "\u{9b}2J\u{202e}".to_owned())].into(),
        };
        memo.remember_signature(&key, b"x", &|_| Ok(())).unwrap();
        for one in memo.list().unwrap() {
            let record = one.record.unwrap();
            for text in [line(&record), members(&record).replace('\n', "")] {
                assert_eq!(printable(&text), text);
            }
        }
    }

    #[test]
    fn the_schema_is_the_published_one() {
        is_published::<MemoReport>(include_str!("../../../../../docs/schema/memo.schema.json"));
    }
}
