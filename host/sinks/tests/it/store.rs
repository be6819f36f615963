//! `store=…`: the conversation with Nix.

mod adding;
mod collector;
mod gc_root;
mod hostile;
mod lookup;
mod reader;
mod reader_hostile;
mod session;

use fetchhost_artifact::Verified;
use fetchhost_formats::nar::{Event, Piece};

use crate::common::{FLAT, flat, pieces, verified};

const HELLO: &[u8] = b"hello\n";

/// A flat `hello.txt` and the pieces of its archive.
async fn hello() -> (Verified, Vec<Piece>) {
    let events = [
        Event::File {
            executable: false,
            size: HELLO.len() as u64,
        },
        Event::Data(HELLO.into()),
        Event::EndFile,
    ];
    (verified(FLAT, flat(HELLO)).await, pieces(events))
}
