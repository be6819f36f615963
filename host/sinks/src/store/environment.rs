//! Which store Nix's own environment variables mean.
//!
//! | variable | what it says |
//! |---|---|
//! | `NIX_REMOTE` | the store that `store` means; `auto` without it |
//! | `NIX_DAEMON_SOCKET_PATH` | the socket of `daemon` |
//! | `NIX_STATE_DIR` | the folder whose `daemon-socket/socket` that is otherwise: `/nix/var/nix` |
//! | `NIX_STORE_DIR`, `NIX_STORE` | must not name another store than `/nix/store` |
//! | `XDG_DATA_HOME`, `HOME` | below which an ordinary user's own store is, where there is no `/nix` |

use std::ffi::OsString;
use std::path::{Path, PathBuf};

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
    /// Where a store at `/` keeps its state.
    state: PathBuf,
    /// Where an ordinary user's own store is, unless something was said about stores.
    own_root: Option<PathBuf>,
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
        let state =
            lookup(STATE_DIR).map_or_else(|| PathBuf::from(DEFAULT_STATE_DIR), PathBuf::from);
        let socket = lookup(SOCKET).map_or_else(|| state.join(SOCKET_BELOW_STATE), PathBuf::from);
        let data = lookup("XDG_DATA_HOME")
            .map(PathBuf::from)
            .or_else(|| Some(PathBuf::from(lookup("HOME")?).join(".local/share")));
        let is_told = lookup(STATE_DIR).is_some() || lookup(STORE_DIR_VARIABLES[0]).is_some();
        let own_root = data
            .filter(|data| data.is_absolute() && !is_told)
            .map(|data| data.join("nix/root"));
        Ok(Self {
            remote,
            socket,
            state,
            own_root,
        })
    }

    /// The store that `auto` means where no daemon answers: the one at `/`, or, for an ordinary user
    /// without it, his own. Newer versions of Nix choose the same; older ones have only the first.
    pub(super) fn without_daemon(&self) -> StoreUrl {
        let missing = matches!(self.state.try_exists(), Ok(false));
        let root = self
            .own_root
            .clone()
            .filter(|_| missing && !rustix::process::geteuid().is_root());
        StoreUrl::Local { root }
    }

    /// The database of the store that lies in `root`.
    pub(super) fn database(&self, root: Option<&Path>) -> PathBuf {
        match root {
            Some(root) => root.join(DEFAULT_STATE_DIR.trim_start_matches('/')),
            None => self.state.clone(),
        }
        .join("db")
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
    fn an_ordinary_user_without_a_store_at_the_root_has_his_own() {
        let ordinary = !rustix::process::geteuid().is_root();
        let missing = !Path::new(DEFAULT_STATE_DIR).exists();
        for (variables, own) in [
            (&[("HOME", "/h")][..], "/h/.local/share/nix/root"),
            (&[("HOME", "/h"), ("XDG_DATA_HOME", "/d")], "/d/nix/root"),
        ] {
            let found = environment(variables).unwrap();
            assert_eq!(found.own_root, Some(own.into()));
            let root = (ordinary && missing).then(|| own.into());
            assert_eq!(found.without_daemon(), StoreUrl::Local { root });
        }
        for told in [("NIX_STATE_DIR", "/s"), ("NIX_STORE_DIR", "/nix/store")] {
            let found = environment(&[("HOME", "/h"), told]).unwrap();
            assert_eq!(found.without_daemon(), StoreUrl::Local { root: None });
        }
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
