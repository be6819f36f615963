//! The socket that a service manager hands over, as systemd does: `LISTEN_PID` is this process, `LISTEN_FDS`
//! is 1, and the socket is descriptor 3.

use std::net::TcpListener;
use std::os::fd::{BorrowedFd, FromRawFd as _, OwnedFd, RawFd};

use rustix::io::FdFlags;

use crate::failure::Failure;

/// The first descriptor that is handed over.
const FIRST: RawFd = 3;

/// The socket, if one was handed to this process. To be called once.
pub(crate) fn socket() -> Result<Option<TcpListener>, Failure> {
    let number = |name| {
        let text = std::env::var(name).ok()?;
        text.parse::<u32>().ok()
    };
    if number("LISTEN_PID") != Some(std::process::id()) {
        return Ok(None);
    }
    match number("LISTEN_FDS") {
        None | Some(0) => return Ok(None),
        Some(1) => {}
        Some(several) => {
            return Err(Failure::usage(format!(
                "the service manager hands over {several} sockets"
            ))
            .with_hint("write one `ListenStream=` in the socket unit"));
        }
    }
    let no_socket = |error: &dyn std::fmt::Display| {
        Failure::usage(format!(
            "what the service manager hands over is no listening socket: {error}"
        ))
        .with_hint("the socket unit needs `ListenStream=127.0.0.1:8459` and `Accept=no`")
    };
    // SAFETY: the descriptor is only asked what it is, and the borrow ends here; one that is not open is an
    // error of the call.
    let borrowed = unsafe { BorrowedFd::borrow_raw(FIRST) };
    match rustix::net::sockopt::socket_acceptconn(borrowed) {
        Ok(true) => {}
        Ok(false) => return Err(no_socket(&"it does not listen")),
        Err(error) => return Err(no_socket(&error)),
    }
    // SAFETY: it is open, and it is ours: the environment says that it was handed to this process, and nothing
    // in this program opens a listening socket before this.
    let owned = unsafe { OwnedFd::from_raw_fd(FIRST) };
    // Children have no use for it.
    rustix::io::fcntl_setfd(&owned, FdFlags::CLOEXEC).map_err(|error| no_socket(&error))?;
    Ok(Some(TcpListener::from(owned)))
}
