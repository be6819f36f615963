//! What a permit says of its connection: client certificate, and whether a
//! proxy may be told to open it.

use std::sync::Arc;

use super::{Broker, permit::Target, way::Way};
use crate::certificate::CERTIFICATE_SLOT;
use crate::{ClientCertificate, Method, Origin, OriginPattern, builtin};

impl Broker {
    /// The client certificate that the configuration's grant for the origin
    /// names, along requests that the same grant permits. Nothing that is typed
    /// fills this slot.
    pub(super) fn certificate(
        &self,
        method: Method,
        target: &Target,
    ) -> Option<Arc<ClientCertificate>> {
        let (way, certificate) = self.configured_certificate(&target.origin)?;
        (way.permits_method(method) && way.permits_path(&target.path))
            .then(|| Arc::clone(certificate))
    }

    /// The client certificate of the grant for `origin`, and that grant.
    pub(super) fn configured_certificate(
        &self,
        origin: &Origin,
    ) -> Option<(Way<'_>, &Arc<ClientCertificate>)> {
        let (grant, pattern) = self.winner(origin)?;
        let (_, name) = grant
            .credentials
            .iter()
            .find(|(slot, _)| slot.as_str() == CERTIFICATE_SLOT)?;
        let certificate = self.certificates.get(name)?;
        certificate
            .is_for(origin)
            .then_some((Way::Config(grant, pattern), certificate))
    }

    /// Whether `origin` itself is written anywhere that a request which started
    /// at `start` may go: by the user, or by this program for its own modules.
    pub(super) fn names(&self, start: &Origin, origin: &Origin) -> bool {
        self.ways(origin).any(|way| match way {
            Way::Config(_, pattern) => pattern.is_exact(),
            Way::Typed | Way::Allow | Way::Default => true,
        }) || self
            .winner(start)
            .is_some_and(|(grant, _)| grant.redirects.iter().any(|to| is_exactly(to, origin)))
            || builtin::redirects(&self.module, start).contains(origin)
    }
}

fn is_exactly(pattern: &OriginPattern, origin: &Origin) -> bool {
    pattern.exact() == Some(origin)
}
