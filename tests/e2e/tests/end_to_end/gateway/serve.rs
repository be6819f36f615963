//! A gateway that runs, and what Nix is told to ask it.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use fetchhost_e2e::{Sandbox, TOKEN_VARIABLE};
use fetchhost_standin::Standin;

/// What the sample project and public files need, and nothing else.
pub(crate) fn configuration(standin: &Standin, more: &str) -> String {
    let (api, storage) = (standin.api_origin(), standin.storage_origin());
    format!(
        "{more}\n\
         [credential.sample]\n\
         source = {{ env = \"{TOKEN_VARIABLE}\" }}\n\
         scheme = \"header:PRIVATE-TOKEN\"\n\
         origins = [\"{api}\"]\n\
         [[grant]]\n\
         module = \"builtin:gitlab\"\n\
         origins = [\"{api}\"]\n\
         redirects = [\"{storage}\"]\n\
         credentials = {{ token = \"sample\" }}\n\
         [[grant]]\n\
         module = \"builtin:http\"\n\
         origins = [\"{api}\"]\n"
    )
}

/// A running `nix-fetchhost serve`.
pub(crate) struct Serve {
    child: Child,
    pub(crate) address: SocketAddr,
    said: PathBuf,
}

impl Serve {
    /// In a sandbox, on a port of its own.
    pub(crate) fn start(sandbox: &Sandbox) -> Self {
        let mut command = sandbox.command();
        command.args(["serve", "--listen", "127.0.0.1:0"]);
        Self::run(command, &sandbox.path("serve.log"))
    }

    /// As this command, which says on stdout where it listens.
    pub(crate) fn run(mut command: Command, said: &Path) -> Self {
        command
            .stdout(Stdio::piped())
            .stderr(File::create(said).unwrap());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("http://").unwrap_or_else(|| {
            let said = fs::read_to_string(said).unwrap();
            panic!("it does not serve: {line}{said}")
        });
        Self {
            address: address.parse().unwrap(),
            said: said.to_owned(),
            child,
        }
    }

    /// The process, which is the program itself.
    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// All that it told its owner so far.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(&self.said).unwrap()
    }

    /// The ticket of the last line that holds this text.
    pub(crate) fn ticket(&self, text: &str) -> String {
        let said = self.said();
        let line = said.lines().rfind(|line| line.contains(text));
        let line = line.unwrap_or_else(|| panic!("no `{text}` in:\n{said}"));
        let line = line.trim_start_matches("warning: ");
        line.split(':').next().unwrap().to_owned()
    }

    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status();
        assert!(sent.unwrap().success());
    }

    #[track_caller]
    pub(crate) fn ends(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(start.elapsed() < Duration::from_secs(30), "it goes on");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What it answers to a request for this path.
    pub(crate) fn get(&self, path: &str) -> String {
        String::from_utf8(self.get_bytes(path)).unwrap()
    }

    /// The same, of whatever bytes it is made.
    pub(crate) fn get_bytes(&self, path: &str) -> Vec<u8> {
        let mut stream = TcpStream::connect(self.address).unwrap();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
            self.address
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        answer
    }

    /// The URL of a fetch; `params` are JSON as `builtins.toJSON` prints them.
    pub(crate) fn url(&self, fetch: &Fetch<'_>) -> String {
        fetch.url(self.address.port())
    }

    /// The derivation that asks for it.
    pub(crate) fn derivation(&self, fetch: &Fetch<'_>) -> String {
        fetch.derivation(self.address.port())
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A fetch, as a Nix expression would name it.
#[derive(Clone)]
pub(crate) struct Fetch<'a> {
    pub(crate) fetcher: &'a str,
    pub(crate) mode: &'a str,
    pub(crate) name: &'a str,
    pub(crate) hash: &'a str,
    pub(crate) params: String,
    pub(crate) executable: bool,
}

impl Fetch<'_> {
    pub(crate) fn url(&self, port: u16) -> String {
        let encoded = |text: &str| -> String {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
            text.bytes()
                .map(|byte| match byte {
                    byte if plain(byte) => char::from(byte).to_string(),
                    byte => format!("%{byte:02X}"),
                })
                .collect()
        };
        format!(
            "http://127.0.0.1:{port}/v1/fetch/start-nix-fetchhost-serve/{}/content?mode={}&name={}&hash={}&params={}{}",
            self.fetcher,
            self.mode,
            encoded(self.name),
            encoded(self.hash),
            encoded(&self.params),
            if self.executable { "&executable=1" } else { "" },
        )
    }

    /// A fixed-output derivation whose builder is Nix's own fetcher.
    pub(crate) fn derivation(&self, port: u16) -> String {
        let (mode, unpack) = match self.mode {
            "flat" => ("flat", ""),
            _ => ("recursive", "unpack = true; "),
        };
        format!(
            "derivation {{ name = \"{}\"; system = \"builtin\"; builder = \"builtin:fetchurl\"; \
             url = \"{}\"; {unpack}preferLocalBuild = true; outputHashMode = \"{mode}\"; \
             outputHashAlgo = \"sha256\"; outputHash = \"{}\"; }}",
            self.name,
            self.url(port),
            self.hash
        )
    }
}
