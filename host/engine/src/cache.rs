//! Compiled modules and their descriptions, kept on disk.
//!
//! Threat: compiled code is native code. Whoever can write into the cache, or put a folder of his
//! own in its place, runs as the user. Rule: the cache belongs to the user alone, and code is only
//! ever made here; none is accepted from outside.
//!
//! | folder or file | what happens |
//! |---|---|
//! | missing | made, mode 0700 |
//! | owned by the user, no permission for group and others | used |
//! | owned by anyone else, root included | not used, with a warning |
//! | any permission for group or others | not used, with a warning |
//! | a symbolic link, or not a folder | not used, with a warning |
//! | a folder above it that everybody may write to, without the sticky bit | not used, with a warning |
//! | a file in it that is a link, or open to others, or someone else's | not used, made anew |
//!
//! A file is named after the module's digest and everything that its code depends on, so an entry
//! never goes stale: it is just not asked for any more.

use std::fs::{self, DirBuilder, Metadata};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

/// Bits that let anybody but the owner in.
const OTHERS: u32 = 0o077;
const WRITABLE_BY_ALL: u32 = 0o002;
const STICKY: u32 = 0o1000;

/// A folder that was found trustworthy.
pub(crate) struct Cache {
    dir: PathBuf,
    /// What compiled code depends on besides the module.
    compatibility: String,
}

/// Why a folder is not used as a cache.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("it belongs to user {owner}, not to user {user}")]
    Owner { owner: u32, user: u32 },
    #[error("others have access to it (mode {mode:04o}); `chmod 700` it")]
    Mode { mode: u32 },
    #[error("it is not a folder")]
    NotAFolder,
    #[error("everybody may write to `{}`, a folder above it", .0.display())]
    Above(PathBuf),
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Cache {
    /// Opens the cache in `dir`, which is made if it is missing.
    pub(crate) fn open(dir: &Path, compatibility: String) -> Result<Self, Refused> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        let metadata = fs::symlink_metadata(dir)?;
        if !metadata.is_dir() {
            return Err(Refused::NotAFolder);
        }
        private(&metadata)?;
        let dir = dir.canonicalize()?;
        for above in dir.ancestors().skip(1) {
            let mode = fs::symlink_metadata(above)?.mode();
            if mode & WRITABLE_BY_ALL != 0 && mode & STICKY == 0 {
                return Err(Refused::Above(above.to_owned()));
            }
        }
        Ok(Self { dir, compatibility })
    }

    /// The file with the compiled code of a module.
    pub(crate) fn code(&self, digest: &[u8; 32]) -> Option<PathBuf> {
        trusted(self.code_path(digest))
    }

    /// Keeps compiled code and returns its file.
    pub(crate) fn put_code(&self, digest: &[u8; 32], code: &[u8]) -> io::Result<PathBuf> {
        let path = self.code_path(digest);
        self.put(&path, code)?;
        Ok(path)
    }

    /// What a module's `describe` returned.
    pub(crate) fn description(&self, digest: &[u8; 32]) -> Option<Vec<u8>> {
        fs::read(trusted(self.description_path(digest))?).ok()
    }

    /// Keeps what a module's `describe` returned.
    pub(crate) fn put_description(&self, digest: &[u8; 32], json: &[u8]) -> io::Result<()> {
        self.put(&self.description_path(digest), json)
    }

    fn code_path(&self, digest: &[u8; 32]) -> PathBuf {
        self.dir.join(format!(
            "{}-{}.cwasm",
            fetchhost_formats::hex(digest),
            self.compatibility
        ))
    }

    fn description_path(&self, digest: &[u8; 32]) -> PathBuf {
        self.dir
            .join(format!("{}.describe.json", fetchhost_formats::hex(digest)))
    }

    /// Whole or not at all, mode 0600 (as temporary files are made). Two processes that do the same
    /// at once write the same bytes, so the later rename does no harm.
    fn put(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut file = tempfile::Builder::new()
            .prefix(".new-")
            .tempfile_in(&self.dir)?;
        file.write_all(bytes)?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    }
}

/// `path`, if a file is there that only the user can have written.
fn trusted(path: PathBuf) -> Option<PathBuf> {
    let metadata = fs::symlink_metadata(&path).ok()?;
    if !metadata.is_file() {
        return None;
    }
    match private(&metadata) {
        Ok(()) => Some(path),
        Err(reason) => {
            tracing::warn!("cached file `{}` is not used: {reason}", path.display());
            None
        }
    }
}

fn private(metadata: &Metadata) -> Result<(), Refused> {
    let user = rustix::process::geteuid().as_raw();
    if metadata.uid() != user {
        return Err(Refused::Owner {
            owner: metadata.uid(),
            user,
        });
    }
    let mode = metadata.mode() & 0o7777;
    if mode & OTHERS != 0 {
        return Err(Refused::Mode { mode });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    const DIGEST: [u8; 32] = [7; 32];

    fn open(dir: &Path) -> Result<Cache, Refused> {
        Cache::open(dir, "settings".to_owned())
    }

    fn chmod(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_missing_folder_is_made_for_its_owner_alone() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("a/b");
        open(&dir).unwrap();
        assert_eq!(fs::metadata(&dir).unwrap().mode() & 0o7777, 0o700);
    }

    #[test]
    fn what_is_put_comes_back_and_is_mode_0600() {
        let temp = tempfile::tempdir().unwrap();
        let cache = open(&temp.path().join("cache")).unwrap();
        assert_eq!(cache.code(&DIGEST), None);
        let path = cache.put_code(&DIGEST, b"code").unwrap();
        assert_eq!(cache.code(&DIGEST), Some(path.clone()));
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        cache.put_description(&DIGEST, b"{}").unwrap();
        assert_eq!(cache.description(&DIGEST).unwrap(), b"{}");
        assert_eq!(
            fs::read_dir(&cache.dir).unwrap().count(),
            2,
            "no temporary file stays"
        );
    }

    #[test]
    fn code_made_under_other_settings_is_not_found() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("cache");
        open(&dir).unwrap().put_code(&DIGEST, b"code").unwrap();
        assert_eq!(
            Cache::open(&dir, "others".to_owned())
                .unwrap()
                .code(&DIGEST),
            None
        );
    }

    #[test]
    fn a_folder_open_to_others_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("cache");
        open(&dir).unwrap();
        for mode in [0o701, 0o710, 0o770, 0o755, 0o777, 0o1777] {
            chmod(&dir, mode);
            assert!(matches!(open(&dir), Err(Refused::Mode { .. })), "{mode:o}");
        }
    }

    #[test]
    fn a_link_in_its_place_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        let real = temp.path().join("real");
        open(&real).unwrap();
        let link = temp.path().join("link");
        symlink(&real, &link).unwrap();
        assert!(matches!(open(&link), Err(Refused::NotAFolder)));
    }

    #[test]
    fn a_folder_above_that_everybody_writes_to_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        let above = temp.path().join("open");
        fs::create_dir(&above).unwrap();
        chmod(&above, 0o777);
        assert!(matches!(open(&above.join("cache")), Err(Refused::Above(_))));
        chmod(&above, 0o1777);
        open(&above.join("cache")).unwrap();
    }

    #[test]
    fn a_file_open_to_others_or_a_link_is_not_used() {
        let temp = tempfile::tempdir().unwrap();
        let cache = open(&temp.path().join("cache")).unwrap();
        let path = cache.put_code(&DIGEST, b"code").unwrap();
        chmod(&path, 0o604);
        assert_eq!(cache.code(&DIGEST), None);
        fs::remove_file(&path).unwrap();
        let elsewhere = temp.path().join("elsewhere");
        fs::write(&elsewhere, b"code").unwrap();
        symlink(&elsewhere, &path).unwrap();
        assert_eq!(cache.code(&DIGEST), None);
    }
}
