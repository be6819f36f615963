//! Real Nix, each version in a store that is thrown away.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail, ensure};

use super::processes::{Folder, output, run};
use super::server::Keys;

/// Names folders with the programs of more versions of Nix, with `:` between them, as for the tests.
const OTHERS: &str = "NIX_FETCHHOST_TEST_NIX_DIRS";

/// One version.
pub(super) struct Nix {
    folder: Option<PathBuf>,
    pub(super) version: String,
    pub(super) s3: S3,
}

/// What a version was built to do with `s3://`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum S3 {
    Nothing,
    /// It reads what is public, as Debian's newest does.
    Unsigned,
    Signed,
}

impl S3 {
    /// To be said of a Nix.
    pub(super) fn told(self) -> &'static str {
        match self {
            Self::Nothing => "was built without s3://",
            Self::Unsigned => "reads s3:// without signing",
            Self::Signed => "reads and writes s3://",
        }
    }
}

impl Nix {
    /// The one in `PATH` and those that the environment names.
    pub(super) fn all() -> Result<Vec<Self>> {
        let others = std::env::var_os(OTHERS).unwrap_or_default();
        let others = std::env::split_paths(&others).filter(|path| !path.as_os_str().is_empty());
        let mut found = Vec::new();
        for folder in std::iter::once(None).chain(others.map(Some)) {
            let mut nix = Self {
                folder,
                version: String::new(),
                s3: S3::Nothing,
            };
            let mut ask = nix.program("nix");
            match ask.arg("--version").output() {
                Ok(said) => {
                    let said = String::from_utf8_lossy(&said.stdout).trim().to_owned();
                    nix.version = said.rsplit(' ').next().unwrap_or_default().to_owned();
                }
                Err(_) if nix.folder.is_none() => continue,
                Err(error) => bail!("{OTHERS}: {ask:?}: {error}"),
            }
            nix.s3 = nix.tries_s3()?;
            found.push(nix);
        }
        Ok(found)
    }

    /// What it says when it is asked for a bucket where nobody listens.
    fn tries_s3(&self) -> Result<S3> {
        let store = self.store()?;
        let keys = Keys {
            id: "id".to_owned(),
            secret: "secret".to_owned(),
        };
        let mut ping = store.command("nix", Some(&keys));
        let nowhere = "s3://none?endpoint=http://127.0.0.1:1&region=us-east-1";
        ping.args(["store", "ping", "--debug", "--store", nowhere]);
        let said = run(ping.args(["--option", "download-attempts", "1"]))?.stderr;
        Ok(if said.contains("don't know how to open") {
            S3::Nothing
        } else if said.contains("built without AWS support") {
            S3::Unsigned
        } else {
            S3::Signed
        })
    }

    fn program(&self, name: &str) -> Command {
        let folder = self.folder.as_ref();
        Command::new(folder.map_or_else(|| name.into(), |folder| folder.join(name)))
    }

    /// A new store, in which nothing is valid.
    pub(super) fn store(&self) -> Result<Store<'_>> {
        let folder = Folder::new()?;
        for name in ["conf", "home", "tmp"] {
            folder.with(name)?;
        }
        let conf = "build-users-group =\nexperimental-features = nix-command\nsubstituters =\n\
                    require-sigs = true\nsandbox-paths =\nnarinfo-cache-negative-ttl = 0\n";
        std::fs::write(folder.path().join("conf/nix.conf"), conf)?;
        let store = Store { nix: self, folder };
        output(store.command("nix-store", None).arg("--init"))?;
        Ok(store)
    }
}

/// A store with files of its own; its paths read `/nix/store/…` as everywhere.
pub(super) struct Store<'a> {
    nix: &'a Nix,
    folder: Folder,
}

impl Store<'_> {
    /// One of Nix's programs, with AWS's variables for keys and nothing else of the user's.
    pub(super) fn command(&self, program: &str, keys: Option<&Keys>) -> Command {
        let folder = self.folder.path();
        let mut command = self.nix.program(program);
        command.env_clear();
        command.env("HOME", folder.join("home"));
        command.env("TMPDIR", folder.join("tmp"));
        self.lend(&mut command);
        // Nobody answers there, and Nix would wait for it.
        command.env("AWS_EC2_METADATA_DISABLED", "true");
        if let Some(Keys { id, secret }) = keys {
            command.env("AWS_ACCESS_KEY_ID", id);
            command.env("AWS_SECRET_ACCESS_KEY", secret);
        }
        command
    }

    /// Makes it the store of any other program, and this Nix the one that it finds.
    pub(super) fn lend(&self, command: &mut Command) {
        let folder = self.folder.path();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let first = self.nix.folder.iter().cloned();
        // No folder of programs has a `:` in its name: it came out of such a list.
        if let Ok(path) = std::env::join_paths(first.chain(std::env::split_paths(&path))) {
            command.env("PATH", path);
        }
        command.env("NIX_CONF_DIR", folder.join("conf"));
        command.env("NIX_USER_CONF_FILES", "/dev/null");
        command.env("NIX_REMOTE", format!("local?root={}", folder.display()));
    }

    /// Adds a file, and returns its path.
    pub(super) fn add(&self, name: &str, content: &[u8]) -> Result<String> {
        let file = self.folder.with("add")?.join(name);
        std::fs::write(&file, content)?;
        let added = output(self.command("nix-store", None).arg("--add").arg(file))?;
        Ok(added.trim_end().to_owned())
    }

    /// A path that only a signature can vouch for, and the file that it refers to. Nix's own builder makes
    /// it, which needs neither a shell nor a sandbox's files.
    pub(super) fn build(&self, content: &str) -> Result<(String, String)> {
        let expression = format!(
            "derivation {{ name = \"built\"; system = \"builtin\"; builder = \"builtin:buildenv\"; \
             derivations = []; manifest = builtins.toFile \"tool\" \"{content}\"; }}"
        );
        let mut build = self.command("nix-build", None);
        let built = output(build.args(["--no-out-link", "--expr", &expression]))?;
        let built = built.trim_end().to_owned();
        let mut query = self.command("nix-store", None);
        let refers = output(query.args(["--query", "--references", &built]))?;
        Ok((built, refers.trim_end().to_owned()))
    }

    /// Copies a path, and what it refers to, into a cache.
    pub(super) fn copy_to(&self, url: &str, path: &str, keys: Option<&Keys>) -> Result<()> {
        let mut copy = self.command("nix", keys);
        output(copy.args(["copy", "--to", url, path])).map(drop)
    }

    /// Substitutes a file from one cache, and returns what it holds.
    pub(super) fn substitute(
        &self,
        from: &str,
        path: &str,
        keys: Option<&Keys>,
    ) -> Result<Vec<u8>> {
        self.realise(from, path, keys, "")?;
        Ok(std::fs::read(self.physical(path))?)
    }

    /// Substitutes a path from one cache, with a public key to trust or none.
    pub(super) fn realise(
        &self,
        from: &str,
        path: &str,
        keys: Option<&Keys>,
        trusted: &str,
    ) -> Result<()> {
        let mut realise = self.command("nix-store", keys);
        realise.args(["--realise", path, "--option", "substituters", from]);
        realise.args(["--option", "trusted-public-keys", trusted]);
        let done = run(&mut realise)?;
        ensure!(
            done.status.success(),
            "Nix {} does not substitute {path} from {from}: {}",
            self.nix.version,
            done.stderr.trim_end()
        );
        Ok(())
    }

    /// Where the files of a path lie.
    pub(super) fn physical(&self, path: &str) -> PathBuf {
        self.folder
            .path()
            .join(Path::new(path).strip_prefix("/").unwrap_or(Path::new(path)))
    }

    /// Whether Nix finds a signature by a key on a path of a cache.
    pub(super) fn trusts(&self, url: &str, path: &str, key: &str) -> Result<bool> {
        let mut verify = self.command("nix", None);
        verify.args([
            "store",
            "verify",
            "--no-contents",
            "--sigs-needed",
            "1",
            "--store",
            url,
        ]);
        verify.args(["--option", "trusted-public-keys", key, path]);
        Ok(run(&mut verify)?.status.success())
    }
}
