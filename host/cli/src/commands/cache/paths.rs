//! Store paths, as they are typed for a cache.

use std::fs;

use fetchhost_formats::{STORE_DIR, StorePath};
use fetchhost_policy::printable;

use crate::failure::Failure;

/// How many links are followed.
const MAX_LINKS: usize = 16;

/// The store path that is meant: by itself, by its last part, by something in it, or by a link to it, such as `result`.
pub(super) fn store_path(typed: &str) -> Result<StorePath, Failure> {
    let mut text = typed.trim_end_matches('/').to_owned();
    for _ in 0..MAX_LINKS {
        if text.starts_with(STORE_DIR) {
            break;
        }
        match fs::read_link(&text) {
            Ok(target) => text = target.to_string_lossy().into_owned(),
            Err(_) => break,
        }
    }
    let below = text
        .strip_prefix(STORE_DIR)
        .map(|rest| rest.trim_start_matches('/'));
    let base_name = below
        .and_then(|below| below.split('/').next())
        .unwrap_or(&text);
    StorePath::from_base_name(base_name).map_err(|error| {
        Failure::usage(format!("`{}` is no store path: {error}", printable(typed)))
            .with_hint("name a store path, /nix/store/HASH-NAME, or a link to one")
    })
}
