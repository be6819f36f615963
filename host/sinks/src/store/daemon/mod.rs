//! A client of Nix's worker protocol: what `nix-daemon` speaks.
//!
//! It offers version 1.35 and takes the smaller of both sides', so that it speaks with every Nix since
//! 2.4. Nothing that the other side sends is trusted: see [`wire`] and [`channel`] for what bounds it.
//!
//! ```text
//! client                                daemon
//! magic, version ─────────────────────▶
//!                ◀───────────────────── magic, version, its name, whether it trusts us
//! operation, arguments ───────────────▶
//! [ length, bytes ]… 0 ───────────────▶   only when something is added
//!                ◀───────────────────── messages… done, result      (or: failed)
//! ```

mod channel;
mod child;
mod handshake;
mod log;
mod nar;
mod operation;
mod query;
mod wire;

use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use self::channel::{Channel, Fault, Wait};
use self::child::Child;
use self::log::Said;
use self::wire::{Message, Reader, Stop};
use super::error::{Step, StoreError};

pub(super) use self::nar::Incoming as IncomingArchive;
pub(super) use self::query::PathInfo;

/// A connection to Nix, ready for operations. Nix forgets what it was in the middle of, and what it
/// protected from its garbage collector, when the connection is dropped.
pub(crate) struct Connection {
    // Dropped before the child, which ends when nobody talks to it any more.
    channel: Channel,
    child: Option<Child>,
    patience: Duration,
    /// How much longer it may take for what it is doing, because that is a lot.
    more_patience: Duration,
    /// When it was last sent something.
    asked: Instant,
    /// What Nix said last.
    last: Option<String>,
    /// What it has yet to answer before it comes to what it is being fed.
    owed: Owed,
    /// Bytes of an artifact that it was sent.
    fed: u64,
    /// The end of an archive, as far as it is known, which Nix gets with the commit.
    withheld: Vec<u8>,
}

/// What is left of an answer that nobody waited for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Owed {
    /// Messages up to the one that says it is done, and a number.
    All,
    /// The number.
    Number,
    /// Nothing.
    Nothing,
}

impl Connection {
    /// Whether there is a daemon at `socket`, be it one that cannot be reached.
    pub(super) fn is_offered(socket: &Path) -> bool {
        !connect(socket).is_err_and(|error| error.is_absence())
    }

    /// Whether there is a program that [`start`](Self::start) would find.
    pub(super) fn can_be_started() -> bool {
        Child::is_installed()
    }

    /// Connects to the daemon at `socket`.
    pub(super) fn connect(socket: &Path, patience: Duration) -> Result<Self, StoreError> {
        let stream = connect(socket)?;
        let channel = Channel::new(stream, patience).map_err(|source| StoreError::Connect {
            socket: socket.to_owned(),
            source,
        })?;
        Self::greet(channel, None, patience)
    }

    /// Starts a daemon for this connection alone, which works as this user and on the store `url`.
    ///
    /// That is how Nix serves a store over SSH. It has no equal among Nix's other programs: it takes
    /// one stream without a copy on disk, keeps content address, executable bits and symlinks, and
    /// says what it knows of a path in the same words in every version.
    pub(super) fn start(url: &str, patience: Duration) -> Result<Self, StoreError> {
        let (child, stream) = Child::start(url).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => StoreError::NoProgram,
            _ => StoreError::Start { source },
        })?;
        let channel =
            Channel::new(stream, patience).map_err(|source| StoreError::Start { source })?;
        Self::greet(channel, Some(child), patience)
    }

    fn greet(
        channel: Channel,
        child: Option<Child>,
        patience: Duration,
    ) -> Result<Self, StoreError> {
        let mut connection = Self {
            channel,
            child,
            patience,
            more_patience: Duration::ZERO,
            asked: Instant::now(),
            last: None,
            owed: Owed::Nothing,
            fed: 0,
            withheld: Vec::new(),
        };
        handshake::perform(&mut connection)?;
        Ok(connection)
    }

    /// Nothing is going on: what was received so far counts against no bound of what comes.
    pub(super) fn rest(&mut self) {
        self.channel.rest();
        self.last = None;
        self.fed = 0;
    }

    /// Whether the other side is there still, while nothing is going on.
    pub(super) fn is_open(&mut self) -> bool {
        self.channel.take_arrived().is_ok()
    }

    /// Sends `message`.
    fn send(&mut self, step: Step, message: &Message) -> Result<(), StoreError> {
        self.send_slices(step, [message.as_slice()])
    }

    /// Sends `slices`. When Nix has said meanwhile why it takes no more, that is the error.
    fn send_slices<'a>(
        &mut self,
        step: Step,
        slices: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<(), StoreError> {
        self.asked = Instant::now();
        let Err(fault) = self.channel.send(slices) else {
            return Ok(());
        };
        self.listen(step)?;
        Err(self.failed(step, fault))
    }

    /// Waits for something, after the messages that precede it.
    fn receive<T>(
        &mut self,
        step: Step,
        parse: impl Fn(&mut Reader<'_>) -> Result<T, Stop>,
    ) -> Result<T, StoreError> {
        let silence = self.patience + self.more_patience;
        // All but adding is done in no time, unless Nix has to wait for something, and then it is
        // silent. Talking gives it no more than this.
        let until = (step != Step::Adding).then(|| self.asked + 2 * silence);
        match self.channel.receive(Wait { silence, until }, parse) {
            Ok(thing) => Ok(thing),
            Err(fault) => Err(self.failed(step, fault)),
        }
    }

    /// Waits until Nix has done what it was asked for.
    fn until_done(&mut self, step: Step) -> Result<(), StoreError> {
        loop {
            match self.receive(step, Said::read)? {
                Said::Done => return Ok(()),
                said => self.note(step, said)?,
            }
        }
    }

    /// Waits for the answer that it owes.
    fn settle(&mut self) -> Result<(), StoreError> {
        let step = Step::Protecting;
        if self.owed == Owed::All {
            self.until_done(step)?;
            self.owed = Owed::Number;
        }
        if self.owed == Owed::Number {
            self.receive(step, |reader| reader.number())?;
            self.owed = Owed::Nothing;
        }
        Ok(())
    }

    /// Reads the messages that are here, while Nix is still being fed.
    fn listen(&mut self, step: Step) -> Result<(), StoreError> {
        let taken = self.channel.take_arrived();
        // What it said before it went is worth more than that it went.
        self.heed(step)?;
        taken.map_err(|fault| self.failed(step, fault))
    }

    /// Parses the messages that were taken.
    fn heed(&mut self, step: Step) -> Result<(), StoreError> {
        loop {
            if self.owed == Owed::Number {
                match self.channel.parse(|reader| reader.number()) {
                    Ok(None) => return Ok(()),
                    Ok(Some(_)) => self.owed = Owed::Nothing,
                    Err(fault) => return Err(self.failed(step, fault)),
                }
                continue;
            }
            match self.channel.parse(Said::read) {
                Ok(None) => return Ok(()),
                Ok(Some(Said::Done)) if self.owed == Owed::All => self.owed = Owed::Number,
                Ok(Some(said)) => self.note(step, said)?,
                Err(fault) => return Err(self.failed(step, fault)),
            }
        }
    }

    fn note(&mut self, step: Step, said: Said) -> Result<(), StoreError> {
        match said {
            Said::Failed(message) => Err(StoreError::Failed { step, message }),
            Said::Done => Err(StoreError::Malformed {
                step,
                what: "a result before its time",
            }),
            Said::Doing(what) => {
                self.last = Some(what);
                Ok(())
            }
            Said::Progress => Ok(()),
        }
    }

    fn failed(&mut self, step: Step, fault: Fault) -> StoreError {
        match fault {
            // A daemon of our own says on its standard error why it went.
            Fault::Closed => match self.child.as_mut().and_then(Child::complaint) {
                Some(message) => StoreError::Failed { step, message },
                None => StoreError::Closed { step },
            },
            Fault::Silent => StoreError::Silent {
                step,
                seconds: (self.patience + self.more_patience).as_secs(),
                last: self.last.take(),
            },
            Fault::Slow => StoreError::Slow {
                step,
                seconds: 2 * (self.patience + self.more_patience).as_secs(),
            },
            Fault::Malformed(what) => StoreError::Malformed { step, what },
            Fault::Io(source) => StoreError::Broken { step, source },
        }
    }
}

fn connect(socket: &Path) -> Result<UnixStream, StoreError> {
    UnixStream::connect(socket).map_err(|source| StoreError::Connect {
        socket: socket.to_owned(),
        source,
    })
}
