//! Keys in an agent: OpenSSH's own, and ones that lie.

use std::{
    fs,
    io::{Read, Write},
    os::unix::{
        fs::PermissionsExt,
        net::{UnixListener, UnixStream},
    },
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use fetchhost_keys::{PublicKey, SignError};
use fetchhost_policy::{KeySource, KeySpec, Use};

use crate::support::{CANARY, PSS, Stage, User, content, have, spec, sshsig};

const TEXT: &str = "hello, agent\n";

/// An agent that ends with the test.
struct Agent(Child);

impl Agent {
    fn start(socket: &Path) -> Self {
        let child = Command::new("ssh-agent")
            .args(["-D", "-a"])
            .arg(socket)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let patience = Instant::now() + Duration::from_secs(20);
        while UnixStream::connect(socket).is_err() {
            assert!(Instant::now() < patience, "ssh-agent does not start");
            thread::sleep(Duration::from_millis(10));
        }
        Self(child)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn in_agent(stage: &Stage, key: &str) -> KeySpec {
    let source = KeySource::Agent {
        socket: Some(stage.path("socket")),
        key: key.to_owned(),
    };
    spec(source, &[Use::Sshsig])
}

/// `ssh-add`, which is told the password of the agent by a program instead of a terminal.
fn ssh_add(stage: &Stage, arguments: &[&str]) {
    let answer = stage.write("askpass", format!("#!/bin/sh\necho {CANARY}\n"));
    fs::set_permissions(&answer, fs::Permissions::from_mode(0o700)).unwrap();
    let status = Command::new("ssh-add")
        .args(arguments)
        .env("SSH_AUTH_SOCK", stage.path("socket"))
        .env("SSH_ASKPASS", answer)
        .env("SSH_ASKPASS_REQUIRE", "force")
        .env("DISPLAY", ":0")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "ssh-add {arguments:?}");
}

#[test]
fn an_agent_signs_what_ssh_keygen_verifies() {
    let test = "an_agent_signs_what_ssh_keygen_verifies";
    if !have(test, &["ssh-agent", "ssh-add", "ssh-keygen"]) {
        return;
    }
    let stage = Stage::new();
    let _agent = Agent::start(&stage.path("socket"));
    for (kind, bits) in [("ed25519", "256"), ("ecdsa", "256"), ("rsa", "3072")] {
        let arguments = ["-q", "-t", kind, "-b", bits, "-f", kind, "-N", ""];
        stage.succeed("ssh-keygen", &arguments, b"");
        let file = stage.path(kind);
        ssh_add(&stage, &["-q", file.to_str().unwrap()]);
    }
    for kind in ["ed25519", "ecdsa", "rsa"] {
        let line = stage.text(&format!("{kind}.pub"));
        let public: PublicKey = line.parse().unwrap();
        let listed = stage.succeed("ssh-keygen", &["-l", "-f", &format!("{kind}.pub")], b"");
        let listed = String::from_utf8(listed).unwrap();
        let fingerprint = listed.split(' ').nth(1).unwrap();
        stage.write("allowed", format!("me {line}"));
        for named in [line.as_str(), fingerprint] {
            let user = User::typing(None);
            let spec = in_agent(&stage, named);
            assert_eq!(user.signers.public_key(&spec).unwrap(), public);
            let key = user.unlock(&spec);
            let signature = key.sign(&sshsig("file"), &content(TEXT)).unwrap();
            stage.write("sig", &signature);
            let verify = [
                "-Y", "verify", "-f", "allowed", "-I", "me", "-n", "file", "-s",
            ];
            let verify = [&verify[..], &["sig"]].concat();
            stage.succeed("ssh-keygen", &verify, TEXT.as_bytes());
            stage.refuse("ssh-keygen", &verify, b"hello");
            let refused = key.sign(&PSS, &content(TEXT)).unwrap_err();
            assert!(matches!(refused, SignError::NotForUse { .. }), "{refused}");
        }
    }

    // Found by the environment, too.
    let socket = stage.path("socket").to_str().unwrap().to_owned();
    let user = User::with_variables(None, &[("SSH_AUTH_SOCK", socket)]);
    let mut found = in_agent(&stage, &stage.text("rsa.pub"));
    if let KeySource::Agent { socket, .. } = &mut found.source {
        *socket = None;
    }
    let key = user.unlock(&found);
    let refused = User::typing(None).refusal(&found);
    assert!(refused.contains("`$SSH_AUTH_SOCK` is not set"), "{refused}");

    ssh_add(&stage, &["-x"]);
    let refused = key.sign(&sshsig("file"), &content(TEXT)).unwrap_err();
    assert!(refused.to_string().contains("locked"), "{refused}");
    assert!(refused.hint().unwrap().contains("ssh-add -X"));
    let refused = User::typing(None).refusal(&in_agent(&stage, &stage.text("rsa.pub")));
    assert!(refused.contains("empty or locked"), "{refused}");
    ssh_add(&stage, &["-X"]);
    assert!(key.sign(&sshsig("file"), &content(TEXT)).is_ok());

    let file = stage.path("rsa");
    ssh_add(&stage, &["-q", "-d", file.to_str().unwrap()]);
    let refused = User::typing(None).refusal(&in_agent(&stage, &stage.text("rsa.pub")));
    assert!(refused.contains("does not hold the key"), "{refused}");
}

#[test]
fn an_agent_that_is_not_there_is_told() {
    let stage = Stage::new();
    let refused = User::typing(None).refusal(&in_agent(&stage, "SHA256:abc"));
    assert!(refused.contains("there is no agent at"), "{refused}");
    let refused = User::typing(None).refusal(&in_agent(&stage, "no key at all"));
    assert!(refused.contains("no public key"), "{refused}");
}

fn string(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap().to_be_bytes();
    [&length[..], bytes].concat()
}

/// An agent that gives these answers, one a connection, and keeps what it was asked.
fn answering(socket: &Path, answers: Vec<Vec<u8>>) -> Arc<Mutex<Vec<Vec<u8>>>> {
    let listener = UnixListener::bind(socket).unwrap();
    let asked = Arc::<Mutex<Vec<Vec<u8>>>>::default();
    let kept = Arc::clone(&asked);
    thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut length = [0; 4];
            stream.read_exact(&mut length).unwrap();
            let mut request = vec![0; u32::from_be_bytes(length) as usize];
            stream.read_exact(&mut request).unwrap();
            kept.lock().unwrap().push(request);
            let _ = stream.write_all(&answer);
        }
    });
    asked
}

/// The RFC 8032 public key of its second test, as SSH has it.
fn blob() -> Vec<u8> {
    let key = [
        0x3d, 0x40, 0x17, 0xc3, 0xe8, 0x43, 0x89, 0x5a, 0x92, 0xb7, 0x0a, 0xa7, 0x4d, 0x1b, 0x7e,
        0xbc, 0x9c, 0x98, 0x2c, 0xcf, 0x2e, 0xc4, 0x96, 0x8c, 0xc0, 0xcd, 0x55, 0xf1, 0x2a, 0xf4,
        0x66, 0x0c,
    ];
    [string(b"ssh-ed25519"), string(&key)].concat()
}

fn line() -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    format!("ssh-ed25519 {}", STANDARD.encode(blob()))
}

fn one_key() -> Vec<u8> {
    let body = [&[12, 0, 0, 0, 1][..], &string(&blob()), &string(b"")].concat();
    string(&body)
}

#[test]
fn an_agent_is_asked_to_sign_nothing_that_could_be_a_login_and_its_lies_are_noticed() {
    let stage = Stage::new();
    let signature = [string(b"ssh-ed25519"), string(&[7; 64])].concat();
    let lie = string(&[&[14][..], &string(&signature)].concat());
    let asked = answering(&stage.path("socket"), vec![one_key(), lie]);
    let key = User::typing(None).unlock(&in_agent(&stage, &line()));
    let refused = key.sign(&sshsig("file"), &content(TEXT)).unwrap_err();
    assert!(matches!(refused, SignError::Failed), "{refused}");

    let asked = asked.lock().unwrap();
    let request = &asked[1];
    assert_eq!(request[0], 13);
    let rest = &request[1 + 4 + blob().len() + 4..];
    assert!(rest.starts_with(b"SSHSIG\0\0\0\x04file"), "{rest:?}");
    assert!(
        !request
            .windows(TEXT.len())
            .any(|part| part == TEXT.as_bytes())
    );
}

#[test]
fn what_is_no_agent_is_refused() {
    for answer in [
        b"HTTP/1.1 200 OK\r\n".to_vec(),
        vec![],
        vec![0, 0, 0, 0],
        vec![0, 0, 0, 1, 14],
        vec![0, 0, 0, 5, 12, 0, 0, 0, 9],
        vec![0, 3, 255, 255, 12],
    ] {
        let stage = Stage::new();
        let _asked = answering(&stage.path("socket"), vec![answer]);
        let refused = User::typing(None).refusal(&in_agent(&stage, &line()));
        assert!(refused.contains("agent"), "{refused}");
    }
}
