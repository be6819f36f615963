//! What a user or an administrator allows one module.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::{
    CredentialName, Domain, KeyName, Method, ModuleId, Origin, OriginPattern, PathPattern,
    SlotName, Use,
};

/// Where a grant or a credential was written.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Provenance {
    /// In a configuration file.
    File {
        /// The file, as it was named when it was parsed.
        file: PathBuf,
        /// Line, counted from 1.
        line: usize,
        /// Column in characters, counted from 1.
        column: usize,
    },
    /// Typed on the command line.
    #[default]
    Argv,
    /// Part of this program.
    BuiltIn,
}

impl fmt::Display for Provenance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { file, line, column } => {
                write!(
                    f,
                    "{}:{line}:{column}",
                    crate::printable(&file.to_string_lossy())
                )
            }
            Self::Argv => f.write_str("the command line"),
            Self::BuiltIn => f.write_str("built in"),
        }
    }
}

/// One `[[grant]]`. Several may speak of one module; for each origin the most
/// exact one wins, and two that are equally exact are an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Whom it allows.
    pub module: ModuleId,
    /// Which origins may be asked directly; empty only where keys are granted.
    pub origins: Vec<OriginPattern>,
    /// Which methods; [`Method::READING`] when none were written.
    pub methods: Vec<Method>,
    /// Which paths. `None`: those that the module declares, which only a
    /// built-in module's grant may say.
    pub paths: Option<Vec<PathPattern>>,
    /// Which further origins a redirect may lead to, never with a credential.
    pub redirects: Vec<OriginPattern>,
    /// Which configured credential fills which slot.
    pub credentials: BTreeMap<SlotName, CredentialName>,
    /// Which configured keys it may have sign, and in which envelopes.
    pub keys: BTreeMap<KeyName, Vec<Use>>,
    /// Whose remembered results it shares; its own when none was written.
    pub domain: Option<Domain>,
    /// How long results without a declared hash are remembered; not at all when
    /// it was not written. Signatures are remembered in any case.
    pub remember: Option<Duration>,
    /// Where it was written.
    pub from: Provenance,
}

/// How long the hash of a result that nobody verified is remembered, and with whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remember {
    /// How long.
    pub lasts: Duration,
    /// Whose it is.
    pub domain: Domain,
}

impl Grant {
    /// The most exact of the grant's patterns that `origin` matches.
    #[must_use]
    pub fn pattern_for(&self, origin: &Origin) -> Option<&OriginPattern> {
        self.origins
            .iter()
            .filter(|pattern| pattern.matches(origin))
            .max_by_key(|pattern| pattern.exactness())
    }
}
