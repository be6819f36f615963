//! One gateway: what all of its connections share, and the loop that takes them.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Extension;
use fetchhost_policy::DaemonPeers;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio::task::JoinSet;

use crate::accounts::{Accounts, Caller};
use crate::activity::Activity;
use crate::approvals::Approvals;
use crate::cache::Cache;
use crate::fetches::Fetches;
use crate::flight::Flights;
use crate::metrics::Metrics;
use crate::peers::{Peers, is_loopback};
use crate::routes;
use crate::signature::LookUps;
use crate::stall::Stall;
use crate::upstream::{Upstream, Upstreams};
use crate::url::OwnerId;

/// How long a client is kept waiting before it is sent on: less than Nix waits for a silent server, which
/// is 300 s unless `stalled-download-timeout` says otherwise.
pub const PATIENCE: Duration = Duration::from_secs(120);
/// How long a client may take nothing of an answer: as long as Nix waits for a silent server.
pub const STALLED: Duration = Duration::from_secs(300);
/// Connections at once of the owner, and as many of builds of a daemon. Nix opens 25 for each of its processes.
const MAX_CONNECTIONS: usize = 200;
/// Connections at once of all others, who are only told that they are not served.
const MAX_STRANGERS: usize = 16;
/// How long a client may take to send its request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest request without a body, in bytes.
const REQUEST_BYTES: usize = 128 * 1024;
/// How long answers that are being sent may take once the gateway is to end.
const GRACE: Duration = Duration::from_secs(10);
/// How long nothing is accepted after that failed, as it does when files run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What a gateway is made of.
pub struct Settings {
    /// Whose it is.
    pub id: OwnerId,
    /// Who may ask for what, as it is now: asked for each connection, since users come and go. May block.
    pub accounts: Arc<dyn Fn() -> Accounts + Send + Sync>,
    /// Tells who is at the other end.
    pub peers: Arc<dyn Peers>,
    /// Carries fetches out.
    pub fetches: Arc<dyn Fetches>,
    /// Keeps what was fetched.
    pub cache: Cache,
    /// What builds of a daemon may have where not all of it is theirs.
    pub approvals: Approvals,
    /// Other binary caches, which are served again, in the order in which they are asked.
    pub upstreams: Vec<Arc<dyn Upstream>>,
    /// Whether builds of a daemon get all that these have.
    pub share_with_local_users: bool,
    /// How many fetches run at once.
    pub max_fetches: usize,
    /// How long a client is kept waiting before it is sent on: [`PATIENCE`].
    pub patience: Duration,
    /// How long a client may take nothing of an answer: [`STALLED`].
    pub stalled: Duration,
    /// How long nothing may go on before the gateway ends; none for ever.
    pub idle_exit: Option<Duration>,
}

/// Why the gateway ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was asked to.
    Stopped,
    /// Nothing went on for as long as was set.
    Idle,
}

/// What all connections share.
pub(crate) struct Gateway {
    pub(crate) port: u16,
    pub(crate) id: OwnerId,
    /// Reads who may ask for what.
    read_accounts: Arc<dyn Fn() -> Accounts + Send + Sync>,
    /// What builds of a daemon got when the latest connection came.
    rule: Mutex<Option<DaemonPeers>>,
    peers: Arc<dyn Peers>,
    places: Places,
    pub(crate) flights: Arc<Flights>,
    pub(crate) look_ups: LookUps,
    pub(crate) cache: Arc<Cache>,
    pub(crate) upstreams: Upstreams,
    pub(crate) shares: bool,
    pub(crate) approvals: Arc<Approvals>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) activity: Arc<Activity>,
    pub(crate) patience: Duration,
    stalled: Duration,
}

/// How many connections there may be at once. Each kind of caller has its own, so that nobody keeps another
/// waiting by holding them all.
struct Places {
    owner: Semaphore,
    daemon: Semaphore,
    strangers: Semaphore,
}

impl Places {
    fn new() -> Self {
        Self {
            owner: Semaphore::new(MAX_CONNECTIONS),
            daemon: Semaphore::new(MAX_CONNECTIONS),
            strangers: Semaphore::new(MAX_STRANGERS),
        }
    }

    /// A place, if one is free.
    fn take(&self, caller: Caller) -> Option<SemaphorePermit<'_>> {
        let places = match caller {
            Caller::Owner => &self.owner,
            Caller::Daemon => &self.daemon,
            Caller::Stranger => &self.strangers,
        };
        places.try_acquire().ok()
    }
}

impl Gateway {
    /// Who is at the other end of a connection.
    async fn caller(&self, peer: SocketAddr, local: SocketAddr) -> Caller {
        let (peers, accounts) = (Arc::clone(&self.peers), Arc::clone(&self.read_accounts));
        let read = tokio::task::spawn_blocking(move || (peers.uid(peer, local), accounts()));
        let Ok((uid, accounts)) = read.await else {
            return Caller::Stranger;
        };
        let caller = accounts.caller(uid);
        *self.latest_rule() = Some(accounts.daemon_peers);
        caller
    }

    /// What builds of a daemon get.
    pub(crate) fn daemon_peers(&self) -> DaemonPeers {
        self.latest_rule().unwrap_or(DaemonPeers::None)
    }

    fn latest_rule(&self) -> MutexGuard<'_, Option<DaemonPeers>> {
        self.rule.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves until `stop` ends or nothing goes on any more. Answers that are being sent then get
/// some seconds to end; fetches that still run are given up, and leave nothing.
///
/// # Errors
///
/// When the listener is not on the loopback interface, or is no listener.
pub async fn serve(
    listener: TcpListener,
    settings: Settings,
    stop: impl Future<Output = ()>,
) -> std::io::Result<Ended> {
    let address = listener.local_addr()?;
    if !is_loopback(address) {
        return Err(std::io::Error::new(
            std::io::ErrorKind::InvalidInput,
            format!("`{address}` is not on the loopback interface"),
        ));
    }
    let (cache, metrics) = (Arc::new(settings.cache), Arc::new(Metrics::default()));
    let activity = Arc::new(Activity::new());
    let look_ups = LookUps::new(Arc::clone(&settings.fetches));
    let flights = Flights::new(
        settings.fetches,
        Arc::clone(&cache),
        Arc::clone(&metrics),
        Arc::clone(&activity),
        settings.max_fetches,
    );
    let gateway = Arc::new(Gateway {
        port: address.port(),
        id: settings.id,
        read_accounts: settings.accounts,
        rule: Mutex::default(),
        peers: settings.peers,
        places: Places::new(),
        flights: Arc::new(flights),
        look_ups,
        cache,
        upstreams: Upstreams::new(settings.upstreams),
        shares: settings.share_with_local_users,
        approvals: Arc::new(settings.approvals),
        metrics,
        activity: Arc::clone(&activity),
        patience: settings.patience,
        stalled: settings.stalled,
    });
    let router = routes::router(Arc::clone(&gateway));
    let idle = async {
        match settings.idle_exit {
            Some(long) => activity.idle(long).await,
            None => std::future::pending().await,
        }
    };
    let (ending, ended) = watch::channel(());
    let mut connections = JoinSet::new();
    let accepting = async {
        loop {
            let Ok((stream, peer)) = listener.accept().await else {
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            };
            while connections.try_join_next().is_some() {}
            let (gateway, router, ended) = (Arc::clone(&gateway), router.clone(), ended.clone());
            connections.spawn(async move { attend(&gateway, stream, peer, router, ended).await });
        }
    };
    let why = tokio::select! {
        never = accepting => never,
        () = stop => Ended::Stopped,
        () = idle => Ended::Idle,
    };
    drop(listener);
    drop(ending);
    // Those that are left when the time is up end with the set.
    let _ = tokio::time::timeout(GRACE, async {
        while connections.join_next().await.is_some() {}
    })
    .await;
    Ok(why)
}

/// Answers the requests of one connection until it ends, or until the gateway does.
async fn attend(
    gateway: &Gateway,
    stream: TcpStream,
    peer: SocketAddr,
    router: axum::Router,
    mut ended: watch::Receiver<()>,
) {
    let Ok(local) = stream.local_addr() else {
        return;
    };
    // Small answers are to leave at once; where that cannot be set, they leave later.
    let _ = stream.set_nodelay(true);
    let caller = gateway.caller(peer, local).await;
    let Some(_place) = gateway.places.take(caller) else {
        return;
    };
    let service = TowerToHyperService::new(router.layer(Extension(caller)));
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_TIMEOUT)
        .max_buf_size(REQUEST_BYTES)
        .serve_connection(TokioIo::new(Stall::new(stream, gateway.stalled)), service);
    let mut serving = std::pin::pin!(serving);
    // A client that breaks off, or does not speak HTTP, is no concern of anybody else's.
    tokio::select! {
        _ = serving.as_mut() => return,
        _ = ended.changed() => serving.as_mut().graceful_shutdown(),
    }
    let _ = serving.await;
}
