//! What the end-to-end tests in `tests/end_to_end` have in common.
//!
//! They drive the real program against the [stand-in](fetchhost_standin), and have the real Nix judge
//! what it made. Each test works in a [`Sandbox`] of its own; nothing of the user's is read or
//! written.

#![expect(clippy::unwrap_used, reason = "a harness fails by panicking")]

mod build;
mod command_line;
mod expected;
mod finished;
mod hostile;
mod installation;
mod nix;
mod s3_server;
mod sandbox;
mod skip;
mod terminal;
mod traces;

pub use build::{signer_component, workspace};
pub use command_line::CommandLine;
pub use expected::{TREE_HASH, archive_hash, member_content, sri};
pub use finished::Finished;
pub use hostile::Hostile;
pub use installation::Installation;
pub use nix::{Nix, nix_string};
pub use s3_server::{ACCESS_KEY_ID, Quirk, S3Server, SECRET_ACCESS_KEY};
pub use sandbox::{Sandbox, TOKEN, TOKEN_VARIABLE, files_below, private_project};
pub use skip::{is_root, say, skip};
pub use terminal::Terminal;
pub use traces::Secret;
