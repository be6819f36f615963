//! How a gateway of the tests is set up.

use std::sync::Arc;
use std::time::Duration;

use fetchhost_gateway::{AccountFiles, Accounts, Upstream};
use fetchhost_policy::DaemonPeers;
use tempfile::TempDir;

use crate::world::OWNER;

/// How a gateway is set up.
pub(crate) struct Setup {
    pub(crate) daemon_peers: DaemonPeers,
    pub(crate) patience: Duration,
    pub(crate) stalled: Duration,
    pub(crate) max_fetches: usize,
    pub(crate) cache_size: u64,
    pub(crate) idle_exit: Option<Duration>,
    pub(crate) upstreams: Vec<Arc<dyn Upstream>>,
    pub(crate) shares: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            daemon_peers: DaemonPeers::Open,
            patience: Duration::from_secs(20),
            stalled: Duration::from_secs(300),
            max_fetches: 16,
            cache_size: 1 << 30,
            idle_exit: None,
            upstreams: Vec::new(),
            shares: false,
        }
    }
}

/// Somebody can log in once the folder has a file `passwd`, and then `peers` is not asked.
pub(crate) fn accounts(
    folder: &TempDir,
    peers: DaemonPeers,
) -> Arc<dyn Fn() -> Accounts + Send + Sync> {
    let file = folder.path().join("passwd");
    Arc::new(move || match std::fs::read_to_string(&file) {
        Ok(passwd) => {
            let files = AccountFiles {
                passwd,
                ..AccountFiles::default()
            };
            Accounts::new(OWNER, &files, None)
        }
        Err(_) => Accounts::new(OWNER, &AccountFiles::default(), Some(peers)),
    })
}
