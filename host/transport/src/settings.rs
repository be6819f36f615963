//! The numbers that a transfer is bounded by.

use std::time::Duration;

use fetchhost_policy::Proxies;

use crate::AuthorityFile;

/// Timeouts, retries and the name that the client gives itself.
///
/// The number and size of response headers are bounded below this crate: hyper takes at most 100
/// headers and about 400 KiB of them over HTTP/1, 16 KiB over HTTP/2.
#[derive(Clone, Debug)]
pub struct Settings {
    /// For name lookup, TCP and TLS together, per connection.
    pub connect_timeout: Duration,
    /// From a request to the head of its answer, opening a connection and sending the body included.
    pub first_byte_timeout: Duration,
    /// Between two pieces of a body.
    pub idle_timeout: Duration,
    /// For a whole transfer: every attempt, redirect and resumption, and the body. `None`: unbounded.
    pub total_timeout: Option<Duration>,
    /// Redirects followed in one attempt.
    pub max_redirects: usize,
    /// How often one request is tried in all, and how often in a row a broken body may fail to
    /// continue. At least 1.
    pub attempts: u32,
    /// The pause after the first failed attempt. Each further one doubles it, up to `max_backoff`; a
    /// random quarter is taken off so that many clients do not come back at once.
    pub backoff: Duration,
    /// The longest pause that is not asked for by the server.
    pub max_backoff: Duration,
    /// The longest `Retry-After` that is waited for. A longer one ends the transfer and is reported.
    pub max_retry_after: Duration,
    /// The `User-Agent` header.
    pub user_agent: String,
    /// Files of certificate authorities to trust besides the platform's.
    pub authorities: Vec<AuthorityFile>,
    /// The proxies in force, of the configuration or of the user's environment.
    pub proxies: Proxies,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(15),
            first_byte_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(60),
            total_timeout: None,
            max_redirects: 5,
            attempts: 4,
            backoff: Duration::from_millis(500),
            max_backoff: Duration::from_secs(10),
            max_retry_after: Duration::from_secs(60),
            user_agent: concat!("nix-fetchhost/", env!("CARGO_PKG_VERSION")).to_owned(),
            authorities: Vec::new(),
            proxies: Proxies::default(),
        }
    }
}
