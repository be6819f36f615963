//! The index of a tree: names in the order of a NAR, contents by reference.
//!
//! The index is in memory, the contents are not: they are ranges of spools, or entries of a
//! spooled zip that are decompressed when they are emitted.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use fetchhost_formats::nar::MAX_TARGET_LEN;

use crate::error::ArtifactError;
use crate::meter::Meter;
use crate::path::{EntryPath, PathProblem};
use crate::zip::Stored;

/// What is said of a symlink that cannot be made.
pub(crate) const BAD_TARGET: &str =
    "is a symlink whose target is empty, holds a NUL, or is longer than 4095 bytes";

/// The entries of a folder by name; byte order is NAR order.
pub(crate) type Directory = BTreeMap<Box<[u8]>, Node>;

/// One node of the tree.
#[derive(Debug, Clone)]
pub(crate) enum Node {
    Directory(Directory),
    File(FileNode),
    Symlink(Box<[u8]>),
}

impl Node {
    /// A symlink, when `target` is one that a link can have. Where it leads does not matter.
    pub(crate) fn symlink(entry: &[u8], target: Vec<u8>) -> Result<Self, ArtifactError> {
        if target.is_empty() || target.contains(&0) || target.len() > MAX_TARGET_LEN {
            return Err(ArtifactError::entry(entry, BAD_TARGET));
        }
        Ok(Self::Symlink(target.into()))
    }
}

/// A file and where its bytes lie.
#[derive(Debug, Clone)]
pub(crate) struct FileNode {
    pub(crate) executable: bool,
    pub(crate) size: u64,
    pub(crate) content: Content,
}

/// Where a file's bytes lie: in which of the tree's blobs, and how.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    /// As they are.
    Range { blob: u32, offset: u64 },
    /// As an entry of the zip that is the tree's only blob.
    Zip(Box<Stored>),
}

/// Builds the index and holds the path rules that need more than one path to judge.
pub(crate) struct TreeBuilder {
    root: Directory,
    meter: Meter,
}

impl TreeBuilder {
    pub(crate) fn new(meter: Meter) -> Self {
        Self {
            root: Directory::new(),
            meter,
        }
    }

    /// Puts a node at its path, making the folders above it.
    pub(crate) fn insert(&mut self, path: &EntryPath, node: Node) -> Result<(), ArtifactError> {
        self.meter.entry()?;
        let refuse = |problem| Err(ArtifactError::path(path.as_bytes(), problem));
        if path.says_directory() && !matches!(node, Node::Directory(_)) {
            return refuse(PathProblem::NotDirectory);
        }
        let mut segments = path.segments().peekable();
        if segments.peek().is_none() {
            return Ok(());
        }
        let mut directory = &mut self.root;
        let mut levels = 1;
        while let Some(name) = segments.next() {
            levels += 1;
            self.meter.levels(levels)?;
            let slot = directory.entry(name.into());
            if segments.peek().is_none() {
                return match (slot, node) {
                    (Entry::Vacant(slot), node) => {
                        slot.insert(node);
                        Ok(())
                    }
                    (Entry::Occupied(there), node) => match (there.get(), node) {
                        (Node::Directory(_), Node::Directory(_)) => Ok(()),
                        (Node::Directory(_), _) => refuse(PathProblem::OverDirectory),
                        (_, Node::Directory(_)) => refuse(PathProblem::OverFile),
                        _ => refuse(PathProblem::Duplicate),
                    },
                };
            }
            let below = match slot {
                Entry::Occupied(there) => there.into_mut(),
                Entry::Vacant(slot) => {
                    self.meter.entry()?;
                    slot.insert(Node::Directory(Directory::new()))
                }
            };
            directory = match below {
                Node::Directory(directory) => directory,
                Node::File(_) => return refuse(PathProblem::BelowFile),
                Node::Symlink(_) => return refuse(PathProblem::BelowSymlink),
            };
        }
        Ok(())
    }

    /// What lies at a path, following no symlink.
    pub(crate) fn get(&self, path: &EntryPath) -> Option<&Node> {
        lookup(&self.root, path)
    }

    pub(crate) fn finish(self) -> Directory {
        self.root
    }
}

/// What lies at a path below `root`, following no symlink. The root itself is not found.
pub(crate) fn lookup<'tree>(root: &'tree Directory, path: &EntryPath) -> Option<&'tree Node> {
    let mut segments = path.segments();
    let mut node = root.get(segments.next()?)?;
    for name in segments {
        let Node::Directory(directory) = node else {
            return None;
        };
        node = directory.get(name)?;
    }
    Some(node)
}

/// Drops leading path components; entries that have no more than these are dropped.
///
/// Folders that fall together are merged. Two files that fall on one path are an error.
pub(crate) fn strip(root: Directory, components: u32) -> Result<Directory, ArtifactError> {
    let mut tree = root;
    for _ in 0..components {
        let mut below = Directory::new();
        for node in tree.into_values() {
            if let Node::Directory(children) = node {
                merge(&mut below, children)?;
            }
        }
        tree = below;
        if tree.is_empty() {
            return Err(ArtifactError::NothingLeft { strip: components });
        }
    }
    Ok(tree)
}

fn merge(into: &mut Directory, from: Directory) -> Result<(), ArtifactError> {
    for (name, node) in from {
        match into.entry(name) {
            Entry::Vacant(slot) => {
                slot.insert(node);
            }
            Entry::Occupied(mut there) => {
                let problem = match (there.get_mut(), node) {
                    (Node::Directory(below), Node::Directory(children)) => {
                        merge(below, children)?;
                        continue;
                    }
                    (Node::Directory(_), _) => PathProblem::OverDirectory,
                    (_, Node::Directory(_)) => PathProblem::OverFile,
                    _ => PathProblem::Duplicate,
                };
                return Err(ArtifactError::path(there.key(), problem));
            }
        }
    }
    Ok(())
}
