//! `log`: messages for the user.

use crate::bindings::nix_fetchhost::fetcher::log;
use crate::session::{LogLevel, LogLine};
use crate::store::Host;

/// What a message counts for at least: its line and the time that it takes on a terminal.
const LINE_BYTES: usize = 64;

impl Host {
    fn log(&mut self, level: LogLevel, message: &str) -> wasmtime::Result<()> {
        let fetch = self.fetch()?;
        fetch.count_logged(message.len().max(LINE_BYTES))?;
        let message = fetchhost_policy::printable(message.trim_end()).into_owned();
        (fetch.session.log)(LogLine { level, message });
        Ok(())
    }
}

impl log::Host for Host {
    async fn debug(&mut self, message: String) -> wasmtime::Result<()> {
        self.log(LogLevel::Debug, &message)
    }

    async fn info(&mut self, message: String) -> wasmtime::Result<()> {
        self.log(LogLevel::Info, &message)
    }

    async fn warn(&mut self, message: String) -> wasmtime::Result<()> {
        self.log(LogLevel::Warn, &message)
    }

    async fn phase(&mut self, name: String) -> wasmtime::Result<()> {
        self.log(LogLevel::Phase, &name)
    }
}
