//! Messages for the user. The host escapes control characters and takes at most 1 MiB in one fetch.

use crate::bindings::nix_fetchhost::fetcher::log as raw;

/// For the author of the fetcher; shown with `-v`.
pub fn debug(message: impl AsRef<str>) {
    raw::debug(message.as_ref());
}

/// For the user, in passing.
pub fn info(message: impl AsRef<str>) {
    raw::info(message.as_ref());
}

/// For the user, who should know although the fetch goes on.
pub fn warn(message: impl AsRef<str>) {
    raw::warn(message.as_ref());
}

/// What the fetcher does from now on, in a few words, for the progress line: `looking up the release`.
pub fn phase(name: impl AsRef<str>) {
    raw::phase(name.as_ref());
}
