//! The program by its front door: words typed in a home of the test's own.
#![allow(clippy::unwrap_used, missing_docs)]

#[cfg(feature = "aws-sso")]
mod aws_sso;
mod credential;
mod doctor;
mod dry_run;
mod gc;
mod grant;
mod home;
mod mistyped;
mod nix_table;
mod remembered;
mod terminal;
#[cfg(feature = "pkcs11")]
mod token;
