//! How a store is reached, without adding anything to it.

use std::path::PathBuf;

use super::daemon::Connection;
use super::environment::Environment;
use super::{Store, StoreError, StoreUrl};
use crate::error::SinkError;

/// How a store is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reached {
    /// A daemon answers at this socket.
    Daemon(PathBuf),
    /// No daemon is asked: Nix, started for the one connection, works on this store. It is written as
    /// it is typed after `store=`.
    Own(String),
    /// The same, but the store is not there yet. Nix makes it with the first artifact.
    Absent(String),
}

impl Store {
    /// How [`lookup`](crate::Destination::lookup) and [`open`](crate::Destination::open) reach this
    /// store: the greeting is exchanged, and nothing is asked for. Makes no store. May block.
    ///
    /// # Errors
    ///
    /// As theirs: when nobody answers, or what answers cannot be used.
    pub fn reach(&self) -> Result<Reached, SinkError> {
        self.reached().map_err(SinkError::of_store(&self.label()))
    }

    fn reached(&self) -> Result<Reached, StoreError> {
        let environment = Environment::read()?;
        let url = match &self.url {
            StoreUrl::Auto => &environment.remote,
            url => url,
        };
        let socket = match url {
            StoreUrl::Auto if Connection::is_offered(&environment.socket) => &environment.socket,
            StoreUrl::Daemon { .. } => &environment.socket,
            StoreUrl::Unix { socket, .. } => socket,
            StoreUrl::Auto => return self.reached_without_daemon(&environment.without_daemon()),
            StoreUrl::Local { .. } => return self.reached_without_daemon(url),
        };
        self.connect()?;
        Ok(Reached::Daemon(socket.clone()))
    }

    fn reached_without_daemon(&self, url: &StoreUrl) -> Result<Reached, StoreError> {
        let url = url.to_text();
        // To connect to it would make it.
        if !self.is_missing()? {
            self.connect()?;
            return Ok(Reached::Own(url));
        }
        if Connection::can_be_started() {
            Ok(Reached::Absent(url))
        } else {
            Err(StoreError::NoProgram)
        }
    }
}
