//! One connection, asked for by netlink (`sock_diag(7)`): what the table in `/proc` says of it, without the
//! kernel walking through all connections, which takes it milliseconds.

use std::net::{IpAddr, SocketAddr};

use rustix::io::{Errno, Result};
use rustix::net::netlink::{SOCK_DIAG, SocketAddrNetlink};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto, socket_with,
};

/// `SOCK_DIAG_BY_FAMILY`, of requests and answers.
const BY_FAMILY: u16 = 20;
/// `NLMSG_ERROR`
const ERROR: u16 = 2;
/// `NLM_F_REQUEST`
const REQUEST: u16 = 1;
const TCP: u8 = 6;
const ESTABLISHED: u8 = 1;
/// Bytes of the header of every message, and of a request and an answer with it.
const HEADER: usize = 16;
const REQUEST_BYTES: usize = HEADER + 56;
const ANSWER_BYTES: usize = HEADER + 72;
/// Where things are in an answer.
const STATE: usize = HEADER + 1;
const ENDS: usize = HEADER + 4;
const UID: usize = HEADER + 64;
const INODE: usize = HEADER + 68;
/// Bytes of two ports and two addresses.
const ENDS_BYTES: usize = 36;

/// The user whose open end `peer` of a connection to `local` is; none when nobody holds such an end.
///
/// # Errors
///
/// When the kernel does not answer such questions.
pub(super) fn uid(peer: SocketAddr, local: SocketAddr) -> Result<Option<u32>> {
    let (peer, local) = (canonical(peer), canonical(local));
    let socket = socket_with(
        AddressFamily::NETLINK,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        Some(SOCK_DIAG),
    )?;
    let question = ends(peer, local);
    let request = request(peer, &question);
    sendto(
        &socket,
        &request,
        SendFlags::empty(),
        &SocketAddrNetlink::new(0, 0),
    )?;
    let mut answer = [0; 256];
    // The answer is there as soon as the request was sent.
    let (_, length) = recv(&socket, &mut answer, RecvFlags::DONTWAIT)?;
    let answer = answer.get(..length).ok_or(Errno::MSGSIZE)?;
    // A socket that is IPv6 to its holder answers in that spelling, whatever is on the wire.
    read(answer, &[question, ends(mapped(peer), mapped(local))])
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

fn mapped(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) => SocketAddr::new(ip.to_ipv6_mapped().into(), address.port()),
        IpAddr::V6(_) => address,
    }
}

/// Ports and addresses of the socket at `peer` that is connected to `local`.
fn ends(peer: SocketAddr, local: SocketAddr) -> [u8; ENDS_BYTES] {
    let mut bytes = [0; ENDS_BYTES];
    bytes[..2].copy_from_slice(&peer.port().to_be_bytes());
    bytes[2..4].copy_from_slice(&local.port().to_be_bytes());
    for (address, at) in [(peer, 4), (local, 20)] {
        match address.ip() {
            IpAddr::V4(ip) => bytes[at..at + 4].copy_from_slice(&ip.octets()),
            IpAddr::V6(ip) => bytes[at..at + 16].copy_from_slice(&ip.octets()),
        }
    }
    bytes
}

/// The question for the socket with these `ends`.
fn request(peer: SocketAddr, ends: &[u8; ENDS_BYTES]) -> [u8; REQUEST_BYTES] {
    let family = match peer {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let mut bytes = [0; REQUEST_BYTES];
    let mut at = 0;
    let mut put = |part: &[u8]| {
        bytes[at..at + part.len()].copy_from_slice(part);
        at += part.len();
    };
    put(&(REQUEST_BYTES as u32).to_ne_bytes());
    put(&BY_FAMILY.to_ne_bytes());
    put(&REQUEST.to_ne_bytes());
    put(&[0; 8]);
    // Family, protocol, no extensions, padding, any state.
    put(&[family.as_raw() as u8, TCP, 0, 0]);
    put(&u32::MAX.to_ne_bytes());
    put(ends);
    // On any interface, with any cookie.
    put(&[0; 4]);
    put(&[0xff; 8]);
    bytes
}

/// Reads the answer to a question for a socket whose ends are one of `ends`.
fn read(answer: &[u8], ends: &[[u8; ENDS_BYTES]]) -> Result<Option<u32>> {
    let word = |at: usize| {
        let bytes = answer.get(at..at + 4).ok_or(Errno::BADMSG)?;
        Ok(u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    };
    let kind = answer.get(4..6).ok_or(Errno::BADMSG)?;
    match u16::from_ne_bytes([kind[0], kind[1]]) {
        BY_FAMILY if answer.len() >= ANSWER_BYTES => {}
        ERROR => {
            let code = word(HEADER)?.cast_signed().saturating_neg();
            return match Errno::from_raw_os_error(code) {
                Errno::NOENT => Ok(None),
                error => Err(error),
            };
        }
        _ => return Err(Errno::BADMSG),
    }
    // Where no such connection is, the kernel answers with who listens there.
    let found = &answer[ENDS..][..ENDS_BYTES];
    let is_it = ends.iter().any(|ends| ends == found) && answer[STATE] == ESTABLISHED;
    let is_held = word(INODE)? != 0;
    Ok((is_it && is_held).then_some(word(UID)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer about the connection from port 50000 to port 8459 on 127.0.0.1.
    fn answer(state: u8, inode: u32) -> (Vec<u8>, [[u8; ENDS_BYTES]; 1]) {
        let at = |text: &str| text.parse().unwrap();
        let ends = ends(at("127.0.0.1:50000"), at("127.0.0.1:8459"));
        let mut bytes = vec![0; ANSWER_BYTES];
        bytes[4..6].copy_from_slice(&BY_FAMILY.to_ne_bytes());
        bytes[STATE] = state;
        bytes[ENDS..][..ENDS_BYTES].copy_from_slice(&ends);
        bytes[UID..][..4].copy_from_slice(&1000_u32.to_ne_bytes());
        bytes[INODE..][..4].copy_from_slice(&inode.to_ne_bytes());
        (bytes, [ends])
    }

    #[test]
    fn only_an_open_end_of_this_connection_is_somebodys() {
        let (right, ends) = answer(ESTABLISHED, 7);
        assert_eq!(read(&right, &ends), Ok(Some(1000)));
        let (closing, _) = answer(5, 7);
        assert_eq!(read(&closing, &ends), Ok(None));
        let (orphan, _) = answer(ESTABLISHED, 0);
        assert_eq!(read(&orphan, &ends), Ok(None));
        // Who listens at the port answers for connections that are not there.
        let mut listener = right.clone();
        listener[STATE] = 10;
        listener[ENDS + 2..ENDS + 4].fill(0);
        assert_eq!(read(&listener, &ends), Ok(None));
        let mut other = right;
        other[ENDS] ^= 1;
        assert_eq!(read(&other, &ends), Ok(None));
    }

    #[test]
    fn an_answer_that_is_none_is_an_error() {
        let (right, ends) = answer(ESTABLISHED, 7);
        for length in 0..right.len() {
            assert!(read(&right[..length], &ends).is_err(), "{length}");
        }
        let mut unknown = right.clone();
        unknown[4] ^= 0xff;
        assert!(read(&unknown, &ends).is_err());
        let refused = |code: i32| {
            let mut bytes = vec![0; 36];
            bytes[4..6].copy_from_slice(&ERROR.to_ne_bytes());
            bytes[HEADER..][..4].copy_from_slice(&(-code).to_ne_bytes());
            read(&bytes, &ends)
        };
        assert_eq!(refused(Errno::NOENT.raw_os_error()), Ok(None));
        assert_eq!(refused(Errno::PERM.raw_os_error()), Err(Errno::PERM));
    }
}
