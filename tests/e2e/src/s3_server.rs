//! An S3 server that was not written here: s3s-fs, on loopback, which checks every signature.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
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
                    tokio::spawn(async move {
                        let recorded = service_fn(move |request: Request<Incoming>| {
                            let head = format!(
                                "{} {}\n{:?}",
                                request.method(),
                                request.uri(),
                                request.headers()
                            );
                            record.lock().unwrap().push(head);
                            Service::call(&service, request)
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

    /// Method, target and headers of each request so far.
    ///
    /// # Panics
    /// When the server broke down.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
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
