//! The configuration files: found, checked for who may have written them, read and merged.

pub(crate) mod draft;

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use fetchhost_policy::Config;
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::environment::Environment;
use crate::failure::Failure;

/// The configuration in force and the files that it comes from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    /// Administrator's and user's configuration, merged.
    pub(crate) config: Config,
    /// The files that were looked for, in order, and whether each is there.
    pub(crate) files: Vec<(PathBuf, bool)>,
}

impl Settings {
    /// Reads what is there; no file at all is the empty configuration.
    pub(crate) fn load(environment: &Environment) -> Result<Self, Failure> {
        let admin = read(&environment.admin_config)?;
        let user = match &environment.user_config {
            Some(path) => read(path)?,
            None => None,
        };
        let mut files = vec![(environment.admin_config.clone(), admin.is_some())];
        files.extend(
            environment
                .user_config
                .iter()
                .map(|path| (path.clone(), user.is_some())),
        );
        let config = Config::merge(admin.unwrap_or_default(), user.unwrap_or_default())?;
        Ok(Self { config, files })
    }
}

fn read(path: &Path) -> Result<Option<Config>, Failure> {
    match read_text(path)? {
        None => Ok(None),
        Some(text) => Ok(Some(Config::parse(&text, path)?)),
    }
}

/// The text of a configuration file that nobody but its owner could have put there; none when there
/// is no such file.
fn read_text(path: &Path) -> Result<Option<String>, Failure> {
    let fail = |error: &dyn std::fmt::Display| {
        Failure::usage(format!(
            "the configuration `{}` cannot be read: {error}",
            path.display()
        ))
        .with_hint("see that it is a file that you can read, or move it away")
    };
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Ok(None);
    };
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let absent = |error| matches!(error, Errno::NOENT | Errno::NOTDIR);
    // Both are asked when they are open, so that neither can be exchanged between check and reading.
    let opened = match rustix::fs::open(folder, flags | OFlags::DIRECTORY, Mode::empty()) {
        Err(error) if absent(error) => return Ok(None),
        opened => opened.map_err(|error| fail(&error))?,
    };
    let file = match rustix::fs::openat(&opened, name, flags, Mode::empty()) {
        Err(error) if absent(error) => return Ok(None),
        file => file.map_err(|error| fail(&error))?,
    };
    // Whoever can write the folder can put another file of the owner's in its place.
    check_owner(&opened, folder, "the folder of the configuration")?;
    check_links(path)?;
    check_owner(&file, path, "the configuration")?;
    std::io::read_to_string(std::fs::File::from(file))
        .map(Some)
        .map_err(|error| fail(&error))
}

/// The most links that are followed, as the system does.
const MAX_LINKS: usize = 40;

/// Follows the links that `path` leads through. Each must be the user's or root's, and so must the
/// folder that the next lies in: whoever can write there chooses what is read.
fn check_links(path: &Path) -> Result<(), Failure> {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        let Ok(target) = std::fs::read_link(&path) else {
            return Ok(());
        };
        let fail = |error: &dyn std::fmt::Display| {
            Failure::usage(format!(
                "the link `{}` to the configuration cannot be read: {error}",
                path.display()
            ))
            .with_hint("see where it leads, or move it away")
        };
        let owner = rustix::fs::lstat(&path)
            .map_err(|error| fail(&error))?
            .st_uid;
        let user = rustix::process::geteuid().as_raw();
        if owner != user && owner != 0 {
            return Err(Failure::usage(format!(
                "the link `{}` to the configuration belongs to user {owner}, who is neither you nor root",
                path.display()
            ))
            .with_hint("check where it leads, then make it yourself"));
        }
        let target = path.parent().unwrap_or(Path::new("/")).join(target);
        let Some(folder) = target.parent() else {
            return Ok(());
        };
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::DIRECTORY;
        let opened =
            rustix::fs::open(folder, flags, Mode::empty()).map_err(|error| fail(&error))?;
        check_owner(
            &opened,
            folder,
            "the folder that the configuration is linked from",
        )?;
        path = target;
    }
    Ok(())
}

/// Refuses what belongs to somebody else, or what others can write.
fn check_owner(file: &OwnedFd, path: &Path, what: &str) -> Result<(), Failure> {
    let path = path.display();
    let stat = rustix::fs::fstat(file)
        .map_err(|error| Failure::usage(format!("{what} `{path}` cannot be read: {error}")))?;
    let user = rustix::process::geteuid().as_raw();
    if stat.st_uid != user && stat.st_uid != 0 {
        return Err(Failure::usage(format!(
            "{what} `{path}` belongs to user {}, who is neither you nor root",
            stat.st_uid
        ))
        .with_hint(format!("check what it says, then `chown {user} {path}`")));
    }
    // In a folder with the sticky bit others can only add, and what they add is theirs.
    let is_sticky =
        FileType::from_raw_mode(stat.st_mode).is_dir() && stat.st_mode & Mode::SVTX.bits() != 0;
    let others = (Mode::WGRP | Mode::WOTH).bits();
    if stat.st_mode & others != 0 && !is_sticky {
        return Err(
            Failure::usage(format!("{what} `{path}` can be written by others"))
                .with_hint(format!("check what it says, then `chmod go-w {path}`")),
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests;
