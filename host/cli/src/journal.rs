//! The record of what was fetched: one line of JSON for each run, for the user alone.
//!
//! It holds no secrets: credentials by name, URLs without their queries (a presigned query is a
//! credential), parameters likewise.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use fetchhost_formats::hex;
use fetchhost_pipeline::Signed;
use fetchhost_policy::{DisplayUrl, parse_url};
use fetchhost_transport::Client;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::catalog::Selected;
use crate::failure::Failure;
use crate::report::{ContactReport, ErrorReport, ResultReport, SCHEMA_VERSION, SignatureReport};

/// When the record reaches this size, in bytes, it becomes the old one, and the old one goes.
const ROTATE_AT: u64 = 8 << 20;
/// Bytes of randomness in a ticket.
const TICKET_BYTES: usize = 5;

/// One run.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Record {
    /// 1; absent in records of the first version.
    #[serde(default)]
    schema_version: u32,
    /// Names this run.
    pub(crate) ticket: String,
    /// When it ended, as RFC 3339 in UTC.
    pub(crate) time: String,
    /// The fetcher, as it was typed.
    pub(crate) fetcher: String,
    /// The parameters, URLs without their queries.
    pub(crate) parameters: Map<String, Value>,
    /// What ran and whom it asked, however the run ended.
    #[serde(flatten)]
    pub(crate) done: Done,
    /// The exit code.
    pub(crate) exit_code: u8,
    /// As `--json` prints it.
    pub(crate) result: Option<Value>,
    /// As `--json` prints it.
    pub(crate) error: Option<Value>,
}

/// What ran and whom it asked.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Done {
    /// The module, as grants name it.
    pub(crate) module: String,
    /// The SHA-256 of its component, in hex.
    pub(crate) module_digest: String,
    /// Each request that was sent, in order.
    pub(crate) contacts: Vec<ContactReport>,
    /// Each signature that the module was given, in order.
    pub(crate) signatures: Vec<SignatureReport>,
}

impl Done {
    /// What ran, whom `client` asked so far, and what was signed.
    pub(crate) fn of(selected: &Selected, client: &Client, signed: &[Signed]) -> Self {
        Self {
            module: selected.id.to_string(),
            module_digest: hex(&selected.module.digest()),
            contacts: client.journal().iter().map(ContactReport::new).collect(),
            signatures: signed.iter().map(SignatureReport::new).collect(),
        }
    }
}

impl Record {
    pub(crate) fn new(
        ticket: String,
        fetcher: &str,
        parameters: &Map<String, Value>,
        done: Done,
        ended: Result<&ResultReport, &Failure>,
    ) -> Self {
        let (exit_code, result, error) = match ended {
            Ok(report) => (0, serde_json::to_value(report).ok(), None),
            Err(failure) => {
                let error = serde_json::to_value(ErrorReport::new(failure)).ok();
                (failure.status.code(), None, error)
            }
        };
        Self {
            schema_version: SCHEMA_VERSION,
            ticket,
            time: now(),
            fetcher: fetcher.to_owned(),
            parameters: shown(parameters),
            done,
            exit_code,
            result,
            error,
        }
    }
}

/// The current time as RFC 3339 in UTC.
pub(crate) fn now() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string()
}

/// A new ticket.
pub(crate) fn ticket() -> io::Result<String> {
    let mut bytes = [0; TICKET_BYTES];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    Ok(hex(&bytes))
}

/// Parameters fit to be kept: what is a URL loses userinfo, query and fragment.
pub(crate) fn shown(parameters: &Map<String, Value>) -> Map<String, Value> {
    fn fit(value: &Value) -> Value {
        match value {
            Value::String(text) if text.contains("://") => match parse_url(text) {
                Ok(url) => Value::String(DisplayUrl(&url).to_string()),
                Err(_) => Value::String("(a URL that does not parse)".to_owned()),
            },
            Value::Array(items) => Value::Array(items.iter().map(fit).collect()),
            Value::Object(members) => Value::Object(shown(members)),
            other => other.clone(),
        }
    }
    parameters
        .iter()
        .map(|(name, one)| (name.clone(), fit(one)))
        .collect()
}

/// Makes the folder of what is kept for the user alone, if it is not there.
pub(crate) fn make_folder(folder: &Path) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
}

/// The file that the records are in.
pub(crate) struct Journal {
    path: PathBuf,
}

impl Journal {
    pub(crate) fn new(state: &Path) -> Self {
        Self {
            path: state.join("log.jsonl"),
        }
    }

    /// Appends a record. Lines of parallel runs do not mix: each is one write to a file opened for
    /// appending.
    pub(crate) fn append(&self, record: &Record) -> io::Result<()> {
        let mut line = serde_json::to_vec(record)?;
        line.push(b'\n');
        if let Some(folder) = self.path.parent() {
            make_folder(folder)?;
        }
        if fs::metadata(&self.path).is_ok_and(|found| found.len() >= ROTATE_AT) {
            fs::rename(&self.path, self.old())?;
        }
        let mut file = File::options()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&self.path)?;
        file.write_all(&line)
    }

    /// All records, the oldest first. Lines of other versions that do not read are left out.
    pub(crate) fn records(&self) -> io::Result<Vec<Record>> {
        let mut records = Vec::new();
        for path in [self.old(), self.path.clone()] {
            let file = match File::open(&path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            for line in BufReader::new(file).lines() {
                records.extend(serde_json::from_str::<Record>(&line?).ok());
            }
        }
        Ok(records)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn old(&self) -> PathBuf {
        self.path.with_extension("jsonl.1")
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use serde_json::json;

    use super::*;

    fn record(ticket: &str) -> Record {
        let parameters = Map::new();
        Record::new(
            ticket.to_owned(),
            "f",
            &parameters,
            Done::default(),
            Err(&Failure::usage("wrong")),
        )
    }

    #[test]
    fn records_are_kept_in_order_and_for_the_user_alone() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::new(&folder.path().join("state"));
        assert!(journal.records().unwrap().is_empty());
        journal.append(&record("one")).unwrap();
        journal.append(&record("two")).unwrap();
        let tickets: Vec<String> = journal
            .records()
            .unwrap()
            .into_iter()
            .map(|r| r.ticket)
            .collect();
        assert_eq!(tickets, ["one", "two"]);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(journal.path()), 0o600);
        assert_eq!(mode(journal.path().parent().unwrap()), 0o700);
    }

    #[test]
    fn a_full_record_becomes_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::new(folder.path());
        journal.append(&record("old")).unwrap();
        File::options()
            .write(true)
            .open(journal.path())
            .unwrap()
            .set_len(ROTATE_AT)
            .unwrap();
        journal.append(&record("new")).unwrap();
        assert_eq!(fs::metadata(journal.old()).unwrap().len(), ROTATE_AT);
        assert!(fs::metadata(journal.path()).unwrap().len() < ROTATE_AT);
    }

    #[test]
    fn a_presigned_query_is_not_kept() {
        let parameters = json!({
            "url": "https://user:pass@a.example/f?X-Amz-Signature=canary#canary",
            "mirror": ["https://b.example/f?sig=canary"],
            "project": "a/b",
        });
        let Value::Object(parameters) = parameters else {
            unreachable!()
        };
        let text = serde_json::to_string(&shown(&parameters)).unwrap();
        assert!(!text.contains("canary") && !text.contains("pass"), "{text}");
        assert!(
            text.contains("https://b.example/f") && text.contains("a/b"),
            "{text}"
        );
    }
}
