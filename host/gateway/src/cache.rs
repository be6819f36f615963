//! What was fetched, kept to be served again: a binary cache on disk, for its owner alone.
//!
//! Content is looked up by its store path, which is made of name, mode and hash: who asks has named the
//! hash. Only [verified](fetchhost_sinks::Staged::commit) content is ever in it.
//!
//! The cache is bounded. When something was added, what was not asked for the longest goes until the
//! rest fits; but where anything may stay, the latest does, so that who asked for its record can have its
//! NAR. A file that is being sent stays readable: it is open.

mod archive;

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use fetchhost_cache::{Cache as BinaryCache, CacheUrl, Folder};
use fetchhost_formats::nar::file_size_as_nar;
use fetchhost_formats::{Compression, FixedOutput, NarInfo, OutputMode};
use fetchhost_sinks::Destination;
use futures_util::stream::{self, Stream};

pub(crate) use archive::{Archive, is_store_hash};

/// Up to the contents of a plain file, a NAR holds this: five tokens, and the file's length.
const FLAT_HEAD: &[u8] = b"\x0d\0\0\0\0\0\0\0nix-archive-1\0\0\0\
    \x01\0\0\0\0\0\0\0(\0\0\0\0\0\0\0\
    \x04\0\0\0\0\0\0\0type\0\0\0\0\
    \x07\0\0\0\0\0\0\0regular\0\
    \x08\0\0\0\0\0\0\0contents";
/// Where the contents of a plain file begin in its NAR.
const FLAT_OFFSET: u64 = FLAT_HEAD.len() as u64 + 8;
/// Files that no record names are what a killed run left, once they are this old.
const ORPHAN_AGE: Duration = Duration::from_secs(24 * 60 * 60);
/// Bytes of content that are read at once.
const CHUNK: usize = 256 * 1024;
/// How long new files are only counted.
const SWEEP_INTERVAL: Duration = Duration::from_secs(10 * 60);
/// No record of ours is longer.
const MAX_RECORD: u64 = 64 * 1024;

/// The folder of what was fetched.
pub struct Cache {
    folder: PathBuf,
    /// What may stay in it, in bytes.
    limit: u64,
    /// Held while files are removed.
    swept: Mutex<Swept>,
}

/// What the last look at all files came to, so that not every new one needs another.
#[derive(Default)]
struct Swept {
    /// When it was.
    at: Option<Instant>,
    /// Bytes that were left, and those that came since.
    held: u64,
}

/// Bytes to send: of an open file, so that they stay though the file be removed.
#[derive(Debug)]
pub(crate) struct Content {
    file: File,
    offset: u64,
    /// How many they are.
    pub(crate) length: u64,
}

impl Content {
    /// Bytes of the file that it is in.
    fn stored(&self) -> u64 {
        match self.offset {
            0 => self.length,
            _ => file_size_as_nar(self.length, false),
        }
    }

    /// All of a file, which has this many bytes.
    pub(crate) const fn whole(file: File, length: u64) -> Self {
        Self {
            file,
            offset: 0,
            length,
        }
    }

    /// Reads what is `at` this position, at most `most` bytes; less only at the end. May block.
    pub(crate) fn read(&self, at: u64, most: usize) -> io::Result<Vec<u8>> {
        let left = self.length.saturating_sub(at);
        let size = usize::try_from(left).unwrap_or(most).min(most);
        let mut bytes = vec![0; size];
        self.file.read_exact_at(&mut bytes, self.offset + at)?;
        Ok(bytes)
    }
}

/// The bytes of content, read as they are asked for.
pub(crate) fn chunks(content: Arc<Content>) -> impl Stream<Item = io::Result<Bytes>> {
    stream::try_unfold((content, 0), |(content, at)| async move {
        if at >= content.length {
            return Ok(None);
        }
        let reader = Arc::clone(&content);
        let read = tokio::task::spawn_blocking(move || reader.read(at, CHUNK)).await;
        let bytes = Bytes::from(read.map_err(io::Error::other)??);
        let next = at + bytes.len() as u64;
        Ok(Some((bytes, (content, next))))
    })
}

impl Cache {
    /// The cache in `folder`, which is made if it is not there, for the owner alone.
    ///
    /// # Errors
    ///
    /// When it cannot be made, or belongs to somebody else.
    pub fn open(folder: PathBuf, limit: u64) -> io::Result<Self> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)?;
        let found = fs::symlink_metadata(&folder)?;
        if !found.is_dir() || found.uid() != rustix::process::geteuid().as_raw() {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                "it is no folder of yours",
            ));
        }
        if found.mode() & 0o077 != 0 {
            fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))?;
        }
        Ok(Self {
            folder,
            limit,
            swept: Mutex::default(),
        })
    }

    /// What may stay, in bytes.
    pub(crate) const fn limit(&self) -> u64 {
        self.limit
    }

    /// Where the pipeline is to put what is fetched.
    pub(crate) fn destination(&self) -> Destination {
        let mut url = CacheUrl::folder(self.folder.clone());
        url.writing.compression = Compression::None;
        let folder = Folder::new(self.folder.clone());
        Destination::Cache(BinaryCache::new(url, Arc::new(folder)))
    }

    /// The bytes of `output` as Nix's fetcher wants them: the file for a flat one, else the NAR. None
    /// when they are not here. May block.
    pub(crate) fn find(&self, output: &FixedOutput) -> io::Result<Option<Content>> {
        let Some((file, nar_size)) = self.held(output)? else {
            return Ok(None);
        };
        match output.mode {
            OutputMode::Nar => Ok(Some(Content::whole(file, nar_size))),
            OutputMode::Flat => contents(file, nar_size),
        }
    }

    /// The NAR of `output` and its length in bytes, which counts as having been asked for.
    fn held(&self, output: &FixedOutput) -> io::Result<Option<(File, u64)>> {
        let Some(held) = self
            .destination()
            .lookup(output)
            .map_err(io::Error::other)?
        else {
            return Ok(None);
        };
        let existing = held.existing();
        if existing.compression != Compression::None {
            return Ok(None);
        }
        let file = match File::open(&existing.nar) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        if let Some(record) = &existing.narinfo {
            // The record's time is when the content was last asked for. Should it not be settable, the
            // content only goes earlier.
            let _ = File::open(record).and_then(|file| file.set_modified(SystemTime::now()));
        }
        Ok(Some((file, existing.nar_size)))
    }

    /// Bytes of all records' files.
    pub(crate) fn size(&self) -> u64 {
        let nars: HashMap<PathBuf, u64> = self
            .records()
            .into_iter()
            .map(|record| (record.nar, record.size))
            .collect();
        nars.values().sum()
    }

    /// Makes room for content that was added, where it may have become too much: what was not asked for the
    /// longest goes until the rest fits. May block.
    pub(crate) fn make_room(&self, added: &Content) {
        let Ok(mut swept) = self.swept.lock() else {
            return;
        };
        swept.held = swept.held.saturating_add(added.stored());
        // Somebody else may fill the folder too, and what a killed run left gets old.
        let is_recent = swept.at.is_some_and(|at| at.elapsed() < SWEEP_INTERVAL);
        if !is_recent || swept.held > self.limit {
            *swept = Swept {
                held: self.sweep(),
                at: Some(Instant::now()),
            };
        }
    }

    /// Removes what was not asked for the longest until the rest fits, and returns the bytes that are left.
    fn sweep(&self) -> u64 {
        let mut records = self.records();
        records.sort_by_key(|record| record.used);
        // Several records may share one file.
        let mut users: HashMap<PathBuf, usize> = HashMap::new();
        let mut total = 0;
        for record in &records {
            let users = users.entry(record.nar.clone()).or_default();
            if *users == 0 {
                total += record.size;
            }
            *users += 1;
        }
        let stay = usize::from(self.limit > 0);
        for record in records.iter().rev().skip(stay).rev() {
            if total <= self.limit {
                break;
            }
            // The record first, so that none names a file that is gone.
            if fs::remove_file(&record.path).is_err() {
                continue;
            }
            if let Some(users) = users.get_mut(&record.nar) {
                *users -= 1;
                if *users == 0 && fs::remove_file(&record.nar).is_ok() {
                    total -= record.size;
                }
            }
        }
        self.remove_orphans(&users);
        total
    }

    /// Removes old files that no record names.
    fn remove_orphans(&self, users: &HashMap<PathBuf, usize>) {
        for path in files(&self.folder.join("nar")) {
            let is_named = users.get(&path).is_some_and(|users| *users > 0);
            if !is_named && age(&path).is_some_and(|age| age > ORPHAN_AGE) {
                // What cannot be removed now is tried again by the next sweep.
                let _ = fs::remove_file(&path);
            }
        }
    }

    fn records(&self) -> Vec<Record> {
        files(&self.folder)
            .filter(|path| path.extension().is_some_and(|end| end == "narinfo"))
            .filter_map(|path| self.record(path))
            .collect()
    }

    fn record(&self, path: PathBuf) -> Option<Record> {
        let found = fs::metadata(&path)
            .ok()
            .filter(|found| found.len() <= MAX_RECORD)?;
        let text = NarInfo::parse(&fs::read_to_string(&path).ok()?).ok()?;
        // Only what this program itself wrote: a plain name in `nar`.
        let name = text.url.as_str().strip_prefix("nar/")?;
        if name.contains('/') || name.starts_with('.') {
            return None;
        }
        Some(Record {
            nar: self.folder.join("nar").join(name),
            size: text.nar_size,
            used: found.modified().ok()?,
            path,
        })
    }
}

/// A record and the file that it names.
struct Record {
    path: PathBuf,
    nar: PathBuf,
    /// Of the file, in bytes.
    size: u64,
    /// When it was last asked for.
    used: SystemTime,
}

fn files(folder: &Path) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
}

fn age(path: &Path) -> Option<Duration> {
    let modified = fs::symlink_metadata(path).ok()?.modified().ok()?;
    SystemTime::now().duration_since(modified).ok()
}

/// The contents of the one plain file in a NAR; none when it is no such NAR.
fn contents(file: File, nar_size: u64) -> io::Result<Option<Content>> {
    if nar_size < file_size_as_nar(0, false) {
        return Ok(None);
    }
    let mut head = [0; FLAT_OFFSET as usize];
    file.read_exact_at(&mut head, 0)?;
    let (tokens, length) = head.split_at(FLAT_HEAD.len());
    let mut bytes = [0; 8];
    bytes.copy_from_slice(length);
    let length = u64::from_le_bytes(bytes);
    let is_flat = tokens == FLAT_HEAD && file_size_as_nar(length, false) == nar_size;
    Ok(is_flat.then_some(Content {
        file,
        offset: FLAT_OFFSET,
        length,
    }))
}
