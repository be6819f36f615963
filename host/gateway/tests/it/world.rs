//! A gateway whose fetches are made by the tests, and clients that say what they like.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use fetchhost_artifact::{
    HashMismatch, Input, Layout, TreeEntry, Verified, VerifyError, Want, prepare,
};
use fetchhost_formats::{FixedOutput, Hash, HashAlgorithm, Hasher, OutputMode};
use fetchhost_gateway::{
    Approvals, Cache, Caller, Ended, Failed, Fetch, FetchUrl, Fetches, OwnerId, Peers, Settings,
    SignatureUrl, StoreInputs, Unfit, serve,
};
use fetchhost_policy::Limits;
use fetchhost_sinks::{Destination, Incoming, spawn};
use futures_util::future::BoxFuture;
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use tokio::sync::oneshot;

pub(crate) use crate::setup::Setup;
use crate::setup::accounts;

pub(crate) const OWNER: u32 = 4711;
pub(crate) const BUILD_USER: u32 = 872_415_232;

/// What the tests' fetcher did.
#[derive(Default)]
pub(crate) struct Deeds {
    /// Fetches that went out.
    pub(crate) runs: AtomicUsize,
    /// Most of them at once.
    pub(crate) most: AtomicUsize,
    running: AtomicUsize,
    prepared: AtomicUsize,
    /// The reason of each ticket, in order.
    pub(crate) records: Mutex<Vec<String>>,
}

impl Deeds {
    /// Fetches that were judged.
    pub(crate) fn prepared(&self) -> usize {
        self.prepared.load(Ordering::SeqCst)
    }

    fn fail(&self, reason: &str, got: Option<Hash>) -> Failed {
        let mut records = self.records.lock().unwrap();
        records.push(reason.to_owned());
        Failed {
            ticket: format!("{:010x}", records.len()),
            reason: reason.to_owned(),
            got,
        }
    }
}

/// A fetcher whose parameters say what happens: `content`, or `tree`, after `delay` milliseconds or when the
/// file `gate` is there, or a failure as `fail`, or none at all as `unfit`.
struct Scripted {
    deeds: Arc<Deeds>,
    tmp: PathBuf,
}

impl Fetches for Scripted {
    fn prepare<'a>(
        &'a self,
        url: &'a FetchUrl,
        _: Caller,
    ) -> BoxFuture<'a, Result<Box<dyn Fetch>, Unfit>> {
        let (deeds, tmp) = (Arc::clone(&self.deeds), self.tmp.clone());
        deeds.prepared.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            if let Some(reason) = url.params.get("unfit").and_then(Value::as_str) {
                let reason = reason.to_owned();
                return Err(Box::new(move || deeds.fail(&reason, None)) as Unfit);
            }
            let url = url.clone();
            Ok(Box::new(Script { url, deeds, tmp }) as Box<dyn Fetch>)
        })
    }

    fn look_up<'a>(
        &'a self,
        url: &'a SignatureUrl,
        into: Destination,
    ) -> BoxFuture<'a, Result<FixedOutput, Failed>> {
        Box::pin(async move {
            self.deeds.runs.fetch_add(1, Ordering::SeqCst);
            if let Some(reason) = url.params.get("fail").and_then(Value::as_str) {
                return Err(self.deeds.fail(reason, None));
            }
            let content = url.params["content"].as_str().unwrap().to_owned();
            let output = FixedOutput {
                name: url.name.clone(),
                mode: OutputMode::Flat,
                hash: sha256(content.as_bytes()),
            };
            let layout = Layout::File {
                content: Input::bytes(content),
                executable: false,
            };
            put(layout, &output, &into, &self.tmp).await.unwrap();
            Ok(output)
        })
    }

    fn fail(&self, _: &FetchUrl, _: Caller, reason: &str) -> Failed {
        self.deeds.fail(reason, None)
    }

    fn fail_look_up(&self, _: &SignatureUrl, reason: &str) -> Failed {
        self.deeds.fail(reason, None)
    }
}

struct Script {
    url: FetchUrl,
    deeds: Arc<Deeds>,
    tmp: PathBuf,
}

impl Fetch for Script {
    fn run(self: Box<Self>, into: Destination) -> BoxFuture<'static, Result<(), Failed>> {
        Box::pin(async move {
            let (deeds, tmp) = (&self.deeds, &self.tmp);
            deeds.runs.fetch_add(1, Ordering::SeqCst);
            let running = deeds.running.fetch_add(1, Ordering::SeqCst) + 1;
            deeds.most.fetch_max(running, Ordering::SeqCst);
            let params = &self.url.params;
            if let Some(delay) = params.get("delay").and_then(Value::as_u64) {
                tokio::time::sleep(Duration::from_millis(delay)).await;
            }
            if let Some(gate) = params.get("gate").and_then(Value::as_str) {
                while !tmp.join(gate).exists() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
            deeds.running.fetch_sub(1, Ordering::SeqCst);
            if let Some(reason) = params.get("fail").and_then(Value::as_str) {
                return Err(deeds.fail(reason, None));
            }
            assert!(params.get("panic").is_none(), "as asked for");
            let text = |name| params.get(name).and_then(Value::as_str).map(str::to_owned);
            let layout = match text("tree") {
                Some(content) => Layout::Tree(vec![TreeEntry::File {
                    path: "file".to_owned(),
                    content: Input::bytes(content),
                    executable: true,
                }]),
                None => Layout::File {
                    content: Input::bytes(text("content").unwrap().repeat(times(params))),
                    executable: self.url.executable,
                },
            };
            let output = &self.url.output;
            match put(layout, output, &into, tmp).await {
                Ok(()) => Ok(()),
                Err(mismatch) => Err(deeds.fail(&mismatch.to_string(), Some(mismatch.got.clone()))),
            }
        })
    }
}

/// How often the content is repeated: what does not fit into a URL.
fn times(params: &Map<String, Value>) -> usize {
    params
        .get("times")
        .map_or(1, |times| times.as_u64().unwrap() as usize)
}

/// Makes, measures and commits, as the pipeline does.
async fn put(
    layout: Layout,
    output: &FixedOutput,
    into: &Destination,
    tmp: &std::path::Path,
) -> Result<(), Box<HashMismatch>> {
    let ready = prepare(layout, &Limits::default(), tmp).await.unwrap();
    let incoming = Incoming {
        name: output.name.clone(),
        mode: output.mode,
        algorithm: output.hash.algorithm(),
        hash: Some(output.hash.clone()),
    };
    let (feed, running) = spawn(into.open(&incoming).unwrap());
    let want = Want::of(output.mode, output.hash.algorithm());
    let measured = ready.emit(want, vec![feed]).await.unwrap();
    let staged = running.await.unwrap().unwrap();
    match Verified::check(output, measured) {
        Ok(verified) => {
            drop(staged.commit(&verified).unwrap());
            Ok(())
        }
        Err(VerifyError::Mismatch(mismatch)) => Err(mismatch),
        Err(other) => panic!("{other}"),
    }
}

/// Every peer is who the test says.
struct Said(Arc<AtomicU32>);

impl Peers for Said {
    fn uid(&self, _: SocketAddr, _: SocketAddr) -> Option<u32> {
        match self.0.load(Ordering::SeqCst) {
            u32::MAX => None,
            uid => Some(uid),
        }
    }
}

/// What a gateway of the tests is made of.
pub(crate) fn settings(
    folder: &TempDir,
    deeds: &Arc<Deeds>,
    uid: &Arc<AtomicU32>,
    setup: &Setup,
) -> Settings {
    Settings {
        id: OwnerId::from_bytes([0xab; 8]),
        accounts: accounts(folder, setup.daemon_peers),
        peers: Arc::new(Said(Arc::clone(uid))),
        fetches: Arc::new(Scripted {
            deeds: Arc::clone(deeds),
            tmp: folder.path().to_owned(),
        }),
        cache: Cache::open(folder.path().join("cache"), setup.cache_size).unwrap(),
        approvals: approvals(folder),
        upstreams: setup.upstreams.clone(),
        share_with_local_users: setup.shares,
        max_fetches: setup.max_fetches,
        patience: setup.patience,
        stalled: setup.stalled,
        idle_exit: setup.idle_exit,
    }
}

/// What is approved for the gateway in this folder.
pub(crate) fn approvals(folder: &TempDir) -> Approvals {
    Approvals::new(folder.path().join("approved"))
}

/// A gateway that runs.
pub(crate) struct World {
    pub(crate) folder: TempDir,
    pub(crate) port: u16,
    pub(crate) deeds: Arc<Deeds>,
    uid: Arc<AtomicU32>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Ended>>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(Setup::default())
    }

    pub(crate) fn with(setup: Setup) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (deeds, uid) = (Arc::new(Deeds::default()), Arc::new(AtomicU32::new(OWNER)));
        let settings = settings(&folder, &deeds, &uid, &setup);
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                let stop = async { drop(stopped.await) };
                serve(listener, settings, stop).await.unwrap()
            })
        });
        Self {
            folder,
            port,
            deeds,
            uid,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// From now on every new connection is this user's; `None`: nobody knows whose.
    pub(crate) fn becomes(&self, uid: impl Into<Option<u32>>) {
        self.uid
            .store(uid.into().unwrap_or(u32::MAX), Ordering::SeqCst);
    }

    pub(crate) fn runs(&self) -> usize {
        self.deeds.runs.load(Ordering::SeqCst)
    }

    /// Asks as Nix does.
    pub(crate) fn get(&self, target: &str) -> Answer {
        self.ask("GET", target, &[])
    }

    pub(crate) fn fetch(&self, url: &FetchUrl) -> Answer {
        self.get(&url.to_string())
    }

    pub(crate) fn ask(&self, method: &str, target: &str, headers: &[&str]) -> Answer {
        let host = format!("Host: 127.0.0.1:{}", self.port);
        let headers = [&[host.as_str()], headers].concat();
        self.send(&format!(
            "{method} {target} HTTP/1.1\r\n{}\r\nConnection: close\r\n\r\n",
            headers.join("\r\n")
        ))
    }

    /// Sends these bytes, and reads until the other end closes.
    pub(crate) fn send(&self, request: &str) -> Answer {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).unwrap();
        Answer::read(stream)
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        stream
    }

    /// Waits until it ends by itself.
    pub(crate) fn ended(mut self) -> Ended {
        self.thread.take().unwrap().join().unwrap()
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn stop(mut self) -> Ended {
        drop(self.stop.take());
        self.ended()
    }
}

/// Waits until something is so.
pub(crate) fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(20), "not so: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// What was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The lines of the head, without the date.
    pub(crate) head: Vec<String>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn read(mut stream: TcpStream) -> Self {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("no answer: {bytes:?}"));
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let mut lines = head.lines().map(str::to_owned);
        let status = lines.next().unwrap();
        Self {
            status: status.split(' ').nth(1).unwrap().parse().unwrap(),
            head: lines.filter(|line| !line.starts_with("date:")).collect(),
            body: bytes[end + 4..].to_vec(),
        }
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let prefix = format!("{name}: ");
        self.head.iter().find_map(|line| line.strip_prefix(&prefix))
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> Hash {
    let mut hasher = Hasher::new(HashAlgorithm::Sha256);
    hasher.update(bytes);
    hasher.finish()
}

/// The URL of a flat fetch of `content`, with more parameters.
pub(crate) fn flat(content: &str, more: Value) -> FetchUrl {
    let mut params = json!({ "content": content });
    params.as_object_mut().unwrap().extend(match more {
        Value::Object(more) => more,
        _ => Map::new(),
    });
    let Value::Object(object) = &params else {
        panic!("parameters are an object");
    };
    let hash = sha256(content.repeat(times(object)).as_bytes());
    url("file", OutputMode::Flat, hash, params)
}

pub(crate) fn url(name: &str, mode: OutputMode, hash: Hash, params: Value) -> FetchUrl {
    let Value::Object(params) = params else {
        panic!("parameters are an object");
    };
    FetchUrl {
        fetcher: "scripted".to_owned(),
        output: FixedOutput {
            name: name.parse().unwrap(),
            mode,
            hash,
        },
        params,
        inputs: StoreInputs::default(),
        executable: false,
        owner: None,
    }
}
