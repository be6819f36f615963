//! `nix-fetchhost doctor`, by its front door.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use rustix::net::{AddressFamily, SocketType, bind, getsockname, socket};

use crate::home::{CANARY, Home};

/// The lines about `subject`.
fn about<'a>(told: &'a str, subject: &str) -> Vec<&'a str> {
    told.lines()
        .filter(|line| {
            line.get(6..)
                .is_some_and(|line| line.starts_with(&format!("{subject}: ")))
        })
        .collect()
}

#[track_caller]
fn one<'a>(told: &'a str, subject: &str) -> &'a str {
    let lines = about(told, subject);
    assert_eq!(lines.len(), 1, "{subject}: {told}");
    lines[0]
}

/// A port of this machine where nobody listens and nobody else can, as long as the socket lives, and
/// the configuration that says it is the gateway's.
fn free_port() -> (OwnedFd, String) {
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = SocketAddrV4::try_from(getsockname(&socket).unwrap()).unwrap();
    let config = format!("[gateway]\nport = {}\n", address.port());
    (socket, config)
}

#[test]
fn a_broken_configuration_is_a_finding_and_the_other_checks_go_on() {
    let home = Home::new();
    home.configure("# mine\n[credential.work]\nsource = { env = \"T\" }\nshceme = \"bearer\"\n");
    let told = home.run(&["doctor"]).tells(1);
    let line = one(&told, "configuration");
    assert!(line.starts_with("BAD "), "{told}");
    assert!(
        line.contains("config.toml:4:1") && line.contains("`shceme`"),
        "{told}"
    );
    for subject in ["modules", "temporary files", "authorities", "age identity"] {
        assert!(!one(&told, subject).starts_with("BAD "), "{told}");
    }
    for subject in ["credentials", "gateway"] {
        assert!(one(&told, subject).starts_with("note "), "{told}");
    }
    // Whose files they are is part of it.
    let home = Home::new();
    home.configure("");
    let path = home.config("config.toml");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    let told = home.run(&["doctor"]).tells(1);
    assert!(
        one(&told, "configuration").contains("written by others"),
        "{told}"
    );
    assert!(told.contains("chmod go-w"), "{told}");
}

#[test]
fn credentials_are_judged_without_being_shown_or_asked_for() {
    let home = Home::new();
    home.configure(
        r#"
[credential.set]
source = { env = "SET" }
scheme = "bearer"
origins = ["https://a.example"]
[credential.unset]
source = { env = "UNSET" }
scheme = "bearer"
origins = ["https://a.example"]
[credential.private]
source = { file = "private" }
scheme = "bearer"
origins = ["https://a.example"]
[credential.public]
source = { file = "public" }
scheme = "bearer"
origins = ["https://a.example"]
[credential.asked]
source = { command = ["/bin/sh", "-c", "touch asked"] }
scheme = "bearer"
origins = ["https://a.example"]
[credential.corp]
source = { client-certificate = { certificate = "c.pem", key = "k.pem" } }
scheme = "mtls"
origins = ["https://a.example"]
"#,
    );
    for (name, mode) in [("private", 0o600), ("public", 0o644)] {
        fs::write(home.config(name), CANARY).unwrap();
        fs::set_permissions(home.config(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    let told = home.run_with(&[("SET", CANARY)], &["doctor"]).tells(1);
    let lines = about(&told, "credentials");
    let find = |part: &str| {
        let found = lines.iter().find(|line| line.contains(part));
        *found.unwrap_or_else(|| panic!("{part}: {told}"))
    };
    assert_eq!(lines.len(), 6, "{told}");
    assert!(find("`set`").starts_with("good "), "{told}");
    assert!(find("`UNSET` is not set").starts_with("BAD "), "{told}");
    assert!(find("`private`").starts_with("good "), "{told}");
    assert!(find("open to others").starts_with("BAD "), "{told}");
    assert!(find("`asked`").starts_with("note "), "{told}");
    assert!(find("`corp`").starts_with("BAD "), "{told}");
    assert!(!home.config("asked").exists() && !home.path("asked").exists());
    // None of them is age's.
    assert!(one(&told, "age identity").starts_with("note "), "{told}");
}

#[test]
fn a_key_that_cannot_be_had_is_a_finding() {
    let home = Home::new();
    let (_port, config) = free_port();
    let public = "RWRt95lHAtBcQznjhHnSxV/DMhIyY1kljC2J5x7IG8ANKcLIOHg8sGCZ";
    home.configure(&format!(
        "{config}[key.told]\nsource = {{ file = \"sealed\" }}\nuse = [\"minisign\"]\npublic-key = \"{public}\"\n\
         [key.sealed]\nsource = {{ age = \"sealed\" }}\nuse = [\"minisign\"]\n",
    ));
    let told = home.run(&["doctor"]).succeeds();
    let keys = about(&told, "keys");
    assert_eq!(keys.len(), 2, "{told}");
    assert!(
        keys[0].starts_with("note ") && keys[0].contains("key show sealed"),
        "{told}"
    );
    assert!(
        keys[1].starts_with("good ") && keys[1].contains("minisign-ed25519:"),
        "{told}"
    );
    home.configure(&format!(
        "{config}[key.lost]\nsource = {{ file = \"nowhere\" }}\nuse = [\"raw\"]\n"
    ));
    let told = home.run(&["doctor"]).tells(1);
    assert!(one(&told, "keys").starts_with("BAD "), "{told}");
    assert!(told.contains("put the key at"), "{told}");
    home.configure(
        "[key.told]\nsource = { file = \"sealed\" }\nuse = [\"minisign\"]\npublic-key = \"zzz\"\n",
    );
    let told = home.run(&["config", "check"]).fails(2);
    assert!(told.contains("key `told`: this is no public key"), "{told}");
}

#[test]
fn a_lost_identity_is_a_finding_where_something_is_sealed_to_it() {
    let home = Home::new();
    let (_port, config) = free_port();
    home.configure(&config);
    let set = "credential set work --origin https://a.example --scheme bearer";
    let set: Vec<&str> = set.split(' ').collect();
    home.typed(&set, CANARY).succeeds();
    let told = home.run(&["doctor"]).succeeds();
    assert!(one(&told, "age identity").starts_with("good "), "{told}");
    assert!(one(&told, "credentials").starts_with("good "), "{told}");
    let identity = home.config("identity.txt");
    fs::set_permissions(&identity, fs::Permissions::from_mode(0o640)).unwrap();
    let told = home.run(&["doctor"]).tells(1);
    assert!(one(&told, "age identity").starts_with("BAD "), "{told}");
    assert!(told.contains("chmod 600"), "{told}");
    fs::remove_file(&identity).unwrap();
    let told = home.run(&["doctor"]).tells(1);
    assert!(one(&told, "age identity").starts_with("BAD "), "{told}");
    assert!(one(&told, "credentials").starts_with("note "), "{told}");
    // Another one does not open what was sealed to the first.
    let told = {
        let other = Home::new();
        other.typed(&set, CANARY).succeeds();
        fs::copy(other.config("identity.txt"), &identity).unwrap();
        home.run(&["doctor"]).tells(1)
    };
    assert!(
        one(&told, "credentials").contains("not encrypted to your identity"),
        "{told}"
    );
}

#[test]
fn the_store_is_the_one_that_run_would_ask() {
    let home = Home::new();
    let socket = home.path("nobody");
    let remote = format!("unix://{}", socket.display());
    let told = home
        .run_with(&[("NIX_REMOTE", &remote)], &["doctor"])
        .tells(1);
    let line = one(&told, "store");
    assert!(
        line.starts_with("BAD ") && line.contains(socket.to_str().unwrap()),
        "{told}"
    );
    let told = home
        .run_with(&[("NIX_REMOTE", "ssh://elsewhere")], &["doctor"])
        .tells(1);
    assert!(one(&told, "store").contains("`NIX_REMOTE`"), "{told}");
}

#[test]
fn a_gateway_that_answers_is_told_from_none_and_from_something_else() {
    let home = Home::new();
    let (_port, config) = free_port();
    home.configure(&config);
    let told = home.run(&["doctor"]).succeeds();
    assert!(one(&told, "gateway").starts_with("note "), "{told}");
    assert!(
        one(&told, "gateway's cache").contains("nothing yet"),
        "{told}"
    );

    let mut serve = home
        .program()
        .args(["serve", "--listen", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(serve.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let (_, port) = line.trim().rsplit_once(':').unwrap();
    home.configure(&format!(
        "[gateway]\nport = {port}\ncache-size = \"1 MiB\"\n"
    ));
    let cache = home.path(".cache/nix-fetchhost/gateway/nar");
    fs::create_dir_all(&cache).unwrap();
    fs::write(cache.join("x.nar"), [0; 2048]).unwrap();
    let told = home.run(&["doctor"]);
    serve.kill().unwrap();
    serve.wait().unwrap();
    let told = told.succeeds();
    let answers = format!("good  gateway: answers on http://127.0.0.1:{port}");
    assert_eq!(one(&told, "gateway"), answers);
    assert!(
        one(&told, "gateway's cache").contains("2.00 KiB of at most 1.00 MiB in "),
        "{told}"
    );

    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = other.local_addr().unwrap().port();
    home.configure(&format!("[gateway]\nport = {port}\n"));
    let answering = std::thread::spawn(move || {
        let (mut stream, _) = other.accept().unwrap();
        let _ = stream.read(&mut [0; 1024]);
        let _ = write!(stream, "HTTP/1.1 200 OK\r\n\r\n<html>\x1b[2J");
    });
    let told = home.run(&["doctor"]).tells(1);
    answering.join().unwrap();
    assert!(one(&told, "gateway").starts_with("BAD "), "{told}");
    assert!(!told.contains('\x1b'), "{told}");
}

#[test]
fn a_proxy_that_nix_would_ask_for_the_gateway_is_told() {
    let home = Home::new();
    let (_port, config) = free_port();
    home.configure(&config);
    let proxy = ("http_proxy", "http://me:canary-5ecret@proxy.example:3128");
    let notes = |variables: &[(&str, &str)]| {
        let told = home.run_with(variables, &["doctor"]).succeeds();
        let lines = about(&told, "gateway");
        lines.iter().any(|line| line.contains("`no_proxy`"))
    };
    assert!(notes(&[proxy]));
    assert!(notes(&[proxy, ("no_proxy", "example.com")]));
    assert!(!notes(&[proxy, ("no_proxy", "localhost,127.0.0.1")]));
    assert!(!notes(&[proxy, ("no_proxy", "127.0.0.0/8")]));
    assert!(!notes(&[("HTTP_PROXY", "http://proxy.example:3128")]));
    assert!(!notes(&[]));
}

#[test]
fn what_no_module_or_fetcher_is_called_is_told_by_doctor_and_config_check() {
    let home = Home::new();
    home.configure(
        "[[grant]]\nmodule = \"builtin:gitlb\"\norigins = [\"https://a.example\"]\n\
         [[route]]\nurl = \"https://a.example/**\"\nfetcher = \"http-fil\"\n\
         [[route]]\nurl = \"https://b.example/**\"\nfetcher = \"gitlab-file\"\n",
    );
    let told = home.run(&["doctor"]).tells(1);
    assert_eq!(about(&told, "configuration").len(), 3, "{told}");
    for part in [
        "config.toml:1:1: there is no module `builtin:gitlb`",
        "did you mean `builtin:gitlab`?",
        "config.toml:4:1: there is no fetcher `http-fil`",
        "`gitlab-file`, which needs other parameters",
    ] {
        assert!(told.contains(part), "{part}\n{told}");
    }
    let told = home.run(&["config", "check"]).fails(2);
    assert!(told.contains("did you mean `builtin:gitlab`?"), "{told}");
}

#[test]
fn a_cache_to_be_served_again_that_nothing_grants_is_a_finding() {
    let home = Home::new();
    let (_port, config) = free_port();
    home.configure(&format!(
        "{config}upstreams = [\"https://cache.example\"]\n"
    ));
    let told = home.run(&["doctor"]).tells(1);
    assert!(
        told.contains("BAD   gateway: `host:substituter` may not reach `https://cache.example`"),
        "{told}"
    );
    assert!(
        told.contains("nix-fetchhost grant add host:substituter --origin https://cache.example"),
        "{told}"
    );
}
