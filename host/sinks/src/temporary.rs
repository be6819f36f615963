//! Names for what is not a result yet.

/// Temporary names begin like this. They are hidden, and no reader of a cache takes them for a
/// record or an archive.
const PREFIX: &str = ".nix-fetchhost-";

/// And end like this.
const SUFFIX: &str = ".tmp";

/// A builder for temporary files and folders, which are removed when dropped.
pub(crate) fn name() -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(PREFIX).suffix(SUFFIX);
    builder
}
