//! Which store Nix's own environment variables mean.
//!
//! | variable | what it says |
//! |---|---|
//! | `NIX_REMOTE` | the store that `store` means; `auto` without it |
//! | `NIX_DAEMON_SOCKET_PATH` | the socket of `daemon` |
//! | `NIX_STATE_DIR` | the folder whose `daemon-socket/socket` that is otherwise: `/nix/var/nix` |
//! | `NIX_STORE_DIR`, `NIX_STORE` | must not name another store than `/nix/store` |

use std::ffi::OsString;
use std::path::PathBuf;

use fetchhost_formats::STORE_DIR;

use super::error::StoreError;
use super::url::{StoreUrl, StoreUrlError};

const REMOTE: &str = "NIX_REMOTE";
const SOCKET: &str = "NIX_DAEMON_SOCKET_PATH";
const STATE_DIR: &str = "NIX_STATE_DIR";
const STORE_DIR_VARIABLES: [&str; 2] = ["NIX_STORE_DIR", "NIX_STORE"];

/// Nix's default for `NIX_STATE_DIR`.
const DEFAULT_STATE_DIR: &str = "/nix/var/nix";
/// Where the socket is below it.
const SOCKET_BELOW_STATE: &str = "daemon-socket/socket";

/// What the environment says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Environment {
    /// What `store` and `auto` mean.
    pub(super) remote: StoreUrl,
    /// The daemon's socket.
    pub(super) socket: PathBuf,
}

impl Environment {
    /// Reads the process's environment.
    pub(super) fn read() -> Result<Self, StoreError> {
        Self::from_lookup(|name| std::env::var_os(name))
    }

    fn from_lookup(lookup: impl Fn(&str) -> Option<OsString>) -> Result<Self, StoreError> {
        // Nix takes an empty value for none.
        let lookup = |name| lookup(name).filter(|value| !value.is_empty());
        for variable in STORE_DIR_VARIABLES {
            if let Some(value) = lookup(variable).filter(|value| value != STORE_DIR) {
                let value = value.to_string_lossy().into_owned();
                return Err(StoreError::foreign_store(variable, value));
            }
        }
        let remote = match lookup(REMOTE) {
            None => StoreUrl::Auto,
            Some(value) => {
                let value = value.to_string_lossy().into_owned();
                value
                    .parse()
                    .map_err(|error: StoreUrlError| StoreError::Environment {
                        variable: REMOTE,
                        problem: error.to_string(),
                        value,
                    })?
            }
        };
        let socket = lookup(SOCKET).map_or_else(
            || {
                lookup(STATE_DIR)
                    .map_or_else(|| PathBuf::from(DEFAULT_STATE_DIR), PathBuf::from)
                    .join(SOCKET_BELOW_STATE)
            },
            PathBuf::from,
        );
        Ok(Self { remote, socket })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Result<Environment, StoreError> {
        Environment::from_lookup(|name| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| value.into())
        })
    }

    #[test]
    fn without_variables_the_store_is_found_where_nix_finds_it() {
        for variables in [
            &[][..],
            &[("NIX_REMOTE", ""), ("NIX_STORE_DIR", "/nix/store")],
        ] {
            let found = environment(variables).unwrap();
            assert_eq!(found.remote, StoreUrl::Auto);
            assert_eq!(
                found.socket,
                PathBuf::from("/nix/var/nix/daemon-socket/socket")
            );
        }
    }

    #[test]
    fn the_socket_is_the_one_that_nix_would_ask() {
        let state = ("NIX_STATE_DIR", "/s");
        let found = environment(&[state]).unwrap();
        assert_eq!(found.socket, PathBuf::from("/s/daemon-socket/socket"));
        let found = environment(&[state, ("NIX_DAEMON_SOCKET_PATH", "/sock")]).unwrap();
        assert_eq!(found.socket, PathBuf::from("/sock"));
    }

    #[test]
    fn nix_remote_takes_what_the_command_line_takes() {
        let found = environment(&[("NIX_REMOTE", "unix:///s?root=/r")]).unwrap();
        assert_eq!(found.remote, "unix:///s?root=/r".parse().unwrap());
        let error = environment(&[("NIX_REMOTE", "ssh-ng://host")]).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("`NIX_REMOTE` is `ssh-ng://host`: "),
            "{error}"
        );
        assert!(error.is_configuration());
    }

    #[test]
    fn another_store_directory_is_refused() {
        for variable in ["NIX_STORE_DIR", "NIX_STORE"] {
            let error = environment(&[(variable, "/gnu/store")]).unwrap_err();
            assert!(error.to_string().contains(variable), "{error}");
        }
    }
}
