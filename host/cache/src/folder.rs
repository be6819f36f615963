//! A folder as a place for a cache.
//!
//! Files get their final names by rename or link, whole and synced. Publishers need no lock for that: a NAR is
//! named by its contents, and of two records for one path the first one stays. Who changes a record holds a
//! lock on the folder meanwhile.

mod publish;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use fetchhost_formats::{HashAlgorithm, Hasher};
use rustix::fs::FlockOperation;
use tempfile::TempPath;

use crate::error::{CacheError, failed};
use crate::folders::NewFolders;
use crate::objects::{Key, Kind, Listed, Object, Objects, Upload, Version};
use crate::temporary;
use crate::url::CacheUrl;

use publish::Synced;

/// How often a folder that vanishes is made again.
const ATTEMPTS: u32 = 100;
/// How deep a cache's folders may lie in each other.
const MAX_DEPTH: usize = 16;

/// A folder.
#[derive(Debug)]
pub struct Folder {
    dir: PathBuf,
    label: String,
    synced: Synced,
}

impl Folder {
    /// The folder `dir`, in which each file is synced for itself.
    #[must_use]
    pub fn new(dir: PathBuf) -> Self {
        Self::with(dir, Synced::Each)
    }

    /// The folder `dir` for many files, which are synced together by [`Objects::settle`].
    #[must_use]
    pub fn for_many(dir: PathBuf) -> Self {
        Self::with(dir, Synced::Together)
    }

    fn with(dir: PathBuf, synced: Synced) -> Self {
        let label = CacheUrl::folder(dir.clone()).label();
        Self { dir, label, synced }
    }

    /// Where `key` is.
    #[must_use]
    pub fn path(&self, key: &Key) -> PathBuf {
        self.dir.join(key.as_str())
    }

    /// Writes to a temporary file beside `path`, ready for that name.
    fn prepare(&self, path: &Path, bytes: &[u8]) -> Result<tempfile::NamedTempFile, CacheError> {
        let prepare = || publish::prepare(path, bytes, self.synced);
        let prepared = match (prepare(), path.parent()) {
            (Err(error), Some(folder)) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(folder).map_err(failed(&self.label, "create", folder))?;
                prepare()
            }
            (prepared, _) => prepared,
        };
        prepared.map_err(failed(&self.label, "create", path))
    }

    /// Keeps others from changing records until this is dropped.
    fn lock(&self) -> Result<File, CacheError> {
        let failed = failed(&self.label, "lock", &self.dir);
        let folder = File::open(&self.dir).map_err(failed)?;
        loop {
            match rustix::fs::flock(&folder, FlockOperation::LockExclusive) {
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(failed(error.into())),
                Ok(()) => return Ok(folder),
            }
        }
    }

    fn read(&self, key: &Key, limit: u64) -> Result<Option<Vec<u8>>, CacheError> {
        let path = self.path(key);
        let read = || -> io::Result<Option<Vec<u8>>> {
            let Some(file) = found(plain_file(&path))? else {
                return Ok(None);
            };
            let mut bytes = Vec::new();
            file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
            Ok(Some(bytes))
        };
        read().map_err(failed(&self.label, "read", &path))
    }

    /// Follows links, as whoever reads a file does, but not back to a folder `above`.
    fn walk(
        &self,
        folder: &Path,
        above: &mut Vec<(u64, u64)>,
        each: &mut dyn FnMut(Listed) -> Result<(), CacheError>,
    ) -> Result<(), CacheError> {
        let failed = failed(&self.label, "list", folder);
        let Some(entries) = found(fs::read_dir(folder)).map_err(failed)? else {
            return Ok(());
        };
        for entry in entries {
            let entry = entry.map_err(failed)?;
            let path = entry.path();
            // Whoever looks at the folder meanwhile may take files away.
            let Some(found) = found(fs::metadata(&path)).map_err(failed)? else {
                continue;
            };
            if found.is_dir() {
                let this = (found.dev(), found.ino());
                if above.len() < MAX_DEPTH && !above.contains(&this) {
                    above.push(this);
                    self.walk(&path, above, each)?;
                    above.pop();
                }
                continue;
            }
            let name = path.strip_prefix(&self.dir).unwrap_or(&path);
            each(Listed {
                name: name.to_string_lossy().into_owned(),
                size: found.len(),
                modified: found.modified().unwrap_or(SystemTime::UNIX_EPOCH),
            })?;
        }
        Ok(())
    }
}

impl Objects for Folder {
    fn label(&self) -> String {
        self.label.clone()
    }

    fn place_of(&self, key: &Key) -> String {
        self.path(key).to_string_lossy().into_owned()
    }

    fn get(&self, key: &Key, limit: u64) -> Result<Option<Object>, CacheError> {
        Ok(self.read(key, limit)?.map(|bytes| Object {
            version: (bytes.len() as u64 <= limit).then(|| version(&bytes)),
            bytes,
        }))
    }

    fn size(&self, key: &Key) -> Result<Option<u64>, CacheError> {
        let path = self.path(key);
        let found = found(fs::metadata(&path)).map_err(failed(&self.label, "look at", &path))?;
        Ok(found.filter(fs::Metadata::is_file).map(|found| found.len()))
    }

    fn open(&self, key: &Key) -> Result<Option<Box<dyn Read + Send>>, CacheError> {
        let path = self.path(key);
        let file = found(plain_file(&path)).map_err(failed(&self.label, "read", &path))?;
        Ok(file.map(|file| Box::new(file) as Box<dyn Read + Send>))
    }

    fn create(&self, key: &Key, _: Kind, bytes: &[u8]) -> Result<bool, CacheError> {
        let path = self.path(key);
        let file = self.prepare(&path, bytes)?;
        publish::create(file, &path, self.synced).map_err(failed(&self.label, "create", &path))
    }

    fn put(&self, key: &Key, _: Kind, bytes: &[u8]) -> Result<(), CacheError> {
        let path = self.path(key);
        let file = self.prepare(&path, bytes)?;
        publish::overwrite(file, &path, self.synced).map_err(failed(&self.label, "create", &path))
    }

    fn replace(
        &self,
        key: &Key,
        kind: Kind,
        bytes: &[u8],
        of: &Version,
    ) -> Result<bool, CacheError> {
        let _lock = self.lock()?;
        let there = self.read(key, u64::MAX)?;
        if there.as_deref().map(version).as_ref() != Some(of) {
            return Ok(false);
        }
        self.put(key, kind, bytes).map(|()| true)
    }

    fn delete(&self, key: &Key) -> Result<(), CacheError> {
        let path = self.path(key);
        found(fs::remove_file(&path))
            .map(drop)
            .map_err(failed(&self.label, "remove", &path))
    }

    fn list(
        &self,
        each: &mut dyn FnMut(Listed) -> Result<(), CacheError>,
    ) -> Result<(), CacheError> {
        let Some(root) =
            found(fs::metadata(&self.dir)).map_err(failed(&self.label, "list", &self.dir))?
        else {
            return Ok(());
        };
        self.walk(&self.dir, &mut vec![(root.dev(), root.ino())], each)
    }

    fn upload(&self, _: Kind, _: &str) -> Result<Box<dyn Upload>, CacheError> {
        let folder = self.dir.join("nar");
        let mut attempts = 0..ATTEMPTS;
        let (folders, made) = loop {
            let folders =
                NewFolders::create(&folder).map_err(failed(&self.label, "create", &folder))?;
            match temporary::name().tempfile_in(&folder) {
                // Whoever gave up the only NAR took the empty folder away.
                Err(error)
                    if error.kind() == io::ErrorKind::NotFound && attempts.next().is_some() => {}
                made => break (folders, made),
            }
        };
        let (file, temporary) = made
            .map_err(temporary::without_name)
            .map_err(failed(&self.label, "create a file in", &folder))?
            .into_parts();
        Ok(Box::new(FileUpload {
            file,
            temporary,
            folders,
            dir: self.dir.clone(),
            label: self.label.clone(),
            synced: self.synced,
        }))
    }

    fn settle(&self) -> Result<(), CacheError> {
        if matches!(self.synced, Synced::Each) {
            return Ok(());
        }
        let failed = failed(&self.label, "write out", &self.dir);
        let Some(folder) = found(File::open(&self.dir)).map_err(failed)? else {
            return Ok(());
        };
        rustix::fs::syncfs(&folder).map_err(|error| failed(error.into()))
    }
}

/// A file without a final name.
struct FileUpload {
    file: File,
    temporary: TempPath,
    /// After `temporary`, so that the folder is empty when it goes.
    folders: NewFolders,
    dir: PathBuf,
    label: String,
    synced: Synced,
}

impl Write for FileUpload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn write_vectored(&mut self, slices: &[io::IoSlice<'_>]) -> io::Result<usize> {
        self.file.write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Upload for FileUpload {
    fn failure(&mut self, error: io::Error) -> CacheError {
        failed(&self.label, "write", &self.temporary)(error)
    }

    fn finish(self: Box<Self>, wanted: &Key) -> Result<Key, CacheError> {
        let path = self.dir.join(wanted.as_str());
        publish::replace(&self.file, self.temporary, &path, self.synced).map_err(failed(
            &self.label,
            "create",
            &path,
        ))?;
        self.folders.keep();
        Ok(wanted.clone())
    }
}

/// Opens a file that is one: a pipe that somebody put there would never end.
fn plain_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let no_wait = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = options.read(true).custom_flags(no_wait).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other("it is no plain file")),
    }
}

/// What is not there is no error.
fn found<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// A file's state is its contents.
fn version(bytes: &[u8]) -> Version {
    let mut hasher = Hasher::new(HashAlgorithm::Sha256);
    hasher.update(bytes);
    Version(hasher.finish().hex())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_lies_behind_links_is_listed_once_and_nothing_forever() {
        let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(other.path().join("a.nar"), "abc").unwrap();
        fs::write(dir.path().join("nix-cache-info"), "x").unwrap();
        symlink(other.path(), dir.path().join("nar")).unwrap();
        symlink(dir.path(), other.path().join("back")).unwrap();
        symlink("nothing", dir.path().join("dangling")).unwrap();
        let mut names = Vec::new();
        Folder::new(dir.path().to_owned())
            .list(&mut |listed| {
                names.push((listed.name, listed.size));
                Ok(())
            })
            .unwrap();
        names.sort();
        let expected = [("nar/a.nar", 3), ("nix-cache-info", 1)];
        assert_eq!(names, expected.map(|(name, size)| (name.to_owned(), size)));
        Folder::new(dir.path().join("none"))
            .list(&mut |_| Ok(()))
            .unwrap();
    }
}
