//! An archive of which one learns why it ended.

use std::io::{self, BufRead, Read};
use std::sync::{Arc, OnceLock};

use fetchhost_sinks::Archive;

/// Why the system could not read an archive. What does not decompress, or is no archive, was read.
#[derive(Clone, Default)]
pub(crate) struct Refused(Arc<OnceLock<String>>);

impl Refused {
    pub(crate) fn reason(&self) -> Option<&str> {
        self.0.get().map(String::as_str)
    }
}

/// The archive, and where it will be written down why the system could not read it.
pub(crate) fn watched(archive: Archive) -> (Archive, Refused) {
    let refused = Refused::default();
    let watched = Watched {
        archive,
        refused: refused.clone(),
    };
    (Box::new(watched), refused)
}

struct Watched {
    archive: Archive,
    refused: Refused,
}

impl Read for Watched {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        note(&self.refused, self.archive.read(buffer))
    }
}

impl BufRead for Watched {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        note(&self.refused, self.archive.fill_buf())
    }

    fn consume(&mut self, amount: usize) {
        self.archive.consume(amount);
    }
}

fn note<T>(refused: &Refused, result: io::Result<T>) -> io::Result<T> {
    if let Err(error) = &result
        && error.raw_os_error().is_some()
        && error.kind() != io::ErrorKind::Interrupted
    {
        // The first one says it.
        let _ = refused.0.set(error.to_string());
    }
    result
}
