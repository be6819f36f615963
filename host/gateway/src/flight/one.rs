//! One fetch on its way.

use std::sync::Arc;

use tokio::sync::watch;

use crate::accounts::Caller;
use crate::cache::Content;
use crate::fetches::Failed;
use crate::url::FetchUrl;

/// How a fetch ended.
pub(crate) type Landing = Result<Arc<Content>, Failed>;

/// A fetch on its way.
#[derive(Debug)]
pub(crate) struct Flight {
    /// Names it in the URLs of those who were sent on to wait.
    pub(crate) id: String,
    /// What is fetched.
    pub(crate) url: FetchUrl,
    /// Whether the owner asked for it too.
    is_owners: watch::Sender<bool>,
    /// Nothing until it ended.
    landing: watch::Receiver<Option<Landing>>,
}

impl Flight {
    /// A fetch of `url`, and where it is told how it ended. None when the system gives no random numbers.
    pub(super) fn new(
        url: &FetchUrl,
        is_owners: bool,
    ) -> Option<(Arc<Self>, watch::Sender<Option<Landing>>)> {
        let (sender, landing) = watch::channel(None);
        let flight = Self {
            id: random_id()?,
            url: url.clone(),
            is_owners: watch::Sender::new(is_owners),
            landing,
        };
        Some((Arc::new(flight), sender))
    }

    /// Notes that the owner asks for it.
    pub(super) fn make_owners(&self) {
        self.is_owners.send_replace(true);
    }

    /// Waits until it ends. None when it was given up because the gateway ends.
    pub(crate) async fn landing(&self) -> Option<Landing> {
        let mut landing = self.landing.clone();
        let landed = landing.wait_for(Option::is_some).await.ok()?;
        landed.clone()
    }

    /// For whom it is, as far as is known by now.
    pub(super) fn caller(&self) -> Caller {
        if *self.is_owners.borrow() {
            Caller::Owner
        } else {
            Caller::Daemon
        }
    }

    /// Waits until the owner asks for it.
    pub(super) async fn becomes_owners(&self) {
        let mut is_owners = self.is_owners.subscribe();
        // The sender is here: it does not go while somebody waits.
        let _ = is_owners.wait_for(|is_owners| *is_owners).await;
    }
}

/// 128 bits that nobody guesses.
fn random_id() -> Option<String> {
    let mut bytes = [0; 16];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()).ok()?;
    Some(format!("{:032x}", u128::from_be_bytes(bytes)))
}
