//! What a caller may have of a binary cache, path by path.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use fetchhost_policy::DaemonPeers;

use super::{Foreign, stranger};
use crate::accounts::Caller;
use crate::gateway::Gateway;
use crate::routes::nothing;
use crate::url::FetchUrl;

/// What a caller may have under one hash.
pub(super) struct Rights {
    /// Whatever is held.
    held: bool,
    /// Whatever an upstream has.
    elsewhere: bool,
    /// What is approved.
    pub(super) approved: Option<FetchUrl>,
}

impl Rights {
    /// The rights of a caller who may have anything at all; else the answer.
    pub(super) async fn of(
        gateway: &Arc<Gateway>,
        caller: Caller,
        hash: &str,
    ) -> Result<Self, Response> {
        let shares = gateway.shares;
        let (held, elsewhere) = match (caller, gateway.daemon_peers()) {
            (Caller::Owner, _) => (true, true),
            (Caller::Daemon, DaemonPeers::Open) => (true, shares),
            (Caller::Daemon, DaemonPeers::Approved) => (false, shares),
            (Caller::Daemon, DaemonPeers::None) => {
                return Err(nothing(State(Arc::clone(gateway))).await);
            }
            (Caller::Stranger, _) => return Err(stranger(gateway)),
        };
        Ok(Self {
            held,
            elsewhere,
            approved: approved(gateway, hash).await,
        })
    }

    /// Whether what is held under the hash is theirs.
    pub(super) const fn may_have_held(&self) -> bool {
        self.held || self.approved.is_some()
    }

    /// Whether an upstream may be asked for them.
    pub(super) const fn may_look_elsewhere(&self) -> bool {
        self.elsewhere || self.approved.is_some()
    }

    /// Whether a record of an upstream may be passed on.
    pub(super) fn fits(&self, record: &Foreign) -> bool {
        let is_approved = |fetch: &FetchUrl| record.output.as_ref() == Some(&fetch.output);
        self.elsewhere || self.approved.as_ref().is_some_and(is_approved)
    }
}

/// What is approved under a hash. Where that cannot be read, nothing is.
async fn approved(gateway: &Gateway, hash: &str) -> Option<FetchUrl> {
    let approvals = Arc::clone(&gateway.approvals);
    let read = tokio::task::spawn_blocking(move || approvals.current()).await;
    read.ok()?.ok()?.by_store_hash(hash).cloned()
}
