//! `[credential.NAME]` with a client certificate.

use std::path::Path;

use super::ConfigError;
use super::credential::{origins, read_path};
use super::reader::{Table, Text};
use super::show::{array, line, quoted};
use crate::certificate::{CERTIFICATE_SCHEME, CERTIFICATE_SLOT, ClientCertificate};

/// The key of `source` that says so.
pub(super) const KIND: &str = "client-certificate";

/// The keys of its table.
pub(super) const FILES: [&str; 2] = ["certificate", "key"];

/// The client certificate that the table defines; none when it defines another
/// kind of credential.
pub(super) fn read(
    name: &Text<'_>,
    table: &Table<'_>,
) -> Result<Option<ClientCertificate>, ConfigError> {
    let source = table.table("source")?;
    let files = match &source {
        Some(source) => source.table(KIND)?,
        None => None,
    };
    let (Some(source), Some(files)) = (&source, files) else {
        return match table.text("scheme")? {
            Some(scheme) if scheme.value == CERTIFICATE_SCHEME => Err(scheme
                .refuse("`mtls` is the scheme of a client certificate")
                .with_hint("write `source = { client-certificate = { certificate = \"PATH\", key = \"PATH\" } }`")),
            _ => Ok(None),
        };
    };
    table.refuse_unknown(&super::credential::KEYS, &[])?;
    source.refuse_unknown(&[KIND], &[])?;
    let scheme = table.needed_text("scheme")?;
    if scheme.value != CERTIFICATE_SCHEME {
        return Err(scheme.refuse(format!(
            "the scheme of a client certificate is `{CERTIFICATE_SCHEME}`"
        )));
    }
    let origins = origins(table)?;
    if let Some(plain) = origins.iter().find(|origin| !origin.is_https()) {
        return Err(table.refuse(format!(
            "`{plain}` is no `https` origin, and a client certificate belongs to TLS"
        )));
    }
    files.refuse_unknown(&FILES, &[])?;
    Ok(Some(ClientCertificate {
        name: name.parse()?,
        certificate: read_path(&files.needed_text("certificate")?)?,
        key: read_path(&files.needed_text("key")?)?,
        origins,
    }))
}

/// Whether `slot` takes client certificates rather than other credentials.
pub(super) fn is_slot(slot: &crate::SlotName) -> bool {
    slot.as_str() == CERTIFICATE_SLOT
}

/// `[credential.NAME]` with its keys.
pub(super) fn toml(spec: &ClientCertificate) -> String {
    let path = |path: &Path| quoted(&path.to_string_lossy());
    let mut text = format!("[credential.{}]\n", spec.name);
    let source = format!(
        "{{ {KIND} = {{ certificate = {}, key = {} }} }}",
        path(&spec.certificate),
        path(&spec.key)
    );
    line(&mut text, "source", &source);
    line(&mut text, "scheme", &quoted(CERTIFICATE_SCHEME));
    line(&mut text, "origins", &array(&spec.origins));
    text
}
