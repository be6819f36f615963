//! Signatures as inputs of builds: whatever an expression says, what was signed before is looked up, and no key
//! signs. Real Nix builds with them, and minisign judges them.

mod daemon;
mod evaluated;
mod gateway;
mod hostile;
mod native;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use fetchhost_e2e::{CommandLine, Finished, Nix, Sandbox, skip, sri, workspace};

use crate::gateway::serve::Serve;

/// What is signed: the output of a derivation.
const APP: &str = "the app\n";
/// What lets a module look signatures up.
const GRANT: &str = "[[grant]]\nmodule = \"builtin:signer\"\nkeys = { release = [\"minisign\"] }\n";
/// The shell's own way to copy text; a builder here has no other program.
const COPY: &str =
    "while read -r line; do echo \"$line\"; done < $signature > $out; read -r line < $app";

/// A user with a key of minisign's, and a Nix.
struct World {
    nix: Nix,
    sandbox: Sandbox,
}

impl World {
    /// One for each version of Nix; none where minisign is not installed.
    fn all(test: &str) -> Vec<Self> {
        if Command::new("minisign").arg("-v").output().is_err() {
            skip(test, "`minisign` is not installed");
            return Vec::new();
        }
        Nix::all(test).into_iter().map(Self::new).collect()
    }

    fn new(nix: Nix) -> Self {
        let sandbox = nix.sandbox().own_cache();
        let made = Command::new("minisign")
            .args(["-G", "-W", "-f", "-p"])
            .arg(sandbox.path("release.pub"))
            .arg("-s")
            .arg(sandbox.path("release.key"))
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        Self { nix, sandbox }.configured(GRANT)
    }

    /// With another configuration beside the key's.
    fn configured(self, more: &str) -> Self {
        let key = self.sandbox.path("release.key");
        let toml = format!(
            "{more}\n[key.release]\nsource = {{ file = \"{}\" }}\nuse = [\"minisign\"]\n",
            key.display()
        );
        let sandbox = self.sandbox.configured(&toml);
        Self { sandbox, ..self }
    }

    /// The same user at another machine: nothing is remembered there.
    fn elsewhere(&self) -> Sandbox {
        let elsewhere = self.sandbox.path("elsewhere");
        self.nix
            .sandbox()
            .configured(&fs::read_to_string(self.config()).unwrap())
            .variable("XDG_STATE_HOME", elsewhere.to_str().unwrap())
    }

    fn config(&self) -> PathBuf {
        self.sandbox.path("config/nix-fetchhost/config.toml")
    }

    /// The file with the app's content, where no store is.
    fn app(&self) -> PathBuf {
        let file = self.sandbox.path("app");
        fs::write(&file, APP).unwrap();
        file
    }

    /// What the user types.
    fn sign(&self, sandbox: &Sandbox, to: &str) -> Vec<u8> {
        let out = self.sandbox.path(to);
        let line = CommandLine::new(["run", "signer"])
            .with("--key-id", "release")
            .with("--format", "minisign")
            .with("--input", format!("content={}", self.app().display()))
            .with("--to", format!("out:{}", out.display()));
        sandbox.run(line).exits(0);
        fs::read(out).unwrap()
    }

    /// The hash that the signature has, which is the same each time minisign's key signs.
    fn hash(&self) -> String {
        sri(&self.sign(&self.elsewhere(), "known"))
    }

    /// How many signatures are remembered.
    fn remembered(&self) -> usize {
        let listed = self
            .sandbox
            .run(CommandLine::new(["memo", "list", "--json"]))
            .exits(0)
            .json();
        let text = listed.to_string();
        text.matches("\"minisign\"").count()
    }

    /// That minisign verifies the signature in this file, of the app.
    fn verifies(&self, signature: &std::path::Path) {
        let judged = Command::new("minisign")
            .arg("-Vqm")
            .arg(self.app())
            .arg("-x")
            .arg(signature)
            .arg("-p")
            .arg(self.sandbox.path("release.pub"))
            .output()
            .unwrap();
        assert!(judged.status.success(), "{judged:?}");
    }

    /// Builds, pure or not, with the sandbox on.
    fn build(&self, pure: bool, expression: &str) -> Finished {
        let arguments = [
            "--no-out-link",
            "--option",
            "sandbox",
            "true",
            "--option",
            "pure-eval",
            if pure { "true" } else { "false" },
            "--expr",
            expression,
        ];
        self.nix.run("nix-build", arguments)
    }

    /// That an expression builds, and what came verifies.
    #[track_caller]
    fn builds(&self, built: Finished) {
        let path = built.exits(0).stdout.trim_end().to_owned();
        self.verifies(&self.nix.physical(&path));
    }

    /// The folder `nix` of the repository as a store path that pure evaluation may read.
    fn functions(&self) -> String {
        let folder = workspace().join("nix");
        let folder = self
            .nix
            .ask("nix-store", ["--add", folder.to_str().unwrap()]);
        let physical = self.nix.physical(&folder);
        let hash = self
            .nix
            .ask("nix", ["hash", "path", physical.to_str().unwrap()]);
        format!(
            "(derivation {{ name = \"nix\"; system = \"builtin\"; builder = \"x\"; outputHashMode = \"recursive\"; \
             outputHashAlgo = \"sha256\"; outputHash = \"{hash}\"; }}).outPath"
        )
    }
}

/// A derivation that makes the app.
fn app() -> String {
    format!(
        "(derivation {{ name = \"app\"; system = \"{}-linux\"; builder = \"/bin/sh\"; \
         args = [ \"-c\" \"echo {} > $out\" ]; }})",
        std::env::consts::ARCH,
        APP.trim_end()
    )
}

/// A derivation that needs the app's signature, and copies it: `sign` is applied to the app and to more.
fn bundle(sign: &str, more: &str) -> String {
    format!(
        "let app = {}; in derivation {{ name = \"bundle\"; system = \"{}-linux\"; builder = \"/bin/sh\"; inherit app; \
         signature = {sign} {{ src = app; key = \"release\"; format = \"minisign\"; {more} }}; \
         args = [ \"-c\" ''{COPY}'' ]; }}",
        app(),
        std::env::consts::ARCH
    )
}

/// `sign` of `nix/fetchhost.nix`, for the gateway that runs.
fn sign_of(serve: &Serve) -> String {
    format!(
        "(import {}/nix/fetchhost.nix {{ port = {}; }}).sign",
        workspace().display(),
        serve.address.port()
    )
}
