//! A daemon that does what a test tells it.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use fetchhost_artifact::Verified;
use fetchhost_sinks::{Destination, Incoming, Store, StoreUrl};
use tempfile::TempDir;

pub(crate) const DAEMON_MAGIC: u64 = 0x6478_696f;
pub(crate) const LAST: u64 = 0x616c_7473;
pub(crate) const LINE: u64 = 0x6f6c_6d67;
pub(crate) const ERROR: u64 = 0x6378_7470;

pub(crate) const IS_VALID_PATH: u64 = 1;
pub(crate) const ADD_TO_STORE: u64 = 7;
pub(crate) const ADD_TEMPORARY_ROOT: u64 = 11;
pub(crate) const ADD_INDIRECT_ROOT: u64 = 12;
pub(crate) const QUERY_PATH_INFO: u64 = 26;

/// Long enough for any machine, short enough for a test that fails.
const WATCHDOG: Duration = Duration::from_secs(30);

/// A daemon that follows a script.
pub(crate) struct Scripted<T> {
    folder: TempDir,
    thread: JoinHandle<T>,
}

impl<T: Send + 'static> Scripted<T> {
    pub(crate) fn start(script: impl FnOnce(&mut Peer) -> T + Send + 'static) -> Self {
        Self::listening(|listener| script(&mut Peer::accept(listener)))
    }

    /// For a script of several connections.
    pub(crate) fn listening(script: impl FnOnce(&UnixListener) -> T + Send + 'static) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("socket")).unwrap();
        let thread = thread::spawn(move || script(&listener));
        Self { folder, thread }
    }

    /// Its store, with little patience.
    pub(crate) fn store(&self) -> Store {
        Store {
            patience: Duration::from_secs(10),
            ..Store::new(StoreUrl::Unix {
                socket: self.folder.path().join("socket"),
                root: Some("/chroot".into()),
            })
        }
    }

    pub(crate) fn destination(&self) -> Destination {
        Destination::Store(self.store())
    }

    /// A path beside its socket.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What the script came to.
    pub(crate) fn outcome(self) -> T {
        self.thread.join().unwrap()
    }
}

/// The client as the daemon sees it.
pub(crate) struct Peer(pub(crate) UnixStream);

impl Peer {
    /// The next client.
    pub(crate) fn accept(listener: &UnixListener) -> Self {
        let (stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(WATCHDOG)).unwrap();
        stream.set_write_timeout(Some(WATCHDOG)).unwrap();
        Self(stream)
    }

    pub(crate) fn number(&mut self) -> u64 {
        self.try_number().unwrap()
    }

    pub(crate) fn try_number(&mut self) -> io::Result<u64> {
        let mut bytes = [0; 8];
        self.0.read_exact(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    pub(crate) fn text(&mut self) -> String {
        let length = usize::try_from(self.number()).unwrap();
        let mut bytes = vec![0; length.next_multiple_of(8)];
        self.0.read_exact(&mut bytes).unwrap();
        bytes.truncate(length);
        String::from_utf8(bytes).unwrap()
    }

    /// The frames up to the one that ends them: their bytes, or none when the client goes before.
    pub(crate) fn frames(&mut self) -> Option<Vec<u8>> {
        let mut all = Vec::new();
        loop {
            let length = usize::try_from(self.try_number().ok()?).unwrap();
            if length == 0 {
                return Some(all);
            }
            let start = all.len();
            all.resize(start + length, 0);
            self.0.read_exact(&mut all[start..]).ok()?;
        }
    }

    /// Sends numbers. A client that has gone hears nothing.
    pub(crate) fn tell<const N: usize>(&mut self, numbers: [u64; N]) {
        for number in numbers {
            let _ = self.0.write_all(&number.to_le_bytes());
        }
    }

    /// Sends a text, likewise.
    pub(crate) fn say(&mut self, text: &str) {
        let _ = self.0.write_all(&encoded(text));
    }

    pub(crate) fn fail(&mut self, message: &str) {
        self.tell([ERROR]);
        self.say("Error");
        self.tell([0]);
        self.say("Error");
        self.say(message);
        self.tell([0, 0]);
    }

    /// Greets the client as the Nix that speaks version 1.`minor`.
    pub(crate) fn greet(&mut self, minor: u64) {
        assert_eq!((self.number(), self.number()), (0x6e69_7863, 0x100 | 35));
        self.tell([DAEMON_MAGIC, 0x100 | minor]);
        assert_eq!((self.number(), self.number()), (0, 0));
        if minor >= 33 {
            self.say("2.99");
        }
        if minor >= 35 {
            self.tell([2]);
        }
        self.tell([LAST]);
    }

    /// Takes an addition's arguments and bytes: name, method, bytes.
    pub(crate) fn addition(&mut self) -> (String, String, Option<Vec<u8>>) {
        assert_eq!(self.number(), ADD_TO_STORE);
        let (name, method) = (self.text(), self.text());
        let (references, repair) = (self.number(), self.number());
        assert_eq!((references, repair), (0, 0));
        (name, method, self.frames())
    }

    /// Takes one of the operations that name a path.
    pub(crate) fn operation(&mut self, code: u64) -> String {
        assert_eq!(self.number(), code);
        self.text()
    }

    /// Greets the client, protects the path that it names, takes its bytes, and says what was added.
    pub(crate) fn take(&mut self, info: &Info) {
        self.greet(35);
        self.operation(ADD_TEMPORARY_ROOT);
        self.tell([LAST, 1]);
        self.addition();
        self.tell([LAST]);
        self.say(&info.path);
        self.info(info);
    }

    pub(crate) fn info(&mut self, info: &Info) {
        self.say("");
        self.say(&info.nar_hash);
        self.tell([info.references.len() as u64]);
        for reference in &info.references {
            self.say(reference);
        }
        self.tell([1_700_000_000, info.nar_size, 0, 1]);
        self.say("key:signature");
        self.say(&info.content_address);
    }
}

pub(crate) fn encoded(text: &str) -> Vec<u8> {
    let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
    bytes.extend(text.as_bytes());
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes
}

/// What a daemon knows of a path.
#[derive(Clone)]
pub(crate) struct Info {
    pub(crate) path: String,
    pub(crate) nar_hash: String,
    pub(crate) nar_size: u64,
    pub(crate) references: Vec<String>,
    pub(crate) content_address: String,
}

impl Info {
    /// The truth.
    pub(crate) fn of(verified: &Verified) -> Self {
        Self {
            path: verified.store_path().to_string(),
            nar_hash: verified.nar_hash().hex(),
            nar_size: verified.nar_size(),
            references: Vec::new(),
            content_address: verified.fixed_output().content_address().to_string(),
        }
    }
}

/// What is known of something verified before it comes.
pub(crate) fn declared(verified: &Verified) -> Incoming {
    let output = verified.fixed_output();
    Incoming {
        name: output.name.clone(),
        mode: output.mode,
        algorithm: output.hash.algorithm(),
        hash: Some(output.hash.clone()),
    }
}
