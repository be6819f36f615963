//! What is to be fetched: each output once, in the order of the derivations.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use fetchhost_formats::{Derivation, FixedOutput, StorePath};
use fetchhost_gateway::FetchUrl;
use fetchhost_policy::Config;
use fetchhost_sinks::Place;

use super::closure::{self, Unreadable};
use super::decision::{Decision, Origin, decide};

/// How many ways to one output are remembered. Who writes an expression can name as many as he likes.
const MAX_WAYS: usize = 8;

/// One output that is to be fetched.
#[derive(Debug, Clone)]
pub(crate) struct Planned {
    /// What is fetched.
    pub(crate) output: FixedOutput,
    /// How: each as another derivation says, in their order. What one says must not keep others from working.
    pub(crate) ways: Vec<Way>,
    /// The derivations that want it.
    pub(crate) derivations: Vec<StorePath>,
}

/// One way to an output.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Way {
    /// What fetches it, and with which parameters.
    pub(crate) url: FetchUrl,
    /// Why.
    pub(crate) origin: Origin,
}

/// An output that looks like ours, and is left to Nix.
#[derive(Debug)]
pub(crate) struct Left {
    /// The derivation.
    pub(crate) derivation: StorePath,
    /// Why.
    pub(crate) reason: String,
}

/// What is to be done about some derivations and all that they need.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// What is fetched.
    pub(crate) outputs: Vec<Planned>,
    /// What is not.
    pub(crate) left: Vec<Left>,
    /// Of what nothing is known.
    pub(crate) unreadable: Vec<Unreadable>,
}

impl Plan {
    /// Reads `roots` and what they need. May block.
    pub(crate) fn of(place: &Place, roots: &[StorePath], config: &Config) -> Self {
        let mut plan = Self::default();
        let mut known = HashMap::new();
        plan.unreadable = closure::walk(place, roots, |path, derivation| {
            plan.add(&mut known, path, derivation, config);
        });
        plan
    }

    fn add(
        &mut self,
        known: &mut HashMap<FixedOutput, usize>,
        path: &StorePath,
        derivation: &Derivation,
        config: &Config,
    ) {
        match decide(derivation, config) {
            Decision::Other => {}
            Decision::Leave(reason) => self.left.push(Left {
                derivation: path.clone(),
                reason,
            }),
            Decision::Fetch(url, origin) => {
                let at = *known.entry(url.output.clone()).or_insert_with(|| {
                    self.outputs.push(Planned {
                        output: url.output.clone(),
                        ways: Vec::new(),
                        derivations: Vec::new(),
                    });
                    self.outputs.len() - 1
                });
                if let Some(planned) = self.outputs.get_mut(at) {
                    planned.derivations.push(path.clone());
                    planned.add(Way { url: *url, origin });
                }
            }
        }
    }
}

impl Planned {
    fn add(&mut self, way: Way) {
        // Ports and owners of gateways make no other way.
        let of = |way: &Way| {
            (
                way.url.fetcher.clone(),
                way.url.params.clone(),
                way.url.inputs.clone(),
                way.url.executable,
            )
        };
        let is_known = self.ways.iter().any(|known| of(known) == of(&way));
        if !is_known && self.ways.len() < MAX_WAYS {
            self.ways.push(way);
        }
    }

    /// The fetcher of the way number `at`, from 0 on.
    pub(crate) fn fetcher(&self, at: usize) -> &str {
        self.ways.get(at).map_or("", |way| &way.url.fetcher)
    }
}

/// The GC root of the output number `at`, from 0 on: PATH, PATH-2, PATH-3 and so on, as `nix-store --add-root`
/// numbers them.
pub(crate) fn gc_root(path: &Path, at: usize) -> PathBuf {
    if at == 0 {
        return path.to_owned();
    }
    let mut numbered = path.as_os_str().to_owned();
    numbered.push(format!("-{}", at + 1));
    numbered.into()
}
