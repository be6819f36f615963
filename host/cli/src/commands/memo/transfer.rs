//! `nix-fetchhost memo export` and `import`.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;

use fetchhost_credentials::{Existing, write_private};
use fetchhost_memo::{MemoError, UnsignedResults};

use crate::context::Context;
use crate::failure::Failure;
use crate::signing;

/// Writes all entries of this machine.
pub(super) fn export(context: &Context, file: Option<&Path>) -> Result<(), Failure> {
    let memo = signing::memo_here(context)?;
    let count = match file {
        None => match memo.export(&mut io::stdout().lock()) {
            // A reader that went away saw what it wanted.
            Err(MemoError::Transfer(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
                return Ok(());
            }
            exported => exported?,
        },
        Some(path) => {
            let mut text = Vec::new();
            let count = memo.export(&mut text)?;
            let refuse = |problem: String| {
                Failure::usage(format!("`{}` cannot be written: {problem}", path.display()))
            };
            match write_private(path, &text, Existing::Keep) {
                Ok(true) => count,
                Ok(false) => {
                    return Err(refuse("it is there already".to_owned())
                        .with_hint("name another file, or move that one away"));
                }
                Err(error) => return Err(refuse(error.to_string())),
            }
        }
    };
    io::stdout()
        .flush()
        .map_err(|error| Failure::usage(format!("stdout cannot be written: {error}")))?;
    context.printer.note(&format!("{count} entries"));
    Ok(())
}

/// Takes entries of an export.
pub(super) fn import(context: &Context, file: &Path, unsigned: bool) -> Result<(), Failure> {
    let memo = signing::memo_trusting(context)?;
    let refuse = |error: io::Error| {
        Failure::usage(format!("`{}` cannot be read: {error}", file.display()))
            .with_hint("name a file that `memo export` wrote, or `-` for stdin")
    };
    let mut input: Box<dyn BufRead> = match file.to_str() {
        Some("-") => Box::new(io::stdin().lock()),
        _ => Box::new(BufReader::new(File::open(file).map_err(refuse)?)),
    };
    let unsigned = match unsigned {
        true => UnsignedResults::Take,
        false => UnsignedResults::Refuse,
    };
    let imported = memo.import(&mut *input, unsigned)?;
    for refused in &imported.examples {
        context
            .printer
            .warning(&format!("line {}: {}", refused.line, refused.flaw));
    }
    context.printer.note(&format!(
        "{} taken, {} here before, {} refused",
        imported.taken, imported.present, imported.refused
    ));
    Ok(())
}
