//! What the gateway needs of whoever carries fetches out.

use fetchhost_formats::{FixedOutput, Hash};
use fetchhost_sinks::Destination;
use futures_util::future::BoxFuture;

use crate::accounts::Caller;
use crate::url::{FetchUrl, SignatureUrl};

/// Carries fetches out, by what the configuration grants and by nothing else. It keeps a record of each
/// and tells the owner how it ended.
pub trait Fetches: Send + Sync + 'static {
    /// Judges a fetch without contacting anybody: the fetcher is known, its parameters are valid, and
    /// something is granted for the origin that they name.
    fn prepare<'a>(
        &'a self,
        url: &'a FetchUrl,
        caller: Caller,
    ) -> BoxFuture<'a, Result<Box<dyn Fetch>, Unfit>>;

    /// Looks a signature up for the owner, and puts it into a place; what it is, or why it is not there. Nothing
    /// is ever signed.
    fn look_up<'a>(
        &'a self,
        url: &'a SignatureUrl,
        into: Destination,
    ) -> BoxFuture<'a, Result<FixedOutput, Failed>>;

    /// Records that the gateway itself could not serve a fetch.
    fn fail(&self, url: &FetchUrl, caller: Caller, reason: &str) -> Failed;

    /// The same of a signature that was found.
    fn fail_look_up(&self, url: &SignatureUrl, reason: &str) -> Failed;
}

/// A fetch that may not be carried out: records that, and says why.
pub type Unfit = Box<dyn FnOnce() -> Failed + Send>;

/// A fetch that may be carried out.
pub trait Fetch: Send {
    /// Fetches, verifies, and puts the result into a place; all of it or nothing.
    fn run(self: Box<Self>, into: Destination) -> BoxFuture<'static, Result<(), Failed>>;
}

/// A fetch that failed, and was recorded as that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// Names the record.
    pub ticket: String,
    /// What happened and what to do next, for the owner's eyes.
    pub reason: String,
    /// The hash of what came, when that alone was wrong.
    pub got: Option<Hash>,
}
