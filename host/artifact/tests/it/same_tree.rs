//! Any tree is the same through tar, through zip, and on disk.

use crate::support::tree::{Node, Tree, nar};
use crate::support::*;
use proptest::prelude::*;

fn node() -> impl Strategy<Value = Node> {
    prop_oneof![
        4 => (proptest::collection::vec(any::<u8>(), 0..1500), any::<bool>())
            .prop_map(|(content, executable)| Node::File { content, executable }),
        1 => "[a-z./]{1,20}".prop_map(Node::Symlink),
        1 => Just(Node::Directory),
    ]
}

/// Trees in which no file or symlink has anything below it.
fn trees() -> impl Strategy<Value = Tree> {
    let name = prop_oneof!["[ab]", "[a-c.+-]{1,3}x", "é[A-Z]{0,2}"];
    let path = proptest::collection::vec(name, 1..5).prop_map(|names| names.join("/"));
    proptest::collection::btree_map(path, node(), 0..25).prop_map(|nodes| {
        let mut tree = Tree::new();
        for (path, node) in nodes {
            let above = path.match_indices('/').map(|(at, _)| &path[..at]);
            let blocked = above
                .filter_map(|above| tree.get(above))
                .any(|node| !matches!(node, Node::Directory));
            if !blocked {
                tree.insert(path, node);
            }
        }
        // `a` sorts before `a/b`, except where a name like `a+` comes between: drop what is above.
        let paths: Vec<_> = tree.keys().cloned().collect();
        tree.retain(|path, node| {
            let below = format!("{path}/");
            matches!(node, Node::Directory) || !paths.iter().any(|other| other.starts_with(&below))
        });
        tree
    })
}

/// How archives begin.
const HEADS: &[&[u8]] = &[
    b"",
    b"PK\x03\x04",
    b"\x1f\x8b\x08\0",
    b"\xfd7zXZ\0",
    b"\x28\xb5\x2f\xfd",
    b"BZh9",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_tree_has_one_nar(tree in trees()) {
        let expected = nar(&tree);
        let tar = crate::support::tar::of_tree(&tree);
        prop_assert!(run(archive(gzip(&tar), "auto")).unwrap().1 == expected, "tar.gz");
        prop_assert!(run(archive(tar, "tar")).unwrap().1 == expected, "tar");
        prop_assert!(run(archive(crate::support::zip::of_tree(&tree), "auto")).unwrap().1 == expected, "zip");
    }

    #[test]
    fn no_bytes_make_an_archive_reader_panic(
        head in proptest::sample::select(HEADS),
        tail in proptest::collection::vec(any::<u8>(), 0..3000),
    ) {
        let content = [head, &tail[..]].concat();
        for format in ["auto", "tar", "zip"] {
            drop(run(archive(content.clone(), format)));
        }
    }

    #[test]
    fn no_change_of_a_tar_makes_the_reader_panic(
        tree in trees(), at in any::<prop::sample::Index>(), value in any::<u8>(),
    ) {
        let mut tar = crate::support::tar::of_tree(&tree);
        let at = at.index(tar.len());
        tar[at] = value;
        drop(run(archive(tar, "tar")));
    }
}
