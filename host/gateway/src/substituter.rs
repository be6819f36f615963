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
//! | the owner | every path that is held |
//! | a Nix daemon, where `daemon-peers` is `open` | the same |
//! | a Nix daemon elsewhere | 404 for every path |
//! | anybody else | 403 for everything |
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
use fetchhost_policy::DaemonPeers;
use http::{StatusCode, Uri};

use crate::accounts::Caller;
use crate::answer;
use crate::cache::{Archive, is_store_hash};
use crate::gateway::Gateway;
use crate::metrics::{RequestOutcome, add};
use crate::routes::{STRANGER, nothing};

/// The place among a machine's substituters; lower ones are asked first, and <https://cache.nixos.org> has 40.
/// An answer costs no more than loopback, and whoever is asked after it does not hear of private paths.
const PRIORITY: u32 = 10;
const INFO: &str = "text/x-nix-cache-info";
const NARINFO: &str = "text/x-nix-narinfo";

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
    let Some(hash) = asked(&uri, "/", ".narinfo") else {
        return nothing(State(gateway)).await;
    };
    match find(&gateway, caller, hash).await {
        Ok(Archive { mut record, .. }) => {
            let Ok(url) = format!("nar/{hash}.nar").parse() else {
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
    let Some(hash) = asked(&uri, "/nar/", ".nar") else {
        return nothing(State(gateway)).await;
    };
    match find(&gateway, caller, hash).await {
        Ok(Archive { nar, .. }) => {
            gateway.metrics.request(RequestOutcome::Served);
            add(&gateway.metrics.cache_hits, 1);
            let active = gateway.activity.begin();
            answer::archive(nar, Arc::clone(&gateway.metrics), active)
        }
        Err(refused) => refused,
    }
}

/// The store hash between these two in a path. No character of it is ever percent-encoded.
fn asked<'a>(uri: &'a Uri, before: &str, after: &str) -> Option<&'a str> {
    let hash = uri.path().strip_prefix(before)?.strip_suffix(after)?;
    is_store_hash(hash).then_some(hash)
}

/// What is held under a hash, if the caller may have it; else the answer.
async fn find(gateway: &Arc<Gateway>, caller: Caller, hash: &str) -> Result<Archive, Response> {
    match (caller, gateway.accounts.daemon_peers) {
        (Caller::Owner, _) | (Caller::Daemon, DaemonPeers::Open) => {}
        (Caller::Daemon, DaemonPeers::Approved | DaemonPeers::None) => {
            return Err(nothing(State(Arc::clone(gateway))).await);
        }
        (Caller::Stranger, _) => return Err(stranger(gateway)),
    }
    let (cache, hash) = (Arc::clone(&gateway.cache), hash.to_owned());
    let found = tokio::task::spawn_blocking(move || cache.archive(&hash)).await;
    match found.unwrap_or_else(|error| Err(std::io::Error::other(error))) {
        Ok(Some(archive)) => Ok(archive),
        Err(error) if caller == Caller::Owner => {
            gateway.metrics.request(RequestOutcome::Failed);
            let text = format!("the gateway's cache cannot be read: {error}");
            Err(answer::text(StatusCode::NOT_FOUND, &text))
        }
        Ok(None) | Err(_) => Err(nothing(State(Arc::clone(gateway))).await),
    }
}

fn stranger(gateway: &Gateway) -> Response {
    gateway.metrics.request(RequestOutcome::Refused);
    answer::text(StatusCode::FORBIDDEN, STRANGER)
}
