//! Client certificates: credentials of a connection rather than of a request.

use std::path::PathBuf;

use crate::{CredentialName, Origin};

/// The slot that a grant fills with a client certificate. It is the host's:
/// a module neither asks for it nor learns of it, since a certificate belongs
/// to the connection, and goes along with whatever the module's own slots add.
pub const CERTIFICATE_SLOT: &str = "client-certificate";

/// The scheme of a client certificate in the configuration.
pub const CERTIFICATE_SCHEME: &str = "mtls";

/// A client certificate as configured. Reading it is the transport's work.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClientCertificate {
    /// What messages and logs call it.
    pub name: CredentialName,
    /// A PEM file with the certificate, and those between it and its authority.
    pub certificate: PathBuf,
    /// A PEM file with its private key, for the user's eyes only.
    pub key: PathBuf,
    /// The only origins that it is shown to.
    pub origins: Vec<Origin>,
}

impl ClientCertificate {
    /// Whether `origin` may be shown the certificate.
    #[must_use]
    pub fn is_for(&self, origin: &Origin) -> bool {
        self.origins.contains(origin)
    }
}
