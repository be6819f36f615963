//! `nix-fetchhost approve --key NAME DIGEST…`: contents that a key may sign without its name being typed.

use fetchhost_formats::{Hash, HashAlgorithm, hex};
use fetchhost_keys::Signers;
use fetchhost_policy::printable;

use crate::args::ApproveArgs;
use crate::commands::key::{find, of_key};
use crate::context::Context;
use crate::failure::Failure;
use crate::signing;

/// Approves digests for a key, takes that back, or lists what is approved for it.
pub(super) async fn approve(
    context: &Context,
    args: &ApproveArgs,
    key: &str,
) -> Result<(), Failure> {
    let digests = args
        .what
        .iter()
        .map(|text| digest(&text.to_string_lossy()))
        .collect::<Result<Vec<_>, _>>()?;
    let spec = find(context, key)?;
    let name = spec.name.clone();
    let memo = signing::memo_here(context)?;
    // An agent or a token may take its time.
    let found = tokio::task::spawn_blocking(move || Signers::new().public_key(&spec));
    let public = found
        .await
        .map_err(|_| Failure::usage("the key could not be looked at"))?
        .map_err(|error| of_key(&error))?;
    let fingerprint = public.fingerprint();
    if args.list {
        let mut is_any = false;
        for approved in memo
            .approvals()?
            .iter()
            .filter(|one| one.key == fingerprint)
        {
            is_any = true;
            context
                .printer
                .result(&format!("sha256:{}", hex(&approved.content)))?;
        }
        if !is_any {
            context
                .printer
                .note(&format!("nothing is approved for the key `{name}`"));
        }
        return Ok(());
    }
    let (count, done) = match args.withdraw {
        true => (memo.withdraw(&fingerprint, &digests)?, "no longer approved"),
        false => (memo.approve(&fingerprint, &digests)?, "approved"),
    };
    let others = match digests.len() - count {
        0 => String::new(),
        others if args.withdraw => format!("; {others} were not"),
        others => format!("; {others} were before"),
    };
    context.printer.note(&format!(
        "{count} of {} digests {done} for the key `{name}` ({fingerprint}){others}",
        digests.len()
    ));
    Ok(())
}

/// Whether `text` is what a key could sign, rather than a file.
pub(super) fn is_one(text: &str) -> bool {
    sha256(text).is_some()
}

fn digest(text: &str) -> Result<[u8; 32], Failure> {
    sha256(text).ok_or_else(|| {
        Failure::usage(format!("`{}` is no SHA-256 of a content", printable(text))).with_hint(
            "write `sha256:` and the hex digits that `sha256sum FILE` prints, or `sha256-…` (SRI)",
        )
    })
}

/// A SHA-256 as it is written anywhere.
fn sha256(text: &str) -> Option<[u8; 32]> {
    let hash = text.parse::<Hash>().ok()?;
    match hash.algorithm() {
        HashAlgorithm::Sha256 => hash.as_bytes().try_into().ok(),
        _ => None,
    }
}
