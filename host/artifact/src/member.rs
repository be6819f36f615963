//! One file of an archive.

use crate::error::{ArtifactError, shown};
use crate::path::EntryPath;
use crate::tree::{Directory, FileNode, Node, lookup};

/// How many similar paths an error lists.
const NEAR_PATHS: usize = 5;

/// How many files are compared to find them.
const COMPARED_FILES: usize = 100_000;

/// Longest name that is compared letter by letter.
const COMPARED_NAME_BYTES: usize = 64;

/// Takes one file out of the index.
pub(crate) fn select(root: &Directory, path: &EntryPath) -> Result<FileNode, ArtifactError> {
    match lookup(root, path) {
        // The bytes alone are wanted: that the archive marks them executable is no part of them.
        Some(Node::File(file)) => Ok(FileNode {
            executable: false,
            ..file.clone()
        }),
        Some(Node::Directory(_)) => Err(not_file(path, "a folder".to_owned())),
        Some(Node::Symlink(target)) => {
            Err(not_file(path, format!("a symlink to `{}`", shown(target))))
        }
        None if path.segments().next().is_none() => Err(not_file(path, "the root".to_owned())),
        None => Err(ArtifactError::NoSuchMember {
            path: shown(path.as_bytes()),
            near: near(root, path.as_bytes()),
        }),
    }
}

fn not_file(path: &EntryPath, kind: String) -> ArtifactError {
    ArtifactError::MemberNotFile {
        path: shown(path.as_bytes()),
        kind,
    }
}

/// The paths that resemble the wanted one most.
fn near(root: &Directory, wanted: &[u8]) -> Vec<String> {
    let mut best: Vec<(usize, Vec<u8>)> = Vec::new();
    let mut compared = 0;
    let mut prefix = Vec::new();
    collect(root, &mut prefix, &mut |path| {
        compared += 1;
        if let Some(distance) = distance(path, wanted) {
            let at = best.partition_point(|(other, _)| *other <= distance);
            if at < NEAR_PATHS {
                best.insert(at, (distance, path.to_vec()));
                best.truncate(NEAR_PATHS);
            }
        }
        compared < COMPARED_FILES
    });
    best.into_iter().map(|(_, path)| shown(&path)).collect()
}

/// Visits the paths of all files until `visit` says no.
fn collect(
    directory: &Directory,
    prefix: &mut Vec<u8>,
    visit: &mut impl FnMut(&[u8]) -> bool,
) -> bool {
    let length = prefix.len();
    for (name, node) in directory {
        prefix.extend_from_slice(name);
        let more = match node {
            Node::Directory(below) => {
                prefix.push(b'/');
                collect(below, prefix, visit)
            }
            Node::File(_) => visit(prefix),
            Node::Symlink(_) => true,
        };
        prefix.truncate(length);
        if !more {
            return false;
        }
    }
    true
}

/// How far a path is from the wanted one: first the same file name in another folder, then one of
/// another case, then a few letters' difference. `None` when they have nothing in common.
fn distance(path: &[u8], wanted: &[u8]) -> Option<usize> {
    let (name, wanted) = (file_name(path), file_name(wanted));
    if name == wanted {
        return Some(0);
    }
    if name.eq_ignore_ascii_case(wanted) {
        return Some(1);
    }
    if name.len().max(wanted.len()) > COMPARED_NAME_BYTES {
        return None;
    }
    let edits = edits(name, wanted);
    (edits <= wanted.len().div_ceil(3)).then_some(edits + 1)
}

fn file_name(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or(path)
}

/// Letters to insert, delete or replace (Levenshtein).
fn edits(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_counted() {
        assert_eq!(edits(b"kitten", b"sitting"), 3);
        assert_eq!(edits(b"", b"abc"), 3);
        assert_eq!(edits(b"same", b"same"), 0);
    }

    #[test]
    fn the_same_name_elsewhere_is_nearer_than_a_misspelling() {
        assert!(distance(b"x/report.xml", b"report.xml") < distance(b"reprot.xml", b"report.xml"));
        assert_eq!(distance(b"LICENSE", b"report.xml"), None);
    }
}
