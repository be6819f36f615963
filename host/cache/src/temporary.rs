//! Names for what is not a result yet.

use std::io;

/// Temporary names begin like this. They are hidden, and no reader of a cache takes them for a
/// record or an archive.
const PREFIX: &str = ".nix-fetchhost-";

/// And end like this.
const SUFFIX: &str = ".tmp";

/// A builder for temporary files and folders, which are removed when dropped.
pub fn name() -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(PREFIX).suffix(SUFFIX);
    builder
}

/// Why something temporary cannot be made, without the name that it would have had: nobody chose
/// that, and nothing is there to look at.
pub fn without_name(error: io::Error) -> io::Error {
    // The library keeps the system's error as text alone.
    match error.to_string().split_once(" at path ") {
        Some((reason, _)) => io::Error::new(error.kind(), reason.to_owned()),
        None => error,
    }
}

/// Whether a name in a cache is that of something that a publisher has not finished: ours, or Nix's, which
/// writes to `NAME.tmp.PID.N`.
pub(crate) fn is_temporary(name: &str) -> bool {
    let last = name.rsplit('/').next().unwrap_or(name);
    if last.starts_with(PREFIX) && last.ends_with(SUFFIX) {
        return true;
    }
    let Some((_, numbers)) = last.split_once(".tmp.") else {
        return false;
    };
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    numbers
        .split_once('.')
        .is_some_and(|(process, count)| is_number(process) && is_number(count))
}
