//! The local file: a database of SQLite's, which several processes use at once.
//!
//! It keeps each entry as the text that is shared and exported too, so that there is one form, and one parser that
//! doubts it. SQLite's rollback journal is used and not its write-ahead log: it needs no memory that processes share,
//! which home folders on a network do not give, and one small entry is written at a time.

mod approvals;
mod file;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fetchhost_cache::MAX_MEMO;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior, params};

use crate::error::MemoError;
use crate::id::MemoId;

/// How long one process waits for others.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the file says it is: `nfmo`.
const APPLICATION: i32 = 0x6e66_6d6f;

/// The version of the tables.
const VERSION: i32 = 1;

/// The tables, exactly as the database keeps their text.
const TABLES: [&str; 2] = [
    "CREATE TABLE approval (key TEXT NOT NULL, content BLOB NOT NULL, at TEXT NOT NULL, PRIMARY KEY (key, content)) STRICT, WITHOUT ROWID",
    "CREATE TABLE entry (id TEXT PRIMARY KEY NOT NULL, record TEXT NOT NULL) STRICT, WITHOUT ROWID",
];

/// Writes an entry where nothing is.
const INSERT: &str = "INSERT INTO entry (id, record) VALUES (?1, ?2) ON CONFLICT DO NOTHING";

pub use approvals::Approved;

/// The file of what is remembered here.
#[derive(Debug)]
pub(crate) struct Local {
    path: PathBuf,
    connection: Mutex<Connection>,
}

impl Local {
    /// Opens the file, or makes it: for its owner alone.
    pub(crate) fn open(path: &Path) -> Result<Self, MemoError> {
        file::prepare(path)?;
        let failed = failed(path, "open");
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(path, flags).map_err(failed)?;
        connection.busy_timeout(PATIENCE).map_err(failed)?;
        // What is in the file is data alone, whoever wrote it.
        for (setting, on) in [
            (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
            (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
            (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false),
            (DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false),
        ] {
            connection.set_db_config(setting, on).map_err(failed)?;
        }
        connection
            .pragma_update(None, "cell_size_check", true)
            .map_err(failed)?;
        if version(&connection).map_err(failed)? != (APPLICATION, VERSION) {
            make(path, &mut connection)?;
        }
        check_tables(path, &connection)?;
        Ok(Self {
            path: path.to_owned(),
            connection: Mutex::new(connection),
        })
    }

    /// What is written under a name, with one byte more than an entry may have.
    pub(crate) fn get(&self, id: MemoId) -> Result<Option<Vec<u8>>, MemoError> {
        let connection = self.connection();
        let mut statement = connection
            .prepare("SELECT CAST(substr(record, 1, ?2) AS BLOB) FROM entry WHERE id = ?1")
            .map_err(self.failed("read"))?;
        let mut rows = statement
            .query(params![id.to_string(), longest()])
            .map_err(self.failed("read"))?;
        let row = rows.next().map_err(self.failed("read"))?;
        row.map(|row| row.get(0))
            .transpose()
            .map_err(self.failed("read"))
    }

    /// Writes an entry where `before` is what is there. Whether it was.
    pub(crate) fn swap(
        &self,
        id: MemoId,
        before: Option<&[u8]>,
        record: &str,
    ) -> Result<bool, MemoError> {
        let connection = self.connection();
        let id = id.to_string();
        let written = match before {
            None => connection.execute(INSERT, params![id, record]),
            Some(before) => connection.execute(
                "UPDATE entry SET record = ?2 WHERE id = ?1 AND CAST(substr(record, 1, ?4) AS BLOB) = ?3",
                params![id, record, before, longest()],
            ),
        };
        Ok(written.map_err(self.failed("write"))? == 1)
    }

    /// Writes those entries where nothing is, all at once; whether each was written.
    pub(crate) fn insert(&self, records: &[(MemoId, String)]) -> Result<Vec<bool>, MemoError> {
        let failed = self.failed("write");
        let mut connection = self.connection();
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(failed)?;
        let mut statement = transaction.prepare(INSERT).map_err(failed)?;
        let written = records.iter().map(|(id, record)| {
            let count = statement.execute(params![id.to_string(), record]);
            Ok(count.map_err(failed)? == 1)
        });
        let written = written.collect::<Result<_, MemoError>>()?;
        drop(statement);
        transaction.commit().map_err(failed)?;
        Ok(written)
    }

    /// Gives what is written under each name to `each`, in the order of the names.
    pub(crate) fn each(
        &self,
        mut each: impl FnMut(&str, &[u8]) -> Result<(), MemoError>,
    ) -> Result<(), MemoError> {
        // Without keeping others from writing while `each` works.
        let mut after = String::new();
        loop {
            let page = self.page(&after)?;
            for (id, record) in &page {
                each(id, record)?;
            }
            match page.into_iter().next_back() {
                Some((id, _)) => after = id,
                None => return Ok(()),
            }
        }
    }

    fn page(&self, after: &str) -> Result<Vec<(String, Vec<u8>)>, MemoError> {
        let connection = self.connection();
        let failed = self.failed("read");
        let mut statement = connection
            .prepare(
                "SELECT id, CAST(substr(record, 1, ?2) AS BLOB) FROM entry WHERE id > ?1 ORDER BY id LIMIT 256",
            )
            .map_err(failed)?;
        let rows = statement
            .query_map(params![after, longest()], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .map_err(failed)?;
        rows.collect::<Result<_, _>>().map_err(failed)
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        // A statement that panicked was rolled back.
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self, action: &'static str) -> impl Fn(rusqlite::Error) -> MemoError + Copy {
        failed(&self.path, action)
    }
}

/// One character more than an entry may have bytes.
fn longest() -> i64 {
    i64::try_from(MAX_MEMO + 1).unwrap_or(i64::MAX)
}

fn version(connection: &Connection) -> Result<(i32, i32), rusqlite::Error> {
    let number = |name| connection.pragma_query_value(None, name, |row| row.get(0));
    Ok((number("application_id")?, number("user_version")?))
}

/// Makes the tables of a new file, unless another process has.
fn make(path: &Path, connection: &mut Connection) -> Result<(), MemoError> {
    let failed = failed(path, "make");
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(failed)?;
    match version(&transaction).map_err(failed)? {
        (0, 0) if tables(&transaction).map_err(failed)?.is_empty() => {}
        (APPLICATION, VERSION) => return Ok(()),
        (APPLICATION, newer) if newer > VERSION => {
            return Err(MemoError::Newer {
                path: path.to_owned(),
            });
        }
        _ => return Err(damaged(path, "it is another program's")),
    }
    for table in TABLES {
        transaction.execute(table, []).map_err(failed)?;
    }
    transaction
        .pragma_update(None, "application_id", APPLICATION)
        .map_err(failed)?;
    transaction
        .pragma_update(None, "user_version", VERSION)
        .map_err(failed)?;
    transaction.commit().map_err(failed)
}

/// The text of all that is in a file: tables, and what could do something by itself.
fn tables(connection: &Connection) -> Result<Vec<String>, rusqlite::Error> {
    let mut statement = connection.prepare(
        "SELECT substr(coalesce(sql, ''), 1, 1000) FROM sqlite_schema ORDER BY name LIMIT 10",
    )?;
    let rows = statement.query_map([], |row| row.get(0))?;
    rows.collect()
}

/// Refuses a file with other tables, or more.
fn check_tables(path: &Path, connection: &Connection) -> Result<(), MemoError> {
    let found = tables(connection).map_err(failed(path, "open"))?;
    if found == TABLES {
        Ok(())
    } else {
        Err(damaged(path, "its tables are others"))
    }
}

fn damaged(path: &Path, reason: &str) -> MemoError {
    MemoError::Damaged {
        path: path.to_owned(),
        reason: reason.to_owned(),
    }
}

/// Says of a database's error which file could not be used for what.
fn failed<'a>(
    path: &'a Path,
    action: &'static str,
) -> impl Fn(rusqlite::Error) -> MemoError + Copy + use<'a> {
    move |source| {
        let path = path.to_owned();
        match source.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => MemoError::Busy { path },
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => MemoError::Damaged {
                path,
                reason: source.to_string(),
            },
            // Values of other types than the tables say.
            None => MemoError::Damaged {
                path,
                reason: source.to_string(),
            },
            Some(_) => MemoError::Database {
                action,
                path,
                source,
            },
        }
    }
}
