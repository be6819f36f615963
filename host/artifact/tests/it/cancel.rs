//! A run that is given up leaves nothing.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::*;
use bytes::Bytes;
use fetchhost_artifact::{Batch, BoxError, FEED_CAPACITY, Input, Layout, Want, prepare};
use fetchhost_formats::HashAlgorithm;
use fetchhost_policy::Limits;
use futures_util::{StreamExt as _, stream};
use tokio::sync::mpsc;

/// Open files of this process that lie below `dir`; a nameless one keeps its folder in the link.
fn open_files(dir: &Path) -> usize {
    let links = std::fs::read_dir("/proc/self/fd").unwrap();
    links
        .filter_map(|link| std::fs::read_link(link.unwrap().path()).ok())
        .filter(|target| target.starts_with(dir))
        .count()
}

fn soon(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(10), "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_dropped_run_ends_its_threads_and_closes_its_spools() {
    let dir = tempfile::tempdir().unwrap();
    let limits = Limits::default();
    let runtime = runtime();

    // While it unpacks: the archive begins, and then the server stalls for ever.
    let begun = crate::support::tar::Raw::new()
        .file("a", &[1; 100_000])
        .cut();
    let stalled = piece_stream(&begun, 512).chain(stream::pending::<Result<_, BoxError>>());
    let content = Input::stream(None, None, stalled.boxed());
    let layout = Layout::Archive {
        content,
        format: "tar".parse().unwrap(),
        strip: 0,
    };
    let preparing = async {
        let prepared = prepare(layout, &limits, dir.path());
        tokio::time::timeout(Duration::from_millis(300), prepared).await
    };
    assert!(runtime.block_on(preparing).is_err());
    soon("the spool is still open", || open_files(dir.path()) == 0);

    // While it emits: the sink never reads.
    let whole = crate::support::tar::Raw::new()
        .file("a", &vec![1; 16 << 20])
        .end();
    runtime.block_on(async {
        let ready = prepare(archive(whole, "tar"), &limits, dir.path())
            .await
            .unwrap();
        assert_eq!(open_files(dir.path()), 1);
        let (feed, _batches) = mpsc::channel::<Batch>(FEED_CAPACITY);
        let emitting = ready.emit(Want::default(), vec![feed]);
        assert!(
            tokio::time::timeout(Duration::from_millis(300), emitting)
                .await
                .is_err()
        );
    });
    soon("the spool is still open", || open_files(dir.path()) == 0);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

/// Memory that tells whether it is still held.
struct Held(
    Vec<u8>,
    #[expect(dead_code, reason = "counted, not read")] Arc<()>,
);

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

#[test]
fn a_dropped_pass_lets_go_of_everything_that_it_held() {
    let dir = tempfile::tempdir().unwrap();
    let held = Arc::new(());
    let data = Bytes::from_owner(Held(vec![1; 16 << 20], Arc::clone(&held)));
    let runtime = runtime();
    runtime.block_on(async {
        let layout = Layout::File {
            content: Input::bytes(data),
            executable: false,
        };
        let ready = prepare(layout, &Limits::default(), dir.path())
            .await
            .unwrap();
        let want = Want {
            flat: Some(HashAlgorithm::Sha256),
            nar: Some(HashAlgorithm::Sha512),
        };
        let (feed, _batches) = mpsc::channel::<Batch>(FEED_CAPACITY);
        let emitting = ready.emit(want, vec![feed]);
        assert!(
            tokio::time::timeout(Duration::from_millis(300), emitting)
                .await
                .is_err()
        );
    });
    soon("a hash thread holds memory", || {
        Arc::strong_count(&held) == 1
    });
}
