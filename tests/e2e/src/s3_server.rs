//! An S3 server that was not written here: s3s-fs, on loopback, which checks every signature.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use hyper::body::Incoming;
use hyper::header::{IF_MATCH, IF_NONE_MATCH};
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use s3s_fs::FileSystem;
use tempfile::TempDir;
use tokio::sync::oneshot;

/// The access key id that the server knows.
pub const ACCESS_KEY_ID: &str = "AKIDEXAMPLE";
/// The secret access key that belongs to it: a canary, which must be in no request.
pub const SECRET_ACCESS_KEY: &str = "canary/S3cretAccessKey+OfTheTests=";

/// How a server differs from an honest one.
#[derive(Clone, Debug, Default)]
pub enum Quirk {
    /// In nothing.
    #[default]
    None,
    /// It writes whatever the conditions, as Garage does.
    IgnoresConditions,
    /// It knows no conditions of writing, and does nothing that has one, as Backblaze's does.
    RefusesConditions,
    /// It compares the state of an object without the quotes that it tells it with, as Ceph 16 does.
    BareStates,
    /// It cannot put the parts of an upload together, and says so below a status of success, as AWS's may.
    FailsAtTheEnd,
    /// It sends what is written on to another bucket.
    SendsOn,
    /// It takes the parts of an upload and never says so.
    SilentAboutParts,
    /// It answers requests of this method with this status and S3's error of this code.
    Refuses(&'static str, u16, &'static str),
}

/// A running server. Its buckets are folders, its objects files.
pub struct S3Server {
    address: SocketAddr,
    folder: TempDir,
    heads: Arc<Mutex<Vec<String>>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl S3Server {
    /// A server without buckets.
    ///
    /// # Panics
    /// When it cannot listen.
    #[must_use]
    pub fn start() -> Self {
        Self::with(Quirk::None)
    }

    /// A server without buckets that differs from an honest one.
    ///
    /// # Panics
    /// When it cannot listen.
    #[must_use]
    pub fn with(quirk: Quirk) -> Self {
        let folder = TempDir::new().unwrap();
        let mut builder = S3ServiceBuilder::new(FileSystem::new(folder.path()).unwrap());
        builder.set_auth(SimpleAuth::from_single(ACCESS_KEY_ID, SECRET_ACCESS_KEY));
        let service = builder.build();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let heads = Arc::<Mutex<Vec<String>>>::default();
        let (stop, mut stopped) = oneshot::channel();
        let record = Arc::clone(&heads);
        // `s3s-fs` looks at a condition first and writes later. S3 does both at once.
        let state = Arc::<tokio::sync::RwLock<()>>::default();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                loop {
                    let accepted = tokio::select! {
                        accepted = listener.accept() => accepted,
                        _ = &mut stopped => return,
                    };
                    let Ok((stream, _)) = accepted else { continue };
                    let (service, record) = (service.clone(), Arc::clone(&record));
                    let (quirk, state) = (quirk.clone(), Arc::clone(&state));
                    tokio::spawn(async move {
                        let recorded = service_fn(move |mut request: Request<Incoming>| {
                            let head = format!(
                                "{} {}\n{:?}",
                                request.method(),
                                request.uri(),
                                request.headers()
                            );
                            record.lock().unwrap().push(head);
                            let is_silent = quirk.is_silent(&request);
                            let canned = quirk.apply(&mut request);
                            let (service, state) = (service.clone(), Arc::clone(&state));
                            async move {
                                if is_silent {
                                    std::future::pending::<()>().await;
                                }
                                if let Some(canned) = canned {
                                    return Ok(canned);
                                }
                                let has = |name| request.headers().contains_key(name);
                                let is_conditional = has(IF_MATCH) || has(IF_NONE_MATCH);
                                let is_read =
                                    [Method::GET, Method::HEAD].contains(request.method());
                                let _changing = match is_conditional && !is_read {
                                    true => Some(state.write().await),
                                    false => None,
                                };
                                let _reading = match is_read {
                                    true => Some(state.read().await),
                                    false => None,
                                };
                                Service::call(&service, request).await
                            }
                        });
                        let io = TokioIo::new(stream);
                        // A client that hangs up is no matter of the server's.
                        let _ = http1::Builder::new().serve_connection(io, recorded).await;
                    });
                }
            });
        });
        Self {
            address,
            folder,
            heads,
            stop: Some(stop),
            thread: Some(thread),
        }
    }
}

impl S3Server {
    /// What `--endpoint` names.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Puts an object, and its bucket, there.
    ///
    /// # Panics
    /// When the file system does not let it.
    pub fn put(&self, bucket: &str, key: &str, content: &[u8]) {
        let place = self.folder.path().join(bucket).join(key);
        std::fs::create_dir_all(place.parent().unwrap_or(Path::new("/"))).unwrap();
        std::fs::write(place, content).unwrap();
    }

    /// The folder of a bucket.
    #[must_use]
    pub fn bucket(&self, bucket: &str) -> PathBuf {
        self.folder.path().join(bucket)
    }

    /// Makes an empty bucket.
    ///
    /// # Panics
    /// When the file system does not let it.
    pub fn make_bucket(&self, bucket: &str) {
        std::fs::create_dir_all(self.bucket(bucket)).unwrap();
    }

    /// What an object holds.
    ///
    /// # Panics
    /// When it is not there.
    #[must_use]
    pub fn get(&self, bucket: &str, key: &str) -> Vec<u8> {
        std::fs::read(self.bucket(bucket).join(key)).unwrap()
    }

    /// Method, target and headers of each request so far.
    ///
    /// # Panics
    /// When the server broke down.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

impl Quirk {
    /// Changes the request, or answers in the server's place.
    fn apply(&self, request: &mut Request<Incoming>) -> Option<Response<s3s::Body>> {
        match self {
            Self::None | Self::SilentAboutParts => None,
            Self::BareStates => {
                let state = request.headers().get(IF_MATCH)?.to_str().ok()?.to_owned();
                if state.starts_with('"') {
                    return Some(refusal(412, "PreconditionFailed"));
                }
                let quoted = format!("\"{state}\"").parse().unwrap();
                request.headers_mut().insert(IF_MATCH, quoted);
                None
            }
            Self::SendsOn => (request.method() == "PUT").then(|| {
                let mut answer = refusal(307, "TemporaryRedirect");
                let to = "/other-bucket/object".parse().unwrap();
                answer.headers_mut().insert("location", to);
                answer
            }),
            Self::FailsAtTheEnd => (request.method() == "POST" && has(request, "uploadId="))
                .then(|| refusal(200, "InternalError")),
            Self::IgnoresConditions => {
                for condition in ["if-match", "if-none-match"] {
                    request.headers_mut().remove(condition);
                }
                None
            }
            Self::RefusesConditions => {
                let names = ["if-match", "if-none-match"];
                let is_condition = names
                    .iter()
                    .any(|name| request.headers().contains_key(*name));
                (request.method() == "PUT" && is_condition).then(|| refusal(501, "NotImplemented"))
            }
            Self::Refuses(method, status, code) => {
                (request.method().as_str() == *method).then(|| refusal(*status, code))
            }
        }
    }

    fn is_silent(&self, request: &Request<Incoming>) -> bool {
        matches!(self, Self::SilentAboutParts) && has(request, "partNumber=")
    }
}

fn has(request: &Request<Incoming>, part: &str) -> bool {
    request.uri().to_string().contains(part)
}

fn refusal(status: u16, code: &str) -> Response<s3s::Body> {
    let text = format!(
        "<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>words of the server</Message>\
         <Region>eu-1</Region></Error>"
    );
    let mut answer = Response::new(s3s::Body::from(text));
    *answer.status_mut() = status.try_into().unwrap();
    answer
}

impl Drop for S3Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // Its own panic has been told already.
            let _ = thread.join();
        }
    }
}
