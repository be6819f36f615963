//! A binary cache of what the gateway holds, for Nix to substitute from.
//!
//! **The threat.** Nix asks a substituter for every path that it needs, and a daemon asks for every user
//! of the machine. Somebody learns from an answer that the owner has, or could have, something private.
//!
//! **The rule.** A path is named by the hash in its store path, which is made of its name and the hash of
//! its content: who asks knows both. A path that one may not have is answered as one that is nowhere.
//!
//! | who asks | of what is held | of what an upstream has |
//! |---|---|---|
//! | the owner | everything | everything |
//! | a Nix daemon, where `daemon-peers` is `open` | everything | what is shared, or approved and content-addressed |
//! | a Nix daemon, where it is `approved` | what is approved | the same |
//! | a Nix daemon, where it is `none` | 404 | 404 |
//! | anybody else | 403 | 403 |
//!
//! What is approved and nowhere is fetched when its record is asked for, and the answer waits: Nix would
//! remember for an hour that the path is not here. All else that is nowhere is answered at once.
//!
//! The NAR has the name of the path, not of its own content: each request is judged by the same rule, and
//! a record that Nix remembers for 30 days stays right.
//!
//! A narinfo is never answered with 5xx: Nix would ask five times, and then fail the build.

mod foreign;
mod rights;

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use axum::{Extension, Router};
use fetchhost_formats::CacheInfo;
use fetchhost_policy::printable;
use http::{StatusCode, Uri};

use crate::accounts::Caller;
use crate::answer;
use crate::cache::{Archive, is_store_hash};
use crate::gateway::Gateway;
use crate::metrics::{RequestOutcome, add};
use crate::routes::{self, MOST_WAITS, STRANGER, nothing};
use crate::upstream::{Opened, Source};
use crate::url::FetchUrl;

pub(crate) use foreign::Foreign;
use rights::Rights;

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
        .route("/upstream/{id}/{file}", get(upstream_nar))
}

async fn info(
    State(gateway): State<Arc<Gateway>>,
    Extension(caller): Extension<Caller>,
) -> Response {
    if caller == Caller::Stranger {
        return stranger(&gateway);
    }
    gateway.metrics.request(RequestOutcome::Status);
    answer::record(INFO, CacheInfo::new(true, PRIORITY).to_string())
}

async fn narinfo(
    State(gateway): State<Arc<Gateway>>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Response {
    let Some(asked) = Asked::parse(&uri, "/", ".narinfo") else {
        return nothing(State(gateway)).await;
    };
    let text = match find(&gateway, caller, &asked).await {
        Ok(Found::Held(Archive { mut record, .. })) => {
            let Ok(url) = format!("nar/{}.nar", asked.hash).parse() else {
                return nothing(State(gateway)).await;
            };
            record.url = url;
            record.to_string()
        }
        Ok(Found::Elsewhere(source, record)) => {
            let file = format!("{}{}", asked.hash, record.extension());
            record.with_url(&format!("upstream/{}/{file}", source.id))
        }
        Err(refused) => return refused,
    };
    gateway.metrics.request(RequestOutcome::Served);
    answer::record(NARINFO, text)
}

async fn nar(
    State(gateway): State<Arc<Gateway>>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Response {
    let Some(asked) = Asked::parse(&uri, "/nar/", ".nar") else {
        return nothing(State(gateway)).await;
    };
    let found = async {
        let rights = Rights::of(&gateway, caller, asked.hash).await?;
        held_or_fetched(&gateway, caller, &asked, &rights).await
    };
    match found.await {
        Ok(Archive { nar, .. }) => send(&gateway, nar.into()),
        Err(refused) => refused,
    }
}

/// A NAR of an upstream, under `/upstream/ID/HASH.nar` and the extension of its compression: where its record
/// names another by now, Nix is not sent that.
async fn upstream_nar(
    State(gateway): State<Arc<Gateway>>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Response {
    let asked = uri.path().strip_prefix("/upstream/").and_then(|rest| {
        let (id, file) = rest.split_once('/')?;
        let (hash, extension) = file.split_at_checked(file.find('.')?)?;
        let is_plain = is_store_hash(hash) && uri.query().is_none();
        is_plain.then_some((id, hash, extension))
    });
    let Some((id, hash, extension)) = asked else {
        return nothing(State(gateway)).await;
    };
    let rights = match Rights::of(&gateway, caller, hash).await {
        Ok(rights) => rights,
        Err(refused) => return refused,
    };
    let opened = async {
        let source = gateway
            .upstreams
            .called(id)
            .filter(|_| rights.may_look_elsewhere())?;
        let record = source.record(hash).await?;
        if record.extension() != extension || !rights.fits(&record) {
            return None;
        }
        source.nar(&record).await
    };
    match opened.await {
        Some(opened) => send(&gateway, opened),
        None => nothing(State(gateway)).await,
    }
}

fn send(gateway: &Arc<Gateway>, nar: Opened) -> Response {
    gateway.metrics.request(RequestOutcome::Served);
    answer::archive(nar, Arc::clone(&gateway.metrics), gateway.activity.begin())
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

/// Where a path is.
enum Found<'a> {
    /// In the gateway's cache.
    Held(Archive),
    /// In a cache that is served again.
    Elsewhere(&'a Source, Foreign),
}

/// The path that is asked for, if the caller may have it; else the answer.
async fn find<'a>(
    gateway: &'a Arc<Gateway>,
    caller: Caller,
    asked: &Asked<'_>,
) -> Result<Found<'a>, Response> {
    let rights = Rights::of(gateway, caller, asked.hash).await?;
    if let Some(archive) = held(gateway, caller, asked.hash, &rights).await? {
        add(&gateway.metrics.cache_hits, 1);
        return Ok(Found::Held(archive));
    }
    // Who was sent on to wait was told that no upstream has it.
    if asked.waits == 0 && rights.may_look_elsewhere() {
        let fit = |record: &Foreign| rights.fits(record);
        if let Some((source, record)) = gateway.upstreams.record(asked.hash, fit).await {
            return Ok(Found::Elsewhere(source, record));
        }
    }
    held_or_fetched(gateway, caller, asked, &rights)
        .await
        .map(Found::Held)
}

/// What is held, or is fetched because it is approved, if the caller may have it; else the answer.
async fn held_or_fetched(
    gateway: &Arc<Gateway>,
    caller: Caller,
    asked: &Asked<'_>,
    rights: &Rights,
) -> Result<Archive, Response> {
    if let Some(archive) = held(gateway, caller, asked.hash, rights).await? {
        add(&gateway.metrics.cache_hits, 1);
        return Ok(archive);
    }
    let Some(fetch) = &rights.approved else {
        return Err(nothing(State(Arc::clone(gateway))).await);
    };
    arrive(gateway, caller, asked, fetch).await?;
    // It may have been withdrawn meanwhile.
    let rights = Rights::of(gateway, caller, asked.hash).await?;
    match held(gateway, caller, asked.hash, &rights).await? {
        Some(archive) => Ok(archive),
        None if !rights.may_have_held() => Err(nothing(State(Arc::clone(gateway))).await),
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

/// What is in the gateway's cache under a hash, if the caller may have it.
async fn held(
    gateway: &Arc<Gateway>,
    caller: Caller,
    hash: &str,
    rights: &Rights,
) -> Result<Option<Archive>, Response> {
    if !rights.may_have_held() {
        return Ok(None);
    }
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

/// The answer to those to whom nothing is served.
fn stranger(gateway: &Gateway) -> Response {
    gateway.metrics.request(RequestOutcome::Refused);
    answer::text(StatusCode::FORBIDDEN, STRANGER)
}
