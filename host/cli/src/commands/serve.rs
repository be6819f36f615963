//! `nix-fetchhost serve`

use std::io::{ErrorKind, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use fetchhost_gateway::{
    AccountFiles, Accounts, Approvals, Cache, Ended, Kernel, OwnerId, PATIENCE, STALLED, Settings,
};
use fetchhost_policy::{DaemonPeers, UpstreamUrl};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::activation;
use crate::args::ServeArgs;
use crate::context::Context;
use crate::failure::Failure;
use crate::printer::Printer;
use crate::serving::{Serving, upstreams};
use crate::signals::Stops;

/// Where it listens when nothing else is said.
pub(crate) const DEFAULT_PORT: u16 = 8459;
/// How much of what was fetched is kept, in bytes, when nothing else is said.
pub(crate) const DEFAULT_CACHE_SIZE: u64 = 4 << 30;
/// How many fetches run at once when nothing else is said.
const DEFAULT_MAX_FETCHES: u16 = 16;
/// The file that holds the owner's public id.
const ID_FILE: &str = "gateway-id";
/// The folder of what was fetched.
pub(crate) const CACHE_FOLDER: &str = "gateway";
/// The folder of what was approved, below that of the state.
pub(crate) const APPROVALS_FOLDER: &str = "approved";

/// Answers Nix's own fetcher over loopback until it is asked to stop, or nothing goes on any more.
pub(crate) async fn serve(context: &Context, args: &ServeArgs) -> Result<(), Failure> {
    let printer = context.printer;
    let config = &context.settings.config.gateway;
    let state = context.environment.state.as_ref();
    let (Some(state), Some(cache)) = (state, &context.environment.cache) else {
        return Err(
            Failure::usage("the gateway has no folder for its cache and its records")
                .with_hint("set HOME, or XDG_CACHE_HOME and XDG_STATE_HOME"),
        );
    };
    let folder = cache.join(CACHE_FOLDER);
    let cache = Cache::open(
        folder.clone(),
        config.cache_size.unwrap_or(DEFAULT_CACHE_SIZE),
    )
    .map_err(|error| {
        Failure::usage(format!(
            "the gateway's cache `{}` cannot be used: {error}",
            folder.display()
        ))
        .with_hint("it has to be a folder of yours that nobody else can open; XDG_CACHE_HOME names another place")
    })?;
    let upstreams = upstreams(context, &args.upstream)?;
    let shares = config.share_with_local_users.unwrap_or_default();
    let id = owner_id(state)?;
    let owner = rustix::process::geteuid().as_raw();
    let configured = config.daemon_peers;
    let read_accounts = move || {
        let files = AccountFiles::read()?;
        Ok(Accounts::new(owner, &files, configured))
    };
    let accounts = read_accounts().map_err(|error: std::io::Error| {
        Failure::usage(format!("who uses this machine is unknown: {error}"))
    })?;
    open_many_files();
    // Before anything is said: signals count from the first line on.
    let mut stops = Stops::listen();
    let listener = listener(args, config.port.unwrap_or(DEFAULT_PORT)).await?;
    let address = listener
        .local_addr()
        .map_err(|error| cannot_listen(&error))?;

    printer.note(&format!(
        "serving you (owner id {id}), with what the configuration grants"
    ));
    printer.note(&rule(&accounts));
    for upstream in &upstreams {
        printer.note(&shared(upstream.url(), shares, accounts.daemon_peers));
    }
    let settings = Settings {
        id,
        accounts: watched(printer, accounts, read_accounts),
        peers: Arc::new(Kernel),
        fetches: Arc::new(Serving::new(context, state)?),
        cache,
        approvals: Approvals::new(state.join(APPROVALS_FOLDER)),
        upstreams,
        share_with_local_users: shares,
        max_fetches: config.max_fetches.unwrap_or(DEFAULT_MAX_FETCHES).into(),
        patience: PATIENCE,
        stalled: STALLED,
        idle_exit: args.idle_exit,
    };
    printer.result(&format!("http://{address}"))?;

    let (stop, stopped) = oneshot::channel::<()>();
    let stopped = async { drop(stopped.await) };
    let mut serving = std::pin::pin!(fetchhost_gateway::serve(listener, settings, stopped));
    let first = tokio::select! {
        ended = &mut serving => return told(context, ended),
        stop = stops.next() => stop,
    };
    printer.note(&format!(
        "stopped by {}; answers that are being sent may end, another signal ends them",
        first.name
    ));
    drop(stop);
    tokio::select! {
        ended = &mut serving => told(context, ended),
        stop = stops.next() => Err(Failure::stopped(stop)),
    }
}

fn told(context: &Context, ended: std::io::Result<Ended>) -> Result<(), Failure> {
    match ended {
        Ok(Ended::Stopped) => Ok(()),
        Ok(Ended::Idle) => {
            context
                .printer
                .note("nothing went on for the time that `--idle-exit` says");
            Ok(())
        }
        Err(error) => Err(cannot_listen(&error)),
    }
}

/// Lets as many files be open as may: each of hundreds of connections has one, and one of content that is
/// sent over it, which is about what is allowed by default.
fn open_many_files() {
    let most = getrlimit(Resource::Nofile).maximum;
    let limit = Rlimit {
        current: most,
        maximum: most,
    };
    // Where that is not allowed, those that come last wait or are turned away.
    let _ = setrlimit(Resource::Nofile, limit);
}

/// Reads the accounts again, and tells the owner when users who came or went changed the rule. Where they
/// cannot be read, as when files run out, nothing has changed.
fn watched(
    printer: Printer,
    known: Accounts,
    read: impl Fn() -> std::io::Result<Accounts> + Send + Sync + 'static,
) -> Arc<dyn Fn() -> Accounts + Send + Sync> {
    let known = Mutex::new(known);
    Arc::new(move || {
        let read = read();
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Ok(accounts) = read {
            if known.daemon_peers != accounts.daemon_peers {
                printer.warning(&rule(&accounts));
            }
            *known = accounts;
        }
        known.clone()
    })
}

/// What builds of a daemon get, and why.
fn rule(accounts: &Accounts) -> String {
    let (peers, reason) = (accounts.daemon_peers, &accounts.reason);
    let what = match peers {
        DaemonPeers::Open => "all that the configuration grants",
        DaemonPeers::Approved => {
            "what `nix-fetchhost approve` approved and nothing else. \
             If all who can build on this machine may have what your configuration grants, \
             write `daemon-peers = \"open\"` below `[gateway]`"
        }
        DaemonPeers::None => "nothing",
    };
    format!(
        "`daemon-peers` is \"{peers}\", because of this: {reason}. Builds of the Nix daemon, whoever started them, get {what}"
    )
}

/// What builds of a daemon get of an upstream.
fn shared(upstream: &UpstreamUrl, shares: bool, peers: DaemonPeers) -> String {
    let what = match (peers, shares) {
        (DaemonPeers::None, _) => "nothing of it",
        (_, true) => "all of it, because of `share-with-local-users`",
        (_, false) => {
            "approved content-addressed paths of it; for the rest write `share-with-local-users = true` below `[gateway]`"
        }
    };
    format!(
        "serving `{upstream}` again. Builds of the Nix daemon, whoever started them, get {what}"
    )
}

/// The socket that the service manager handed over, or a new one.
async fn listener(args: &ServeArgs, port: u16) -> Result<TcpListener, Failure> {
    if let Some(socket) = activation::socket()? {
        if args.listen.is_some() {
            return Err(Failure::usage(
                "`--listen` and a socket of the service manager exclude each other",
            )
            .with_hint("leave out `--listen`: the socket unit says where to listen"));
        }
        let address = socket.local_addr().map_err(|error| cannot_listen(&error))?;
        check_loopback(address, "the socket of the service manager is on")?;
        return socket
            .set_nonblocking(true)
            .and_then(|()| TcpListener::from_std(socket))
            .map_err(|error| cannot_listen(&error));
    }
    let address = args
        .listen
        .unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    check_loopback(address, "`--listen` names")?;
    TcpListener::bind(address).await.map_err(|error| {
        let failure = Failure::usage(format!("`{address}` cannot be listened on: {error}"));
        match error.kind() {
            ErrorKind::AddrInUse => failure.with_hint(
                "another gateway may run there already; name another port with `--listen 127.0.0.1:PORT`, or as `port` below `[gateway]`",
            ),
            _ => failure,
        }
    })
}

fn check_loopback(address: SocketAddr, who: &str) -> Result<(), Failure> {
    if fetchhost_gateway::is_loopback(address) {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "{who} `{address}`, which is not on the loopback interface"
    ))
    .with_hint("the gateway tells users of this machine apart, and nobody else; write 127.0.0.1:PORT or [::1]:PORT"))
}

fn cannot_listen(error: &std::io::Error) -> Failure {
    Failure::usage(format!("the gateway cannot listen: {error}"))
}

/// The owner's public id, which is made at random once.
fn owner_id(state: &Path) -> Result<OwnerId, Failure> {
    let path = state.join(ID_FILE);
    let fail = |what: &str, error: &dyn std::fmt::Display| {
        Failure::usage(format!("`{}` cannot be {what}: {error}", path.display()))
    };
    let read =
        || match std::fs::read_to_string(&path) {
            Ok(text) => text.trim_end().parse().map(Some).map_err(|error| {
                fail("used", &error).with_hint("remove it, and a new one is made")
            }),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(fail("read", &error)),
        };
    if let Some(id) = read()? {
        return Ok(id);
    }
    let made = || -> std::io::Result<()> {
        crate::journal::make_folder(state)?;
        let mut bytes = [0; 8];
        rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
        let mut file = tempfile::NamedTempFile::new_in(state)?;
        writeln!(file, "{}", OwnerId::from_bytes(bytes))?;
        // Of two that start at once, the first one's stays.
        match file.persist_noclobber(&path) {
            Err(error) if error.error.kind() != ErrorKind::AlreadyExists => Err(error.error),
            _ => Ok(()),
        }
    };
    made().map_err(|error| fail("written", &error))?;
    read()?.ok_or_else(|| fail("read", &"it went away"))
}

#[cfg(test)]
mod tests {
    use crate::printer::Verbosity;

    use super::*;

    #[test]
    fn accounts_that_cannot_be_read_are_as_they_were() {
        let printer = Printer {
            verbosity: Verbosity::Quiet,
            json: false,
            internal_json: false,
        };
        let with = |peers| Accounts::new(1, &AccountFiles::default(), Some(peers));
        let next = Arc::new(Mutex::new(Some(DaemonPeers::Approved)));
        let said = Arc::clone(&next);
        let read = move || match *said.lock().unwrap() {
            Some(peers) => Ok(with(peers)),
            None => Err(std::io::Error::other("too many open files")),
        };
        let accounts = watched(printer, with(DaemonPeers::Open), read);
        assert_eq!(accounts().daemon_peers, DaemonPeers::Approved);
        *next.lock().unwrap() = None;
        assert_eq!(accounts().daemon_peers, DaemonPeers::Approved);
        *next.lock().unwrap() = Some(DaemonPeers::Open);
        assert_eq!(accounts().daemon_peers, DaemonPeers::Open);
    }

    #[test]
    fn the_owners_id_is_made_once() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("a/state");
        let id = owner_id(&state).unwrap();
        assert_eq!(owner_id(&state).unwrap(), id);
        std::fs::write(state.join(ID_FILE), "nonsense").unwrap();
        assert!(owner_id(&state).is_err());
    }
}
