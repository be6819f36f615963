//! A web server of our own, for what is fetched before it is published, and for redirects.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;

/// Content is sent in pieces of this many bytes.
const PIECE: usize = 1 << 20;

/// What it answers to everything.
pub(super) enum Answer {
    Redirect(String),
    /// With a pause after each piece.
    Content(Vec<u8>, Duration),
}

/// Answers whoever asks, and remembers what it was told. It ends with the process.
pub(super) struct Web {
    pub(super) url: String,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Web {
    pub(super) fn start(answer: Answer) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let url = format!("http://{}/file", listener.local_addr()?);
        let heads = Arc::<Mutex<Vec<String>>>::default();
        let (record, answer) = (Arc::clone(&heads), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (record, answer) = (Arc::clone(&record), Arc::clone(&answer));
                std::thread::spawn(move || {
                    // A client that hangs up is no matter of the server's.
                    let _ = serve(&stream, &answer, &record);
                });
            }
        });
        Ok(Self { url, heads })
    }

    /// Content that is sent as fast as it is taken.
    pub(super) fn with(content: &[u8]) -> Result<Self> {
        Self::start(Answer::Content(content.to_vec(), Duration::ZERO))
    }

    /// Every line of the requests so far.
    pub(super) fn heads(&self) -> Vec<String> {
        self.heads
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

fn serve(stream: &TcpStream, answer: &Answer, record: &Mutex<Vec<String>>) -> Result<()> {
    let mut lines = BufReader::new(stream).lines();
    while let Some(line) = lines.next().transpose()?.filter(|line| !line.is_empty()) {
        record
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(line);
    }
    let mut stream = stream;
    let (status, header, content, pause) = match answer {
        Answer::Redirect(url) => (
            "302 Found",
            format!("Location: {url}\r\n"),
            &[][..],
            Duration::ZERO,
        ),
        Answer::Content(content, pause) => ("200 OK", String::new(), content.as_slice(), *pause),
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\n{header}Content-Length: {}\r\nConnection: close\r\n\r\n",
        content.len()
    )?;
    for piece in content.chunks(PIECE) {
        stream.write_all(piece)?;
        std::thread::sleep(pause);
    }
    Ok(())
}
