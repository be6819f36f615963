//! Who is at the other end of a connection.
//!
//! **The threat.** Loopback is open to everybody on the machine. Another user asks for what only the
//! owner may have, or hides who he is: by closing his end at once, so that the kernel no longer knows.
//!
//! **The rule.** The kernel's table of connections says whose socket the other end is. A row counts only
//! while that end is open and connected to ours; without such a row nobody is answered. The kernel is asked for
//! the one row by netlink, and where it does not answer, the table is read.
//!
//! | row of `/proc/net/tcp`, `/proc/net/tcp6` | |
//! |---|---|
//! | local address the peer's, remote address ours, state 01, an inode | its uid |
//! | the same in another state, or without an inode (uid 0 is shown for what nobody holds) | unknown |
//! | an IPv4 peer in `tcp6` as `::ffff:127.0.0.1` | its uid |
//! | no row, or no `/proc` | unknown |

mod diag;

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Tells whose connection one is.
pub trait Peers: Send + Sync + 'static {
    /// The user that `peer`, connected to `local`, belongs to. May block.
    fn uid(&self, peer: SocketAddr, local: SocketAddr) -> Option<u32>;
}

/// What the kernel says.
#[derive(Debug, Default)]
pub struct Kernel;

impl Peers for Kernel {
    fn uid(&self, peer: SocketAddr, local: SocketAddr) -> Option<u32> {
        diag::uid(peer, local).unwrap_or_else(|_| in_tables(peer, local))
    }
}

fn in_tables(peer: SocketAddr, local: SocketAddr) -> Option<u32> {
    ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|table| std::fs::read_to_string(table).ok())
        .find_map(|table| find(&table, peer, local))
}

/// An established connection.
const ESTABLISHED: &str = "01";

/// The uid of the row for `peer`, connected to `local`.
fn find(table: &str, peer: SocketAddr, local: SocketAddr) -> Option<u32> {
    let spellings = |address: SocketAddr| {
        let mapped = match address.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        let short = match address.ip().to_canonical() {
            IpAddr::V4(ip) => words(&ip.octets()),
            IpAddr::V6(ip) => words(&ip.octets()),
        };
        [short, words(&mapped.octets())].map(|ip| format!("{ip}:{:04X}", address.port()))
    };
    let (peer, local) = (spellings(peer), spellings(local));
    table.lines().find_map(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let [_, from, to, state, _, _, _, uid, _, inode, ..] = columns[..] else {
            return None;
        };
        let is_row = peer.iter().any(|peer| peer == from) && local.iter().any(|local| local == to);
        let is_held = state == ESTABLISHED && inode != "0";
        (is_row && is_held).then(|| uid.parse().ok()).flatten()
    })
}

/// An address as the kernel prints it: 32-bit words in the machine's own order.
fn words(octets: &[u8]) -> String {
    octets
        .chunks_exact(4)
        .map(|word| {
            let word = u32::from_ne_bytes([word[0], word[1], word[2], word[3]]);
            format!("{word:08X}")
        })
        .collect()
}

/// Whether an address is of the loopback interface, in whatever spelling.
#[must_use]
pub fn is_loopback(address: SocketAddr) -> bool {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => ip.is_loopback(),
        IpAddr::V6(ip) => ip == Ipv6Addr::LOCALHOST,
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    const HEAD: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";

    #[cfg(target_endian = "little")]
    #[test]
    fn only_an_open_connection_to_ours_tells_who_it_is() {
        let row = |from: &str, to: &str, state: &str, uid: u32, inode: u32| {
            format!(
                "   3: {from} {to} {state} 00000000:00000000 00:00000000 00000000  {uid}        0 {inode} 1 0 20 4 30 10 -1\n"
            )
        };
        let (ours, peer) = ("0100007F:210B", "0100007F:C350");
        let ask = |rows: &[String]| {
            let table = [HEAD.to_owned(), rows.concat()].concat();
            find(&table, at("127.0.0.1:50000"), at("127.0.0.1:8459"))
        };
        // Our own end of the connection comes first, with our uid.
        let own = row(ours, peer, "01", 1, 5);
        assert_eq!(
            ask(&[own.clone(), row(peer, ours, "01", 1000, 6)]),
            Some(1000)
        );
        assert_eq!(ask(&[own.clone(), row(peer, ours, "05", 0, 6)]), None);
        assert_eq!(ask(&[own.clone(), row(peer, ours, "01", 0, 0)]), None);
        assert_eq!(ask(&[own, row("0100007F:C351", ours, "01", 7, 6)]), None);
        assert_eq!(ask(&[row(peer, "0200007F:210B", "01", 7, 6)]), None);
        let mapped = |end: &str| format!("0000000000000000FFFF0000{end}");
        assert_eq!(
            ask(&[row(&mapped(peer), &mapped(ours), "01", 8, 6)]),
            Some(8)
        );
        assert_eq!(find("garbage\n1 2 3\n", at("[::1]:1"), at("[::1]:2")), None);
    }

    #[test]
    fn the_kernel_knows_who_we_are() {
        let me = Some(rustix::process::geteuid().as_raw());
        let known = |peer, local| {
            let tables = in_tables(peer, local);
            match diag::uid(peer, local) {
                Ok(asked) => assert_eq!(asked, tables),
                // Then the tables count; whoever runs the tests should know.
                Err(error) => fetchhost_e2e::say(&format!(
                    "SKIPPED: the_kernel_knows_who_we_are: netlink is not answered: {error}"
                )),
            }
            assert_eq!(Kernel.uid(peer, local), tables);
            tables
        };
        for (listen, connect) in [
            ("127.0.0.1:0", "127.0.0.1"),
            ("[::1]:0", "::1"),
            // An end that is IPv6 to its holder, and IPv4 on the wire.
            ("[::]:0", "127.0.0.1"),
            ("127.0.0.1:0", "::ffff:127.0.0.1"),
        ] {
            let Ok(listener) = TcpListener::bind(listen) else {
                continue;
            };
            let port = listener.local_addr().unwrap().port();
            let to = SocketAddr::new(connect.parse().unwrap(), port);
            let client = TcpStream::connect(to).unwrap();
            let (served, peer) = listener.accept().unwrap();
            let local = served.local_addr().unwrap();
            assert_eq!(known(peer, local), me, "{listen} {connect}");
            assert_eq!(known(local, peer), me, "our own end");
            let mut other = peer;
            other.set_port(1);
            assert_eq!(known(other, local), None, "nobody's");
            drop(client);
            // Whatever the kernel shows for an end that nobody holds, it is not taken for somebody.
            assert_eq!(known(peer, local), None, "{listen} {connect}");
            drop(served);
            assert_eq!(known(peer, local), None, "{listen} {connect}");
        }
    }

    #[test]
    fn loopback_is_loopback_in_every_spelling() {
        for text in [
            "127.0.0.1:1",
            "127.8.9.1:1",
            "[::1]:1",
            "[::ffff:127.0.0.1]:1",
        ] {
            assert!(is_loopback(at(text)), "{text}");
        }
        for text in [
            "0.0.0.0:1",
            "[::]:1",
            "10.0.0.1:1",
            "[::ffff:10.0.0.1]:1",
            "[fe80::1]:1",
        ] {
            assert!(!is_loopback(at(text)), "{text}");
        }
    }
}
