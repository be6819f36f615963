//! Store paths, as they are typed for a cache.

use std::path::Path;

use fetchhost_formats::StorePath;
use fetchhost_policy::printable;
use fetchhost_sinks::{StoreError, resolve_logical};

use crate::failure::Failure;

/// The store path that is meant: by itself, by its last part, by something in it, or by a link to it, such as `result`.
/// It need not be on this machine.
pub(super) fn store_path(typed: &str) -> Result<StorePath, Failure> {
    if let Ok(path) = StorePath::from_base_name(typed) {
        return Ok(path);
    }
    resolve_logical(Path::new(typed)).map_err(|error| {
        let problem = match error {
            StoreError::NotInStore { problem, .. } => problem,
            error => error.to_string(),
        };
        Failure::usage(format!(
            "`{}` is no store path: {problem}",
            printable(typed)
        ))
        .with_hint("name a store path, /nix/store/HASH-NAME, or a link to one")
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_link_leads_where_it_stands_and_no_further_than_into_the_store() {
        let one = format!("{}-one", "0".repeat(32));
        let two = format!("{}-two", "1".repeat(32));
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        // As the profiles of Nix are made.
        symlink("system-1-link", at("system")).unwrap();
        symlink(format!("/nix/store/{one}"), at("system-1-link")).unwrap();
        std::fs::create_dir(at("tree")).unwrap();
        symlink(format!("/nix/store/{two}/bin/sh"), at("tree/sh")).unwrap();
        for (typed, name) in [
            (one.clone(), "one"),
            (format!("/nix/store/{one}"), "one"),
            (format!("/nix/store//{one}/"), "one"),
            (format!("/nix/store/{two}/../{one}/bin"), "one"),
            (at("system"), "one"),
            (at("system/sw/bin/sh"), "one"),
            (at("tree/sh"), "two"),
        ] {
            assert_eq!(store_path(&typed).unwrap().name(), name, "{typed}");
        }
        for typed in [
            "",
            ".",
            "/",
            "/nix/store",
            "/nix/store/x",
            "/etc",
            &at("gone"),
        ] {
            let failure = store_path(typed).unwrap_err();
            assert!(failure.message.contains("is no store path"), "{typed}");
        }
    }
}
