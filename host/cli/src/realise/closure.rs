//! Every derivation that some derivations need, those included.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use fetchhost_formats::{Derivation, MAX_DERIVATION_BYTES, StorePath};
use fetchhost_sinks::Place;
use rustix::fs::{Mode, OFlags};

/// How many derivations are read. The largest systems have some tens of thousands.
const MAX_DERIVATIONS: usize = 1_000_000;

/// A derivation of which nothing is known.
#[derive(Debug)]
pub(crate) struct Unreadable {
    /// Its path.
    pub(crate) path: StorePath,
    /// What is wrong with it.
    pub(crate) reason: String,
}

/// Shows `visit` every derivation once: each before those that it needs, which come sorted. So the order
/// depends on nothing else. May block.
pub(crate) fn walk(
    place: &Place,
    roots: &[StorePath],
    mut visit: impl FnMut(&StorePath, &Derivation),
) -> Vec<Unreadable> {
    let mut unreadable = Vec::new();
    let mut seen: HashSet<StorePath> = HashSet::new();
    let mut waiting: Vec<StorePath> = roots.iter().rev().cloned().collect();
    // Paths contain a hash of what is in the file, so that a chain of them never comes back; but who can
    // write to the store can write anything, and what was seen is not read again.
    while let Some(path) = waiting.pop() {
        if !seen.insert(path.clone()) {
            continue;
        }
        if seen.len() > MAX_DERIVATIONS {
            let reason = format!("it is one of more than {MAX_DERIVATIONS} derivations");
            unreadable.push(Unreadable { path, reason });
            break;
        }
        match read(&place.physical(&path), &path) {
            Ok(derivation) => {
                visit(&path, &derivation);
                let inputs: Vec<_> = derivation.inputs().collect();
                waiting.extend(inputs.into_iter().rev().filter(|path| !seen.contains(path)));
            }
            Err(reason) => unreadable.push(Unreadable { path, reason }),
        }
    }
    unreadable
}

/// Reads one derivation.
pub(crate) fn read(file: &Path, path: &StorePath) -> Result<Derivation, String> {
    let content = content(file).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => "it is not in this store".to_owned(),
        _ => format!("it cannot be read: {error}"),
    })?;
    Derivation::parse(path, &content).map_err(|error| error.to_string())
}

/// The content of a plain file, with one byte more than is allowed where it is too large.
fn content(file: &Path) -> io::Result<Vec<u8>> {
    // Neither a link out of the store nor a pipe that nobody writes to.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = File::from(rustix::fs::open(file, flags, Mode::empty())?);
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a plain file"));
    }
    let mut content = Vec::new();
    file.take(MAX_DERIVATION_BYTES as u64 + 1)
        .read_to_end(&mut content)?;
    Ok(content)
}
