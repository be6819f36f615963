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
