//! Parsing what follows `store=`: the forms in which Nix names a store on this machine.
//!
//! | text | the store |
//! |---|---|
//! | `auto` | the daemon's when it answers, else as `local` |
//! | `daemon`, `daemon?root=DIR` | the daemon's at the usual socket |
//! | `unix:///PATH`, `unix:///PATH?root=DIR` | the daemon's at this socket |
//! | `local`, `local?root=DIR` | written by this user, without a daemon |
//! | `/DIR` | the same as `local?root=/DIR` |
//! | another parameter, one twice, a relative path | refused |
//! | `ssh://…`, `ssh-ng://…`, `https://…`, `s3://…`, `dummy://` | refused: not a store on this machine |
//!
//! `root` is where the files lie, `DIR/nix/store/…`; store paths stay `/nix/store/…`. Values are
//! percent-decoded, as Nix does.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use fetchhost_policy::printable;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use thiserror::Error;

/// The one parameter that has a meaning for what this program does.
const ROOT: &str = "root";

/// What stays as it is when a path becomes part of a URL.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'_')
    .remove(b'.');

/// Which Nix store is meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum StoreUrl {
    /// Whatever Nix itself would use: `NIX_REMOTE`, else the daemon, else the store without a daemon.
    #[default]
    Auto,
    /// The daemon's at the usual socket.
    Daemon {
        /// Where its files lie, when not at `/`.
        root: Option<PathBuf>,
    },
    /// The daemon's at another socket.
    Unix {
        /// The socket.
        socket: PathBuf,
        /// Where its files lie, when not at `/`.
        root: Option<PathBuf>,
    },
    /// The one that this user writes himself.
    Local {
        /// Where its files lie, when not at `/`.
        root: Option<PathBuf>,
    },
}

impl StoreUrl {
    /// Where the files lie, when not at `/`.
    pub(super) fn root(&self) -> Option<&Path> {
        match self {
            Self::Auto => None,
            Self::Daemon { root } | Self::Unix { root, .. } | Self::Local { root } => {
                root.as_deref()
            }
        }
    }

    /// As it can be typed after `store=`, and as `NIX_REMOTE` takes it.
    pub(super) fn to_text(&self) -> String {
        let name = match self {
            Self::Auto => "auto".to_owned(),
            Self::Daemon { .. } => "daemon".to_owned(),
            Self::Unix { socket, .. } => format!("unix://{}", encoded(socket)),
            Self::Local { .. } => "local".to_owned(),
        };
        match self.root() {
            Some(root) => format!("{name}?{ROOT}={}", encoded(root)),
            None => name,
        }
    }
}

impl FromStr for StoreUrl {
    type Err = StoreUrlError;

    fn from_str(text: &str) -> Result<Self, StoreUrlError> {
        let (place, query) = text.split_once('?').unwrap_or((text, ""));
        let mut root = None;
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if name != ROOT || place == "auto" {
                return Err(StoreUrlError::Unknown {
                    name: name.to_owned(),
                });
            }
            let value = absolute(value)?;
            if root.replace(value).is_some() {
                return Err(StoreUrlError::Twice);
            }
        }
        match place {
            "auto" => Ok(Self::Auto),
            "daemon" => Ok(Self::Daemon { root }),
            "local" => Ok(Self::Local { root }),
            place if place.starts_with('/') && root.is_none() => Ok(Self::Local {
                root: Some(absolute(place)?),
            }),
            place => match place.strip_prefix("unix://") {
                Some(socket) => Ok(Self::Unix {
                    socket: absolute(socket)?,
                    root,
                }),
                None => Err(StoreUrlError::Elsewhere {
                    given: text.to_owned(),
                }),
            },
        }
    }
}

/// A path that means the same in every folder.
fn absolute(text: &str) -> Result<PathBuf, StoreUrlError> {
    let bytes: Vec<u8> = percent_decode_str(text).collect();
    let nul = bytes.contains(&0);
    let path = PathBuf::from(OsString::from_vec(bytes));
    if path.is_absolute() && !nul {
        Ok(path)
    } else {
        Err(StoreUrlError::Path {
            given: text.to_owned(),
        })
    }
}

fn encoded(path: &Path) -> String {
    percent_encode(path.as_os_str().as_bytes(), PLAIN).to_string()
}

/// Why a text names no store that can be written to.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum StoreUrlError {
    /// Not a store on this machine.
    #[error("`{}` is not a Nix store on this machine", printable(given))]
    Elsewhere {
        /// The text.
        given: String,
    },
    /// A parameter that this program does not know.
    #[error("unknown parameter `{}` of a Nix store", printable(name))]
    Unknown {
        /// Its name.
        name: String,
    },
    /// `root` is given twice.
    #[error("the parameter `{ROOT}` is given twice")]
    Twice,
    /// A path that depends on the folder it is read in, or that no path can be.
    #[error("`{}` is not an absolute path", printable(given))]
    Path {
        /// The text.
        given: String,
    },
}

impl StoreUrlError {
    /// What to write instead.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Elsewhere { .. } => Some(
                "a store is `store`, `store=daemon`, `store=unix:///SOCKET` or `store=local?root=/DIR`; another machine's is filled from a binary cache, `file:///DIR`, by `nix copy`"
                    .to_owned(),
            ),
            Self::Unknown { .. } => Some(format!("the parameter is `{ROOT}`, as in `store=local?{ROOT}=/DIR`")),
            Self::Twice | Self::Path { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_out_is_read_as_the_same() {
        for text in [
            "auto",
            "daemon",
            "daemon?root=/r",
            "unix:///s",
            "unix:///a%20b/s?root=/r%26%3D%3F",
            "local",
            "local?root=/x-y_z.1/%25",
        ] {
            let url: StoreUrl = text.parse().unwrap();
            assert_eq!(url.to_text(), text);
        }
    }
}
