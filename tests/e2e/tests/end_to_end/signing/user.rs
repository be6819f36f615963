//! A user with keys, and the programs that verify what they sign.

use std::cell::Cell;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Output, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fetchhost_e2e::{CommandLine, Finished, Sandbox, skip};
use sha2::{Digest as _, Sha256};

/// What is signed, unless a test says otherwise.
pub(super) const CONTENT: &str = "what is signed\n";

/// RFC 8032's first two tests: seeds and public keys.
const ED25519: [[&str; 2]; 2] = [
    [
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
    ],
    [
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
    ],
];

/// The kinds of keys that `openssl genpkey` makes.
pub(super) const OPENSSL_ED25519: &[&str] = &["-algorithm", "ED25519"];
pub(super) const OPENSSL_P256: &[&str] =
    &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
pub(super) const OPENSSL_RSA: &[&str] = &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:3072"];

/// Whether all these programs are there; else the test is skipped by name.
pub(super) fn have(test: &str, programs: &[&str]) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there =
        |program: &str| std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    let missing = programs.iter().find(|program| !is_there(program));
    if let Some(missing) = missing {
        skip(test, &format!("there is no `{missing}`"));
    }
    missing.is_none()
}

fn bytes_of(hex: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(byte).collect()
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn sha256(content: impl AsRef<[u8]>) -> String {
    hex(&Sha256::digest(content))
}

/// What is secret of the keys below.
pub(super) fn seed(number: usize) -> Vec<u8> {
    bytes_of(ED25519[number][0])
}

/// A secret key as minisign writes it, without a password, and its public key.
pub(super) fn minisign_key(number: usize) -> (String, String) {
    let (seed, public) = (seed(number), bytes_of(ED25519[number][1]));
    let id = [number as u8; 8];
    let zeros = [0; 48];
    let secret = [b"Ed\0\0B2", &zeros[..], &id, &seed, &public, &[0; 32]].concat();
    let public = [b"Ed", &id[..], &public].concat();
    (
        format!("untrusted comment: a key\n{}\n", STANDARD.encode(secret)),
        STANDARD.encode(public),
    )
}

/// A secret key in PKCS#8, in PEM.
pub(super) fn pkcs8_key(number: usize) -> String {
    let der = [bytes_of("302e020100300506032b657004220420"), seed(number)].concat();
    let body = STANDARD.encode(der);
    format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n")
}

/// `[key.NAME]` of a configuration.
pub(super) fn key(name: &str, source: &str, uses: &[&str]) -> String {
    format!("[key.{name}]\nsource = {source}\nuse = {uses:?}\n")
}

/// The same with a public key.
pub(super) fn known(name: &str, source: &str, uses: &[&str], public: &str) -> String {
    format!("{}public-key = {public:?}\n", key(name, source, uses))
}

/// A grant for keys, with more lines after it.
pub(super) fn grant(module: &str, keys: &str, more: &str) -> String {
    format!("[[grant]]\nmodule = \"{module}\"\nkeys = {{ {keys} }}\n{more}\n")
}

/// A sandbox of a user who signs.
pub(super) struct User {
    pub(super) sandbox: Sandbox,
    results: Cell<usize>,
}

impl User {
    /// One with [`CONTENT`] in the file `content`, and no key.
    pub(super) fn new() -> Self {
        Self::of(Sandbox::new())
    }

    pub(super) fn of(sandbox: Sandbox) -> Self {
        let user = Self {
            sandbox,
            results: Cell::new(0),
        };
        user.write("content", CONTENT);
        user
    }

    /// One whose key `release` is the first of minisign's.
    pub(super) fn with_minisign() -> Self {
        let user = Self::new();
        let (secret, _) = minisign_key(0);
        let source = user.file("minisign.key", &secret);
        user.configure(&key("release", &source, &["minisign"]));
        user
    }

    /// One whose key `release` is the first one in PKCS#8, for all that such a key may sign.
    pub(super) fn with_pkcs8() -> Self {
        let user = Self::new();
        let source = user.file("pkcs8", &pkcs8_key(0));
        user.configure(&key("release", &source, &["raw", "sshsig"]));
        user
    }

    /// The configuration.
    pub(super) fn config(&self) -> String {
        self.text("config/nix-fetchhost/config.toml")
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.sandbox.path(name)
    }

    /// The text of [`Self::path`].
    pub(super) fn at(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Writes a file for its owner alone.
    pub(super) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    pub(super) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    pub(super) fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Writes a key; the result is its `source`.
    pub(super) fn file(&self, name: &str, content: &str) -> String {
        self.write(name, content);
        self.source(name)
    }

    /// The `source` that is a file.
    pub(super) fn source(&self, name: &str) -> String {
        format!("{{ file = {:?} }}", self.at(name))
    }

    pub(super) fn configure(&self, toml: &str) {
        self.write("config/nix-fetchhost/config.toml", toml);
    }

    /// `run signer` for the content, by the key `release`, without a destination.
    pub(super) fn line(format: &str) -> CommandLine {
        CommandLine::new(["run", "signer"])
            .with("--key-id", "release")
            .with("--format", format)
            .with("--input", "content=content")
    }

    /// The same as `exec` has it, for a file of the store.
    pub(super) fn exec(format: &str, file: &str) -> CommandLine {
        let params = format!(r#"{{"key-id":"release","format":"{format}"}}"#);
        CommandLine::new(["exec", "signer", &params]).with("--input", format!("content={file}"))
    }

    /// A destination that is not there yet, and its path.
    pub(super) fn fresh(&self) -> (String, PathBuf) {
        let number = self.results.get();
        self.results.set(number + 1);
        let name = format!("result-{number}");
        (self.sandbox.out(&name), self.path(&name))
    }

    #[track_caller]
    pub(super) fn run(&self, line: CommandLine) -> Finished {
        self.sandbox.run(line)
    }

    /// Runs a line that signs, and returns what it made.
    #[track_caller]
    pub(super) fn sign(&self, line: CommandLine) -> Vec<u8> {
        let (to, path) = self.fresh();
        self.run(line.with("--to", to)).exits(0);
        fs::read(path).unwrap()
    }

    /// Runs a line that is to fail, and demands that nothing is emitted.
    #[track_caller]
    pub(super) fn refuse<const N: usize>(
        &self,
        line: CommandLine,
        code: i32,
        says: [&str; N],
    ) -> Finished {
        let (to, path) = self.fresh();
        let finished = self.run(line.with("--to", to)).exits(code).says(says);
        assert!(!path.exists(), "something was emitted");
        finished
    }

    /// Runs another program in the sandbox's folder.
    pub(super) fn tool(&self, program: &str, arguments: &[&str], stdin: &[u8]) -> Output {
        let input = self.write(".stdin", stdin);
        std::process::Command::new(program)
            .args(arguments)
            .current_dir(self.path(""))
            .stdin(fs::File::open(input).unwrap())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .output()
            .unwrap()
    }

    /// Runs another program, which succeeds, and returns what it printed.
    #[track_caller]
    pub(super) fn succeed(&self, program: &str, arguments: &[&str], stdin: &[u8]) -> Vec<u8> {
        let output = self.tool(program, arguments, stdin);
        assert!(
            output.status.success(),
            "{program} {arguments:?}: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        output.stdout
    }

    /// Runs another program, which fails.
    #[track_caller]
    pub(super) fn fail(&self, program: &str, arguments: &[&str], stdin: &[u8]) {
        let output = self.tool(program, arguments, stdin);
        assert!(!output.status.success(), "{program} {arguments:?}");
    }

    /// Makes the keys `NAME` and `NAME.pub` by `openssl`; the result is the `source`.
    pub(super) fn openssl_key(&self, name: &str, kind: &[&str]) -> String {
        self.succeed("openssl", &[&["genpkey", "-out", name], kind].concat(), b"");
        let public = format!("{name}.pub");
        let arguments = ["pkey", "-in", name, "-pubout", "-out", &public];
        self.succeed("openssl", &arguments, b"");
        self.write(name, self.read(name));
        self.source(name)
    }
}
