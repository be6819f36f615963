//! Deeds that plant something: headers in requests, entries outside of the tree, links to walk through.

use fetchhost_sdk::{FetchError, Plan, Request, Tree};

use crate::{Deed, Params, harmless};

pub(crate) const DEEDS: &[Deed] = &[
    ("plant-header", |params| {
        header(params, &params.header, "planted")
    }),
    ("plant-header-by-line-break", |params| {
        header(params, "x-fine", "fine\r\nPRIVATE-TOKEN: planted")
    }),
    ("plant-header-by-name", |params| {
        header(params, "x-fine: fine\r\nPRIVATE-TOKEN", "planted")
    }),
    ("plant-many-headers", many_headers),
    ("entry-dot-dot", |_| tree_with_file("../escaped")),
    ("entry-inner-dot-dot", |_| tree_with_file("a/../../escaped")),
    ("entry-dot", |_| tree_with_file("./escaped")),
    ("entry-absolute", |_| tree_with_file("/tmp/escaped")),
    ("entry-empty", |_| tree_with_file("")),
    ("entry-empty-segment", |_| tree_with_file("a//escaped")),
    ("entry-nul", |_| tree_with_file("escaped\0.txt")),
    ("entry-twice", entry_twice),
    ("entry-below-file", entry_below_file),
    ("symlink-then-below", symlink_then_below),
    ("below-then-symlink", below_then_symlink),
    ("directory-over-symlink", directory_over_symlink),
    ("symlink-out", symlink_out),
    ("symlink-empty", |_| tree(|tree| tree.symlink("link", ""))),
    ("symlink-nul", |_| tree(|tree| tree.symlink("link", "a\0b"))),
];

/// Fails where the host refuses, else sends the header.
fn header(params: &Params, name: &str, value: &str) -> Result<Plan, FetchError> {
    Request::get(&params.granted())
        .header(name, value)?
        .send()?;
    harmless()
}

fn many_headers(params: &Params) -> Result<Plan, FetchError> {
    let mut request = Request::get(&params.granted());
    for index in 0..65 {
        request = request.header(&format!("x-{index}"), "planted")?;
    }
    request.send()?;
    harmless()
}

fn tree(fill: impl FnOnce(&mut Tree) -> Result<(), FetchError>) -> Result<Plan, FetchError> {
    let mut tree = Plan::tree();
    fill(&mut tree)?;
    Ok(tree.into())
}

fn file(tree: &mut Tree, path: &str) -> Result<(), FetchError> {
    tree.file(path, "escaped\n".to_owned())
}

fn tree_with_file(path: &str) -> Result<Plan, FetchError> {
    tree(|tree| file(tree, path))
}

fn entry_twice(_: &Params) -> Result<Plan, FetchError> {
    tree(|tree| {
        file(tree, "a")?;
        file(tree, "a")
    })
}

fn entry_below_file(_: &Params) -> Result<Plan, FetchError> {
    tree(|tree| {
        file(tree, "a")?;
        file(tree, "a/b")
    })
}

/// The classic: a link out of the tree, then a file that is written through it.
fn symlink_then_below(_: &Params) -> Result<Plan, FetchError> {
    tree(|tree| {
        tree.symlink("out", "/tmp")?;
        file(tree, "out/escaped")
    })
}

fn below_then_symlink(_: &Params) -> Result<Plan, FetchError> {
    tree(|tree| {
        file(tree, "out/escaped")?;
        tree.symlink("out", "/tmp")
    })
}

fn directory_over_symlink(_: &Params) -> Result<Plan, FetchError> {
    tree(|tree| {
        tree.symlink("out", "/tmp")?;
        tree.directory("out")?;
        file(tree, "out/escaped")
    })
}

/// Allowed: a link that points out is kept as it is, and nobody follows it.
fn symlink_out(_: &Params) -> Result<Plan, FetchError> {
    tree(|tree| tree.symlink("link", "/etc/passwd"))
}
