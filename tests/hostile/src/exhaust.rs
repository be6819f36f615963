//! Deeds that take more than a fetch may: time, memory, handles, requests, bytes, entries.

use std::hint::black_box;

use fetchhost_sdk::{Blob, FetchError, Plan, Request, http, log};

use crate::{Deed, Params, harmless};

pub(crate) const DEEDS: &[Deed] = &[
    ("loop", endless_loop),
    ("loop-over-host-calls", endless_host_calls),
    ("recurse", recurse),
    ("eat-memory", eat_memory),
    ("hoard-handles", hoard_handles),
    ("send-too-often", send_too_often),
    ("send-all-too-many", send_all_too_many),
    ("plan-too-many-requests", plan_too_many_requests),
    ("read-too-much", read_too_much),
    ("read-headers-too-often", read_headers_too_often),
    ("read-blob-too-much", read_blob_too_much),
    ("huge-blob", huge_blob),
    ("million-entries", million_entries),
    ("deep-tree", deep_tree),
    ("flood-log", flood_log),
    ("flood-stderr", flood_stderr),
    ("long-error", |_| long_error(64 * 1024)),
    ("huge-error", |_| long_error(50 * MIB)),
    ("huge-body", huge_body),
    ("trap", trap),
    ("panic", |_| {
        panic!("deliberate panic of the hostile module")
    }),
    ("exit", exit),
];

const MIB: usize = 1024 * 1024;

fn endless_loop(_: &Params) -> Result<Plan, FetchError> {
    let mut turns = 0_u64;
    loop {
        turns = black_box(turns.wrapping_add(1));
    }
}

/// Spends its time in the host, where neither fuel nor epochs count.
fn endless_host_calls(params: &Params) -> Result<Plan, FetchError> {
    loop {
        drop(Request::get(&params.url));
    }
}

fn recurse(_: &Params) -> Result<Plan, FetchError> {
    black_box(deeper(0));
    harmless()
}

#[expect(unconditional_recursion, reason = "the deed")]
fn deeper(depth: u64) -> u64 {
    // Something is left to do after the call, or it would be a loop.
    deeper(black_box(depth + 1)) + black_box(depth)
}

fn eat_memory(_: &Params) -> Result<Plan, FetchError> {
    let mut meal: Vec<Vec<u8>> = Vec::new();
    loop {
        meal.push(black_box(vec![1; MIB]));
    }
}

fn hoard_handles(params: &Params) -> Result<Plan, FetchError> {
    let hoard: Vec<Request> = (0..1_000_000).map(|_| Request::get(&params.url)).collect();
    drop(black_box(hoard));
    harmless()
}

fn read_headers_too_often(params: &Params) -> Result<Plan, FetchError> {
    let answer = Request::get(&params.granted()).send()?;
    loop {
        drop(black_box(answer.headers()));
    }
}

fn send_too_often(params: &Params) -> Result<Plan, FetchError> {
    for _ in 0..=1_000 {
        Request::get(&params.granted()).send()?;
    }
    harmless()
}

/// The contract allows 64 at once.
fn send_all_too_many(params: &Params) -> Result<Plan, FetchError> {
    let requests = (0..65).map(|_| Request::get(&params.granted()));
    for answer in http::send_all(requests, 1) {
        answer?;
    }
    harmless()
}

/// Requests in the plan count as well, or a plan would be the way around.
fn plan_too_many_requests(params: &Params) -> Result<Plan, FetchError> {
    let mut tree = Plan::tree();
    for index in 0..=1_000 {
        tree.file(&format!("file-{index}"), Request::get(&params.granted()))?;
    }
    Ok(tree.into())
}

/// Needs a body of more than 64 MiB at the granted path.
fn read_too_much(params: &Params) -> Result<Plan, FetchError> {
    let mut response = Request::get(&params.granted()).send()?;
    while !response.read(u32::MAX)?.is_empty() {}
    harmless()
}

fn read_blob_too_much(_: &Params) -> Result<Plan, FetchError> {
    let mut blob = Blob::new();
    blob.write(&vec![0; MIB])?;
    loop {
        black_box(blob.read(0, u32::MAX)?);
    }
}

/// Grows until the host says stop; a test lowers the limit on output before.
fn huge_blob(_: &Params) -> Result<Plan, FetchError> {
    let mut blob = Blob::new();
    let chunk = vec![0; MIB];
    loop {
        blob.write(&chunk)?;
    }
}

fn million_entries(_: &Params) -> Result<Plan, FetchError> {
    let mut tree = Plan::tree();
    for index in 0..=1_000_000 {
        tree.directory(&index.to_string())?;
    }
    Ok(tree.into())
}

fn deep_tree(_: &Params) -> Result<Plan, FetchError> {
    let mut tree = Plan::tree();
    tree.directory(&["deeper"; 65].join("/"))?;
    Ok(tree.into())
}

fn flood_log(_: &Params) -> Result<Plan, FetchError> {
    let line = "flood ".repeat(1_000);
    loop {
        log::info(&line);
    }
}

#[expect(
    clippy::print_stderr,
    reason = "the host has to bound what it captures"
)]
fn flood_stderr(_: &Params) -> Result<Plan, FetchError> {
    let line = "flood ".repeat(10_000);
    for _ in 0..1_000 {
        eprintln!("{line}");
    }
    panic!("deliberate panic after the flood");
}

fn long_error(bytes: usize) -> Result<Plan, FetchError> {
    Err(FetchError::other("l".repeat(bytes)))
}

fn huge_body(params: &Params) -> Result<Plan, FetchError> {
    Request::post(&params.granted()).body(&vec![0; 16 * MIB + 1])?;
    harmless()
}

fn trap(_: &Params) -> Result<Plan, FetchError> {
    #[cfg(target_arch = "wasm32")]
    core::arch::wasm32::unreachable();
    #[cfg(not(target_arch = "wasm32"))]
    std::process::abort();
}

#[expect(clippy::exit, reason = "a way of ending that is no trap and no result")]
fn exit(_: &Params) -> Result<Plan, FetchError> {
    std::process::exit(0)
}
