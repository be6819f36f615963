//! `store`, `store=URI`: a Nix store on this machine.
//!
//! Every store is written through Nix itself, never behind its back: through the daemon, or where
//! there is none, through a daemon that is started for one connection. Nix computes path and hashes
//! again from the bytes it gets, so that it needs to trust neither this user nor this program, and
//! no signature.
//!
//! ```text
//! lookup  ── AddTempRoot, then QueryPathInfo; the connection is kept as long as what was found matters
//! open    ── AddTempRoot, if the path is known; AddToStore begins
//! write   ── its bytes but for an archive's end, in frames, on the one pass
//! session ── one connection looks up and protects many outputs; those that add one are used again
//! commit  ── that end, and the frame that ends it all; compare what Nix reports; the GC root, if one is wanted
//! reader  ── AddTempRoot and QueryPathInfo of many at once; the store's own files, else NarFromPath
//! ```

mod closure;
mod daemon;
mod entry;
mod environment;
mod error;
mod gc_root;
mod plain_file;
mod protected;
mod reach;
mod reader;
mod resolve;
mod sent;
mod session;
mod upload;
mod url;

use std::path::{Path, PathBuf};
use std::time::Duration;

use fetchhost_formats::{Compression, FixedOutput, StorePath};
use fetchhost_policy::printable;

pub use error::{Step, StoreError};
pub use reach::Reached;
pub use reader::StoreReader;
pub use resolve::resolve_logical;
pub use session::{Spare, StoreSession};
pub use url::{StoreUrl, StoreUrlError};

pub(crate) use self::daemon::Connection;
use self::environment::Environment;
use self::gc_root::Root;
pub(crate) use self::protected::Protected;
use self::upload::Upload;
use crate::error::SinkError;
use crate::held::Held;
use crate::staged::{Existing, Incoming, SinkKind, Staged};

/// How long Nix may do nothing. It is silent for long after the last byte of a large artifact, which
/// it then hashes and may deduplicate, and while it collects garbage.
const PATIENCE: Duration = Duration::from_secs(300);

/// A Nix store and what to do there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    /// Which store.
    pub url: StoreUrl,
    /// A symlink to make to what is added, which keeps it from the garbage collector.
    pub gc_root: Option<PathBuf>,
    /// How long Nix may do nothing before that is an error.
    pub patience: Duration,
    /// Connections to use again, and where they go afterwards; only a [`StoreSession`] has them.
    pub spare: Option<Spare>,
}

impl Store {
    /// A store with our defaults: no GC root, and five minutes of patience.
    #[must_use]
    pub fn new(url: StoreUrl) -> Self {
        Self {
            url,
            gc_root: None,
            patience: PATIENCE,
            spare: None,
        }
    }

    /// As it was typed.
    pub(crate) fn label(&self) -> String {
        match &self.url {
            StoreUrl::Auto => "store".to_owned(),
            url => format!("store={}", printable(&url.to_text())),
        }
    }

    /// What Nix knows of `output`, if it is valid.
    pub(crate) fn lookup(&self, output: &FixedOutput) -> Result<Option<Held>, SinkError> {
        let label = self.label();
        let failed = SinkError::of_store(&label);
        let path = output.store_path();
        if self.is_missing().map_err(failed)? {
            return Ok(None);
        }
        let (place, mut connection) = self.connect().map_err(failed)?;
        // First: what is valid stays so.
        connection.protect(&path).map_err(failed)?;
        let info = connection.query(&path).map_err(failed)?;
        let Some(info) = info.filter(|info| info.is(output)) else {
            return Ok(None);
        };
        let existing = Existing {
            label,
            kind: SinkKind::Store,
            narinfo: None,
            nar: place.physical(&path),
            compression: Compression::None,
            nar_hash: info.nar_hash,
            nar_size: info.nar_size,
        };
        let protected = Protected {
            connection,
            path,
            gc_root: self.gc_root.clone(),
            root: None,
        };
        Ok(Some(Held::in_store(existing, protected)))
    }

    /// Begins to add something.
    pub(crate) fn open(&self, incoming: &Incoming) -> Result<Box<dyn Staged>, SinkError> {
        let label = self.label();
        let failed = SinkError::of_store(&label);
        // All that can go wrong at the end for reasons that are there at the beginning.
        let target = incoming.fixed_output().map(|output| output.store_path());
        let root = self.gc_root.as_ref();
        let root = root
            .map(|link| Root::prepare(link, target.as_ref()))
            .transpose()
            .map_err(failed)?;
        Ok(Box::new(
            Upload::open(self, incoming, root).map_err(failed)?,
        ))
    }

    /// A connection that has done what it was for, or another one.
    fn spare_or_new(&self) -> Result<(Place, Connection), StoreError> {
        match self.spare.as_ref().map(Spare::take) {
            Some(Ok(idle)) => Ok(idle),
            Some(Err(_growing)) => self.connect(),
            None => self.connect(),
        }
    }

    /// Where its files lie, for reading them. May block, and creates nothing.
    ///
    /// # Errors
    ///
    /// When the environment names a store that is not on this machine.
    pub fn place(&self) -> Result<Place, SinkError> {
        let environment = Environment::read().map_err(SinkError::of_store(&self.label()))?;
        let url = self.without_choice(&environment);
        Ok(Place {
            root: url.root().map(Path::to_owned),
        })
    }

    /// Which store it is, where `auto` leaves the choice to what is there.
    fn without_choice(&self, environment: &Environment) -> StoreUrl {
        let url = match &self.url {
            StoreUrl::Auto => &environment.remote,
            url => url,
        };
        match url {
            StoreUrl::Auto if Connection::is_offered(&environment.socket) => {
                StoreUrl::Daemon { root: None }
            }
            StoreUrl::Auto => environment.without_daemon(),
            url => url.clone(),
        }
    }

    /// Whether there is no store yet.
    fn is_missing(&self) -> Result<bool, StoreError> {
        Ok(self.absence()?.is_some())
    }

    /// Where the store would be, if there is none yet. Nix would create it in order to look it up.
    fn absence(&self) -> Result<Option<PathBuf>, StoreError> {
        let environment = Environment::read()?;
        let StoreUrl::Local { root } = self.without_choice(&environment) else {
            return Ok(None);
        };
        let database = environment.database(root.as_deref());
        let is_missing = matches!(database.try_exists(), Ok(false));
        Ok(is_missing.then(|| root.unwrap_or_else(|| "/".into())))
    }

    fn connect(&self) -> Result<(Place, Connection), StoreError> {
        let environment = Environment::read()?;
        let url = match &self.url {
            StoreUrl::Auto => environment.remote.clone(),
            url => url.clone(),
        };
        let daemon = |socket: &Path| Connection::connect(socket, self.patience);
        let own = |url: &StoreUrl| Connection::start(&url.to_text(), self.patience);
        let (url, connection) = match url {
            StoreUrl::Auto => match daemon(&environment.socket) {
                Err(error) if error.is_absence() => {
                    let url = environment.without_daemon();
                    let connection = own(&url).map_err(|second| match second {
                        StoreError::NoProgram => StoreError::NoNix {
                            socket: environment.socket,
                        },
                        other => other,
                    });
                    (url, connection)
                }
                answer => (url, answer),
            },
            StoreUrl::Daemon { .. } => (url, daemon(&environment.socket)),
            StoreUrl::Unix { ref socket, .. } => {
                let connection = daemon(socket);
                (url, connection)
            }
            StoreUrl::Local { .. } => {
                let connection = own(&url);
                (url, connection)
            }
        };
        let place = Place {
            root: url.root().map(Path::to_owned),
        };
        Ok((place, connection?))
    }
}

/// Where the files of a store lie.
#[derive(Clone, Debug)]
pub struct Place {
    root: Option<PathBuf>,
}

impl Place {
    /// Where those of `path` lie.
    #[must_use]
    pub fn physical(&self, path: &StorePath) -> PathBuf {
        self.below_root(&path.to_string())
    }

    /// Where what is called `logical` lies.
    fn below_root(&self, logical: &str) -> PathBuf {
        match &self.root {
            Some(root) => root.join(logical.trim_start_matches('/')),
            None => logical.into(),
        }
    }
}
