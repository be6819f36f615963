//! The client: what callers hold.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use fetchhost_credentials::Keyring;
use fetchhost_policy::{Broker, Permit};

use crate::{
    Contact, Echo, Lookup, Response, Settings, SystemLookup, TransportError,
    connection::Connections,
    exchange::{Deadline, Request},
    headers,
    journal::Journal,
};

/// Sends permitted requests. Cheap to make and to clone; clones share connections, journal and the
/// record of sent secrets.
///
/// Nothing is set up before the first request, and TLS only by the first one to `https`.
#[derive(Clone)]
pub struct Client {
    pub(crate) shared: Arc<Shared>,
    pub(crate) journal: Journal,
    pub(crate) echo: Echo,
}

/// What all clones of a client have in common.
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) connections: Connections,
}

/// A request that is ready to be sent.
#[derive(Debug)]
pub struct Outgoing {
    /// The broker's yes, with method and URL.
    pub permit: Permit,
    /// Headers that the guest set: name and value.
    pub headers: Vec<(String, String)>,
    /// The body, if there is one.
    pub body: Option<Bytes>,
}

impl Client {
    /// A client that resolves names with the system's resolver.
    #[must_use]
    pub fn new(settings: Settings, keyring: Arc<Keyring>) -> Self {
        Self::with_lookup(settings, keyring, Arc::new(SystemLookup))
    }

    /// A client that resolves names with `lookup`. The answers are checked as the system's are.
    #[must_use]
    pub fn with_lookup(settings: Settings, keyring: Arc<Keyring>, lookup: Arc<dyn Lookup>) -> Self {
        let connections = Connections::new(&settings, lookup);
        Self {
            shared: Arc::new(Shared {
                settings,
                keyring,
                connections,
            }),
            journal: Journal::default(),
            echo: Echo::default(),
        }
    }

    /// A client with the same connections, an empty journal and no sent secrets: one for each run of a
    /// process that makes many.
    #[must_use]
    pub fn with_own_journal(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            journal: Journal::default(),
            echo: Echo::default(),
        }
    }

    /// The secrets that were sent so far, to search answers for.
    #[must_use]
    pub fn echo(&self) -> Echo {
        self.echo.clone()
    }

    /// Who was contacted so far, in order: every hop, every attempt.
    #[must_use]
    pub fn journal(&self) -> Vec<Contact> {
        self.journal.contacts()
    }

    /// Sends a request, follows its redirects, and tries again what is worth it. `broker` is asked
    /// about every redirect, now and when a broken body is continued.
    ///
    /// An answer that is not a success is still an answer: judge [`Response::status`].
    ///
    /// # Errors
    /// [`TransportError`]: refused, not reachable, too slow, or not an answer to this request.
    pub async fn send(
        &self,
        broker: Arc<Broker>,
        out: Outgoing,
    ) -> Result<Response, TransportError> {
        let deadline = Deadline::after(self.shared.settings.total_timeout);
        let request = Request {
            headers: headers::vetted(&out.headers, &out.permit, broker.module())?,
            permit: out.permit,
            body: out.body,
            broker,
            deadline,
        };
        let answer = self.exchange(&request, None).await?;
        Ok(Response::new(self.clone(), request, answer))
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_can_move_between_threads() {
        fn moves<T: Send + 'static>() {}
        fn result_moves<T: Send>(_: impl FnOnce(Client, Arc<Broker>, Outgoing) -> T) {}
        moves::<Client>();
        moves::<Response>();
        moves::<TransportError>();
        result_moves(|client, broker, out| async move {
            let mut response = client.send(broker, out).await?;
            response.chunk().await
        });
    }
}
