//! What is answered under which path.
//!
//! | path | to whom | answer |
//! |---|---|---|
//! | `/v1/fetch/…/content?…` | the owner; builds of a daemon where the rule is `open`, or `approved` and this fetch is | content, or 404 |
//! | `/v1/signature/…/content?…` | the owner | a signature, or 404 |
//! | `/v1/wait/ID/N` | the same | content, 404, or on to the next |
//! | `/metrics` | the owner: counters would tell others how their fetches failed | counters |
//! | `/healthz` | everybody on this machine | `ok` |
//! | `/nix-cache-info`, `/HASH.narinfo`, `/nar/HASH.nar` | see `substituter` | a binary cache |
//! | any other | | 404 |

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::get;
use axum::{Extension, Router};
use fetchhost_policy::DaemonPeers;
use http::{StatusCode, Uri};

use crate::accounts::Caller;
use crate::answer;
use crate::approvals::Approved;
use crate::fetches::Failed;
use crate::flight::{Asked, Flight, Landing};
use crate::gateway::Gateway;
use crate::metrics::RequestOutcome;
use crate::rules;
use crate::signature;
use crate::substituter;
use crate::url::{FetchUrl, OwnerId};

/// How often a client is sent on to wait: Nix follows ten redirects, and gives up at the next.
pub(crate) const MOST_WAITS: u32 = 10;

pub(crate) const STRANGER: &str = "this gateway serves its owner and builds of the Nix daemon; \
    who you are is neither, or cannot be told";
const NO_DAEMON: &str = "this gateway serves no builds of the Nix daemon; \
    its owner sees why where 'nix-fetchhost serve' runs";
const NOT_APPROVED: &str = "it is not approved for builds of the Nix daemon, which may be anybody's on this machine. \
    To let them have it, put it into a lock file ('nix-fetchhost lock') and run 'nix-fetchhost approve FILE'; \
    the fetch that is asked for must be the one in the file to the letter";
const NOTHING: &str = "nothing is here";

/// The routes of a gateway; each connection adds its caller as an extension.
pub(crate) fn router(gateway: Arc<Gateway>) -> Router {
    Router::new()
        .route("/healthz", get(health))
        .route("/metrics", get(metrics))
        .route("/v1/fetch/{*rest}", get(fetch))
        .route("/v1/signature/{*rest}", get(signature::serve))
        .route("/v1/wait/{id}/{number}", get(wait))
        .merge(substituter::routes())
        .fallback(nothing)
        .layer(middleware::from_fn_with_state(Arc::clone(&gateway), admit))
        .with_state(gateway)
}

/// Refuses what is not to be answered.
async fn admit(State(gateway): State<Arc<Gateway>>, mut request: Request, next: Next) -> Response {
    let _active = gateway.activity.begin();
    if let Err(refusal) = rules::admit(&mut request, gateway.port) {
        gateway.metrics.request(RequestOutcome::Refused);
        return answer::text(refusal.status, refusal.text);
    }
    next.run(request).await
}

async fn health(State(gateway): State<Arc<Gateway>>) -> Response {
    gateway.metrics.request(RequestOutcome::Status);
    answer::text(StatusCode::OK, "ok")
}

async fn metrics(
    State(gateway): State<Arc<Gateway>>,
    Extension(caller): Extension<Caller>,
) -> Response {
    if caller != Caller::Owner {
        return nothing(State(gateway)).await;
    }
    gateway.metrics.request(RequestOutcome::Status);
    let cache = Arc::clone(&gateway.cache);
    let size = tokio::task::spawn_blocking(move || cache.size()).await;
    let text = gateway.metrics.text(size.unwrap_or_default());
    answer::text(StatusCode::OK, text.trim_end())
}

pub(crate) async fn nothing(State(gateway): State<Arc<Gateway>>) -> Response {
    gateway.metrics.request(RequestOutcome::NotFound);
    answer::text(StatusCode::NOT_FOUND, NOTHING)
}

async fn fetch(
    State(gateway): State<Arc<Gateway>>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Response {
    if let Some(refused) = refused(&gateway, caller) {
        return refused;
    }
    let refuse = |status, text: &str| {
        gateway.metrics.request(RequestOutcome::Refused);
        answer::text(status, text)
    };
    let target = uri.path_and_query().map_or("", |target| target.as_str());
    let url = match FetchUrl::parse(target) {
        Ok(url) => url,
        Err(error) => return refuse(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    if let Some(refused) = misdirected(&gateway, url.owner.as_ref()) {
        return refused;
    }
    match ask(&gateway, &url, caller).await {
        Ok(flight) => attend(&gateway, &flight, caller, 0).await,
        Err(failed) => {
            gateway.metrics.request(RequestOutcome::Failed);
            answer::failure(&failed, caller)
        }
    }
}

/// The fetch for this URL, if the caller may have it and it may be tried. With the first one of an approved
/// file that is asked for, the others of it start.
pub(crate) async fn ask(
    gateway: &Arc<Gateway>,
    url: &FetchUrl,
    caller: Caller,
) -> Result<Arc<Flight>, Failed> {
    let approved = check(gateway, url, caller).await?;
    let expected = approved.to_start(url, gateway.cache.limit());
    if !expected.is_empty() {
        gateway.flights.expect(expected);
    }
    match gateway.flights.ask(url, caller) {
        Asked::Flying(flight) => Ok(flight),
        Asked::Failed(failed) => Err(failed),
    }
}

/// The answer to those who mean the gateway of somebody else.
pub(crate) fn misdirected(gateway: &Gateway, owner: Option<&OwnerId>) -> Option<Response> {
    owner.filter(|id| **id != gateway.id)?;
    gateway.metrics.request(RequestOutcome::Refused);
    let text = format!(
        "`owner` names another user's gateway; this one is {}",
        gateway.id
    );
    Some(answer::text(StatusCode::MISDIRECTED_REQUEST, &text))
}

async fn wait(
    State(gateway): State<Arc<Gateway>>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Response {
    if let Some(refused) = refused(&gateway, caller) {
        return refused;
    }
    let asked = uri
        .path()
        .strip_prefix("/v1/wait/")
        .and_then(|rest| rest.split_once('/'))
        .and_then(|(id, number)| {
            let waits: u32 = number.parse().ok()?;
            let is_ours = (1..=MOST_WAITS).contains(&waits) && number == waits.to_string();
            Some((gateway.flights.waited_for(id)?, waits)).filter(|_| is_ours)
        });
    let Some((flight, waits)) = asked else {
        return nothing(State(gateway)).await;
    };
    match check(&gateway, &flight.url, caller).await {
        Ok(_) => attend(&gateway, &flight, caller, waits).await,
        Err(refused) => landed(&gateway, Some(Err(refused)), caller),
    }
}

/// The answer to those to whom no fetches are served.
fn refused(gateway: &Gateway, caller: Caller) -> Option<Response> {
    let text = match (caller, gateway.daemon_peers()) {
        (Caller::Owner, _) | (Caller::Daemon, DaemonPeers::Open | DaemonPeers::Approved) => {
            return None;
        }
        (Caller::Daemon, DaemonPeers::None) => NO_DAEMON,
        (Caller::Stranger, _) => STRANGER,
    };
    gateway.metrics.request(RequestOutcome::Refused);
    Some(answer::text(StatusCode::FORBIDDEN, text))
}

/// What is approved. Refuses builds of a daemon what is not, where they get nothing else.
async fn check(
    gateway: &Arc<Gateway>,
    url: &FetchUrl,
    caller: Caller,
) -> Result<Arc<Approved>, Failed> {
    let needs_approval =
        caller == Caller::Daemon && gateway.daemon_peers() == DaemonPeers::Approved;
    let approvals = Arc::clone(&gateway.approvals);
    let read = tokio::task::spawn_blocking(move || approvals.current()).await;
    let reason = match read.unwrap_or_else(|error| Err(std::io::Error::other(error))) {
        Ok(approved) if !needs_approval || approved.contains(url) => return Ok(approved),
        Err(_) if !needs_approval => return Ok(Arc::default()),
        Ok(_) => NOT_APPROVED.to_owned(),
        Err(error) => format!("what is approved cannot be read: {error}"),
    };
    Err(gateway.flights.refuse(url, caller, &reason))
}

/// Waits for a fetch, which was waited for `waits` times before, and sends what came of it. Nix gives up
/// on a server that is silent, so that it is sent on while the fetch goes on; the last time it has to hold.
async fn attend(
    gateway: &Arc<Gateway>,
    flight: &Arc<Flight>,
    caller: Caller,
    waits: u32,
) -> Response {
    let landing = if waits < MOST_WAITS {
        match tokio::time::timeout(gateway.patience, flight.landing()).await {
            Ok(landing) => landing,
            Err(_) => {
                gateway.flights.keep(flight);
                gateway.metrics.request(RequestOutcome::Redirected);
                return answer::redirect(&format!("/v1/wait/{}/{}", flight.id, waits + 1));
            }
        }
    } else {
        flight.landing().await
    };
    // It may have been withdrawn meanwhile.
    let landing = match check(gateway, &flight.url, caller).await {
        Ok(_) => landing,
        Err(refused) => Some(Err(refused)),
    };
    landed(gateway, landing, caller)
}

/// What came of a fetch.
pub(crate) fn landed(gateway: &Arc<Gateway>, landing: Option<Landing>, caller: Caller) -> Response {
    match landing {
        Some(Ok(content)) => {
            gateway.metrics.request(RequestOutcome::Served);
            answer::content(
                content,
                Arc::clone(&gateway.metrics),
                gateway.activity.begin(),
            )
        }
        Some(Err(failed)) => {
            gateway.metrics.request(RequestOutcome::Failed);
            answer::failure(&failed, caller)
        }
        None => {
            gateway.metrics.request(RequestOutcome::Failed);
            answer::text(StatusCode::NOT_FOUND, "the gateway ends")
        }
    }
}
