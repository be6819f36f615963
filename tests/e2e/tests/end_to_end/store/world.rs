//! Stores in folders of their own, one version of Nix each, with a daemon or without.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use fetchhost_e2e::{Installation, Sandbox};
use serde_json::Value;
use tempfile::TempDir;

/// A store in a folder of its own, with or without a daemon.
pub(super) struct World {
    pub(super) installation: Installation,
    daemon: Option<Child>,
    pub(super) root: TempDir,
}

impl World {
    pub(super) fn new(installation: &Installation) -> Self {
        let root = TempDir::new().unwrap();
        // The daemon's socket is for others too.
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for name in ["conf", "home", "tmp"] {
            fs::create_dir(root.path().join(name)).unwrap();
        }
        let conf = "build-users-group =\nexperimental-features = nix-command\nsubstituters =\n";
        fs::write(root.path().join("conf/nix.conf"), conf).unwrap();
        let world = Self {
            installation: installation.clone(),
            daemon: None,
            root,
        };
        world.ask("nix-store", ["--init"]);
        world
    }

    /// With a daemon at [`Self::socket`].
    pub(super) fn with_daemon(installation: &Installation) -> Self {
        let mut world = Self::new(installation);
        let mut command = world.command("nix-daemon");
        command.stdout(Stdio::null()).stderr(Stdio::null());
        world.daemon = Some(command.spawn().unwrap());
        let start = Instant::now();
        // The socket is there before somebody listens.
        while UnixStream::connect(world.socket()).is_err() {
            assert!(start.elapsed() < Duration::from_secs(20), "no daemon came");
            thread::sleep(Duration::from_millis(10));
        }
        world
    }

    pub(super) fn path(&self, relative: &str) -> PathBuf {
        self.root.path().join(relative)
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.path("sock")
    }

    pub(super) fn through_daemon(&self) -> String {
        format!(
            "store=unix://{}?root={}",
            self.socket().display(),
            self.root.path().display()
        )
    }

    pub(super) fn without_daemon(&self) -> String {
        format!("store=local?root={}", self.root.path().display())
    }

    /// What the environment of Nix's programs is, but for which store they mean.
    pub(super) fn variables(&self) -> [(&'static str, OsString); 5] {
        [
            ("PATH", self.installation.search_path()),
            ("NIX_CONF_DIR", self.path("conf").into()),
            ("NIX_USER_CONF_FILES", "/dev/null".into()),
            ("NIX_PATH", OsString::new()),
            ("NIX_DAEMON_SOCKET_PATH", self.socket().into()),
        ]
    }

    /// One of Nix's programs, on the store itself.
    pub(super) fn command(&self, program: &str) -> Command {
        let mut command = self.installation.command(program);
        command
            .env_clear()
            .envs(self.variables())
            .env("HOME", self.path("home"))
            .env("TMPDIR", self.path("tmp"))
            .env(
                "NIX_REMOTE",
                format!("local?root={}", self.root.path().display()),
            )
            .stdin(Stdio::null());
        command
    }

    #[track_caller]
    pub(super) fn run<const N: usize>(&self, program: &str, arguments: [&str; N]) -> Output {
        self.command(program).args(arguments).output().unwrap()
    }

    #[track_caller]
    pub(super) fn ask<const N: usize>(&self, program: &str, arguments: [&str; N]) -> String {
        let output = self.run(program, arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {arguments:?}: {stderr}");
        String::from_utf8(output.stdout)
            .unwrap()
            .trim_end()
            .to_owned()
    }

    /// A place to run the program in, where Nix's programs are these.
    pub(super) fn sandbox(&self) -> Sandbox {
        self.variables()
            .into_iter()
            .fold(Sandbox::new(), |sandbox, (name, value)| {
                sandbox.variable(name, value.to_str().unwrap())
            })
    }

    /// The hash of a file or of its archive, as Nix has it and as `--hash` takes it.
    pub(super) fn hash(&self, algorithm: &str, mode: &str, file: &Path) -> String {
        let mut command = self.command("nix-hash");
        command.args(["--type", algorithm, "--base32"]).arg(file);
        if mode == "flat" {
            command.arg("--flat");
        }
        let output = command.output().unwrap();
        format!(
            "{algorithm}:{}",
            String::from_utf8(output.stdout).unwrap().trim()
        )
    }

    pub(super) fn is_valid(&self, store_path: &str) -> bool {
        self.run("nix-store", ["--check-validity", store_path])
            .status
            .success()
    }

    /// Has Nix judge what is in the store.
    #[track_caller]
    pub(super) fn judge(&self, store_path: &str, content_address: &str) {
        let version = &self.installation.version;
        self.ask("nix-store", ["--verify-path", store_path]);
        let json = self.ask("nix", ["path-info", "--json", store_path]);
        let json: Value = serde_json::from_str(&json).unwrap();
        // Versions list paths, or key them.
        let info = json.get(0).or_else(|| json.get(store_path)).unwrap();
        assert_eq!(info["ca"], content_address, "{version}");
        assert_eq!(info["references"], serde_json::json!([]), "{version}");
    }

    pub(super) fn physical(&self, store_path: &str) -> PathBuf {
        self.path(store_path.trim_start_matches('/'))
    }

    /// All that lies in the store.
    pub(super) fn entries(&self) -> BTreeSet<OsString> {
        let entries = fs::read_dir(self.path("nix/store")).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name());
        names.filter(|name| name != ".links").collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(daemon) = &mut self.daemon {
            daemon.kill().unwrap();
            daemon.wait().unwrap();
        }
        // Store paths are read-only, which keeps an ordinary user from removing them.
        let root = self.root.path();
        drop(Command::new("chmod").args(["-R", "u+w"]).arg(root).output());
    }
}

/// Waits for something that another process does.
#[track_caller]
pub(super) fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(60), "not so: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}
