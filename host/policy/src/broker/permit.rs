//! The permit: a request that the broker allowed.

use std::fmt;
use std::sync::Arc;

use url::Url;

use crate::address::AddressRule;
use crate::origin::URL_BYTES;
use crate::{ClientCertificate, CredentialSpec, DisplayUrl, Method, NormalPath, Origin, SlotName};

/// A request that may be sent: this method, to this URL, with this credential
/// or none, to addresses by this rule.
///
/// Only a [`crate::Broker`] makes one, and nothing changes one. A clone permits
/// the same request again, which is what retrying and resuming need; another
/// URL, origin, method or credential needs another permit.
///
/// ```compile_fail
/// // Nobody else can make one.
/// let forged = fetchhost_policy::Permit { ..todo!() };
/// ```
#[derive(Clone)]
pub struct Permit {
    pub(super) method: Method,
    pub(super) target: Target,
    /// The origin of the request that the module made, before any redirect.
    pub(super) start: Origin,
    pub(super) slot: Option<SlotName>,
    pub(super) credential: Option<Arc<CredentialSpec>>,
    pub(super) certificate: Option<Arc<ClientCertificate>>,
    pub(super) addresses: AddressRule,
    pub(super) named: bool,
    pub(super) crossed: bool,
}

impl Permit {
    /// The method.
    #[must_use]
    pub const fn method(&self) -> Method {
        self.method
    }

    /// The URL to send: normalised, without fragment. What was matched is this
    /// and nothing else.
    #[must_use]
    pub const fn url(&self) -> &Url {
        &self.target.url
    }

    /// The origin of [`Permit::url`].
    #[must_use]
    pub const fn origin(&self) -> &Origin {
        &self.target.origin
    }

    /// The path of [`Permit::url`].
    #[must_use]
    pub const fn path(&self) -> &NormalPath {
        &self.target.path
    }

    /// The credential to attach. It is for [`Permit::origin`].
    #[must_use]
    pub fn credential(&self) -> Option<&CredentialSpec> {
        self.credential.as_deref()
    }

    /// The client certificate for the connection. It is for [`Permit::origin`].
    #[must_use]
    pub fn certificate(&self) -> Option<&ClientCertificate> {
        self.certificate.as_deref()
    }

    /// Whether somebody wrote the origin itself, rather than a wildcard. Only
    /// such a request goes through a proxy, which looks names up where nothing
    /// is checked.
    #[must_use]
    pub const fn is_named_exactly(&self) -> bool {
        self.named
    }

    /// Which addresses may be connected to.
    #[must_use]
    pub const fn addresses(&self) -> AddressRule {
        self.addresses
    }

    /// Whether some hop of the chain of redirects changed the origin. From then
    /// on only [`crate::headers::survives_origin_change`] headers are sent,
    /// also when a later hop leads back.
    #[must_use]
    pub const fn crossed_origin(&self) -> bool {
        self.crossed
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit")
            .field("method", &self.method)
            .field("url", &DisplayUrl(&self.target.url))
            .field(
                "credential",
                &self.credential.as_ref().map(|spec| spec.name.as_str()),
            )
            .field("addresses", &self.addresses)
            .field("crossed", &self.crossed)
            .finish_non_exhaustive()
    }
}

/// Where a request goes: a URL in the form that is sent, with its parts.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) url: Url,
    pub(super) origin: Origin,
    pub(super) path: NormalPath,
}

impl Target {
    /// Brings `url` into the form that is matched and sent, or says why it has
    /// none.
    pub(super) fn of(url: &Url) -> Result<Self, String> {
        let origin = Origin::of_url(url).map_err(|error| error.to_string())?;
        let path = NormalPath::of_url(url).map_err(|error| error.to_string())?;
        let mut sent = url.clone();
        sent.set_fragment(None);
        sent.set_path(path.as_str());
        if sent.as_str().len() > URL_BYTES {
            return Err("the URL is longer than 16 KiB".to_owned());
        }
        // Whatever the URL parser makes of the path is what would be sent.
        if sent.path() != path.as_str() || Origin::of_url(&sent).as_ref() != Ok(&origin) {
            return Err("the URL has no stable form".to_owned());
        }
        Ok(Self {
            url: sent,
            origin,
            path,
        })
    }
}
