//! Signatures whose hash nobody knows, looked up while Nix evaluates.
//!
//! **The threat.** Whoever may ask for a signature without naming its hash learns what was signed, and gets it.
//!
//! **The rule.** Only the owner's own processes are answered; everybody else gets one text, whatever was asked for.
//! What was signed before is looked up, by what the configuration grants: no key signs here.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use http::{StatusCode, Uri};
use tokio::sync::Semaphore;

use crate::accounts::Caller;
use crate::answer;
use crate::cache::Cache;
use crate::fetches::Fetches;
use crate::flight::Landing;
use crate::gateway::Gateway;
use crate::metrics::{RequestOutcome, add};
use crate::routes::{landed, misdirected};
use crate::url::SignatureUrl;

/// How many are looked up at once: each reads the file that was signed. They wait for no fetch, since Nix
/// evaluates meanwhile.
const AT_ONCE: usize = 8;

const NOT_YOURS: &str = "signatures without a declared hash are for the owner of this gateway alone, \
    and not for builds of a Nix daemon; declare the hash";

/// Looks signatures up.
pub(crate) struct LookUps {
    fetches: Arc<dyn Fetches>,
    turns: Semaphore,
}

impl LookUps {
    pub(crate) fn new(fetches: Arc<dyn Fetches>) -> Self {
        Self {
            fetches,
            turns: Semaphore::new(AT_ONCE),
        }
    }

    /// The signature, by way of the cache. None when the gateway ends meanwhile.
    async fn look_up(&self, url: &SignatureUrl, cache: &Arc<Cache>) -> Option<Landing> {
        let _turn = self.turns.acquire().await.ok()?;
        let output = match self.fetches.look_up(url, cache.destination()).await {
            Ok(output) => output,
            Err(failed) => return Some(Err(failed)),
        };
        let cache = Arc::clone(cache);
        let found = tokio::task::spawn_blocking(move || {
            let found = cache.find(&output)?.map(Arc::new);
            if let Some(content) = &found {
                cache.make_room(content);
            }
            std::io::Result::Ok(found)
        });
        let reason = match found.await {
            Ok(Ok(Some(content))) => return Some(Ok(content)),
            Ok(Ok(None)) => {
                "the signature was removed from the gateway's cache before it could be sent"
                    .to_owned()
            }
            Ok(Err(error)) => format!("the gateway's cache cannot be read: {error}"),
            Err(_) => return None,
        };
        Some(Err(self.fetches.fail_look_up(url, &reason)))
    }
}

/// Answers a request for a signature.
pub(crate) async fn serve(
    State(gateway): State<Arc<Gateway>>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Response {
    let refuse = |status, text: &str| {
        gateway.metrics.request(RequestOutcome::Refused);
        answer::text(status, text)
    };
    if caller != Caller::Owner {
        return refuse(StatusCode::NOT_FOUND, NOT_YOURS);
    }
    let target = uri.path_and_query().map_or("", |target| target.as_str());
    let url = match SignatureUrl::parse(target) {
        Ok(url) => url,
        Err(error) => return refuse(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    if let Some(refused) = misdirected(&gateway, url.owner.as_ref()) {
        return refused;
    }
    let landing = gateway.look_ups.look_up(&url, &gateway.cache).await;
    if let Some(Err(_)) = &landing {
        add(&gateway.metrics.failed, 1);
    }
    landed(&gateway, landing, caller)
}
