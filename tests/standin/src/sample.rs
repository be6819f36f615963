//! The sample project: what `demo` fetches and most tests ask for.
//!
//! The archive holds what an unpacker can get wrong: an executable, a symlink, an empty folder,
//! a file some folders down, and an empty file.

use std::io::{Cursor, Write};

use bytes::Bytes;
use zip::result::ZipResult;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::{Content, Job, Project};

/// The full path of the sample project.
pub const PROJECT: &str = "acme/rockets/engine";
/// Its numeric id.
pub const PROJECT_ID: u64 = 42;
/// The job whose artifacts exist.
pub const JOB_ID: u64 = 1001;
/// A job whose artifacts have expired.
pub const EXPIRED_JOB_ID: u64 = 1000;
/// The name of both jobs.
pub const JOB: &str = "build";
/// The ref that [`JOB_ID`] ran on: with slashes, as branch names have them.
pub const REF: &str = "release/2.x/stable";
/// The ref that [`EXPIRED_JOB_ID`] ran on.
pub const EXPIRED_REF: &str = "old";
/// A plain member of the archive, some folders down.
pub const MEMBER: &str = "share/doc/engine/manual.txt";

/// What one entry of the archive is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// A regular file.
    File {
        /// Its content.
        content: &'static str,
        /// Whether the owner may execute it.
        executable: bool,
    },
    /// A symbolic link to the given target.
    Symlink(&'static str),
    /// A folder with nothing in it.
    EmptyFolder,
}

/// The entries of the archive by path, sorted.
pub const ENTRIES: &[(&str, Entry)] = &[
    (
        "bin/engine",
        Entry::File {
            content: "#!/bin/sh\necho ignition\n",
            executable: true,
        },
    ),
    ("bin/engine-stable", Entry::Symlink("engine")),
    (
        "share/doc/engine/manual.txt",
        Entry::File {
            content: MANUAL,
            executable: false,
        },
    ),
    (
        "share/empty.txt",
        Entry::File {
            content: "",
            executable: false,
        },
    ),
    ("var/log", Entry::EmptyFolder),
];

const MANUAL: &str = "Count down from ten.\nStand back.\n";

/// The sample project with both jobs, private.
#[must_use]
pub fn project() -> Project {
    Project {
        id: PROJECT_ID,
        path: PROJECT.to_owned(),
        public: false,
        jobs: vec![
            Job {
                id: JOB_ID,
                name: JOB.to_owned(),
                git_ref: REF.to_owned(),
                archive: archive().ok().map(Content::Bytes),
            },
            Job {
                id: EXPIRED_JOB_ID,
                name: JOB.to_owned(),
                git_ref: EXPIRED_REF.to_owned(),
                archive: None,
            },
        ],
    }
}

/// The artifact archive; the same bytes every time.
///
/// # Errors
/// When the zip writer refuses an entry, which it does for none of [`ENTRIES`].
pub fn archive() -> ZipResult<Bytes> {
    zip(ENTRIES)
}

/// A zip archive of `entries` in the given order, as a runner on Unix would write it.
///
/// # Errors
/// When the zip writer refuses an entry, such as a name that occurs twice.
pub fn zip(entries: &[(&str, Entry)]) -> ZipResult<Bytes> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(zip::DateTime::default());
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (path, entry) in entries {
        match entry {
            Entry::File {
                content,
                executable,
            } => {
                let mode = if *executable { 0o755 } else { 0o644 };
                writer.start_file(*path, options.unix_permissions(mode))?;
                writer.write_all(content.as_bytes())?;
            }
            Entry::Symlink(target) => writer.add_symlink(*path, *target, options)?,
            Entry::EmptyFolder => writer.add_directory(*path, options.unix_permissions(0o755))?,
        }
    }
    Ok(Bytes::from(writer.finish()?.into_inner()))
}
