//! What the owner approved for builds of the Nix daemon: lock files as they were when he approved them.
//!
//! Where `[gateway] daemon-peers` is `approved`, such builds get what is approved and nothing else. An
//! approval is a copy in a folder of the owner's: whoever changes the lock file later changes no approval.
//! Each is one file, named after the path of its lock file; the folder is read again when it has changed.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use fetchhost_formats::{HashAlgorithm, Hasher};
use serde::{Deserialize, Serialize};

use crate::lock::{LockFile, Locked, MAX_LOCK_FILE};
use crate::url::FetchUrl;

/// The longest record of an approval, in bytes: it may be longer than its lock file.
const MAX_RECORD: usize = 2 * MAX_LOCK_FILE;

/// An approved lock file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// Where the lock file was, absolute.
    pub file: String,
    /// When it was approved, as RFC 3339 in UTC.
    pub time: String,
    /// What it held then.
    pub lock: LockFile,
}

/// The folder of approvals.
#[derive(Debug)]
pub struct Approvals {
    folder: PathBuf,
    /// What the folder held when it was last read, and what that approves.
    known: Mutex<Option<(Vec<Stamp>, Arc<Approved>)>>,
}

/// What tells that a file of the folder is still the same.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Stamp {
    path: PathBuf,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

/// What is approved at some time.
#[derive(Debug, Default)]
pub struct Approved {
    files: Vec<ApprovedFile>,
    /// In which of the files a fetch stands, by its URL.
    places: HashMap<String, usize>,
    /// The fetch whose output has this hash part.
    outputs: HashMap<String, FetchUrl>,
}

#[derive(Debug)]
struct ApprovedFile {
    fetches: Vec<FetchUrl>,
    /// Of all NARs, in bytes.
    size: u64,
    /// Whether all of them were started because one was asked for.
    is_started: AtomicBool,
}

impl Approvals {
    /// The approvals in `folder`, which need not be there.
    #[must_use]
    pub const fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            known: Mutex::new(None),
        }
    }

    /// Approves a lock file, in the place of what was approved of the same path.
    ///
    /// # Errors
    ///
    /// When the folder cannot be written to, or the approval would not be read back.
    pub fn approve(&self, approval: &Approval) -> io::Result<()> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.folder)?;
        // Of mode 0600, and whole under its name or not there.
        let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
        file.write_all(&record(approval)?)?;
        file.persist(self.place(&approval.file))?;
        Ok(())
    }

    /// Takes back what was approved of the lock file at `file`. False when nothing was.
    ///
    /// # Errors
    ///
    /// When it cannot be removed.
    pub fn withdraw(&self, file: &str) -> io::Result<bool> {
        match fs::remove_file(self.place(file)) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// All approvals, by the paths of their files.
    ///
    /// # Errors
    ///
    /// When the folder or one of its files cannot be read; the error names it.
    pub fn list(&self) -> io::Result<Vec<Approval>> {
        let read = |stamp: Stamp| {
            let fail = |error: io::Error| {
                let place = stamp.path.display();
                io::Error::new(error.kind(), format!("the approval `{place}`: {error}"))
            };
            if stamp.size > MAX_RECORD as u64 {
                return Err(fail(io::Error::other("it is too long")));
            }
            match fs::read(&stamp.path) {
                Ok(text) => serde_json::from_slice(&text)
                    .map(Some)
                    .map_err(|error| fail(error.into())),
                // Withdrawn just now.
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(fail(error)),
            }
        };
        let read = self
            .stamps()?
            .into_iter()
            .filter_map(|stamp| read(stamp).transpose());
        let mut all = read.collect::<io::Result<Vec<Approval>>>()?;
        all.sort_by(|a, b| a.file.cmp(&b.file));
        Ok(all)
    }

    /// What is approved now. May block.
    ///
    /// # Errors
    ///
    /// As [`Approvals::list`]. Nothing is approved then.
    pub fn current(&self) -> io::Result<Arc<Approved>> {
        let stamps = self.stamps()?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, approved)) = &*known
            && *of == stamps
        {
            return Ok(Arc::clone(approved));
        }
        let approved = Arc::new(Approved::new(self.list()?));
        *known = Some((stamps, Arc::clone(&approved)));
        Ok(approved)
    }

    fn stamps(&self) -> io::Result<Vec<Stamp>> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => {
                let place = self.folder.display();
                let text = format!("the folder of approvals `{place}`: {error}");
                return Err(io::Error::new(error.kind(), text));
            }
        };
        self.check_owner()?;
        let mut stamps = Vec::new();
        for entry in entries {
            let path = entry?.path();
            // What is being written has another name.
            if path.extension().is_none_or(|end| end != "json") {
                continue;
            }
            match fs::metadata(&path) {
                Ok(found) => stamps.push(Stamp {
                    path,
                    inode: found.ino(),
                    size: found.len(),
                    modified: (found.mtime(), found.mtime_nsec()),
                }),
                // Withdrawn just now.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        stamps.sort();
        Ok(stamps)
    }

    /// Refuses a folder that others may write approvals into.
    fn check_owner(&self) -> io::Result<()> {
        let found = fs::metadata(&self.folder)?;
        if found.uid() == rustix::process::geteuid().as_raw() && found.mode() & 0o022 == 0 {
            return Ok(());
        }
        let place = self.folder.display();
        Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!(
                "others can write into the folder of approvals `{place}`: remove it, and approve again"
            ),
        ))
    }

    fn place(&self, file: &str) -> PathBuf {
        let mut hasher = Hasher::new(HashAlgorithm::Sha256);
        hasher.update(file.as_bytes());
        self.folder.join(format!("{}.json", hasher.finish().hex()))
    }
}

impl Approved {
    fn new(approvals: Vec<Approval>) -> Self {
        let mut approved = Self::default();
        for (place, approval) in approvals.into_iter().enumerate() {
            let mut file = ApprovedFile {
                fetches: Vec::new(),
                size: 0,
                is_started: AtomicBool::new(false),
            };
            for Locked {
                fetch, nar_size, ..
            } in approval.lock.fetches.into_values()
            {
                approved.places.insert(fetch.to_string(), place);
                let hash_part = fetch.output.store_path().hash_part().to_owned();
                approved.outputs.insert(hash_part, fetch.clone());
                file.size = file.size.saturating_add(nar_size);
                file.fetches.push(fetch);
            }
            approved.files.push(file);
        }
        approved
    }

    /// Whether this very fetch is approved, whoever's gateway it names.
    #[must_use]
    pub fn contains(&self, url: &FetchUrl) -> bool {
        self.places.contains_key(&url.for_any_owner())
    }

    /// All other fetches of the approved file that this one stands in, when one of them is asked for the
    /// first time and the NARs of all together have at most `limit` bytes.
    pub(crate) fn to_start(&self, url: &FetchUrl, limit: u64) -> Vec<FetchUrl> {
        let asked = url.for_any_owner();
        let place = self.places.get(&asked);
        match place.map(|place| &self.files[*place]) {
            Some(file) if file.size <= limit && !file.is_started.swap(true, Ordering::Relaxed) => {
                let others = file
                    .fetches
                    .iter()
                    .filter(|other| other.to_string() != asked);
                others.cloned().collect()
            }
            _ => Vec::new(),
        }
    }

    /// The approved fetch whose store path begins with this hash part.
    #[must_use]
    pub fn by_store_hash(&self, hash_part: &str) -> Option<&FetchUrl> {
        self.outputs.get(hash_part)
    }
}

/// The record of an approval. One that could not be read again would take all others with it.
fn record(approval: &Approval) -> io::Result<Vec<u8>> {
    let text = serde_json::to_vec(approval)?;
    let is_right = text.len() <= MAX_RECORD
        && serde_json::from_slice::<Approval>(&text).is_ok_and(|read| read == *approval);
    is_right.then_some(text).ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::InvalidInput,
            "its parameters are too long or too deep to be kept",
        )
    })
}

/// A lock file's path as approvals name it: absolute, and without links in it but the last. Where that leads
/// is the project's to say, and may be elsewhere when the file is approved again.
///
/// # Errors
///
/// When the working folder is gone, or the path names no file or is not UTF-8.
pub fn approval_name(file: &Path) -> io::Result<String> {
    let refuse = |text: &str| io::Error::new(io::ErrorKind::InvalidInput, text);
    let path = std::path::absolute(file)?;
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(refuse("it names no file"));
    };
    // An approval outlives its file, and the folder of that.
    let folder = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    let path = folder.join(name).into_os_string();
    path.into_string()
        .map_err(|_| refuse("its path is not UTF-8"))
}
