//! The gateway as a process: where it listens, and how it ends.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::process::Command;

use fetchhost_e2e::{CommandLine, Sandbox, member_content, private_project, sri};

use super::member;
use super::serve::{Serve, configuration};

#[test]
fn it_listens_on_loopback_alone() {
    let sandbox = Sandbox::new().own_cache();
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:80"] {
        sandbox
            .run(CommandLine::new(["serve", "--listen", address]))
            .exits(2)
            .says(["loopback"]);
    }
    let serve = Serve::start(&sandbox);
    let taken = serve.address.to_string();
    sandbox
        .run(CommandLine::new(["serve", "--listen", &taken]))
        .exits(2)
        .says(["cannot be listened on", "hint: another gateway"]);
    assert!(serve.get("/healthz").ends_with("\r\n\r\nok\n"));
}

#[test]
fn it_opens_as_many_files_as_it_may() {
    let sandbox = Sandbox::new().own_cache();
    let program = sandbox.command();
    // As a login leaves it: fewer than all connections take.
    let mut command = Command::new("sh");
    command
        .args([
            "-c",
            "ulimit -Sn 256 && exec \"$0\" serve --listen 127.0.0.1:0",
        ])
        .arg(program.get_program())
        .env_clear()
        .envs(
            program
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        );
    let serve = Serve::run(command, &sandbox.path("serve.log"));
    let connections: Vec<_> = (0..199)
        .map(|_| std::net::TcpStream::connect(serve.address).unwrap())
        .collect();
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", serve.process())).unwrap();
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let columns: Vec<_> = line.unwrap().split_whitespace().collect();
    assert_eq!(columns[3], columns[4], "{limits}");
    assert!(serve.get("/healthz").ends_with("ok\n"));
    drop(connections);
}

#[test]
fn it_says_which_rule_is_in_force_and_why() {
    for (rule, says) in [
        ("open", "get all that the configuration grants"),
        ("approved", "`nix-fetchhost approve` approved"),
        ("none", "get nothing"),
    ] {
        let sandbox = Sandbox::new()
            .own_cache()
            .configured(&format!("[gateway]\ndaemon-peers = \"{rule}\"\n"));
        let serve = Serve::start(&sandbox);
        let said = serve.said();
        assert!(
            said.contains(&format!("`daemon-peers` is \"{rule}\"")),
            "{said}"
        );
        assert!(
            said.contains("in the configuration") && said.contains(says),
            "{said}"
        );
    }
}

#[test]
fn a_signal_ends_it_in_good_order() {
    for signal in ["TERM", "INT"] {
        let sandbox = Sandbox::new().own_cache();
        let mut serve = Serve::start(&sandbox);
        serve.signal(signal);
        assert_eq!(serve.ends().code(), Some(0), "{signal}");
    }
}

#[test]
fn it_ends_when_nothing_goes_on() {
    let sandbox = Sandbox::new().own_cache();
    let mut command = sandbox.command();
    command.args(["serve", "--listen", "127.0.0.1:0", "--idle-exit", "1s"]);
    let mut serve = Serve::run(command, &sandbox.path("serve.log"));
    assert_eq!(serve.ends().code(), Some(0));
    assert!(serve.said().contains("--idle-exit"), "{}", serve.said());
}

#[test]
fn its_id_stays_the_same_and_another_ones_is_refused() {
    let sandbox = Sandbox::new().own_cache();
    let id = |serve: &Serve| {
        let said = serve.said();
        let rest = said.split("owner id ").nth(1).unwrap();
        rest[..16].to_owned()
    };
    let first = id(&Serve::start(&sandbox));
    let serve = Serve::start(&sandbox);
    assert_eq!(id(&serve), first);
    let path = "/v1/fetch/start-nix-fetchhost-serve/http-file/content?mode=flat&name=x\
        &hash=sha256-47DEQpj8HBSa%2B%2FTImW%2B5JCeuQeRkm5NMpJWZG3hSuFU%3D&params=%7B%7D&owner=";
    let answer = serve.get(&format!("{path}ffffffffffffffff"));
    assert!(
        answer.starts_with("HTTP/1.1 421 ") && answer.contains(&first),
        "{answer}"
    );
    let answer = serve.get(&format!("{path}{first}"));
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
}

/// The program with a socket as descriptor 3, as a service manager starts it.
fn activated(sandbox: &Sandbox, listener: TcpListener, arguments: &str) -> Command {
    let program = sandbox.command();
    let mut command = Command::new("sh");
    command.env_clear();
    for (name, value) in program.get_envs() {
        command.env(name, value.unwrap());
    }
    let script =
        format!("LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" serve {arguments} 3<&0 0</dev/null");
    command.arg("-c").arg(script).arg(program.get_program());
    command.stdin(OwnedFd::from(listener));
    command
}

#[test]
fn it_takes_the_socket_of_a_service_manager() {
    let sandbox = Sandbox::new().own_cache();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let command = activated(&sandbox, listener, "--idle-exit 60s");
    let mut serve = Serve::run(command, &sandbox.path("serve.log"));
    assert_eq!(serve.address, address);
    assert!(serve.get("/healthz").ends_with("ok\n"));
    serve.signal("TERM");
    assert_eq!(serve.ends().code(), Some(0));

    for (listen, arguments, says) in [
        ("127.0.0.1:0", "--listen 127.0.0.1:0", "exclude each other"),
        ("0.0.0.0:0", "", "not on the loopback interface"),
    ] {
        let listener = TcpListener::bind(listen).unwrap();
        let output = activated(&sandbox, listener, arguments).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(says), "{stderr}");
    }
}

#[test]
fn a_changed_configuration_is_read_again_and_a_broken_one_grants_nothing() {
    let standin = private_project();
    let sandbox = Sandbox::new().own_cache().configured("");
    let serve = Serve::start(&sandbox);
    let hash = sri(member_content().as_bytes());
    let url = serve.url(&member(&standin, &hash));
    let target = url.split_once(&serve.address.to_string()).unwrap().1;
    let ask = || serve.get(target);
    let refused = ask();
    assert!(
        refused.starts_with("HTTP/1.1 404 ") && refused.contains("[[grant]]"),
        "{refused}"
    );

    let granted = configuration(&standin, "");
    let sandbox = sandbox.configured(&granted);
    let served = ask();
    assert!(served.starts_with("HTTP/1.1 200 "), "{served}");
    assert!(serve.said().contains("read again"), "{}", serve.said());

    // What is at hand is no exception: what the file would forbid is not known.
    let sandbox = sandbox.configured("[[grant]");
    let broken = ask();
    assert!(
        broken.starts_with("HTTP/1.1 404 ") && broken.contains("config.toml"),
        "{broken}"
    );
    assert!(
        serve
            .said()
            .contains("nothing is fetched until it is right")
    );

    let sandbox = sandbox.configured(&granted);
    assert!(ask().starts_with("HTTP/1.1 200 "));
    let _sandbox = sandbox.configured("");
    let revoked = ask();
    assert!(
        revoked.starts_with("HTTP/1.1 404 ") && revoked.contains("[[grant]]"),
        "{revoked}"
    );
}
