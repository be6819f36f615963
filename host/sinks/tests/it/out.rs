//! `out:PATH`: plain files and folders.

use std::ffi::OsStr;
use std::fs;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use bytes::Bytes;
use fetchhost_formats::nar::{Event, Piece};
use fetchhost_sinks::{Destination, SinkError, SinkKind};
use proptest::prelude::*;

use crate::common::{
    FLAT, NAR, archive, archived, commit_pieces, executable, files, flat, incoming, pieces,
    publish, stage, tree, verified,
};

fn to(path: &Path) -> Destination {
    Destination::Out(path.to_owned())
}

fn entry(name: &[u8]) -> Event {
    Event::Entry {
        name: Bytes::copy_from_slice(name),
    }
}

fn link(target: &'static str) -> Event {
    Event::Symlink {
        target: target.into(),
    }
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).unwrap().permissions().mode() & 0o100 != 0
}

#[tokio::test]
async fn a_file_appears_with_its_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hello");
    let (committed, _) = publish(&to(&path), FLAT, flat("hello\n")).await.unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"hello\n");
    assert!(!is_executable(&path));
    assert_eq!(
        (committed.kind, committed.physical, committed.narinfo),
        (SinkKind::Out, path, None)
    );
    assert_eq!(files(folder.path()), ["hello"]);
}

#[tokio::test]
async fn an_executable_file_and_an_empty_one_are_what_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let (tool, empty) = (folder.path().join("tool"), folder.path().join("empty"));
    publish(&to(&tool), NAR, executable("#!/bin/sh\n"))
        .await
        .unwrap();
    publish(&to(&empty), FLAT, flat("")).await.unwrap();
    assert!(is_executable(&tool));
    assert_eq!(fs::read(empty).unwrap(), b"");
}

#[tokio::test]
async fn a_tree_appears_as_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("result");
    let (_, verified) = publish(&to(&path), NAR, tree()).await.unwrap();
    assert!(is_executable(&path.join("bin/tool")) && !is_executable(&path.join("readme")));
    assert_eq!(
        fs::read_link(path.join("bin/link")).unwrap(),
        Path::new("tool")
    );
    assert!(fs::read_dir(path.join("empty")).unwrap().next().is_none());
    assert_eq!(archived(&path).len() as u64, verified.nar_size());
}

#[tokio::test]
async fn nothing_appears_before_the_commit_and_nothing_stays_without_it() {
    for layout in [flat("hello\n"), tree()] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("result");
        let (staged, _) = stage(&to(&path), NAR, layout).await.unwrap();
        assert!(!path.exists());
        assert!(
            files(folder.path())
                .iter()
                .all(|name| name.starts_with(".nix-fetchhost-"))
        );
        drop(staged);
        assert!(fs::read_dir(folder.path()).unwrap().next().is_none());
    }
}

#[tokio::test]
async fn an_existing_file_is_replaced_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, "before").unwrap();
    let mut reader = fs::File::open(&path).unwrap();
    publish(&to(&path), FLAT, flat("after")).await.unwrap();
    let mut seen = String::new();
    reader.read_to_string(&mut seen).unwrap();
    assert_eq!(
        (seen.as_str(), fs::read_to_string(&path).unwrap().as_str()),
        ("before", "after")
    );
}

#[tokio::test]
async fn a_folder_with_something_in_it_is_refused_before_anything_is_fetched() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("precious"), "x").unwrap();
    let error = to(folder.path()).open(&incoming()).err().unwrap();
    assert!(matches!(error, SinkError::NotEmpty { .. }));
    assert!(
        error.to_string().ends_with("is a folder that is not empty"),
        "{error}"
    );
    assert!(error.hint().unwrap().starts_with("remove `"));
    assert_eq!(files(folder.path()), ["precious"]);
}

#[tokio::test]
async fn an_empty_folder_becomes_a_tree_but_not_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("empty");
    fs::create_dir(&path).unwrap();
    let error = publish(&to(&path), FLAT, flat("x")).await.err().unwrap();
    assert!(matches!(error, SinkError::IsAFolder { .. }), "{error}");
    publish(&to(&path), NAR, tree()).await.unwrap();
    assert!(path.join("readme").exists());
}

#[tokio::test]
async fn a_tree_replaces_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, "precious").unwrap();
    let error = publish(&to(&path), NAR, tree()).await.err().unwrap();
    assert!(matches!(error, SinkError::NotAFolder { .. }), "{error}");
    assert_eq!(files(folder.path()), ["file"]);
}

#[tokio::test]
async fn a_folder_that_fills_up_meanwhile_is_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("result");
    let (staged, verified) = stage(&to(&path), NAR, tree()).await.unwrap();
    fs::create_dir(&path).unwrap();
    fs::write(path.join("precious"), "x").unwrap();
    let error = staged.commit(&verified).unwrap_err();
    assert!(matches!(error, SinkError::NotEmpty { .. }), "{error}");
    assert_eq!(files(folder.path()), ["result/precious"]);
}

#[tokio::test]
async fn nothing_is_written_through_a_symlink() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("target");
    fs::write(&target, "precious").unwrap();
    let path = folder.path().join("link");
    symlink(&target, &path).unwrap();
    let error = to(&path).open(&incoming()).err().unwrap();
    assert!(matches!(error, SinkError::Symlink { .. }), "{error}");
    assert!(error.hint().unwrap().contains("/target`"), "{error}");

    let dangling = folder.path().join("dangling");
    symlink("nowhere", &dangling).unwrap();
    assert!(matches!(
        to(&dangling).open(&incoming()),
        Err(SinkError::Symlink { .. })
    ));
    assert_eq!(fs::read_to_string(target).unwrap(), "precious");
}

#[tokio::test]
async fn the_null_device_takes_a_file_and_no_tree() {
    let null = to(Path::new("/dev/null"));
    publish(&null, FLAT, flat("hello\n")).await.unwrap();
    let error = publish(&null, NAR, tree()).await.err().unwrap();
    assert!(matches!(error, SinkError::NotAFile { .. }), "{error}");
    assert!(!Path::new("/dev/null").is_file());
}

#[tokio::test]
async fn a_pipe_gets_no_byte_before_the_artifact_is_verified() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pipe");
    rustix::fs::mkfifoat(
        rustix::fs::CWD,
        &path,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
    )
    .unwrap();
    // Opened for both, so that neither side waits for the other.
    let mut pipe = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(&path)
        .unwrap();
    let (staged, verified) = stage(&to(&path), FLAT, flat("hello\n")).await.unwrap();
    assert_eq!(rustix::io::ioctl_fionread(&pipe).unwrap(), 0);
    drop(staged.commit(&verified).unwrap());
    let mut bytes = [0; 6];
    pipe.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"hello\n");
}

#[tokio::test]
async fn a_commit_of_less_than_was_verified_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let verified = verified(FLAT, flat("hello\n")).await;
    for taken in [0, 1, 2] {
        let all = pieces([
            Event::File {
                executable: false,
                size: 6,
            },
            Event::Data("hello\n".into()),
            Event::EndFile,
        ]);
        let mut staged = to(&path).open(&incoming()).unwrap();
        staged.write(&all[..taken]).unwrap();
        assert!(matches!(
            staged.commit(&verified),
            Err(SinkError::Incomplete { verified: 120, .. })
        ));
    }
    assert!(fs::read_dir(folder.path()).unwrap().next().is_none());
}

#[test]
fn a_folder_that_takes_no_file_is_named_with_a_remedy_before_anything_is_fetched() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "x").unwrap();
    // Nobody creates anything in there, root neither.
    for (above, said) in [
        (folder.path().join("missing"), "cannot create a file in"),
        (folder.path().join("file"), "cannot look at"),
        ("/proc/self".into(), "cannot create a file in"),
    ] {
        let path = above.join("result");
        let error = to(&path).open(&incoming()).err().unwrap();
        let text = error.to_string();
        let begin = format!("`out:{}`: {said} `{}", path.display(), above.display());
        assert!(text.starts_with(&begin), "{text}");
        assert!(
            text.ends_with(')') && !text.contains(".nix-fetchhost-"),
            "{text}"
        );
        assert!(
            error
                .hint()
                .unwrap()
                .starts_with("create the folder above it"),
            "{error}"
        );
    }
    assert_eq!(files(folder.path()), ["file"]);
}

#[test]
fn opening_leaves_nothing_beside_the_path() {
    let folder = tempfile::tempdir().unwrap();
    let staged = to(&folder.path().join("result")).open(&incoming()).unwrap();
    assert!(fs::read_dir(folder.path()).unwrap().next().is_none());
    drop(staged);
}

#[tokio::test]
async fn names_and_targets_of_any_bytes_are_unpacked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("result");
    let names = [
        &b"--help"[..],
        b"...",
        b"A",
        b"a",
        b"a\nb",
        b"\xff\xfe",
        &[b'z'; 255],
    ];
    let mut sorted = names.to_vec();
    sorted.sort_unstable();
    let mut events = vec![Event::Directory];
    for name in sorted {
        let target = Event::Symlink {
            target: Bytes::from_static(b"/nowhere/\xff"),
        };
        events.extend([entry(name), target, Event::EndEntry]);
    }
    events.push(Event::EndDirectory);
    let pieces = pieces(events);
    commit_pieces(&to(&path), &pieces, 1).await.unwrap();
    assert_eq!(archived(&path), archive(&pieces));
    assert!(path.join(OsStr::from_bytes(b"\xff\xfe")).is_symlink());
}

#[tokio::test]
async fn a_single_symlink_is_a_symlink() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("result");
    commit_pieces(&to(&path), &pieces([link("/nowhere")]), 10)
        .await
        .unwrap();
    assert_eq!(fs::read_link(&path).unwrap(), Path::new("/nowhere"));
    assert_eq!(files(folder.path()), ["result"]);
}

#[tokio::test]
async fn no_link_of_a_tree_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    let outside = folder.path().join("outside");
    fs::create_dir(&outside).unwrap();
    let target: Bytes = outside.as_os_str().as_bytes().to_vec().into();
    let path = folder.path().join("result");
    let mut staged = to(&path).open(&incoming()).unwrap();
    // No archive is like this: the encoder refuses the second `a`. The sink does not rely on it.
    let pieces: Vec<Piece> = [
        Event::Directory,
        entry(b"a"),
        Event::Symlink { target },
        Event::EndEntry,
        entry(b"a"),
        Event::Directory,
        entry(b"planted"),
        Event::File {
            executable: false,
            size: 0,
        },
    ]
    .into_iter()
    .map(|event| Piece {
        event,
        nar: Bytes::new(),
    })
    .collect();
    let error = staged.write(&pieces).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("cannot create the folder `a`: File exists"),
        "{error}"
    );
    drop(staged);
    assert!(files(folder.path()).is_empty());
}

#[tokio::test]
async fn an_error_shows_names_of_the_tree_escaped() {
    let folder = tempfile::tempdir().unwrap();
    let mut staged = to(&folder.path().join("result")).open(&incoming()).unwrap();
    let twice = [
        Event::Directory,
        entry(b"x\x1b[2J"),
        link("t"),
        Event::EndEntry,
        entry(b"x\x1b[2J"),
        link("t"),
    ];
    let pieces: Vec<_> = twice
        .into_iter()
        .map(|event| Piece {
            event,
            nar: Bytes::new(),
        })
        .collect();
    let error = staged.write(&pieces).unwrap_err().to_string();
    assert!(error.contains("`x\\u{1b}[2J`"), "{error}");
}

#[tokio::test]
async fn a_path_longer_than_the_kernel_takes_at_once_is_unpacked_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let (levels, name) = (60, [b'd'; 200]);
    let mut events = Vec::new();
    for _ in 0..levels {
        events.extend([Event::Directory, entry(&name)]);
    }
    events.extend([
        Event::File {
            executable: false,
            size: 1,
        },
        Event::Data("x".into()),
        Event::EndFile,
    ]);
    for _ in 0..levels {
        events.extend([Event::EndEntry, Event::EndDirectory]);
    }
    let pieces = pieces(events);
    let mut staged = to(&folder.path().join("dropped"))
        .open(&incoming())
        .unwrap();
    staged.write(&pieces).unwrap();
    drop(staged);
    assert!(fs::read_dir(folder.path()).unwrap().next().is_none());
    commit_pieces(&to(&folder.path().join("kept")), &pieces, 7)
        .await
        .unwrap();
}

fn any_events() -> impl Strategy<Value = Vec<Event>> {
    let file = (any::<bool>(), prop::collection::vec(any::<u8>(), 0..40)).prop_map(
        |(executable, contents)| {
            let mut events = vec![Event::File {
                executable,
                size: contents.len() as u64,
            }];
            events.extend(
                contents
                    .chunks(16)
                    .map(|chunk| Event::Data(Bytes::copy_from_slice(chunk))),
            );
            events.push(Event::EndFile);
            events
        },
    );
    let symlink = "[a-z/.]{1,12}".prop_map(|target| {
        vec![Event::Symlink {
            target: target.into(),
        }]
    });
    prop_oneof![file, symlink].prop_recursive(4, 30, 5, |inner| {
        let name = prop::collection::vec(1u8.., 1..6).prop_filter("a path component", |name| {
            !name.contains(&b'/') && name != b"." && name != b".."
        });
        prop::collection::btree_map(name, inner, 0..5).prop_map(|entries| {
            let mut events = vec![Event::Directory];
            for (name, node) in entries {
                events.push(entry(&name));
                events.extend(node);
                events.push(Event::EndEntry);
            }
            events.push(Event::EndDirectory);
            events
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_unpacked_is_what_was_archived(events in any_events(), batch in 1usize..9) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("result");
        let pieces = pieces(events);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(commit_pieces(&to(&path), &pieces, batch)).unwrap();
        prop_assert_eq!(archived(&path), archive(&pieces));
    }
}
