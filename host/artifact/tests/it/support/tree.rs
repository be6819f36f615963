//! A tree as the tests write it down.

use std::collections::BTreeMap;
use std::os::unix::fs::{PermissionsExt, symlink};

/// A node of the tree by its path; folders above come by themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    File { content: Vec<u8>, executable: bool },
    Symlink(String),
    Directory,
}

pub type Tree = BTreeMap<String, Node>;

pub fn file(content: &str) -> Node {
    Node::File {
        content: content.into(),
        executable: false,
    }
}

pub fn program(content: &str) -> Node {
    Node::File {
        content: content.into(),
        executable: true,
    }
}

pub fn link(target: &str) -> Node {
    Node::Symlink(target.to_owned())
}

pub fn tree<const N: usize>(nodes: [(&str, Node); N]) -> Tree {
    nodes
        .into_iter()
        .map(|(path, node)| (path.to_owned(), node))
        .collect()
}

/// The NAR of the tree as another implementation reads it from disk.
pub fn nar(tree: &Tree) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    std::fs::create_dir(&root).unwrap();
    for (path, node) in tree {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        match node {
            Node::File {
                content,
                executable,
            } => {
                std::fs::write(&path, content).unwrap();
                let mode = if *executable { 0o755 } else { 0o644 };
                std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
            }
            Node::Symlink(target) => symlink(target, &path).unwrap(),
            Node::Directory => std::fs::create_dir_all(&path).unwrap(),
        }
    }
    let mut nar = Vec::new();
    nix_archive::nar::encode_path(&mut nar, &root, nix_archive::nar::CaseHack::Disabled).unwrap();
    nar
}
