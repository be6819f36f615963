//! The encoder against another implementation of the format, and against callers that break it.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::collections::BTreeMap;

use bytes::Bytes;
use common::{Tree, encode};
use fetchhost_formats::nar::{
    self, DecodeError, Encoder, Event, MAX_DEPTH, NarError, file_size_as_nar,
};
use nix_archive::nar::{Event as Decoded, NamedNode, Node, decode_events, encode_tree};
use proptest::prelude::*;

fn entry(name: &[u8]) -> Event {
    Event::Entry {
        name: Bytes::copy_from_slice(name),
    }
}

fn link(target: &[u8]) -> Event {
    Event::Symlink {
        target: Bytes::copy_from_slice(target),
    }
}

fn file(size: u64) -> Event {
    Event::File {
        executable: false,
        size,
    }
}

fn data(bytes: &[u8]) -> Event {
    Event::Data(Bytes::copy_from_slice(bytes))
}

fn refusal(events: impl IntoIterator<Item = Event>) -> NarError {
    encode(events).unwrap_err()
}

#[test]
fn the_contents_of_a_file_are_handed_on_without_a_copy() {
    let contents = Bytes::from_static(b"0123456789");
    let mut encoder = Encoder::new();
    encoder.push(file(10)).unwrap();
    let piece = encoder.push(Event::Data(contents.clone())).unwrap();
    assert_eq!(piece.nar.as_ptr(), contents.as_ptr());
    assert_eq!(piece.event, Event::Data(contents));
}

#[test]
fn the_size_of_an_archived_file_is_known_from_its_length() {
    for size in 0..40_u64 {
        for executable in [false, true] {
            let tree = Tree::File {
                executable,
                contents: vec![b'x'; usize::try_from(size).unwrap()],
            };
            let archive = encode(tree.events(7)).unwrap();
            assert_eq!(archive.len() as u64, file_size_as_nar(size, executable));
        }
    }
    assert_eq!(file_size_as_nar(u64::MAX, true), u64::MAX);
}

#[test]
fn names_that_are_no_path_component_are_refused() {
    for name in [&b""[..], b".", b"..", b"a/b", b"/", b"a\0b", b"\0"] {
        let error = refusal([Event::Directory, entry(name), link(b"x")]);
        assert!(matches!(error, NarError::InvalidName { .. }), "{error}");
    }
    let error = refusal([Event::Directory, entry(&[b'x'; 256])]);
    assert_eq!(error, NarError::NameTooLong { got: 256 });
}

#[test]
fn unusual_names_are_accepted() {
    let names = [
        &b"--help"[..],
        b"...",
        b"\xff\xfe",
        b"a b",
        b"a\nb",
        b"~nix~case~hack~1",
        &[b'z'; 255],
    ];
    let mut entries: Vec<_> = names
        .iter()
        .map(|name| {
            (
                name.to_vec(),
                Tree::Symlink {
                    target: name.to_vec(),
                },
            )
        })
        .collect();
    entries.sort_by(|left, right| left.0.cmp(&right.0));
    let archive = encode(Tree::Directory(entries.into_iter().collect()).events(1)).unwrap();
    decode_events(&archive, |_| Ok(())).unwrap();
}

#[test]
fn entries_come_in_rising_order_and_once() {
    let after = |first: &[u8], second: &[u8]| {
        refusal([
            Event::Directory,
            entry(first),
            link(b"x"),
            Event::EndEntry,
            entry(second),
        ])
    };
    assert_eq!(
        after(b"a", b"a"),
        NarError::Duplicate {
            name: "a".to_owned()
        }
    );
    assert_eq!(
        after(b"b", b"a"),
        NarError::Unsorted {
            name: "a".to_owned(),
            previous: "b".to_owned()
        }
    );
    // By bytes: upper case before lower, a dash before a dot, a prefix before what it begins.
    assert!(matches!(after(b"a", b"B"), NarError::Unsorted { .. }));
    assert!(matches!(after(b"a.b", b"a-b"), NarError::Unsorted { .. }));
    assert!(matches!(after(b"ab", b"a"), NarError::Unsorted { .. }));
    assert!(matches!(
        after(b"\xc3\xbc", b"z"),
        NarError::Unsorted { .. }
    ));
}

#[test]
fn the_order_of_one_directory_is_not_that_of_another() {
    let archive = encode([
        Event::Directory,
        entry(b"b"),
        Event::Directory,
        entry(b"a"),
        link(b"x"),
        Event::EndEntry,
        Event::EndDirectory,
        Event::EndEntry,
        entry(b"c"),
        Event::Directory,
        entry(b"a"),
        link(b"x"),
        Event::EndEntry,
        Event::EndDirectory,
        Event::EndEntry,
        Event::EndDirectory,
    ])
    .unwrap();
    decode_events(&archive, |_| Ok(())).unwrap();
}

#[test]
fn symlinks_point_somewhere() {
    assert_eq!(refusal([link(b"")]), NarError::InvalidTarget);
    assert_eq!(refusal([link(b"a\0b")]), NarError::InvalidTarget);
    assert_eq!(
        refusal([link(&[b'x'; 4096])]),
        NarError::TargetTooLong { got: 4096 }
    );
    for target in [&b"/etc/passwd"[..], b"../..", b"\xff", &[b'x'; 4095]] {
        encode([link(target)]).unwrap();
    }
}

#[test]
fn a_file_has_exactly_the_bytes_it_announced() {
    assert_eq!(
        refusal([file(3), data(b"abcd")]),
        NarError::Size {
            declared: 3,
            got: 4
        }
    );
    assert_eq!(
        refusal([file(3), data(b"ab"), data(b"cd")]),
        NarError::Size {
            declared: 3,
            got: 4
        }
    );
    assert_eq!(
        refusal([file(3), data(b"ab"), Event::EndFile]),
        NarError::Size {
            declared: 3,
            got: 2
        }
    );
    assert_eq!(
        refusal([file(u64::MAX), Event::EndFile]),
        NarError::Size {
            declared: u64::MAX,
            got: 0
        }
    );
    encode([file(2), data(b"a"), data(b""), data(b"b"), Event::EndFile]).unwrap();
}

#[test]
fn directories_nest_as_deep_as_readers_follow() {
    let nest = |levels: usize, leaf: Vec<Event>| {
        let open = (0..levels).flat_map(|_| [Event::Directory, entry(b"d")]);
        let close = (0..levels).flat_map(|_| [Event::EndEntry, Event::EndDirectory]);
        encode(open.chain(leaf).chain(close))
    };
    let deepest = nest(MAX_DEPTH - 1, vec![Event::Directory, Event::EndDirectory]).unwrap();
    decode_events(&deepest, |_| Ok(())).unwrap();
    for leaf in [
        vec![link(b"x")],
        vec![file(0), Event::EndFile],
        vec![Event::Directory, Event::EndDirectory],
    ] {
        assert_eq!(nest(MAX_DEPTH, leaf).unwrap_err(), NarError::TooDeep);
    }
    // Unless Nix has it already.
    let mut encoder = Encoder::of_any_depth();
    for event in (0..10 * MAX_DEPTH).flat_map(|_| [Event::Directory, entry(b"d")]) {
        encoder.push(event).unwrap();
    }
}

#[test]
fn an_event_out_of_place_is_refused_and_changes_nothing() {
    let mut encoder = Encoder::new();
    for misplaced in [
        entry(b"a"),
        Event::EndEntry,
        Event::EndDirectory,
        data(b"x"),
        Event::EndFile,
    ] {
        assert!(matches!(
            encoder.push(misplaced),
            Err(NarError::Unexpected { .. })
        ));
    }
    let first = encoder.push(Event::Directory).unwrap();
    assert!(first.nar.starts_with(b"\x0d\0\0\0\0\0\0\0nix-archive-1"));
    for misplaced in [
        Event::Directory,
        file(0),
        link(b"x"),
        Event::EndEntry,
        data(b"x"),
        Event::EndFile,
    ] {
        assert!(matches!(
            encoder.push(misplaced),
            Err(NarError::Unexpected { .. })
        ));
    }
    encoder.push(Event::EndDirectory).unwrap();
    for misplaced in [
        Event::Directory,
        entry(b"a"),
        Event::EndEntry,
        Event::EndDirectory,
        file(0),
        data(b""),
    ] {
        assert!(matches!(
            encoder.push(misplaced),
            Err(NarError::Unexpected { .. })
        ));
    }
    encoder.finish().unwrap();
}

#[test]
fn an_archive_that_ends_early_is_refused() {
    for events in [
        vec![],
        vec![Event::Directory],
        vec![Event::Directory, entry(b"a")],
        vec![Event::Directory, entry(b"a"), link(b"x")],
        vec![file(1)],
        vec![file(1), data(b"x")],
    ] {
        assert!(matches!(refusal(events), NarError::Unfinished { .. }));
    }
}

#[test]
fn errors_show_names_escaped() {
    let shown = refusal([Event::Directory, entry(b"\x1b[2J/")]).to_string();
    assert_eq!(shown, "`\\x1b[2J/` cannot be the name of an entry");
}

/// The events of `archive`, and how reading it ended.
fn events(archive: &[u8]) -> (Vec<Event>, Result<(), DecodeError<()>>) {
    let mut events = Vec::new();
    let result = nar::decode(&mut &archive[..], |event| {
        events.push(event);
        Ok(())
    });
    (events, result)
}

#[test]
fn what_is_cut_short_or_too_long_is_no_archive() {
    let tree = [
        Event::Directory,
        entry(b"a"),
        file(3),
        data(b"abc"),
        Event::EndFile,
        Event::EndEntry,
        Event::EndDirectory,
    ];
    let archive = encode(tree.clone()).unwrap();
    assert_eq!(events(&archive).0, tree);
    for length in 0..archive.len() {
        let (_, result) = events(&archive[..length]);
        assert!(matches!(result, Err(DecodeError::Malformed(_))), "{length}");
    }
    let longer = [&archive[..], b"x"].concat();
    assert!(matches!(events(&longer).1, Err(DecodeError::Malformed(_))));
}

#[test]
fn a_long_file_is_given_in_pieces() {
    let contents: Vec<u8> = (0..1_000_000_u32).map(|byte| byte as u8).collect();
    let archive = encode([file(1_000_000), data(&contents), Event::EndFile]).unwrap();
    let (events, result) = events(&archive);
    result.unwrap();
    let pieces = events.iter().filter_map(|event| match event {
        Event::Data(data) => Some(data.clone()),
        _ => None,
    });
    let pieces: Vec<Bytes> = pieces.collect();
    assert!(pieces.iter().all(|piece| piece.len() <= 128 * 1024));
    assert_eq!(pieces.concat(), contents);
}

#[test]
fn whoever_wants_no_more_events_gets_no_more() {
    let archive = encode([
        Event::Directory,
        entry(b"a"),
        link(b"x"),
        Event::EndEntry,
        Event::EndDirectory,
    ]);
    let mut seen = 0;
    let result = nar::decode(&mut &archive.unwrap()[..], |_| {
        seen += 1;
        if seen == 2 { Err("enough") } else { Ok(()) }
    });
    assert!(matches!(result, Err(DecodeError::Visitor("enough"))));
    assert_eq!(seen, 2);
}

fn any_tree() -> impl Strategy<Value = Tree> {
    let file = (any::<bool>(), prop::collection::vec(any::<u8>(), 0..40)).prop_map(
        |(executable, contents)| Tree::File {
            executable,
            contents,
        },
    );
    let symlink = prop::collection::vec(1u8.., 1..20).prop_map(|target| Tree::Symlink { target });
    prop_oneof![file, symlink].prop_recursive(5, 40, 6, |inner| {
        let name = prop::collection::vec(1u8.., 1..6).prop_filter("a path component", |name| {
            !name.contains(&b'/') && name != b"." && name != b".."
        });
        prop::collection::btree_map(name, inner, 0..6).prop_map(Tree::Directory)
    })
}

/// The archive of `tree` by the other implementation.
fn reference(tree: &Tree) -> Vec<u8> {
    fn with_node<R>(tree: &Tree, use_node: &mut dyn FnMut(Node<'_>) -> R) -> R {
        match tree {
            Tree::File {
                executable,
                contents,
            } => use_node(Node::Regular {
                executable: *executable,
                contents,
            }),
            Tree::Symlink { target } => use_node(Node::Symlink { target }),
            Tree::Directory(entries) => {
                with_children(&mut entries.iter(), &mut Vec::new(), use_node)
            }
        }
    }
    // Borrowed children have to stay on the stack until the root is encoded, hence the recursion.
    fn with_children<'a, R>(
        rest: &mut dyn Iterator<Item = (&'a Vec<u8>, &'a Tree)>,
        done: &mut Vec<NamedNode<'_>>,
        use_node: &mut dyn FnMut(Node<'_>) -> R,
    ) -> R {
        match rest.next() {
            None => use_node(Node::Directory(done)),
            Some((name, child)) => with_node(child, &mut |node| {
                let mut longer: Vec<NamedNode<'_>> = done.clone();
                longer.push(NamedNode { name, node });
                with_children(rest, &mut longer, use_node)
            }),
        }
    }
    let mut archive = Vec::new();
    with_node(tree, &mut |node| encode_tree(&mut archive, &node)).unwrap();
    archive
}

/// The tree that the other implementation reads from `archive`.
fn decode(archive: &[u8]) -> Tree {
    let mut open = Vec::new();
    let mut root = None;
    decode_events(archive, |event| {
        let (name, node) = match event {
            Decoded::DirectoryStart { name } => {
                open.push((name.map(<[u8]>::to_vec), BTreeMap::new()));
                return Ok(());
            }
            Decoded::DirectoryEnd { .. } => {
                let (name, entries) = open.pop().unwrap();
                (name, Tree::Directory(entries))
            }
            Decoded::Regular {
                name,
                executable,
                contents,
            } => (
                name.map(<[u8]>::to_vec),
                Tree::File {
                    executable,
                    contents: contents.to_vec(),
                },
            ),
            Decoded::Symlink { name, target } => (
                name.map(<[u8]>::to_vec),
                Tree::Symlink {
                    target: target.to_vec(),
                },
            ),
        };
        match open.last_mut() {
            Some((_, entries)) => drop(entries.insert(name.unwrap(), node)),
            None => root = Some(node),
        }
        Ok(())
    })
    .unwrap();
    root.unwrap()
}

proptest! {
    #[test]
    fn every_tree_has_the_bytes_that_the_other_implementation_writes(tree in any_tree(), chunk in 1usize..50) {
        prop_assert_eq!(encode(tree.events(chunk)).unwrap(), reference(&tree));
    }

    #[test]
    fn the_other_implementation_reads_every_tree_back(tree in any_tree(), chunk in 1usize..50) {
        let archive = encode(tree.events(chunk)).unwrap();
        prop_assert_eq!(format!("{:?}", decode(&archive)), format!("{tree:?}"));
    }

    #[test]
    fn what_was_written_is_read_as_the_events_it_was_written_from(tree in any_tree()) {
        // Contents come in one piece, and none at all when there are none.
        let written = tree.events(usize::MAX);
        let (read, result) = events(&encode(written.clone()).unwrap());
        prop_assert!(result.is_ok());
        prop_assert_eq!(read, written);
    }

    #[test]
    fn a_damaged_archive_is_refused_or_read_as_another(tree in any_tree(), at in any::<prop::sample::Index>(), flip in 1u8..) {
        let mut archive = encode(tree.events(9)).unwrap();
        let at = at.index(archive.len());
        archive[at] ^= flip;
        let (events, result) = events(&archive);
        if result.is_ok() {
            // What is read is what was there, so its hash tells.
            if let Ok(again) = encode(events) {
                prop_assert_eq!(again, archive);
            }
        }
    }

    #[test]
    fn a_sequence_is_refused_or_is_an_archive(picks in prop::collection::vec(0usize..12, 0..40)) {
        let mut encoder = Encoder::new();
        let mut archive = Vec::new();
        let choices = [
            Event::Directory, Event::EndDirectory, entry(b"a"), entry(b"b"), entry(b"c"), Event::EndEntry,
            file(0), file(2), data(b"x"), data(b""), Event::EndFile, link(b"t"),
        ];
        for pick in picks {
            if let Ok(piece) = encoder.push(choices[pick].clone()) {
                archive.extend_from_slice(&piece.nar);
            }
        }
        let complete = encoder.finish().is_ok();
        prop_assert_eq!(complete, decode_events(&archive, |_| Ok(())).is_ok());
    }
}
