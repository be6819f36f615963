//! A binary cache in a folder.
//!
//! **The threat.** Others may write into the folder: a record, or a link, that leads to a file of the
//! owner's which is none of the cache's.
//!
//! **The rule.** The kernel opens what lies below the folder, links included, and nothing else
//! (`openat2` with `RESOLVE_BENEATH`); and only plain files are read.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use fetchhost_policy::UpstreamUrl;
use futures_util::future::BoxFuture;
use rustix::fs::{Mode, OFlags, ResolveFlags, open, openat2};
use rustix::io::Errno;

use super::{Opened, Upstream};
use crate::cache::Content;

/// A binary cache in a folder.
pub struct Folder {
    url: UpstreamUrl,
    folder: PathBuf,
    tell: Box<dyn Fn(&str) + Send + Sync>,
}

impl Folder {
    /// The cache in `folder`, and who is told what goes wrong.
    #[must_use]
    pub fn new(folder: PathBuf, tell: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self {
            url: UpstreamUrl::Folder(folder.clone()),
            folder,
            tell: Box::new(tell),
        }
    }
}

impl Upstream for Folder {
    fn url(&self) -> &UpstreamUrl {
        &self.url
    }

    fn open<'a>(&'a self, place: &'a str) -> BoxFuture<'a, Result<Option<Opened>, String>> {
        let (folder, place) = (self.folder.clone(), place.to_owned());
        Box::pin(async move {
            let read = tokio::task::spawn_blocking(move || file(&folder, &place)).await;
            let found = read
                .unwrap_or_else(|error| Err(io::Error::other(error)))
                .map_err(|error| format!("it cannot be read: {error}"))?;
            Ok(found.map(Opened::from))
        })
    }

    fn tell(&self, reason: &str) {
        (self.tell)(reason);
    }
}

/// The plain file at `place` below a folder.
fn file(folder: &Path, place: &str) -> io::Result<Option<Content>> {
    let root = open(
        folder,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let found = openat2(
        root,
        place,
        // Not to wait for who writes into a pipe.
        OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS,
    );
    let file = match found {
        Ok(file) => File::from(file),
        // Nothing there, or not below.
        Err(
            Errno::NOENT
            | Errno::NOTDIR
            | Errno::XDEV
            | Errno::LOOP
            | Errno::NAMETOOLONG
            | Errno::INVAL
            | Errno::NXIO,
        ) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let length = match file.metadata()? {
        found if found.is_file() => found.len(),
        _ => return Ok(None),
    };
    Ok(Some(Content::whole(file, length)))
}
