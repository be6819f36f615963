//! `nix-fetchhost gc`

use std::path::Path;
use std::time::{Duration, SystemTime};
use std::{fs, io};

use crate::context::Context;
use crate::failure::Failure;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Removes compiled modules that were not used for `days` days. They are compiled again when needed.
pub(crate) fn gc(context: &Context, days: u32, dry_run: bool) -> Result<(), Failure> {
    let Some(folder) = context.compiled_modules() else {
        return Err(Failure::usage("there is no cache without a home folder")
            .with_hint("set HOME or XDG_CACHE_HOME"));
    };
    let unused = unused(&folder, DAY * days).map_err(|error| failed(&folder, &error))?;
    let mut freed = 0;
    for (path, size) in unused {
        if !dry_run {
            fs::remove_file(&path).map_err(|error| failed(&path, &error))?;
        }
        freed += size;
        context.printer.result(&path.display().to_string())?;
    }
    let verb = if dry_run { "would be freed" } else { "freed" };
    context
        .printer
        .note(&format!("{} {verb}", indicatif::HumanBytes(freed)));
    Ok(())
}

/// The files below `folder` that nobody read or wrote for that long, with their sizes in bytes.
fn unused(folder: &Path, age: Duration) -> io::Result<Vec<(std::path::PathBuf, u64)>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let now = SystemTime::now();
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        let metadata = entry.metadata()?;
        if !metadata.is_file() {
            continue;
        }
        // Where access times are not kept, they stay at the last change: then it is compiled once more.
        let used = metadata
            .accessed()
            .or_else(|_| metadata.modified())?
            .max(metadata.modified()?);
        if now.duration_since(used).is_ok_and(|unused| unused >= age) {
            found.push((entry.path(), metadata.len()));
        }
    }
    found.sort();
    Ok(found)
}

fn failed(path: &Path, error: &io::Error) -> Failure {
    Failure::usage(format!("`{}` cannot be cleaned: {error}", path.display()))
}
