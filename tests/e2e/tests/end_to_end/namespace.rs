//! Everything that leaves the program goes through one client: nothing else is ever contacted.
//!
//! The test runs itself again in a network namespace of its own, where there is a loopback device and
//! nothing else, together with the servers that the program is to talk to. The kernel counts for each
//! namespace what every process in it tries, whether it gets anywhere or not:
//!
//! | attempt | counter |
//! |---|---|
//! | a TCP connection, also one that is refused | `Tcp: ActiveOpens` |
//! | a datagram, such as a question to a name server | `Udp: OutDatagrams`, `Udp6OutDatagrams` |
//! | either of them to an address beyond loopback | `Ip: OutNoRoutes`, `Ip6OutNoRoutes` |
//!
//! So after a run the counters say that there was one connection to each server that was asked, and
//! nothing at all besides: no metadata service, no update check, no name server. Two runs that must
//! fail show that the counters do see what they are there for.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::Command;

use fetchhost_e2e::{CommandLine, Sandbox, private_project, skip};

/// Says that this process is the one in the namespace.
const INSIDE: &str = "FETCHHOST_TEST_IN_NAMESPACE";

const TEST: &str = "namespace::only_the_servers_that_were_asked_for_are_contacted";

/// Brings the loopback device up, by whatever is installed, and goes on as the test.
const ENTER: &str =
    "ip link set lo up 2>/dev/null || busybox ip link set lo up; exec \"$0\" \"$@\"";

fn in_namespace() -> Command {
    let mut unshare = Command::new("unshare");
    unshare.args(["--map-root-user", "--net"]);
    unshare
}

#[test]
fn only_the_servers_that_were_asked_for_are_contacted() {
    if std::env::var_os(INSIDE).is_some() {
        return inside();
    }
    let probe = in_namespace().arg("true").output();
    if !probe.is_ok_and(|output| output.status.success()) {
        skip(TEST, "no network namespace can be made here");
        return;
    }
    // Whatever has to be built is built while there is a network.
    drop(Sandbox::new());
    let output = in_namespace()
        .args(["sh", "-c", ENTER])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", TEST, "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("1 passed"), "{said}");
}

/// What all processes of the namespace have tried so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Attempts {
    connections: u64,
    datagrams: u64,
    beyond_loopback: u64,
}

impl Attempts {
    fn so_far() -> Self {
        let four = fs::read_to_string("/proc/self/net/snmp").unwrap();
        let six = fs::read_to_string("/proc/self/net/snmp6").unwrap();
        Self {
            connections: paired(&four, "Tcp:", "ActiveOpens"),
            datagrams: paired(&four, "Udp:", "OutDatagrams") + listed(&six, "Udp6OutDatagrams"),
            beyond_loopback: paired(&four, "Ip:", "OutNoRoutes") + listed(&six, "Ip6OutNoRoutes"),
        }
    }

    /// What `run` tries.
    fn of(run: impl FnOnce()) -> Self {
        let before = Self::so_far();
        run();
        let after = Self::so_far();
        Self {
            connections: after.connections - before.connections,
            datagrams: after.datagrams - before.datagrams,
            beyond_loopback: after.beyond_loopback - before.beyond_loopback,
        }
    }
}

/// That many connections on loopback, and nothing else.
const fn connections(connections: u64) -> Attempts {
    Attempts {
        connections,
        datagrams: 0,
        beyond_loopback: 0,
    }
}

/// A value of a table with a line of names and a line of values.
fn paired(table: &str, title: &str, name: &str) -> u64 {
    let mut lines = table.lines().filter(|line| line.starts_with(title));
    let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
    let mut columns = names.split(' ').zip(values.split(' '));
    let (_, value) = columns.find(|(column, _)| *column == name).unwrap();
    value.parse().unwrap()
}

/// A value of a table with a line for each name.
fn listed(table: &str, name: &str) -> u64 {
    let mut lines = table
        .lines()
        .filter_map(|line| line.split_once(char::is_whitespace));
    let (_, value) = lines.find(|(known, _)| *known == name).unwrap();
    value.trim().parse().unwrap()
}

fn inside() {
    let (sandbox, standin) = (Sandbox::new(), private_project());

    let to_cache = CommandLine::tree(&standin).with("--to", sandbox.cache(""));
    let to_both = to_cache.clone().with("--to", sandbox.out("tree"));
    let attempts = Attempts::of(|| drop(sandbox.run(to_both).exits(0)));
    assert_eq!(standin.take_requests().len(), 2, "the API and its storage");
    assert_eq!(attempts, connections(2));

    let again = Attempts::of(|| drop(sandbox.run(to_cache).exits(0)));
    assert_eq!(again, connections(0), "it is already there");

    let commands: [&[&str]; 4] = [
        &["fetcher", "list"],
        &["config", "show"],
        &["--version"],
        &["run", "gitlab-artifact", "--help"],
    ];
    for command in commands {
        let attempts = Attempts::of(|| {
            let output = sandbox.command().args(command).output().unwrap();
            assert!(output.status.success(), "{command:?}: {output:?}");
        });
        assert_eq!(attempts, connections(0), "{command:?}");
    }

    // Refused before anything is contacted.
    for origin in ["http://169.254.169.254", "http://[fd00:ec2::254]"] {
        let attempts = Attempts::of(|| {
            let line =
                CommandLine::http_file(&format!("{origin}/latest"), &fetchhost_e2e::sri(b""));
            sandbox.run(line.with("--to", sandbox.out("x"))).exits(3);
        });
        assert_eq!(attempts, connections(0), "{origin}");
    }

    through_a_proxy();

    // The counters see what they are there for: an address, and a name server.
    for origin in ["http://192.0.2.1", "https://files.example.com"] {
        let attempts = Attempts::of(|| {
            let line = CommandLine::http_file(&format!("{origin}/x"), &fetchhost_e2e::sri(b""));
            let line = line.with("--to", sandbox.out("x")).with("--timeout", "30s");
            assert_ne!(sandbox.run(line).code, 0);
        });
        assert_ne!(attempts, connections(0), "{origin}");
    }
}

/// A name behind a proxy: the proxy is asked, and nobody is asked for the name.
fn through_a_proxy() {
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = proxy.local_addr().unwrap();
    let asked = std::thread::spawn(move || {
        let (mut stream, _) = proxy.accept().unwrap();
        let mut head = vec![0; 1024];
        let length = stream.read(&mut head).unwrap();
        // The one answer that is not worth another try.
        let answer = "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n";
        stream.write_all(answer.as_bytes()).unwrap();
        String::from_utf8_lossy(&head[..length]).into_owned()
    });
    let sandbox = Sandbox::new()
        .variable("https_proxy", &format!("http://me:canary@{address}"))
        .variable("RUST_LOG", "trace");
    let mut said = None;
    let attempts = Attempts::of(|| {
        let line = CommandLine::http_file("https://files.example.com/x", &fetchhost_e2e::sri(b""));
        let finished = sandbox.run(line.with("--to", sandbox.out("x")).flag("-vvv"));
        said = Some(finished.exits(1));
    });
    let head = asked.join().unwrap();
    assert!(head.starts_with("CONNECT files.example.com:443 "), "{head}");
    let said = said.unwrap().says(["the proxy `http://127.0.0.1"]);
    assert!(!said.stderr.contains("canary"), "{}", said.stderr);
    assert_eq!(attempts, connections(1));

    // The configuration wins over the environment.
    let sandbox = Sandbox::new()
        .configured("[proxy]\nhttps = \"http://127.0.0.1:9\"\n")
        .variable("https_proxy", "http://192.0.2.1:3128");
    let attempts = Attempts::of(|| {
        let line = CommandLine::http_file("https://files.example.com/x", &fetchhost_e2e::sri(b""));
        sandbox.run(line.with("--to", sandbox.out("x"))).exits(1);
    });
    // Nobody listens there, which is tried again.
    assert!(attempts.connections > 0);
    assert_eq!(attempts, connections(attempts.connections));
}
