//! A loopback stand-in for GitLab and its object storage.
//!
//! [`Standin::start`] opens two origins on free ports of 127.0.0.1:
//!
//! - the **API origin** plays GitLab: the endpoints for job artifacts, generic packages, repository
//!   archives and files, and releases, the token check with GitLab's own status codes, and a few
//!   public files. It is what a user types as `--url`.
//! - the **storage origin** plays the object storage that GitLab redirects to. It serves presigned
//!   URLs only, and answers 400 as soon as a request carries a credential of any kind: a client that
//!   lets a token travel with a redirect fails loudly.
//!
//! Every request is recorded with all its headers ([`Standin::requests`]), and [`Standin::script`]
//! makes either origin misbehave: throttle, cut, stall, lie about lengths, show a login page.
//!
//! The servers live on a thread of their own, so that a blocking test and an async command can both
//! use them; dropping the [`Standin`] closes every connection.
//!
//! ```
//! use fetchhost_standin::{Config, Standin};
//!
//! # fn main() -> std::io::Result<()> {
//! let standin = Standin::start(Config::new("glpat-example"))?;
//! println!("{} redirects to {}", standin.url(), standin.storage_origin());
//! assert!(standin.requests().is_empty());
//! # Ok(())
//! # }
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod answer;
mod config;
mod content;
mod fault;
mod gitlab;
mod holdings;
mod public;
mod record;
pub mod sample;
mod server;
mod storage;
mod tokens;

pub use config::{Config, Delivery, Job, Project};
pub use content::{Content, big_file};
pub use fault::Fault;
pub use holdings::{Holdings, PackageFile, Release, ReleaseLink, Repository, Target, Tracked};
pub use record::{Request, Side};
pub use server::Standin;
pub use tokens::{Access, Token, TokenKind};
