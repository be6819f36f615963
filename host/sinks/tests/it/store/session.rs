//! Many outputs over few connections, of which some end.

use std::sync::mpsc;

use fetchhost_sinks::StoreSession;

use super::hello;
use crate::scripted::{ADD_TEMPORARY_ROOT, Info, LAST, Peer, Scripted, declared};

/// Plays a daemon to which one thing is added.
fn take(client: &mut Peer, info: &Info) {
    client.operation(ADD_TEMPORARY_ROOT);
    client.tell([LAST, 1]);
    client.addition().2.unwrap();
    client.tell([LAST]);
    client.say(&info.path);
    client.info(info);
}

#[tokio::test]
async fn a_connection_that_ended_while_it_was_idle_is_not_used_again() {
    let (verified, pieces) = hello().await;
    let info = Info::of(&verified);
    let (ended, has_ended) = mpsc::channel();
    let daemon = Scripted::listening(move |listener| {
        let mut keeper = Peer::accept(listener);
        keeper.greet(35);
        for _ in 0..2 {
            let mut client = Peer::accept(listener);
            client.greet(35);
            take(&mut client, &info);
            drop(client);
            ended.send(()).unwrap();
        }
    });
    let session = StoreSession::open(daemon.store()).unwrap();
    let destination = session.destination(None);
    for _ in 0..2 {
        let mut staged = destination.open(&declared(&verified)).unwrap();
        staged.write(&pieces).unwrap();
        drop(staged.commit(&verified).unwrap());
        has_ended.recv().unwrap();
    }
    daemon.outcome();
}

#[tokio::test]
async fn a_connection_that_has_done_its_work_is_used_for_the_next() {
    let (verified, pieces) = hello().await;
    let info = Info::of(&verified);
    let daemon = Scripted::listening(move |listener| {
        let mut keeper = Peer::accept(listener);
        keeper.greet(35);
        let mut client = Peer::accept(listener);
        client.greet(35);
        for _ in 0..3 {
            take(&mut client, &info);
        }
    });
    let session = StoreSession::open(daemon.store()).unwrap();
    let destination = session.destination(None);
    for _ in 0..3 {
        let mut staged = destination.open(&declared(&verified)).unwrap();
        staged.write(&pieces).unwrap();
        drop(staged.commit(&verified).unwrap());
    }
    daemon.outcome();
}
