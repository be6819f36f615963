//! A folder in which the program finds a home, a configuration and a temporary folder.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use fetchhost_standin::{Config, Standin};
use tempfile::TempDir;

use crate::{CommandLine, Finished, build};

/// The token of the sample project's developer, in the shape of GitLab's own.
pub const TOKEN: &str = "glpat-Zk3w8CanaryQ7vT1xN5y";
/// The environment variable that holds it.
pub const TOKEN_VARIABLE: &str = "CANARY_TOKEN";

/// The sample project behind [`TOKEN`].
#[must_use]
pub fn private_project() -> Standin {
    Standin::start(Config::new(TOKEN)).expect("the stand-in starts")
}

/// A fresh folder; only the cache of compiled modules is shared with other tests.
pub struct Sandbox {
    folder: TempDir,
    variables: Vec<(String, String)>,
}

impl Sandbox {
    /// A sandbox without configuration, with [`TOKEN`] in its environment.
    #[must_use]
    pub fn new() -> Self {
        warm_compile_cache();
        Self::cold()
    }

    fn cold() -> Self {
        let folder = TempDir::new().expect("a temporary folder can be made");
        for name in ["home", "config/nix-fetchhost", "tmp"] {
            let mut builder = fs::DirBuilder::new();
            builder
                .recursive(true)
                .mode(0o700)
                .create(folder.path().join(name))
                .unwrap();
        }
        let variables = vec![(TOKEN_VARIABLE.to_owned(), TOKEN.to_owned())];
        Self { folder, variables }
    }

    /// With a configuration file of this text.
    #[must_use]
    pub fn configured(self, toml: &str) -> Self {
        let file = self.path("config/nix-fetchhost/config.toml");
        fs::write(&file, toml).unwrap();
        fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
        self
    }

    /// With one more environment variable.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With a cache of its own, in which the built-in modules are compiled already.
    #[must_use]
    pub fn own_cache(self) -> Self {
        let (from, to) = (
            compile_cache().join("nix-fetchhost/compiled"),
            self.path("cache-home/nix-fetchhost/compiled"),
        );
        for folder in [to.parent().unwrap(), &to] {
            let mut builder = fs::DirBuilder::new();
            builder.recursive(true).mode(0o700).create(folder).unwrap();
        }
        for file in fs::read_dir(from).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), to.join(file.file_name())).unwrap();
        }
        let cache = self.path("cache-home");
        self.variable("XDG_CACHE_HOME", cache.to_str().unwrap())
    }

    /// A path in the sandbox.
    #[must_use]
    pub fn path(&self, relative: &str) -> PathBuf {
        self.folder.path().join(relative)
    }

    /// `out:` for a path in the sandbox.
    #[must_use]
    pub fn out(&self, relative: &str) -> String {
        format!("out:{}", self.path(relative).display())
    }

    /// The sandbox's binary cache, uncompressed unless `query` says otherwise.
    #[must_use]
    pub fn cache(&self, query: &str) -> String {
        let query = if query.is_empty() {
            "compression=none"
        } else {
            query
        };
        format!("file://{}?{query}", self.path("cache").display())
    }

    /// Runs the program to its end.
    #[track_caller]
    pub fn run(&self, line: CommandLine) -> Finished {
        let mut command = self.command();
        let output = command
            .args(line.into_words())
            .output()
            .expect("the program runs");
        Finished::new(&output)
    }

    /// The program in this sandbox's environment, and in no other.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = Command::new(build::program());
        command.env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.path("home"));
        command.env("XDG_CONFIG_HOME", self.path("config"));
        command.env("XDG_CACHE_HOME", compile_cache());
        command.env("TMPDIR", self.path("tmp"));
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        command
    }

    /// Every file and symlink of the sandbox with its content, but for the record of runs: equal
    /// before and after means that nothing was left behind.
    #[must_use]
    pub fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = files_below(self.folder.path());
        files.remove(&self.path("home/.local/state/nix-fetchhost/log.jsonl"));
        files
    }
}

impl Default for Sandbox {
    fn default() -> Self {
        Self::new()
    }
}

/// Every file and symlink below a folder by path: a file's bytes, or a symlink's target.
#[must_use]
pub fn files_below(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut pending = vec![folder.to_owned()];
    while let Some(folder) = pending.pop() {
        // A temporary file of another test may go while this looks.
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let (path, kind) = (entry.path(), entry.file_type().unwrap());
            let content = if kind.is_dir() {
                pending.push(path);
                continue;
            } else if kind.is_symlink() {
                fs::read_link(&path)
                    .unwrap()
                    .into_os_string()
                    .into_encoded_bytes()
            } else {
                fs::read(&path).unwrap_or_default()
            };
            found.insert(path, content);
        }
    }
    found
}

/// Where compiled modules are kept, for all tests and from run to run.
pub(crate) fn compile_cache() -> PathBuf {
    build::target_folder().join("tmp/end-to-end-cache")
}

/// Compiles the built-in modules once, so that parallel tests do not each do so.
fn warm_compile_cache() {
    static WARM: OnceLock<()> = OnceLock::new();
    WARM.get_or_init(|| {
        fs::create_dir_all(compile_cache()).unwrap();
        Sandbox::cold()
            .run(CommandLine::new(["fetcher", "list"]))
            .exits(0);
    });
}
