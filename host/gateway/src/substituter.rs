//! A binary cache of what the gateway holds, for Nix to substitute from.
//!
//! **The threat.** Nix asks a substituter for every path that it needs, and a daemon asks for every user
//! of the machine. Somebody learns from an answer that the owner has, or could have, something private.
//!
//! **The rule.** A path is named by the hash in its store path, which is made of its name and the hash of
//! its content: who asks knows both. A path that one may not have is answered as one that is nowhere.
//!
//! | who asks | gets |
//! |---|---|
//! | the owner | every path that is held, or approved |
//! | a Nix daemon, where `daemon-peers` is `open` | the same |
//! | a Nix daemon, where it is `approved` | every path that is approved |
//! | a Nix daemon, where it is `none` | 404 for every path |
//! | anybody else | 403 for everything |
//!
//! What is approved and not held is fetched when its record is asked for, and the answer waits: Nix would
//! remember for an hour that the path is not here. All else that is not held is answered at once.
//!
//! The NAR has the name of the path, not of its own content: each request is judged by the same rule, and
//! a record that Nix remembers for 30 days stays right.
//!
//! A narinfo is never answered with 5xx: Nix would ask five times, and then fail the build.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use axum::{Extension, Router};
use fetchhost_formats::STORE_DIR;
use fetchhost_policy::{DaemonPeers, printable};
use http::{StatusCode, Uri};

use crate::accounts::Caller;
use crate::answer;
use crate::cache::{Archive, is_store_hash};
use crate::gateway::Gateway;
use crate::metrics::RequestOutcome;
use crate::routes::{self, MOST_WAITS, STRANGER, nothing};
use crate::url::FetchUrl;

/// The place among a machine's substituters; lower ones are asked first, and <https://cache.nixos.org> has 40.
/// An answer costs no more than loopback, and whoever is asked after it does not hear of private paths.
const PRIORITY: u32 = 10;
const INFO: &str = "text/x-nix-cache-info";
const NARINFO: &str = "text/x-nix-narinfo";
/// The query of those who were sent on to wait, before how often they were.
const WAIT: &str = "wait=";

/// The routes of the binary cache.
pub(crate) fn routes() -> Router<Arc<Gateway>> {
    Router::new()
        .route("/nix-cache-info", get(info))
        .route("/{narinfo}", get(narinfo))
        .route("/nar/{file}", get(nar))
}

async fn info(
    State(gateway): State<Arc<Gateway>>,
    Extension(caller): Extension<Caller>,
) -> Response {
    if caller == Caller::Stranger {
        return stranger(&gateway);
    }
    gateway.metrics.request(RequestOutcome::Status);
    let text = format!("StoreDir: {STORE_DIR}\nWantMassQuery: 1\nPriority: {PRIORITY}\n");
    answer::record(INFO, text)
}

async fn narinfo(
    State(gateway): State<Arc<Gateway>>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Response {
    let Some(asked) = Asked::parse(&uri, "/", ".narinfo") else {
        return nothing(State(gateway)).await;
    };
    match find(&gateway, caller, &asked).await {
        Ok(Archive { mut record, .. }) => {
            let Ok(url) = format!("nar/{}.nar", asked.hash).parse() else {
                return nothing(State(gateway)).await;
            };
            record.url = url;
            gateway.metrics.request(RequestOutcome::Served);
            answer::record(NARINFO, record.to_string())
        }
        Err(refused) => refused,
    }
}

async fn nar(
    State(gateway): State<Arc<Gateway>>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Response {
    let Some(asked) = Asked::parse(&uri, "/nar/", ".nar") else {
        return nothing(State(gateway)).await;
    };
    match find(&gateway, caller, &asked).await {
        Ok(Archive { nar, .. }) => {
            gateway.metrics.request(RequestOutcome::Served);
            let active = gateway.activity.begin();
            answer::archive(nar, Arc::clone(&gateway.metrics), active)
        }
        Err(refused) => refused,
    }
}

/// What a URL asks for.
struct Asked<'a> {
    path: &'a str,
    /// Of the store path.
    hash: &'a str,
    /// How often whoever asks was sent on to wait.
    waits: u32,
}

impl<'a> Asked<'a> {
    /// Reads a path with the store hash between these two, no character of which is ever percent-encoded.
    fn parse(uri: &'a Uri, before: &str, after: &str) -> Option<Self> {
        let path = uri.path();
        let hash = path.strip_prefix(before)?.strip_suffix(after)?;
        let waits = match uri.query() {
            None => 0,
            Some(query) => (1..=MOST_WAITS).find(|waits| query == format!("{WAIT}{waits}"))?,
        };
        is_store_hash(hash).then_some(Self { path, hash, waits })
    }
}

/// What is held under a hash, or is fetched because it is approved, if the caller may have it; else the
/// answer.
async fn find(
    gateway: &Arc<Gateway>,
    caller: Caller,
    asked: &Asked<'_>,
) -> Result<Archive, Response> {
    let missing = || nothing(State(Arc::clone(gateway)));
    let may_have_all = match (caller, gateway.accounts.daemon_peers) {
        (Caller::Owner, _) | (Caller::Daemon, DaemonPeers::Open) => true,
        (Caller::Daemon, DaemonPeers::Approved) => false,
        (Caller::Daemon, DaemonPeers::None) => return Err(missing().await),
        (Caller::Stranger, _) => return Err(stranger(gateway)),
    };
    let approved = approved(gateway, asked.hash).await;
    if approved.is_none() && !may_have_all {
        return Err(missing().await);
    }
    if let Some(archive) = held(gateway, caller, asked.hash).await? {
        return Ok(archive);
    }
    let Some(fetch) = approved else {
        return Err(missing().await);
    };
    arrive(gateway, caller, asked, &fetch).await?;
    match held(gateway, caller, asked.hash).await? {
        Some(archive) => Ok(archive),
        None => Err(failed(
            gateway,
            caller,
            "what was fetched was removed from the gateway's cache before it could be sent",
        )
        .await),
    }
}

/// Fetches what is approved, as any other fetch, or joins those who wait for it. Else the answer.
async fn arrive(
    gateway: &Arc<Gateway>,
    caller: Caller,
    asked: &Asked<'_>,
    fetch: &FetchUrl,
) -> Result<(), Response> {
    let landing = match routes::ask(gateway, fetch, caller).await {
        Err(known) => Some(Err(known)),
        Ok(flight) if asked.waits < MOST_WAITS => {
            match tokio::time::timeout(gateway.patience, flight.landing()).await {
                Ok(landing) => landing,
                Err(_) => {
                    gateway.metrics.request(RequestOutcome::Redirected);
                    let next = format!("{}?{WAIT}{}", asked.path, asked.waits + 1);
                    return Err(answer::redirect(&next));
                }
            }
        }
        Ok(flight) => flight.landing().await,
    };
    match landing {
        Some(Ok(_)) => Ok(()),
        Some(Err(why)) => Err(failed(gateway, caller, &why.reason).await),
        None => Err(failed(gateway, caller, "the gateway ends").await),
    }
}

/// What is approved under a hash. Where that cannot be read, nothing is.
async fn approved(gateway: &Gateway, hash: &str) -> Option<FetchUrl> {
    let approvals = Arc::clone(&gateway.approvals);
    let read = tokio::task::spawn_blocking(move || approvals.current()).await;
    read.ok()?.ok()?.by_store_hash(hash).cloned()
}

/// What is in the cache under a hash.
async fn held(
    gateway: &Arc<Gateway>,
    caller: Caller,
    hash: &str,
) -> Result<Option<Archive>, Response> {
    let (cache, hash) = (Arc::clone(&gateway.cache), hash.to_owned());
    let found = tokio::task::spawn_blocking(move || cache.archive(&hash)).await;
    match found.unwrap_or_else(|error| Err(std::io::Error::other(error))) {
        Ok(found) => Ok(found),
        Err(error) => {
            let reason = format!("the gateway's cache cannot be read: {error}");
            Err(failed(gateway, caller, &reason).await)
        }
    }
}

/// That a path cannot be had. All but the owner get the answer to a path that is nowhere.
async fn failed(gateway: &Arc<Gateway>, caller: Caller, reason: &str) -> Response {
    if caller != Caller::Owner {
        return nothing(State(Arc::clone(gateway))).await;
    }
    gateway.metrics.request(RequestOutcome::Failed);
    let lines: Vec<_> = reason.lines().map(printable).collect();
    answer::text(StatusCode::NOT_FOUND, &lines.join("\n"))
}

fn stranger(gateway: &Gateway) -> Response {
    gateway.metrics.request(RequestOutcome::Refused);
    answer::text(StatusCode::FORBIDDEN, STRANGER)
}
