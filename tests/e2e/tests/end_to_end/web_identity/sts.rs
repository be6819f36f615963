//! A stand-in for AWS's STS: it records what it is asked, and answers as it is told.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use fetchhost_e2e::{ACCESS_KEY_ID, SECRET_ACCESS_KEY};

/// What is sent with each request that is signed with the keys: a canary of its own.
pub(super) const SESSION_TOKEN: &str = "canary/Session+Token==";

/// How it answers.
#[derive(Clone)]
pub(super) enum Reply {
    /// With the keys that the stand-in for S3 knows, which end at this time.
    Keys(&'static str),
    /// With an error of AWS's.
    Error(u16, &'static str, String),
    /// With this status and body.
    Plain(u16, String),
    /// With a redirect to this URL.
    Redirect(String),
    /// With more than any answer of STS's.
    Flood,
    /// Not at all, until the client goes.
    Silence,
}

/// What it was asked.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    /// Method, target and headers.
    pub(super) head: String,
    /// The form.
    pub(super) body: String,
}

/// A running stand-in.
pub(super) struct Sts {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Sts {
    pub(super) fn start(reply: Reply) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (asked, stop) = (Arc::<Mutex<Vec<Asked>>>::default(), Arc::default());
        let (record, stopped) = (Arc::clone(&asked), Arc::<AtomicBool>::clone(&stop));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                // A client that hangs up is no matter of the server's.
                let _ = stream.and_then(|stream| answer(stream, &reply, &record));
            }
        });
        Self {
            address,
            asked,
            stop,
            thread: Some(thread),
        }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for Sts {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            // Its own panic has been told already.
            let _ = thread.join();
        }
    }
}

fn answer(stream: TcpStream, reply: &Reply, record: &Mutex<Vec<Asked>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line == "\r\n" {
            break;
        }
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let body = String::from_utf8(body).unwrap();
    record.lock().unwrap().push(Asked { head, body });
    let (status, location, body) = match reply {
        Reply::Keys(end) => (200, String::new(), keys(end)),
        Reply::Error(status, code, message) => (*status, String::new(), error(code, message)),
        Reply::Plain(status, body) => (*status, String::new(), body.clone()),
        Reply::Redirect(to) => (307, format!("Location: {to}\r\n"), String::new()),
        Reply::Flood => (200, String::new(), "x".repeat(64 * 1024 + 1)),
        Reply::Silence => {
            let _ = reader.read(&mut [0]);
            return Ok(());
        }
    };
    let mut stream = stream;
    write!(
        stream,
        "HTTP/1.1 {status} Stand-in\r\n{location}Content-Type: text/xml\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    )
}

fn keys(end: &str) -> String {
    format!(
        "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
         <AssumeRoleWithWebIdentityResult><Audience>sts.amazonaws.com</Audience><Credentials>\
         <SessionToken>{SESSION_TOKEN}</SessionToken><SecretAccessKey>{SECRET_ACCESS_KEY}</SecretAccessKey>\
         <Expiration>{end}</Expiration><AccessKeyId>{ACCESS_KEY_ID}</AccessKeyId></Credentials>\
         </AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
    )
}

fn error(code: &str, message: &str) -> String {
    format!(
        "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>\
         <Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"
    )
}
