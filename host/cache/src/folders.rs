//! Folders that are taken away again when nothing was put into them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::{fs, io};

/// What this process created. Two destinations may share a folder: whichever goes last removes it,
/// not necessarily the one that created it.
static CREATED: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// The use of a folder that may not have existed before. Dropping it removes the folder, and what
/// this process created above it, as far as that is empty: a run that failed leaves not even an
/// empty cache.
pub struct NewFolders(PathBuf);

impl NewFolders {
    /// Creates `folder` and what is missing above it.
    ///
    /// # Errors
    /// As [`fs::create_dir_all`].
    pub fn create(folder: &Path) -> io::Result<Self> {
        let mut created = CREATED.lock().unwrap_or_else(PoisonError::into_inner);
        let missing = parents(folder).take_while(|folder| !folder.exists());
        let missing: Vec<_> = missing.map(Path::to_path_buf).collect();
        if !missing.is_empty() {
            created.extend(missing);
            fs::create_dir_all(folder)?;
        }
        Ok(Self(folder.to_path_buf()))
    }

    /// Leaves the folders, into which something was put for good.
    pub fn keep(self) {
        let mut created = CREATED.lock().unwrap_or_else(PoisonError::into_inner);
        for folder in parents(&self.0) {
            created.remove(folder);
        }
    }
}

impl Drop for NewFolders {
    fn drop(&mut self) {
        let mut created = CREATED.lock().unwrap_or_else(PoisonError::into_inner);
        for folder in parents(&self.0) {
            // Removing fails, as it should, as soon as somebody put something there.
            if !created.contains(folder) || fs::remove_dir(folder).is_err() {
                return;
            }
            created.remove(folder);
        }
    }
}

/// A folder and those above it, the deepest first.
fn parents(folder: &Path) -> impl Iterator<Item = &Path> {
    folder
        .ancestors()
        .take_while(|folder| !folder.as_os_str().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_that_stay_empty_go_again_and_others_stay() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("a/b/c");
        drop(NewFolders::create(&folder).unwrap());
        assert!(!dir.path().join("a").exists());
        assert!(dir.path().exists());

        let folders = NewFolders::create(&folder).unwrap();
        fs::write(dir.path().join("a/b/file"), "").unwrap();
        drop(folders);
        assert!(!folder.exists());
        assert!(dir.path().join("a/b/file").exists());
    }

    #[test]
    fn a_shared_folder_goes_with_its_last_user() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("a/nar");
        let first = NewFolders::create(&folder).unwrap();
        let second = NewFolders::create(&folder).unwrap();
        fs::write(folder.join("of the second"), "").unwrap();
        drop(first);
        assert!(folder.exists());
        fs::remove_file(folder.join("of the second")).unwrap();
        drop(second);
        assert!(!dir.path().join("a").exists());
    }
}
