//! Servers that give access keys, as seen from here: what is asked of them and what they answer. Sending it is not
//! this crate's work, see [`Keyring::asking_servers`](crate::Keyring::asking_servers).

use std::time::{Duration, SystemTime};

use fetchhost_policy::{KeyServer, Method, Scheme};
use url::Url;
use zeroize::Zeroizing;

use crate::{Cancel, Secret, aws::AccessKeys, source::SKEW};

/// How long keys are used at most, however late they say that they end: STS gives them for as long when
/// nothing else is asked for.
pub(crate) const LIFETIME: Duration = Duration::from_secs(60 * 60);
/// How long keys are used that do not say when they end.
const UNDATED: Duration = Duration::from_secs(60);

/// A question, to be sent as it is. It holds what proves who asks.
pub struct KeyRequest {
    /// Whom to ask, and nobody else.
    pub server: KeyServer,
    /// The method.
    pub method: Method,
    /// The URL, which is the server's.
    pub url: Url,
    /// A header that is a credential: its scheme, a `header:NAME`, and its value.
    pub header: Option<(Scheme, Secret)>,
    /// The body, of type `application/x-www-form-urlencoded`.
    pub form: Option<Zeroizing<String>>,
}

/// An answer, whatever its status.
pub struct KeyAnswer {
    /// The status of HTTP.
    pub status: u16,
    /// The body, which holds the keys.
    pub body: Zeroizing<Vec<u8>>,
}

/// Why there is no answer.
#[derive(Clone, Debug)]
pub struct KeyFailure {
    /// What happened.
    pub reason: String,
    /// What to do; none where it is about the server's name or the way there.
    pub hint: Option<String>,
}

/// Sends a question, and blocks until it is answered or given up.
pub(crate) type AskServer =
    dyn Fn(KeyRequest, &Cancel) -> Result<KeyAnswer, KeyFailure> + Send + Sync;

/// What an answer gives.
pub(crate) struct Given {
    pub(crate) keys: Secret,
    /// Until when they are used.
    pub(crate) until: SystemTime,
}

/// Why an answer gives no keys.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NotGiven {
    /// It is no answer of such a server, for this reason.
    Answer(&'static str),
    /// The keys have expired already.
    Expired,
}

/// The keys of an answer that end at `end`, if it says so.
pub(crate) fn given(
    keys: AccessKeys,
    end: Option<SystemTime>,
    now: SystemTime,
) -> Result<Given, NotGiven> {
    let until = match end {
        None => now + UNDATED,
        Some(end) if end <= now => return Err(NotGiven::Expired),
        // Those that end within the skew are used for one request.
        Some(end) => end.min(now + LIFETIME).checked_sub(SKEW).unwrap_or(now),
    };
    let keys = keys.into_secret();
    match AccessKeys::read(keys.expose()) {
        Ok(_) => Ok(Given { keys, until }),
        Err(_) => Err(NotGiven::Answer("what it gives are no access keys")),
    }
}
