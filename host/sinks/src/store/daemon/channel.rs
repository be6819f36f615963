//! A socket that can be written and read at once, and whose end nobody takes for the end of a file.
//!
//! Nix may talk while it is being fed. Were its words left in the socket until everything is
//! written, both sides could end up waiting for the other to read: so whoever waits here for room to
//! write also takes what arrives.
//!
//! While Nix is fed a flat file, it takes a closed connection for the file's end, and registers what
//! has come so far (2.8, 2.26 and 2.34 do, unless they happen to see the hang-up first). A client
//! that dies would leave half a file in the store, under a name of its own but valid. So the last
//! byte that has arrived is looked at and left where it is, as long as the [`Channel`] is told to
//! [hold back](Channel::hold_back): when a Unix socket is closed with something unread, Linux lets
//! the other side know that the connection was *reset*. That is an error to every Nix, no matter how
//! this side came to its end.

use std::io::{self, IoSlice, Write as _};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, ioctl_fionread};
use rustix::net::{RecvFlags, recv};

use super::wire::{MAX_TEXT, Reader, Stop};

/// What may wait to be parsed, in bytes: some messages of the greatest length. A side that sends
/// more while it takes nothing is not Nix.
const MAX_WAITING: usize = 4 * MAX_TEXT;

/// What is taken from the other side for one operation, in bytes. Its answers are short; this is room
/// for a great deal of log.
const MAX_RECEIVED: u64 = 64 * 1024 * 1024;

/// How much is asked for in one read, in bytes.
const READ: usize = 64 * 1024;

/// Slices of one write. The kernel takes at most 1024.
const SLICES: usize = 512;

/// With a byte held back, the socket always has something to read: so whether there is more is
/// looked up this often while there is no room to write.
const GLANCE: Duration = Duration::from_millis(20);

/// Why bytes did not come or go.
#[derive(Debug)]
pub(super) enum Fault {
    /// The other side closed the connection.
    Closed,
    /// It neither sent nor took anything for too long.
    Silent,
    /// It talked on and on, and never came to an end.
    Slow,
    /// It sends too much, or what Nix would not send.
    Malformed(&'static str),
    /// The operating system refused.
    Io(io::Error),
}

impl From<Errno> for Fault {
    fn from(error: Errno) -> Self {
        match error {
            Errno::CONNRESET | Errno::PIPE => Self::Closed,
            other => Self::Io(other.into()),
        }
    }
}

/// How long to wait for something.
#[derive(Clone, Copy)]
pub(super) struct Wait {
    /// How long the other side may say nothing.
    pub(super) silence: Duration,
    /// When it must have come, however much the other side says.
    pub(super) until: Option<Instant>,
}

/// A connection to Nix.
pub(super) struct Channel {
    socket: UnixStream,
    /// What arrived.
    waiting: Vec<u8>,
    /// How much of it was parsed.
    parsed: usize,
    /// How much of its end was looked at only, and is in the socket still: one byte or none.
    ahead: usize,
    /// Whether the last byte stays in the socket.
    holding: bool,
    /// Bytes received since it [rested](Channel::rest).
    received: u64,
    /// How long the other side may do nothing while we wait for it.
    patience: Duration,
}

impl Channel {
    pub(super) fn new(socket: UnixStream, patience: Duration) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket,
            waiting: Vec::new(),
            parsed: 0,
            ahead: 0,
            holding: false,
            received: 0,
            patience,
        })
    }

    /// From now on, a connection that ends is one that was reset. Something must be on its way to us.
    pub(super) fn hold_back(&mut self) {
        self.holding = true;
    }

    /// From now on, a connection may end.
    pub(super) fn let_go(&mut self) {
        self.holding = false;
    }

    /// Begins to count what is received anew.
    pub(super) fn rest(&mut self) {
        self.received = 0;
    }

    /// Writes all of `slices`, in order and without gathering them.
    pub(super) fn send<'a>(
        &mut self,
        slices: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<(), Fault> {
        let mut gathered: Vec<IoSlice<'a>> = Vec::new();
        for slice in slices.into_iter().filter(|slice| !slice.is_empty()) {
            gathered.push(IoSlice::new(slice));
            if gathered.len() == SLICES {
                self.write(&mut gathered)?;
                gathered.clear();
            }
        }
        self.write(&mut gathered)
    }

    fn write(&mut self, mut rest: &mut [IoSlice<'_>]) -> Result<(), Fault> {
        while !rest.is_empty() {
            match (&self.socket).write_vectored(rest) {
                Ok(0) => return Err(Fault::Closed),
                Ok(written) => IoSlice::advance_slices(&mut rest, written),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => self.wait_for_room()?,
                    io::ErrorKind::Interrupted => {}
                    io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => {
                        return Err(Fault::Closed);
                    }
                    _ => return Err(Fault::Io(error)),
                },
            }
        }
        Ok(())
    }

    /// Parses one thing, waiting until all of it is here.
    pub(super) fn receive<T>(
        &mut self,
        wait: Wait,
        parse: impl Fn(&mut Reader<'_>) -> Result<T, Stop>,
    ) -> Result<T, Fault> {
        loop {
            if let Some(thing) = self.parse(&parse)? {
                return Ok(thing);
            }
            let rest = wait.until.map_or(wait.silence, |end| {
                end.saturating_duration_since(Instant::now())
            });
            if !self.poll(PollFlags::IN, rest.min(wait.silence))? {
                // Whoever has talked just now is not silent.
                let is_silent = rest >= wait.silence;
                return Err(if is_silent {
                    Fault::Silent
                } else {
                    Fault::Slow
                });
            }
            if rest.is_zero() {
                return Err(Fault::Slow);
            }
            self.take_arrived()?;
        }
    }

    /// Parses one thing if all of it was taken already.
    pub(super) fn parse<T>(
        &mut self,
        parse: impl Fn(&mut Reader<'_>) -> Result<T, Stop>,
    ) -> Result<Option<T>, Fault> {
        let mut reader = Reader::new(&self.waiting[self.parsed..]);
        match parse(&mut reader) {
            Ok(thing) => {
                self.parsed += reader.position();
                Ok(Some(thing))
            }
            Err(Stop::Incomplete) => Ok(None),
            Err(Stop::Malformed(what)) => Err(Fault::Malformed(what)),
        }
    }

    /// Takes what is there without waiting for more.
    pub(super) fn take_arrived(&mut self) -> Result<(), Fault> {
        if !self.holding {
            return self.take(READ);
        }
        let available = ioctl_fionread(&self.socket)?;
        self.take_all_but_one(usize::try_from(available).unwrap_or(usize::MAX))
    }

    /// Takes `available` bytes but for the last. More may have arrived since they were counted: even
    /// when there were none, a byte that is there now must stay.
    fn take_all_but_one(&mut self, available: usize) -> Result<(), Fault> {
        if available == 1 && self.ahead == 1 {
            return Ok(());
        }
        if available > 1 {
            self.take(READ.min(available - 1))?;
        }
        self.look_ahead()
    }

    /// Takes up to `length` bytes.
    fn take(&mut self, length: usize) -> Result<(), Fault> {
        let mut buffer = [0; READ];
        let taken = match recv(&self.socket, &mut buffer[..length], RecvFlags::empty()) {
            Ok((0, _)) => return Err(Fault::Closed),
            Ok((taken, _)) => taken,
            Err(Errno::AGAIN | Errno::INTR) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        self.received += taken as u64;
        if self.received > MAX_RECEIVED {
            return Err(Fault::Malformed("endless messages"));
        }
        // What was looked at before comes a second time.
        let known = self.ahead.min(taken);
        self.ahead -= known;
        self.keep(&buffer[known..taken])
    }

    /// Looks at the next byte, or at the end of the connection, without taking it.
    fn look_ahead(&mut self) -> Result<(), Fault> {
        let mut byte = [0];
        match recv(&self.socket, &mut byte, RecvFlags::PEEK) {
            Ok((0, _)) => Err(Fault::Closed),
            Ok((1, _)) if self.ahead == 0 => {
                self.ahead = 1;
                self.keep(&byte)
            }
            Ok(_) | Err(Errno::AGAIN | Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn keep(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.waiting.drain(..self.parsed);
        self.parsed = 0;
        if self.waiting.len() >= MAX_WAITING {
            return Err(Fault::Malformed("more than it was asked for"));
        }
        self.waiting.extend_from_slice(bytes);
        Ok(())
    }

    /// Waits until something can be written, and takes what arrives meanwhile.
    fn wait_for_room(&mut self) -> Result<(), Fault> {
        let start = Instant::now();
        let received = self.received;
        while start.elapsed() < self.patience {
            let (events, patience) = if self.holding {
                (PollFlags::OUT, GLANCE.min(self.patience))
            } else {
                (PollFlags::IN | PollFlags::OUT, self.patience)
            };
            let ready = self.poll(events, patience)?;
            self.take_arrived()?;
            if ready || self.received > received {
                return Ok(());
            }
        }
        Err(Fault::Silent)
    }

    /// Whether one of `events` came in time.
    fn poll(&self, events: PollFlags, patience: Duration) -> Result<bool, Fault> {
        let patience = Timespec::try_from(patience).ok();
        let mut sockets = [PollFd::new(&self.socket, events)];
        match poll(&mut sockets, patience.as_ref()) {
            Ok(ready) => Ok(ready > 0),
            Err(Errno::INTR) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn pair() -> (Channel, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (Channel::new(ours, Duration::from_secs(1)).unwrap(), theirs)
    }

    #[test]
    fn what_arrives_after_the_bytes_were_counted_stays_in_the_socket() {
        let (mut channel, mut theirs) = pair();
        channel.hold_back();
        theirs.write_all(b"late").unwrap();
        channel.take_all_but_one(0).unwrap();
        assert_eq!((channel.waiting.as_slice(), channel.ahead), (&b"l"[..], 1));
        channel.take_arrived().unwrap();
        assert_eq!(
            (channel.waiting.as_slice(), channel.ahead),
            (&b"late"[..], 1)
        );
        drop(channel);
        let error = theirs.read(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }

    #[test]
    fn nothing_to_take_is_no_error_and_the_end_is_one() {
        let (mut channel, theirs) = pair();
        channel.hold_back();
        channel.take_arrived().unwrap();
        drop(theirs);
        assert!(matches!(channel.take_arrived(), Err(Fault::Closed)));
    }

    #[test]
    fn a_write_to_a_connection_that_was_reset_says_that_it_is_closed() {
        let (mut channel, theirs) = pair();
        channel.send([&b"unread"[..]]).unwrap();
        drop(theirs);
        for _ in 0..2 {
            assert!(matches!(channel.send([&b"more"[..]]), Err(Fault::Closed)));
        }
    }
}
