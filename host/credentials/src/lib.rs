//! Secrets: where they come from and how they are attached to a request.
//!
//! **The threat.** A token ends up where its owner never sent it: in a log line, an error, a panic, a
//! core dump, a header of the wrong request. Or a stranger decides what the token is, by owning or
//! replacing the file that it is read from.
//!
//! **The rule.** A secret is one type, [`Secret`], that can be neither printed nor serialised and
//! that is wiped when it is dropped. It is read only by the [`Keyring`], from the source that the
//! user's configuration or command line names, at the moment when a request needs it. It leaves this
//! crate as a header marked sensitive ([`header_for`]), and no error quotes it.
//!
//! | source | accepted | refused |
//! |---|---|---|
//! | `env:NAME` | set, UTF-8 | unset (the message says what to set), not UTF-8 |
//! | `file:PATH` | owned by the user or root, mode `0600` or stricter; any mode with `insecure-permissions` | other owners always; group or other access; folders; more than 64 KiB |
//!
//! | content | verdict |
//! |---|---|
//! | `token`, `token\n`, `token\r\n` | `token`: line ends at the end are trimmed |
//! | empty, or only line ends | refused |
//! | several lines | refused: probably another kind of file |
//! | control characters, NUL | refused |
//! | a space at either end | refused: HTTP would strip it and the server would see another token |
//! | characters outside ASCII | refused, except in the password of `basic`, which travels as base64 |

#![forbid(unsafe_code)]

mod error;
mod header;
mod keyring;
mod secret;
mod source;

pub use error::{CredentialError, Problem};
pub use header::header_for;
pub use keyring::Keyring;
pub use secret::Secret;
