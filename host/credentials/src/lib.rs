//! Secrets: where they come from and how they are attached to a request.
//!
//! **The threat.** A token ends up where its owner never sent it: in a log line, an error, a panic, a
//! core dump, a header of the wrong request. Or a stranger decides what the token is, by owning or
//! replacing the file that it is read from.
//!
//! **The rule.** A secret is one type, [`Secret`], that can be neither printed nor serialised and
//! that is wiped when it is dropped. It is read only by the [`Keyring`], from the source that the
//! user's configuration or command line names, at the moment when a request needs it. It leaves this
//! crate as a header marked sensitive ([`header_for`], [`aws_headers`]), and no error quotes it. From the first
//! secret on, the process leaves no core file.
//!
//! | source | accepted | refused |
//! |---|---|---|
//! | `env:NAME` | set, UTF-8 | unset (the message says what to set), not UTF-8 |
//! | `file:PATH` | owned by the user or root, mode `0600` or stricter; any mode with `insecure-permissions` | other owners always; group or other access; folders; more than 64 KiB |
//! | `age:PATH` | armored or binary, to an X25519 identity of the user, or with a passphrase typed on the terminal | files that others own or can write; no terminal for a passphrase; identities that others can read |
//! | `command` | what the program prints, within its time | any exit status but 0, more than 64 KiB; its stderr is never read |
//! | `helper` | the one header that the scheme names, not yet expired | other headers are dropped; several values; answers that are not the protocol's |
//! | `netrc` | the entry whose machine is the origin's host, letter for letter | `default`, unless `use-default`; several entries without a user name to choose by; words that no netrc has |
//! | `systemd:NAME` | a file of `$CREDENTIALS_DIRECTORY` | names that lead elsewhere |
//! | `aws`, `aws:PROFILE` | keys in AWS's variables and files; keys that STS gives for a web identity | one variable of two; a file of credentials that others can read, a token that others can write; profiles whose keys are elsewhere (other roles, programs; SSO, unless built with the feature `aws-sso`) |
//! | `aws-imds` | keys that a metadata service gives for the machine's or container's role, in a build with `aws-sso` | any other server of plain `http` than these |
//!
//! | content | verdict |
//! |---|---|
//! | `token`, `token\n`, `token\r\n` | `token`: line ends at the end are trimmed (of files and programs) |
//! | empty, or only line ends | refused |
//! | several lines | refused: probably another kind of file |
//! | control characters, NUL | refused |
//! | a space at either end | refused: HTTP would strip it and the server would see another token |
//! | characters outside ASCII | refused, except in the password of `basic`, which travels as base64 |
//! | access keys, where the scheme signs | `ID:SECRET[:SESSION-TOKEN]`, or JSON, in any number of lines |

#![forbid(unsafe_code)]

mod aws;
mod cancel;
mod content;
mod error;
mod header;
mod identity;
mod key_server;
mod keyring;
mod private_file;
mod secret;
mod source;
mod sts;
mod terminal;
mod timestamp;

pub use aws::{AccessKeys, Outgoing, aws_headers};
pub use cancel::Cancel;
pub use error::{
    AgeProblem, AwsProblem, CredentialError, FileKind, KeyServerProblem, NetrcProblem, Problem,
    ProgramProblem,
};
pub use header::header_for;
pub use identity::{IDENTITY_VARIABLE, Identities, IdentityError, identity_path};
pub use key_server::{KeyAnswer, KeyFailure, KeyRequest};
pub use keyring::Keyring;
pub use private_file::{Existing, write_private};
pub use secret::{Secret, leave_no_core_file};
pub use source::age::{AgeFileError, read_age_file};
pub use source::file::{FileError, check_private, read_private};
pub use source::{Environment, Looked};
pub use terminal::ask_hidden;
