//! `nix-fetchhost memo`: what is remembered.

mod list;
mod transfer;

use std::sync::Arc;

use fetchhost_credentials::ask_hidden;
use fetchhost_memo::{Memo, MemoId};
use fetchhost_policy::printable;

use crate::args::memo::MemoCommand;
use crate::caches;
use crate::context::Context;
use crate::failure::Failure;
use crate::signing;

/// The fewest digits that stand for an id.
const MIN_DIGITS: usize = 8;
/// The digits of a whole id.
const DIGITS: usize = 64;

/// Does what was typed after `memo`.
pub(crate) async fn memo(context: &Context, command: &MemoCommand) -> Result<(), Failure> {
    match command {
        MemoCommand::List { .. } => list::list(context),
        MemoCommand::Show { id } => list::show(context, id).await,
        MemoCommand::Forget { id } => forget(context, id).await,
        MemoCommand::Export { file } => transfer::export(context, file.as_deref()),
        MemoCommand::Import {
            file,
            unsigned_results,
        } => transfer::import(context, file, *unsigned_results),
    }
}

/// Writes tombstones.
async fn forget(context: &Context, ids: &[String]) -> Result<(), Failure> {
    let memo = shared(context)?;
    let printer = context.printer;
    let ids = ids.to_vec();
    caches::work(move |stopping| {
        let ids = ids
            .iter()
            .map(|text| find(&memo, text))
            .collect::<Result<Vec<_>, _>>()?;
        for id in ids {
            if stopping.is_asked_for() {
                break;
            }
            let buried = memo.forget(id)?;
            let told = match (buried.here, buried.together) {
                (false, false) => "was not remembered",
                (true, false) => "is forgotten here",
                (false, true) => "is forgotten where it is shared",
                (true, true) => "is forgotten, here and where it is shared",
            };
            printer.note(&format!("{id} {told}"));
        }
        Ok(())
    })
    .await
}

/// What is remembered here, and where it is shared.
fn shared(context: &Context) -> Result<Memo, Failure> {
    let client = context.client(Arc::new(context.keyring().asking(ask_hidden)));
    signing::memo(context, &client)
}

/// The id that is meant.
fn find(memo: &Memo, text: &str) -> Result<MemoId, Failure> {
    const LISTED: &str = "`nix-fetchhost memo list` lists those of this machine";
    let error = match text.parse() {
        Ok(id) => return Ok(id),
        Err(error) => error,
    };
    let is_beginning = (MIN_DIGITS..DIGITS).contains(&text.len())
        && text
            .bytes()
            .all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    if !is_beginning {
        return Err(
            Failure::usage(format!("{error}, or its first {MIN_DIGITS} or more")).with_hint(LISTED),
        );
    }
    let listed = memo.list()?;
    let mut meant = listed.iter().filter(|entry| entry.id.starts_with(text));
    match (meant.next(), meant.next()) {
        (Some(entry), None) => entry
            .id
            .parse()
            .map_err(|error: fetchhost_memo::MemoIdError| Failure::usage(error.to_string())),
        (Some(_), Some(_)) => Err(Failure::usage(format!(
            "several ids begin with `{}`",
            printable(text)
        ))
        .with_hint("write more digits")),
        (None, _) => Err(Failure::usage(format!(
            "nothing that is remembered here has an id that begins with `{text}`"
        ))
        .with_hint(LISTED)),
    }
}
