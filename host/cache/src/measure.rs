//! What the NAR of one record really is.

use std::io;

use fetchhost_formats::{Compression, NarInfo};
use thiserror::Error;

use crate::cache::Cache;
use crate::error::CacheError;
use crate::objects::Key;
use crate::verify::{Fault, Measured, measure};

/// Why a NAR is not known to be what its record says.
#[derive(Debug, Error)]
pub enum Mismeasured {
    /// It was seen to be something else, or nothing.
    #[error(transparent)]
    Fault(Box<Fault>),
    /// It cannot be unpacked here.
    #[error("its NAR is packed with `{}`, which only Nix undoes", .0.name())]
    Packed(Compression),
    /// It cannot be read.
    #[error("its NAR cannot be read: {0}")]
    Unreadable(#[source] io::Error),
}

impl Mismeasured {
    /// Whether what was read shows that the record is false; otherwise nothing is known.
    #[must_use]
    pub fn is_false(&self) -> bool {
        match self {
            Self::Fault(fault) => {
                !matches!(**fault, Fault::Elsewhere { .. } | Fault::Missing { .. })
            }
            Self::Packed(_) | Self::Unreadable(_) => false,
        }
    }
}

impl From<Fault> for Mismeasured {
    fn from(fault: Fault) -> Self {
        Self::Fault(Box::new(fault))
    }
}

impl Cache {
    /// Reads the NAR of a record to its end, or to the length that the record says, in memory that does not
    /// grow with it, and compares: hash and length, and the contents with the content address where there is
    /// one that this program can compute. What was read is returned when all of it agrees.
    ///
    /// # Errors
    /// The outer one when the cache cannot be asked, the inner one when the NAR is not what the record says.
    pub fn measure(&self, record: &NarInfo) -> Result<Result<Measured, Mismeasured>, CacheError> {
        let Some(key) = Key::nar(&record.url) else {
            let url = record.url.to_string();
            return Ok(Err(Fault::Elsewhere { url }.into()));
        };
        let Some(file) = self.objects().open(&key)? else {
            return Ok(Err(Fault::Missing { nar: key }.into()));
        };
        Ok(match measure(record, file) {
            Err(error) => Err(Mismeasured::Unreadable(error)),
            Ok(measured) if measured.is_packed => Err(Mismeasured::Packed(record.compression)),
            Ok(measured) => match measured.faults.first() {
                Some(fault) => Err(fault.clone().into()),
                None => Ok(measured),
            },
        })
    }
}
