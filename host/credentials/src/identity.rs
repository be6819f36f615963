//! The user's age identities: the keys that `age:` sources are decrypted with.

use std::{
    ffi::OsString,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use age::{
    Encryptor,
    armor::{ArmoredWriter, Format},
    x25519,
};
use secrecy::ExposeSecret;
use zeroize::Zeroizing;

use crate::{
    Secret,
    private_file::{Existing, write_private},
    source::file::{FileError, Trust, read_file},
};

/// The environment variable that names another file of identities.
pub const IDENTITY_VARIABLE: &str = "NIX_FETCHHOST_AGE_IDENTITY";

/// No file of identities is larger.
const MAX_BYTES: usize = 64 * 1024;

/// The file of the user's identities: `$NIX_FETCHHOST_AGE_IDENTITY`, else `identity.txt` in
/// `$XDG_CONFIG_HOME/nix-fetchhost` or `$HOME/.config/nix-fetchhost`. `None` without a home.
#[must_use]
pub fn identity_path(environment: &dyn Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    if let Some(path) = environment(IDENTITY_VARIABLE).filter(|path| !path.is_empty()) {
        return Some(path.into());
    }
    // The XDG specification: a relative path is to be ignored.
    let absolute = |name| {
        environment(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let base = absolute("XDG_CONFIG_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".config")))?;
    Some(base.join("nix-fetchhost").join("identity.txt"))
}

/// Why there are no identities.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// No home to have them in.
    #[error("there is no home folder to keep an age identity in")]
    NoHome,
    /// The file cannot be read, or others could have read it.
    #[error("the age identity: {0}")]
    File(FileError),
    /// A line that is no identity. It is not shown.
    #[error(
        "`{}`, line {line}: this is no X25519 identity of age (`AGE-SECRET-KEY-1…`)",
        .path.display()
    )]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
    },
    /// A file without any identity in it.
    #[error("`{}` holds no age identity", .0.display())]
    None(PathBuf),
    /// The file cannot be made.
    #[error("the age identity `{}` cannot be made: {error}", .path.display())]
    Make {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Encryption failed.
    #[error("the secret cannot be encrypted: {0}")]
    Encrypt(io::Error),
}

impl IdentityError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoHome => Some(format!(
                "set `HOME`, or `{IDENTITY_VARIABLE}` to the file with the identity"
            )),
            Self::File(FileError::Unreadable { error, .. })
                if error.kind() == io::ErrorKind::NotFound =>
            {
                Some(format!(
                    "what was encrypted to it cannot be read without it: put the file back, or name it with `{IDENTITY_VARIABLE}`; if it is lost, give each secret anew with `nix-fetchhost credential set NAME`, which makes a new identity"
                ))
            }
            Self::File(error) => error.hint(false),
            Self::Line { .. } | Self::None(_) => {
                Some("`age-keygen` writes such files; SSH keys and plugins are not read".to_owned())
            }
            Self::Make { path, .. } => Some(format!(
                "see that `{}` can be written to, or name another file with `{IDENTITY_VARIABLE}`",
                path.parent().unwrap_or(Path::new(".")).display()
            )),
            Self::Encrypt(_) => Some(
                "see that the identities are as `age-keygen` writes them, and run it again"
                    .to_owned(),
            ),
        }
    }
}

/// The user's identities. They have no `Debug`, and age wipes them when they are dropped.
pub struct Identities(Vec<x25519::Identity>);

impl Identities {
    /// Reads the identities in `path`.
    ///
    /// # Errors
    /// When the file cannot be read, is somebody else's or open to others, or holds anything but
    /// identities, comments and blank lines.
    pub fn load(path: &Path) -> Result<Self, IdentityError> {
        let user = rustix::process::geteuid().as_raw();
        let bytes =
            read_file(path, Trust::Private, user, MAX_BYTES).map_err(IdentityError::File)?;
        let mut identities = Vec::new();
        for (number, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
            let line = line.trim_ascii();
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            let identity = str::from_utf8(line).ok().and_then(|text| text.parse().ok());
            identities.push(identity.ok_or_else(|| IdentityError::Line {
                path: path.to_owned(),
                line: number + 1,
            })?);
        }
        if identities.is_empty() {
            return Err(IdentityError::None(path.to_owned()));
        }
        Ok(Self(identities))
    }

    /// Reads the identities in `path`, or makes the file with a new one, mode 0600, when there is
    /// none. The second value says which.
    ///
    /// # Errors
    /// As [`Identities::load`], and when the file cannot be made.
    pub fn load_or_make(path: &Path) -> Result<(Self, bool), IdentityError> {
        let made = make(path).map_err(|error| IdentityError::Make {
            path: path.to_owned(),
            error,
        })?;
        Self::load(path).map(|identities| (identities, made))
    }

    /// `secret` as an armored age file that each of the identities decrypts.
    ///
    /// # Errors
    /// [`IdentityError::Encrypt`].
    pub fn seal(&self, secret: &Secret) -> Result<Vec<u8>, IdentityError> {
        self.write(secret.expose().as_bytes())
            .map_err(IdentityError::Encrypt)
    }

    fn write(&self, content: &[u8]) -> io::Result<Vec<u8>> {
        let recipients: Vec<x25519::Recipient> =
            self.0.iter().map(x25519::Identity::to_public).collect();
        let recipients = recipients
            .iter()
            .map(|recipient| recipient as &dyn age::Recipient);
        let encryptor = Encryptor::with_recipients(recipients).map_err(io::Error::other)?;
        let armored = ArmoredWriter::wrap_output(Vec::new(), Format::AsciiArmor)?;
        let mut writer = encryptor.wrap_output(armored)?;
        writer.write_all(content)?;
        writer.finish()?.finish()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &dyn age::Identity> {
        self.0.iter().map(|identity| identity as &dyn age::Identity)
    }
}

/// Makes the file unless it is there. A file that appears meanwhile is left alone.
fn make(path: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        // A link that leads nowhere is neither an identity nor a place for one.
        Ok(found) if found.is_symlink() && !path.exists() => {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                "it is a link to a file that is not there",
            ));
        }
        Ok(_) => return Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let identity = x25519::Identity::generate();
    let text = Zeroizing::new(format!(
        "# The age identity of nix-fetchhost: it decrypts the credentials beside it. Keep it private.\n\
         # public key: {}\n{}\n",
        identity.to_public(),
        identity.to_string().expose_secret()
    ));
    write_private(path, text.as_bytes(), Existing::Keep)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn path_of(variables: &[(&str, &str)]) -> Option<PathBuf> {
        identity_path(&|name| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| value.into())
        })
    }

    #[test]
    fn the_identity_lies_beside_the_configuration_unless_the_variable_names_another() {
        let home = ("HOME", "/h");
        assert_eq!(
            path_of(&[home]),
            Some("/h/.config/nix-fetchhost/identity.txt".into())
        );
        assert_eq!(
            path_of(&[home, ("XDG_CONFIG_HOME", "/c")]),
            Some("/c/nix-fetchhost/identity.txt".into())
        );
        assert_eq!(
            path_of(&[home, (IDENTITY_VARIABLE, "/i"), ("XDG_CONFIG_HOME", "/c")]),
            Some("/i".into())
        );
        assert_eq!(path_of(&[("HOME", "relative")]), None);
    }

    #[test]
    fn an_identity_is_made_once_and_only_for_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/folder/identity.txt");
        let (first, made) = Identities::load_or_make(&path).unwrap();
        assert!(made);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().unwrap()), 0o700);
        let (again, made) = Identities::load_or_make(&path).unwrap();
        assert!(!made);
        let public = |identities: &Identities| identities.0[0].to_public().to_string();
        assert_eq!(public(&first), public(&again));
    }

    #[test]
    fn a_link_that_leads_nowhere_is_told_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("identity.txt");
        std::os::unix::fs::symlink("/nowhere/identity.txt", &path).unwrap();
        let error = Identities::load_or_make(&path).err().unwrap();
        assert!(error.to_string().contains("is a link"), "{error}");
        assert!(error.hint().unwrap().contains(IDENTITY_VARIABLE));
        assert!(fs::symlink_metadata(&path).unwrap().is_symlink());
    }

    #[test]
    fn identities_that_others_can_read_or_that_are_none_are_refused_without_being_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("identity.txt");
        Identities::load_or_make(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let error = Identities::load(&path).err().unwrap();
        assert!(matches!(error, IdentityError::File(_)), "{error}");
        assert!(error.hint().unwrap().contains("chmod 600"));

        for (content, line) in [
            ("# a\n\nAGE-SECRET-KEY-1CANARY\n", 3),
            ("canary", 1),
            ("ssh-ed25519 canary", 1),
        ] {
            fs::remove_file(&path).unwrap();
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            let error = Identities::load(&path).err().unwrap();
            assert!(matches!(&error, IdentityError::Line { line: at, .. } if *at == line));
            assert!(
                !format!("{error} {error:?}")
                    .to_lowercase()
                    .contains("canary")
            );
        }
        fs::write(&path, "# nothing\n").unwrap();
        let error = Identities::load(&path).err().unwrap();
        assert!(matches!(error, IdentityError::None(_)), "{error}");
    }
}
