//! A plain file of a store, by a name that somebody else chose.
//!
//! **The threat.** An expression names a file that is none of the store's: by `..`, by a path that is not valid, by a
//! link that leads out.
//!
//! **The rule.** The name is a store path, or one below it, spelt plainly; the path is valid; and the file is opened
//! without following a link out of it (`openat2` with `RESOLVE_BENEATH`).

use std::fs::File;
use std::path::{Component, Path, PathBuf};

use fetchhost_formats::{STORE_DIR, StorePath};
use rustix::fs::{Mode, OFlags, ResolveFlags, open, openat2};
use rustix::io::Errno;

use super::error::StoreError;
use super::reader::StoreReader;
use crate::error::SinkError;

impl StoreReader {
    /// Opens the plain file `logical`, a store path or a path below one, and keeps the garbage collector from it.
    ///
    /// # Errors
    ///
    /// When it is no plainly spelt name of a file in the store, its path is not valid, it is no plain file or lies
    /// behind a link out of its path, or the store cannot be asked.
    pub fn open_file(&self, logical: &Path) -> Result<File, SinkError> {
        let label = self.label();
        let failed = SinkError::of_source(&label);
        let (path, below) = parse(logical).map_err(failed)?;
        if self
            .hold(std::slice::from_ref(&path))?
            .iter()
            .any(Option::is_none)
        {
            return Err(failed(StoreError::NotValid {
                paths: vec![path.to_string()],
            }));
        }
        open_below(&self.place().physical(&path), &below).map_err(|problem| {
            failed(StoreError::NotInStore {
                typed: logical.to_owned(),
                problem,
            })
        })
    }
}

/// The store path and what follows it.
fn parse(logical: &Path) -> Result<(StorePath, PathBuf), StoreError> {
    let refused = |problem: &str| StoreError::NotInStore {
        typed: logical.to_owned(),
        problem: problem.to_owned(),
    };
    let text = logical
        .to_str()
        .ok_or_else(|| refused("the name is not UTF-8"))?;
    let below_store = text
        .strip_prefix(STORE_DIR)
        .and_then(|rest| rest.strip_prefix('/'))
        .ok_or_else(|| refused("it is no path of it"))?;
    let (name, below) = below_store.split_once('/').unwrap_or((below_store, ""));
    let path = StorePath::from_base_name(name).map_err(|error| refused(&error.to_string()))?;
    let below = PathBuf::from(below);
    if below
        .components()
        .any(|part| !matches!(part, Component::Normal(_)))
    {
        return Err(refused("it is not spelt plainly"));
    }
    Ok((path, below))
}

fn open_below(path: &Path, below: &Path) -> Result<File, String> {
    // Not to wait for who writes into a pipe.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let opened = if below.as_os_str().is_empty() {
        open(path, flags | OFlags::NOFOLLOW, Mode::empty())
    } else {
        open(
            path,
            OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .and_then(|root| {
            let within = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
            openat2(root, below, flags, Mode::empty(), within)
        })
    };
    let file = opened.map(File::from).map_err(|error| match error {
        Errno::XDEV | Errno::LOOP => "a link leads out of its store path".to_owned(),
        other => other.to_string(),
    })?;
    match file.metadata() {
        Ok(found) if found.is_file() => Ok(file),
        Ok(_) => Err("it is no plain file".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn only_plain_names_of_the_store_are_read() {
        let path = "/nix/store/00000000000000000000000000000000-x";
        let named = |text: &str| parse(Path::new(text)).map(|(_, below)| below);
        assert_eq!(named(path).unwrap(), Path::new(""));
        assert_eq!(named(&format!("{path}/a/b")).unwrap(), Path::new("a/b"));
        for text in [
            "/etc/passwd",
            "/nix/store",
            "/nix/store/",
            "/nix/store/../../etc/passwd",
            "/nix/store/.links/x",
            "/nix/storex/00000000000000000000000000000000-x",
            "nix/store/00000000000000000000000000000000-x",
            &format!("{path}/../x"),
            &format!("{path}//etc/passwd"),
            &format!("{path}/a/../../../etc"),
        ] {
            assert!(named(text).is_err(), "{text}");
        }
    }

    #[test]
    fn no_link_leads_out() {
        let folder = tempfile::tempdir().unwrap();
        let outside = folder.path().join("outside");
        std::fs::write(&outside, "secret").unwrap();
        let path = folder.path().join("path");
        std::fs::create_dir_all(path.join("lib")).unwrap();
        std::fs::write(path.join("lib/a.1"), "inside").unwrap();
        symlink("a.1", path.join("lib/a")).unwrap();
        symlink("../../outside", path.join("lib/up")).unwrap();
        symlink(&outside, path.join("lib/absolute")).unwrap();
        symlink(&outside, folder.path().join("link")).unwrap();
        symlink("..", path.join("above")).unwrap();
        let read = |path: &Path, below: &str| {
            let mut text = String::new();
            open_below(path, Path::new(below))
                .map(|mut file| file.read_to_string(&mut text))
                .map(|_| text)
        };
        assert_eq!(read(&path, "lib/a").unwrap(), "inside");
        assert_eq!(read(&outside, "").unwrap(), "secret");
        for below in ["lib/up", "lib/absolute", "above/outside"] {
            assert_eq!(
                read(&path, below).unwrap_err(),
                "a link leads out of its store path"
            );
        }
        assert!(read(&folder.path().join("link"), "").is_err());
        assert_eq!(read(&path, "lib").unwrap_err(), "it is no plain file");
        assert_eq!(read(&path, "").unwrap_err(), "it is no plain file");
        assert!(read(&path, "lib/none").is_err());
    }
}
