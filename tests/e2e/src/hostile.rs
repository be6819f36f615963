//! The module of `tests/hostile`, with a description that tells the truth or lies.

use std::fs;
use std::path::PathBuf;

use sha2::{Digest as _, Sha256};

use crate::{CommandLine, Sandbox, build};

/// Stands in the component before the word that says how its description lies.
const MARKER: &[u8] = b"fetcher-hostile-describe=";
/// Room for the word.
const WORD_BYTES: usize = 23;

/// A copy of the hostile module in a sandbox.
pub struct Hostile {
    file: PathBuf,
    digest: String,
}

impl Hostile {
    /// The module with an honest description.
    #[must_use]
    pub fn honest(sandbox: &Sandbox) -> Self {
        Self::lying(sandbox, "honest")
    }

    /// The module whose description lies in the given way.
    #[must_use]
    pub fn lying(sandbox: &Sandbox, lie: &str) -> Self {
        let wasm = Self::component(lie);
        let file = sandbox.path("hostile.wasm");
        fs::write(&file, &wasm).unwrap();
        let digest = Sha256::digest(&wasm)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Self { file, digest }
    }

    /// The component whose description lies in the given way.
    #[must_use]
    pub fn component(lie: &str) -> Vec<u8> {
        let mut wasm = fs::read(build::hostile_component()).expect("the component was built");
        let marker = wasm
            .windows(MARKER.len())
            .position(|window| window == MARKER);
        let start = marker.expect("the component holds the marker") + MARKER.len();
        let word = format!("{lie:WORD_BYTES$}");
        wasm[start..start + WORD_BYTES].copy_from_slice(word.as_bytes());
        wasm
    }

    /// As grants name it.
    #[must_use]
    pub fn module(&self) -> String {
        format!("sha256:{}", self.digest)
    }

    /// As the command line names its fetcher.
    #[must_use]
    pub fn fetcher(&self) -> String {
        format!("{}#sha256={}", self.file.display(), self.digest)
    }

    /// `run` of one deed into the sandbox's cache, with a hash that nothing matches.
    #[must_use]
    pub fn run(&self, sandbox: &Sandbox, deed: &str) -> CommandLine {
        let nothing = crate::sri(b"what no deed makes");
        CommandLine::new(["run", &self.fetcher()])
            .with("--deed", deed)
            .with("--hash", nothing)
            .with("--to", sandbox.cache(""))
    }
}
