//! DRV as typed, or as `nix-instantiate` prints it.
//!
//! | text | read as |
//! |---|---|
//! | `/nix/store/…-x.drv` | itself |
//! | `/nix/store/…-x.drv!out`, `/nix/store/…-x.drv^out,dev` | the derivation: its outputs need the same inputs |
//! | `./x.drv`, a link to one of the above, as `nix-instantiate --add-root` makes it | what it leads to |
//! | `/nix/store/…-x` | refused: an output does not say what made it |

use std::path::Path;

use fetchhost_formats::{STORE_DIR, StorePath};
use fetchhost_policy::printable;

use crate::failure::Failure;

/// The ends of a derivation's name.
const SUFFIX: &str = ".drv";

/// Reads one.
pub(crate) fn parse(text: &str) -> Result<StorePath, Failure> {
    let (path, outputs) = match text.find(['^', '!']) {
        // Neither can stand in a store path.
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    if outputs.is_some_and(|names| !are_outputs(names)) {
        return Err(refuse(
            text,
            "what follows `^` or `!` is not `*` or names of outputs",
        ));
    }
    let target;
    let path = if path.starts_with(STORE_DIR) {
        path
    } else {
        target = std::fs::read_link(Path::new(path)).map_err(|_| refuse_other(text))?;
        &*target.to_string_lossy()
    };
    let path: StorePath = path
        .parse()
        .map_err(|error: fetchhost_formats::StorePathError| refuse(text, &error.to_string()))?;
    if path.name().ends_with(SUFFIX) {
        return Ok(path);
    }
    Err(refuse(text, "it is not a derivation but something that one may have made").with_hint(
        "name the derivation: `nix-instantiate FILE` prints it, and `nix-store --query --deriver` finds it for a path that is there",
    ))
}

/// What people type instead: a file of expressions, or an output of a flake.
fn refuse_other(text: &str) -> Failure {
    let failure = refuse(text, "it is neither a store path nor a link to one");
    let shown = printable(text);
    if text.contains('#') {
        failure.with_hint(format!(
            "of a flake, name the derivation: `nix-fetchhost realise \"$(nix path-info --derivation {shown})\"`"
        ))
    } else if Path::new(text).exists() {
        failure.with_hint(format!(
            "a file of expressions is named with `--file {shown}`"
        ))
    } else {
        failure
    }
}

fn are_outputs(names: &str) -> bool {
    let plain = |name: &str| {
        !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"+-._?=".contains(&byte))
    };
    names == "*" || names.split(',').all(plain)
}

fn refuse(text: &str, why: &str) -> Failure {
    Failure::usage(format!("`{}`: {why}", printable(text)))
        .with_hint("DRV is a store path that ends in `.drv`, or a link to one")
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRV: &str = "/nix/store/00000000000000000000000000000000-x.drv";

    #[test]
    fn a_derivation_is_named_with_or_without_its_outputs() {
        for suffix in ["", "^out", "!out", "^*", "^out,dev"] {
            assert_eq!(parse(&format!("{DRV}{suffix}")).unwrap().to_string(), DRV);
        }
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("x.drv");
        std::os::unix::fs::symlink(DRV, &link).unwrap();
        assert_eq!(parse(link.to_str().unwrap()).unwrap().to_string(), DRV);
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "^out",
            "x.drv",
            "/etc/passwd",
            "/nix/store",
            "/nix/store/",
            "/nix/storeX/00000000000000000000000000000000-x.drv",
            "/nix/store/../../etc/x.drv",
            "/nix/store/00000000000000000000000000000000-x",
            "/nix/store/00000000000000000000000000000000-x.drv/out",
            "/nix/store/00000000000000000000000000000000-x.drv^",
            "/nix/store/00000000000000000000000000000000-x.drv^a,",
            "/nix/store/00000000000000000000000000000000-x.drv^out^dev",
            "/nix/store/00000000000000000000000000000000-x.drv!../y",
        ] {
            let failure = parse(text).unwrap_err();
            assert_eq!(failure.status, crate::exit::ExitStatus::Usage, "{text}");
        }
        let failure = parse("/nix/store/00000000000000000000000000000000-\u{1b}[31m").unwrap_err();
        assert!(!failure.message.contains('\u{1b}'), "{}", failure.message);
    }
}
