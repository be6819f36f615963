//! The configuration files: found, checked for who may have written them, read and merged.

use std::path::{Path, PathBuf};

use fetchhost_policy::Config;
use rustix::fs::{Mode, OFlags};

use crate::environment::Environment;
use crate::failure::Failure;

/// The configuration in force and the files that it comes from.
#[derive(Debug)]
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
    let fail =
        |what: String| Failure::usage(format!("the configuration `{}` {what}", path.display()));
    let file = match rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) {
        Ok(file) => file,
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => return Ok(None),
        Err(error) => return Err(fail(format!("cannot be read: {error}"))),
    };
    // Asked of the opened file, so that it cannot be exchanged between the check and the reading.
    let stat =
        rustix::fs::fstat(&file).map_err(|error| fail(format!("cannot be read: {error}")))?;
    let user = rustix::process::geteuid().as_raw();
    if stat.st_uid != user && stat.st_uid != 0 {
        return Err(fail(format!(
            "belongs to user {}, who is neither you nor root",
            stat.st_uid
        ))
        .with_hint(format!(
            "check what it says, then `chown {user} {}`",
            path.display()
        )));
    }
    if stat.st_mode & 0o022 != 0 {
        return Err(
            fail("can be written by others".to_owned()).with_hint(format!(
                "check what it says, then `chmod go-w {}`",
                path.display()
            )),
        );
    }
    let text = std::io::read_to_string(std::fs::File::from(file))
        .map_err(|error| fail(format!("cannot be read: {error}")))?;
    Ok(Some(Config::parse(&text, path)?))
}
