//! What a guest prints, kept for error messages and for nothing else.
//!
//! Threat: a guest prints without end to fill the host's memory, or prints control characters to
//! draw on the user's terminal. Rule: only the last [`KEPT_BYTES`] are kept, printing never fails
//! or blocks, and the text is escaped before anybody sees it.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

/// How much of the end of the output is kept: a panic message with its backtrace.
const KEPT_BYTES: usize = 8 * 1024;

/// How much a guest may write in one call.
const WRITE_BYTES: usize = 64 * 1024;

/// The end of what was printed. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Tail(Arc<Mutex<VecDeque<u8>>>);

impl Tail {
    /// The last lines printed, one by one, with control characters escaped.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut kept = self.lock();
        String::from_utf8_lossy(kept.make_contiguous())
            .lines()
            .map(|line| fetchhost_policy::printable(line).into_owned())
            .collect()
    }

    fn push(&self, bytes: &[u8]) {
        let bytes = &bytes[bytes.len().saturating_sub(KEPT_BYTES)..];
        let mut kept = self.lock();
        let excess = (kept.len() + bytes.len()).saturating_sub(KEPT_BYTES);
        kept.drain(..excess);
        kept.extend(bytes);
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl IsTerminal for Tail {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Tail {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl OutputStream for Tail {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.push(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_BYTES)
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Tail {
    async fn ready(&mut self) {}
}

impl AsyncWrite for Tail {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        self.push(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_end_is_kept() {
        let tail = Tail::default();
        for _ in 0..100 {
            tail.push(&[b'a'; 1000]);
        }
        tail.push(b"\nthe end");
        assert_eq!(tail.lock().len(), KEPT_BYTES);
        assert_eq!(tail.lines().last().unwrap(), "the end");
    }

    #[test]
    fn one_write_longer_than_what_is_kept_leaves_its_end() {
        let tail = Tail::default();
        tail.push(&[b'a'; KEPT_BYTES * 3]);
        tail.push(b"z");
        assert_eq!(tail.lock().len(), KEPT_BYTES);
        assert_eq!(tail.lock().back(), Some(&b'z'));
    }

    #[test]
    fn control_characters_are_escaped() {
        let tail = Tail::default();
        tail.push(b"\x1b[2Jgone\nnext");
        let lines = tail.lines();
        assert!(!lines[0].contains('\x1b'), "{lines:?}");
        assert_eq!(lines[1], "next");
    }
}
