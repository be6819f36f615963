//! Export and import: a first line that says what it is, then one entry in each line.
//!
//! **The threat.** A file from somebody else plants entries, replaces those that are there, brings back what was
//! forgotten, or fills the memory.
//!
//! **The rule.** An import adds, and changes nothing that is there. Names are recomputed. A signature is a candidate,
//! verified whenever it is used; a result comes in signed by a trusted key, or by the user's word. Lines longer than an
//! entry are skipped without being held.

use std::io::{BufRead, Read as _, Write};
use std::time::SystemTime;

use fetchhost_cache::MAX_MEMO;
use serde_json::{Value, json};

use crate::error::{Flaw, MemoError};
use crate::memo::Memo;
use crate::record::Record;

/// The member of the first line, and its only version.
const HEADER: &str = "nix-fetchhost-memo";
const VERSION: u64 = 1;

/// How many entries are written at once.
const AT_ONCE: usize = 256;

/// How many refused lines are told one by one.
const TOLD: usize = 100;

/// What becomes of results in an import that no trusted key has signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnsignedResults {
    /// They are refused.
    Refuse,
    /// They are taken as if they had been fetched here: only by the user's express word, for such a hash decides what
    /// is fetched later.
    Take,
}

/// What became of an import.
#[derive(Debug, Default)]
pub struct Imported {
    /// Entries that are here by it.
    pub taken: u64,
    /// Those that were here, which stayed as they were.
    pub present: u64,
    /// How many were refused.
    pub refused: u64,
    /// The first of these.
    pub examples: Vec<Refused>,
}

/// A line that was refused.
#[derive(Debug)]
pub struct Refused {
    /// Its number in the file; the first one has 1.
    pub line: u64,
    /// Why.
    pub flaw: Flaw,
}

impl Memo {
    /// Writes all entries of the local file that are some, tombstones too; approvals stay here. How many.
    ///
    /// # Errors
    /// When the file cannot be read, or `out` not written to.
    pub fn export(&self, out: &mut dyn Write) -> Result<u64, MemoError> {
        writeln!(out, "{}", json!({ HEADER: VERSION })).map_err(MemoError::Transfer)?;
        let mut count = 0;
        self.local.each(|id, text| {
            let record = id.parse().map_err(|_| Flaw::OtherId);
            match record.and_then(|id| Record::parse_as(text, id)) {
                Ok(record) => {
                    count += 1;
                    writeln!(out, "{}", record.to_json()).map_err(MemoError::Transfer)
                }
                Err(flaw) => {
                    self.warn(&format!("the entry `{id}` is not exported: {flaw}"));
                    Ok(())
                }
            }
        })?;
        out.flush().map_err(MemoError::Transfer)?;
        Ok(count)
    }

    /// Takes the entries of an export that are not here.
    ///
    /// # Errors
    /// When `input` is no export or cannot be read, or the local file cannot be written to. What was taken before
    /// that stays.
    pub fn import(
        &self,
        input: &mut dyn BufRead,
        unsigned: UnsignedResults,
    ) -> Result<Imported, MemoError> {
        check_header(line(input)?)?;
        let mut imported = Imported::default();
        let mut number = 1;
        let mut waiting = Vec::new();
        while let Some(text) = line(input)? {
            number += 1;
            if text.is_empty() {
                continue;
            }
            match self.admit(&text, unsigned) {
                Ok(record) => waiting.push((number, record)),
                Err(flaw) => imported.refuse(number, flaw),
            }
            if waiting.len() == AT_ONCE {
                self.take(&mut waiting, &mut imported)?;
            }
        }
        self.take(&mut waiting, &mut imported)?;
        Ok(imported)
    }

    /// Reads a line of an import.
    fn admit(&self, text: &[u8], unsigned: UnsignedResults) -> Result<Record, Flaw> {
        let mut record = Record::parse(text)?;
        if let Record::Result(result) = &mut record {
            if result.result.expires <= SystemTime::now() {
                return Err(Flaw::Expired);
            }
            if !result.is_signed_by(&self.trusted) {
                if unsigned == UnsignedResults::Refuse {
                    return Err(Flaw::Untrusted);
                }
                result.signatures.clear();
            }
        }
        Ok(record)
    }

    /// Writes what is not here.
    fn take(
        &self,
        waiting: &mut Vec<(u64, Record)>,
        imported: &mut Imported,
    ) -> Result<(), MemoError> {
        let texts = waiting
            .iter()
            .map(|(_, record)| (record.id(), record.to_json()));
        let texts: Vec<_> = texts.collect();
        let written = self.local.insert(&texts)?;
        for ((number, record), is_written) in waiting.drain(..).zip(written) {
            if is_written {
                imported.taken += 1;
                continue;
            }
            let id = record.id();
            let there = self.local.get(id)?;
            let there = there.and_then(|text| Record::parse_as(&text, id).ok());
            let is_tombstone = |record: &Record| matches!(record, Record::Forgotten(_));
            if there.as_ref().is_some_and(is_tombstone) && !is_tombstone(&record) {
                imported.refuse(number, Flaw::Forgotten);
            } else {
                imported.present += 1;
            }
        }
        Ok(())
    }
}

impl Imported {
    fn refuse(&mut self, line: u64, flaw: Flaw) {
        self.refused += 1;
        if self.examples.len() < TOLD {
            self.examples.push(Refused { line, flaw });
        }
    }
}

fn check_header(line: Option<Vec<u8>>) -> Result<(), MemoError> {
    let no_export = |reason: &str| MemoError::NoExport(reason.to_owned());
    let header = line.and_then(|line| serde_json::from_slice::<Value>(&line).ok());
    let version = header.as_ref().and_then(|header| header.get(HEADER));
    match version.map(Value::as_u64) {
        Some(Some(VERSION)) => Ok(()),
        Some(_) => Err(no_export("its version is unknown to this program")),
        None => Err(no_export("its first line does not say so")),
    }
}

/// The next line without its end: of one that is too long to be an entry as much as shows that.
fn line(input: &mut dyn BufRead) -> Result<Option<Vec<u8>>, MemoError> {
    let mut line = Vec::new();
    let mut start = (&mut *input).take(MAX_MEMO + 2);
    let read = start.read_until(b'\n', &mut line);
    if read.map_err(MemoError::Transfer)? == 0 {
        return Ok(None);
    }
    if line.last() != Some(&b'\n') && line.len() as u64 > MAX_MEMO {
        input.skip_until(b'\n').map_err(MemoError::Transfer)?;
    }
    if line.last() == Some(&b'\n') {
        line.pop();
    }
    Ok(Some(line))
}
