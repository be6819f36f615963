//! A credential as configured: where it lies, how and where it is sent.

use crate::{CredentialName, Origin, Scheme, SourceSpec};

/// All that is known of a credential without reading it. Scheme and origins
/// belong to the credential, not to the module that asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialSpec {
    /// What messages and logs call it.
    pub name: CredentialName,
    /// Where the secret lies.
    pub source: SourceSpec,
    /// How it is put into a request.
    pub scheme: Scheme,
    /// The only origins that may ever receive it.
    pub origins: Vec<Origin>,
}

impl CredentialSpec {
    /// Whether `origin` may receive the credential.
    #[must_use]
    pub fn is_for(&self, origin: &Origin) -> bool {
        self.origins.contains(origin)
    }
}
