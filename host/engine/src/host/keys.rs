//! `keys`: signatures in closed envelopes.

use fetchhost_keys::{Envelope, Padding};
use fetchhost_policy::{SlotName, Use};
use wasmtime::component::Resource;

use super::error;
use super::inputs::{OpenInput, blocking};
use crate::bindings::nix_fetchhost::fetcher::keys::{Host as KeysHost, PublicHalf};
use crate::bindings::nix_fetchhost::fetcher::types::FetchError;
use crate::session::Fetch;
use crate::signing::{Desk, SigningError, SigningErrorKind};
use crate::store::Host;
use crate::trap::shown;

/// The slot of this name, if the description names it, and for this envelope.
fn slot(fetch: &Fetch, name: &str, envelope: Option<Use>) -> Result<SlotName, FetchError> {
    let mut keys = fetch.declared.keys.iter();
    let Some((slot, key)) = keys.find(|(known, _)| known.as_str() == name) else {
        let message = format!("the description names no key `{}`", shown(name));
        return Err(error::invalid(message));
    };
    match envelope {
        Some(envelope) if !key.envelopes.contains(&envelope) => Err(error::invalid(format!(
            "the description names no `{envelope}` for the key `{slot}`"
        ))),
        _ => Ok(slot.clone()),
    }
}

/// Has the desk do something; what goes wrong is told to the user.
async fn at_desk<T: Send + 'static>(
    fetch: &mut Fetch,
    slot: SlotName,
    work: impl FnOnce(&dyn Desk, &SlotName) -> Result<T, SigningError> + Send + 'static,
) -> wasmtime::Result<Result<T, FetchError>> {
    let done = match fetch.session.desk.clone() {
        Some(desk) => blocking(fetch, move || work(&*desk, &slot)).await?,
        None => Err(SigningError {
            kind: SigningErrorKind::Denied,
            message: format!("nothing is signed here, and the fetcher asks for the key `{slot}`"),
            hint: Some("sign with `nix-fetchhost run`".to_owned()),
        }),
    };
    Ok(done.map_err(|error| {
        let told = told(error.kind);
        fetch.verdict.unsigned(error);
        told
    }))
}

/// What a guest is told when a key cannot be had.
const CREDENTIAL: &str = "credential";

/// What a guest is told of it.
fn told(kind: SigningErrorKind) -> FetchError {
    match kind {
        SigningErrorKind::Denied => error::new("denied", "the user does not allow this signature"),
        SigningErrorKind::Key => error::new(CREDENTIAL, "the key could not be had"),
        SigningErrorKind::Unsupported => error::new(
            "unsupported",
            "the key does not sign this content in this way",
        ),
        SigningErrorKind::Memo => error::new("other", "what is remembered cannot be used"),
    }
}

impl Host {
    /// A signature over what `content` holds.
    async fn sign(
        &mut self,
        name: &str,
        content: &Resource<OpenInput>,
        envelope: Result<Envelope, FetchError>,
        asked: Use,
    ) -> wasmtime::Result<Result<Vec<u8>, FetchError>> {
        let (table, fetch) = self.parts()?;
        let input = table.get(content)?.clone();
        let (slot, envelope) = match (slot(fetch, name, Some(asked)), envelope) {
            (Ok(slot), Ok(envelope)) => (slot, envelope),
            (Err(told), _) | (_, Err(told)) => return Ok(Err(told)),
        };
        fetch.count_request()?;
        let content = match input.content(fetch).await? {
            Ok(content) => content,
            Err(told) => return Ok(Err(told)),
        };
        if fetch.lost_keys.contains(&slot) {
            return Ok(Err(told(SigningErrorKind::Key)));
        }
        let signed = at_desk(fetch, slot.clone(), move |desk, slot| {
            desk.sign(slot, &envelope, &content)
        })
        .await?;
        match &signed {
            Ok(signature) => fetch.count_read(signature.len())?,
            Err(error) if error.kind == CREDENTIAL => {
                fetch.lost_keys.insert(slot);
            }
            Err(_) => {}
        }
        Ok(signed)
    }
}

impl KeysHost for Host {
    async fn public_key(
        &mut self,
        name: String,
    ) -> wasmtime::Result<Result<PublicHalf, FetchError>> {
        let (_, fetch) = self.parts()?;
        let slot = match slot(fetch, &name, None) {
            Ok(slot) => slot,
            Err(told) => return Ok(Err(told)),
        };
        fetch.count_request()?;
        let key = at_desk(fetch, slot, |desk, slot| desk.public_key(slot)).await?;
        Ok(key.map(|key| PublicHalf {
            fingerprint: key.fingerprint(),
            algorithm: key.algorithm().name().to_owned(),
            text: key.to_minisign().unwrap_or_else(|| key.to_pem()),
        }))
    }

    async fn minisign(
        &mut self,
        name: String,
        content: Resource<OpenInput>,
        trusted_comment: String,
    ) -> wasmtime::Result<Result<Vec<u8>, FetchError>> {
        let envelope = trusted_comment
            .parse()
            .map(Envelope::minisign)
            .map_err(|error| error::invalid(format!("{error}")));
        self.sign(&name, &content, envelope, Use::Minisign).await
    }

    async fn sshsig(
        &mut self,
        name: String,
        content: Resource<OpenInput>,
        namespace: String,
    ) -> wasmtime::Result<Result<Vec<u8>, FetchError>> {
        let envelope = namespace
            .parse()
            .map(|namespace| Envelope::Sshsig { namespace })
            .map_err(|error: fetchhost_keys::TextError| error::invalid(shown(&error.to_string())));
        self.sign(&name, &content, envelope, Use::Sshsig).await
    }

    async fn raw(
        &mut self,
        name: String,
        content: Resource<OpenInput>,
        padding: String,
    ) -> wasmtime::Result<Result<Vec<u8>, FetchError>> {
        let padding = match padding.as_str() {
            "pss" => Ok(Padding::Pss),
            "pkcs1" => Ok(Padding::Pkcs1),
            other => Err(error::new(
                "unsupported",
                format!("no padding `{}`", shown(other)),
            )),
        };
        let envelope = padding.map(|padding| Envelope::Raw { padding });
        self.sign(&name, &content, envelope, Use::Raw).await
    }
}
