//! What waits to be pushed: a folder that a build's hook writes to, and one process at a time empties.
//!
//! ```text
//! cache          for which cache it is, and on which server
//! lock           held by whoever pushes
//! log, log.1     what the process in the background said
//! *.paths        one for each build: store paths, one a line
//! roots/         links that keep these from the garbage collector
//! ```
//!
//! Nothing in it is a secret: what the URL's parameters name is named to the process that pushes.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use fetchhost_cache::{CachePlace, CacheUrl};
use fetchhost_formats::{HashAlgorithm, Hasher, StorePath};
use fetchhost_policy::printable;
use rustix::fs::FlockOperation;

use crate::args::cache::PushArgs;
use crate::caches;
use crate::context::Context;
use crate::failure::Failure;

const LABEL: &str = "cache";
const LOCK: &str = "lock";
const LOG: &str = "log";
const OLD_LOG: &str = "log.1";
const ROOTS: &str = "roots";
/// What the list of a build's outputs ends with.
const EXTENSION: &str = "paths";

/// From which length on, in bytes, the log is begun anew.
const MAX_LOG: u64 = 1 << 20;
/// The longest list of a build's outputs, in bytes.
const MAX_ENTRY: u64 = 1 << 20;
/// The bits of a folder's mode that let others write to it.
const OTHERS_WRITE: u32 = 0o022;
/// The user who may do everything anyway.
const ROOT: u32 = 0;
/// Letters of the name of a cache's own folder.
const NAME_LENGTH: usize = 16;

/// The queue of one cache.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    folder: PathBuf,
}

/// The outputs of one build.
#[derive(Debug)]
pub(super) struct Entry {
    file: PathBuf,
    pub(super) paths: Vec<StorePath>,
    /// Since when it waits.
    pub(super) age: Duration,
}

impl Queue {
    /// The queue of the cache that was named, which is made if there is none.
    pub(super) fn open(context: &Context, args: &PushArgs) -> Result<Self, Failure> {
        let label = identity(&caches::parse(&args.cache.url)?);
        let folder = match (&args.queue, &context.environment.state) {
            (Some(folder), _) => std::path::absolute(folder).unwrap_or_else(|_| folder.clone()),
            (None, Some(state)) => {
                let hash = Hasher::digest(HashAlgorithm::Sha256, label.as_bytes());
                state.join("push").join(&hash.hex()[..NAME_LENGTH])
            }
            (None, None) => {
                return Err(Failure::usage(
                    "there is no place for a queue: neither XDG_STATE_HOME nor HOME is set",
                )
                .with_hint("name a folder with `--queue DIR`"));
            }
        };
        let queue = Self { folder };
        // Nothing is made in what is somebody else's.
        for folder in [&queue.folder, &queue.folder.join(ROOTS)] {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
            made.map_err(queue.failed("make", folder))?;
            queue.is_ours()?;
        }
        queue.is_for(&label)?;
        Ok(queue)
    }

    /// Whoever else could write to it could have this user write elsewhere, and push what he did not build. So could
    /// whose link leads to it.
    fn is_ours(&self) -> Result<(), Failure> {
        let failed = self.failed("look at", &self.folder);
        let user = rustix::process::geteuid().as_raw();
        let named = fs::symlink_metadata(&self.folder).map_err(&failed)?;
        let found = fs::metadata(&self.folder).map_err(&failed)?;
        let is_own_link = !named.is_symlink() || [user, ROOT].contains(&named.uid());
        if is_own_link && found.uid() == user && found.mode() & OTHERS_WRITE == 0 {
            return Ok(());
        }
        let folder = shown(&self.folder);
        Err(Failure::usage(format!(
            "others than this user can write to the queue {folder}"
        ))
        .with_hint("name a folder of this user's own, with mode 700, with `--queue DIR`"))
    }

    /// A queue is for one cache: what waits in it is pushed nowhere else.
    fn is_for(&self, label: &str) -> Result<(), Failure> {
        let file = self.folder.join(LABEL);
        match fs::read_to_string(&file) {
            Ok(there) if there.trim_end() == label => Ok(()),
            Ok(there) => Err(Failure::usage(format!(
                "the queue {} is that of `{}`",
                shown(&self.folder),
                printable(there.trim_end())
            ))
            .with_hint("name another folder with `--queue DIR`")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => self
                .write(&file, &format!("{label}\n"))
                .map_err(self.failed("write", &file)),
            Err(error) => Err(self.failed("read", &file)(error)),
        }
    }

    /// Adds the outputs of a build.
    pub(super) fn add(&self, paths: &[StorePath]) -> Result<PathBuf, Failure> {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let since = since.map_or(0, |since| since.as_nanos());
        let name = format!("{since:024}-{}.{EXTENSION}", std::process::id());
        let file = self.folder.join(name);
        let text: String = paths.iter().map(|path| format!("{path}\n")).collect();
        self.write(&file, &text)
            .map_err(self.failed("write", &file))?;
        Ok(file)
    }

    /// What waits, the oldest first. What is no list of paths is left alone.
    pub(super) fn entries(&self) -> Result<Vec<Entry>, Failure> {
        let failed = self.failed("read", &self.folder);
        let mut entries = Vec::new();
        for file in fs::read_dir(&self.folder).map_err(&failed)? {
            let file = file.map_err(&failed)?.path();
            if file
                .extension()
                .is_none_or(|extension| extension != EXTENSION)
            {
                continue;
            }
            let Ok(found) = fs::metadata(&file) else {
                continue;
            };
            if !found.is_file() || found.len() > MAX_ENTRY {
                continue;
            }
            let bytes = fs::read(&file).map_err(self.failed("read", &file))?;
            let text = String::from_utf8_lossy(&bytes);
            let paths = text.lines().filter_map(|line| line.parse().ok());
            let age = found.modified().ok().and_then(|time| time.elapsed().ok());
            entries.push(Entry {
                paths: paths.collect(),
                age: age.unwrap_or_default(),
                file,
            });
        }
        entries.sort_by(|one, other| one.file.cmp(&other.file));
        Ok(entries)
    }

    /// Takes entries away, and the roots that no other needs.
    pub(super) fn remove(&self, entries: &[Entry]) -> Result<(), Failure> {
        for entry in entries {
            self.remove_file(&entry.file)?;
        }
        self.remove_roots()
    }

    /// Takes the roots away that no entry needs.
    pub(super) fn remove_roots(&self) -> Result<(), Failure> {
        let roots = self.folder.join(ROOTS);
        let links = fs::read_dir(&roots).map_err(self.failed("read", &roots))?;
        let links: Vec<_> = links.flatten().map(|link| link.path()).collect();
        // Whoever adds an entry makes its roots after it.
        let entries = self.entries()?;
        let needed = entries.iter().flat_map(|entry| &entry.paths);
        let needed: BTreeSet<_> = needed.map(|path| self.root(path)).collect();
        for link in links.into_iter().filter(|link| !needed.contains(link)) {
            self.remove_file(&link)?;
        }
        Ok(())
    }

    fn remove_file(&self, file: &Path) -> Result<(), Failure> {
        match fs::remove_file(file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(self.failed("remove", file)(error))
            }
            _ => Ok(()),
        }
    }

    /// The link that keeps a path from the garbage collector.
    pub(super) fn root(&self, path: &StorePath) -> PathBuf {
        self.folder.join(ROOTS).join(path.base_name())
    }

    /// Keeps others from pushing until the file is dropped; none where somebody pushes.
    pub(super) fn lock(&self) -> Result<Option<File>, Failure> {
        let path = self.folder.join(LOCK);
        let failed = self.failed("lock", &path);
        let opened = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path);
        let file = opened.map_err(&failed)?;
        let operation = FlockOperation::NonBlockingLockExclusive;
        loop {
            match rustix::fs::flock(&file, operation) {
                Ok(()) => return Ok(Some(file)),
                Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(failed(error.into())),
            }
        }
    }

    /// The file for what the process in the background says.
    pub(super) fn log(&self) -> Result<File, Failure> {
        let path = self.folder.join(LOG);
        let failed = self.failed("write", &path);
        if fs::metadata(&path).is_ok_and(|found| found.len() > MAX_LOG) {
            fs::rename(&path, self.folder.join(OLD_LOG)).map_err(&failed)?;
        }
        let mut options = OpenOptions::new();
        options.create(true).append(true).mode(0o600);
        options.open(&path).map_err(&failed)
    }

    /// The folder.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes a file that appears whole.
    fn write(&self, file: &Path, text: &str) -> io::Result<()> {
        let mut temporary = tempfile::NamedTempFile::new_in(&self.folder)?;
        temporary.write_all(text.as_bytes())?;
        temporary.as_file().sync_all()?;
        temporary.persist(file)?;
        Ok(())
    }

    fn failed(&self, action: &'static str, path: &Path) -> impl Fn(io::Error) -> Failure {
        let path = shown(path);
        move |error| {
            Failure::usage(format!("cannot {action} {path}: {error}"))
                .with_hint("name a folder that this user can write to with `--queue DIR`")
        }
    }
}

/// What tells a cache from all others: many servers may have a bucket of one name.
fn identity(url: &CacheUrl) -> String {
    match &url.place {
        CachePlace::Folder(_) => url.label(),
        CachePlace::Bucket(bucket) => format!("{} at {}", url.label(), bucket.url),
    }
}

fn shown(path: &Path) -> String {
    format!("`{}`", printable(&path.to_string_lossy()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_of_one_name_on_two_servers_are_two_caches() {
        let identity = |url: &str| identity(&url.parse().unwrap());
        let one = "s3://team?endpoint=https://one.example&region=a";
        let again = format!("{one}&compression=zstd&secret-key=/k");
        assert_eq!(identity(one), identity(&again));
        assert_ne!(identity(one), identity(&one.replace("one", "two")));
        assert_ne!(
            identity("s3://team?region=eu-west-1"),
            identity("s3://team?region=us-east-1")
        );
        assert_eq!(identity("file:///a?compression=xz"), identity("file:///a"));
    }
}
