//! Searching temporary files for secrets that were sent: `fetchhost_transport::Echo` has the rule.

use std::ops::Range;

use fetchhost_artifact::SpooledBlob;
use fetchhost_policy::Origin;
use fetchhost_transport::{Echo, SEARCHED_BYTES};

use crate::host::error;
use crate::trap::Stop;

/// Searches a part of a file, together with what could begin before it or end after it. `origin`
/// says who sent the byte at a position.
pub(crate) fn check_part(
    echo: &Echo,
    blob: &SpooledBlob,
    offset: u64,
    length: usize,
    origin: impl Fn(u64) -> Origin,
) -> wasmtime::Result<()> {
    let Some(patterns) = echo.patterns() else {
        return Ok(());
    };
    let margin = patterns.margin() as u64;
    let start = offset.saturating_sub(margin);
    let end = (offset + length as u64 + margin).min(blob.len());
    let length = usize::try_from(end - start).unwrap_or(usize::MAX);
    let bytes = blob.read(start, length).map_err(error::temporary)?;
    patterns
        .check(&bytes, |position| origin(start + position as u64))
        .map_err(Stop::from)?;
    Ok(())
}

/// Searches an answer of which the module makes content without having read it: `part` of the file.
pub(crate) fn check_content(
    echo: &Echo,
    blob: &SpooledBlob,
    part: Range<u64>,
    origin: impl Fn(u64) -> Origin,
) -> wasmtime::Result<()> {
    if !echo.went_to(&origin(part.start)) {
        return Ok(());
    }
    let length = usize::try_from(part.end - part.start).unwrap_or(usize::MAX);
    check_part(echo, blob, part.start, length.min(SEARCHED_BYTES), origin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_secret_nothing_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = fetchhost_artifact::Spool::create(folder.path()).unwrap();
        spool.append(b"0123456789").unwrap();
        let blob = spool.finish().unwrap();
        let origin: Origin = "https://gitlab.example.com".parse().unwrap();
        let echo = Echo::default();
        assert!(check_part(&echo, &blob, 0, 10, |_| origin.clone()).is_ok());
        assert!(check_content(&echo, &blob, 0..10, |_| origin.clone()).is_ok());
    }
}
