//! The least that can be done: one download by reqwest, hashed twice, on two threads, kept nowhere.

use std::error::Error;
use std::sync::mpsc;
use std::thread;

use futures_util::StreamExt as _;
use sha2::{Digest as _, Sha256};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::args().nth(1).ok_or("usage: baseline URL")?;
    let client = reqwest::Client::builder().no_proxy().build()?;
    let mut body = client
        .get(url)
        .send()
        .await?
        .error_for_status()?
        .bytes_stream();

    let hashers = [(); 2].map(|()| {
        // Bounded, as everything is that must hold a body of any size.
        let (feed, chunks) = mpsc::sync_channel::<bytes::Bytes>(64);
        let thread = thread::spawn(move || {
            let mut hasher = Sha256::new();
            chunks.iter().for_each(|chunk| hasher.update(&chunk));
            hasher.finalize()
        });
        (feed, thread)
    });
    while let Some(chunk) = body.next().await {
        let chunk = chunk?;
        for (feed, _) in &hashers {
            feed.send(chunk.clone())?;
        }
    }
    for (feed, thread) in hashers {
        drop(feed);
        thread.join().map_err(|_| "a hashing thread panicked")?;
    }
    Ok(())
}
