//! A tree in memory and the golden vectors made by Nix.

// Each test file uses its own part of this module.
#![allow(dead_code)]

use std::collections::BTreeMap;

use bytes::Bytes;
use fetchhost_formats::nar::{Encoder, Event, NarError};
use serde_json::Value;

/// The vectors, made with real Nix.
pub(crate) fn vectors() -> Value {
    serde_json::from_str(include_str!("../vectors/nix.json")).unwrap()
}

/// The array `key` of the vectors; never empty, so that no loop over it passes by doing nothing.
pub(crate) fn cases(vectors: &Value, key: &str) -> Vec<Value> {
    let cases = vectors[key].as_array().unwrap().clone();
    assert!(!cases.is_empty());
    cases
}

/// The string `key` of a case.
pub(crate) fn text<'a>(case: &'a Value, key: &str) -> &'a str {
    case[key].as_str().unwrap()
}

/// A node of a tree.
#[derive(Clone, Debug)]
pub(crate) enum Tree {
    File { executable: bool, contents: Vec<u8> },
    Symlink { target: Vec<u8> },
    Directory(BTreeMap<Vec<u8>, Tree>),
}

impl Tree {
    /// The node at `path` (components separated by `/`) becomes `node`; its parents exist already.
    pub(crate) fn insert(&mut self, path: &str, node: Tree) {
        match (path.split_once('/'), self) {
            (None, tree) if path.is_empty() => *tree = node,
            (None, Tree::Directory(entries)) => {
                entries.insert(path.as_bytes().to_vec(), node);
            }
            (Some((first, rest)), Tree::Directory(entries)) => {
                entries
                    .get_mut(first.as_bytes())
                    .unwrap()
                    .insert(rest, node);
            }
            _ => panic!("`{path}` is not below a directory"),
        }
    }

    /// The events of the tree, file contents in chunks of at most `chunk` bytes.
    pub(crate) fn events(&self, chunk: usize) -> Vec<Event> {
        let mut events = Vec::new();
        self.collect(chunk, &mut events);
        events
    }

    fn collect(&self, chunk: usize, events: &mut Vec<Event>) {
        match self {
            Tree::File {
                executable,
                contents,
            } => {
                events.push(Event::File {
                    executable: *executable,
                    size: contents.len() as u64,
                });
                events.extend(
                    contents
                        .chunks(chunk)
                        .map(|data| Event::Data(Bytes::copy_from_slice(data))),
                );
                events.push(Event::EndFile);
            }
            Tree::Symlink { target } => {
                events.push(Event::Symlink {
                    target: Bytes::copy_from_slice(target),
                });
            }
            Tree::Directory(entries) => {
                events.push(Event::Directory);
                for (name, node) in entries {
                    events.push(Event::Entry {
                        name: Bytes::copy_from_slice(name),
                    });
                    node.collect(chunk, events);
                    events.push(Event::EndEntry);
                }
                events.push(Event::EndDirectory);
            }
        }
    }
}

/// The archive that the encoder makes of `events`.
pub(crate) fn encode(events: impl IntoIterator<Item = Event>) -> Result<Vec<u8>, NarError> {
    let mut encoder = Encoder::new();
    let mut archive = Vec::new();
    for event in events {
        archive.extend_from_slice(&encoder.push(event)?.nar);
    }
    encoder.finish()?;
    Ok(archive)
}
