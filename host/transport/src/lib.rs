//! HTTP that sends nothing without a permit.
//!
//! **The threat.** A server that is trusted with a token sends the request on to one that is not; a
//! name that looked public leads to the inside of the user's network; an answer breaks off and the
//! rest of another file is sewn on; a server that never finishes holds the run for ever.
//!
//! **The rule.** The only way to send is [`Client::send`] with a `Permit`, which only the broker of
//! `fetchhost-policy` makes. What follows from it is decided in one file each:
//!
//! | file | decides |
//! |---|---|
//! | `connection.rs` | which addresses are connected to, and which requests share a connection |
//! | `authorities.rs` | which certificate authorities are trusted |
//! | `certificate.rs` | which connections show a client certificate |
//! | `proxy.rs` | what may go through a proxy |
//! | `headers.rs` | what a request carries, and what survives a change of origin |
//! | `echo.rs` | whether an answer sends a credential back |
//! | `redirect.rs` | where a redirect leads, with which method; what is a login page |
//! | `retry.rs` | what is tried again, and when |
//! | `resume.rs` | whether bytes really continue the body that broke off |
//! | `exchange.rs` | the loop that joins these: one request, its redirects, its retries |
//!
//! Secrets are resolved right before a request is sent and live in headers that are marked sensitive.
//! Errors, traces and the [journal](Contact) show URLs without their query.

#![forbid(unsafe_code)]

mod authorities;
mod certificate;
mod client;
mod connection;
mod echo;
mod error;
mod exchange;
mod failure;
mod headers;
mod journal;
mod proxy;
mod redirect;
mod response;
mod resume;
mod retry;
mod settings;
mod setup;
mod tls;

pub use authorities::AuthorityFile;
pub use certificate::{CertificateProblem, check_certificate};
pub use client::{Client, Outgoing};
pub use connection::{Lookup, SystemLookup};
pub use echo::{Echo, Echoed, Passage, Patterns, SEARCHED_BYTES};
pub use error::{Category, NotContinued, ProxyProblem, Stage, TlsProblem, TransportError};
pub use journal::Contact;
pub use proxy::{ProxyRefusal, ProxyRefusalReason};
pub use response::Response;
pub use settings::Settings;
pub use setup::SetupError;
