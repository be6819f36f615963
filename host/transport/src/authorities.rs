//! Which certificate authorities are trusted.
//!
//! **The threat.** A variable that names the authorities is mistyped, or its file is gone: most
//! programs then trust nobody and blame the server, or trust the platform's authorities although the
//! user wanted only his own.
//!
//! **The rule.** A file that is named must exist and hold authorities that can be used, before anything
//! is contacted. A single one that cannot (bundles have oddities) is passed over with a warning.
//!
//! | named by | authorities |
//! |---|---|
//! | `NIX_SSL_CERT_FILE` (the caller's `Settings::ca_bundle`) | those of the file and no others, as Nix does |
//! | `SSL_CERT_FILE` | those of the file instead of the platform's, as OpenSSL does; on macOS and Windows besides them |
//! | nothing, or an empty variable | the platform's |

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
};

use reqwest::{Certificate, ClientBuilder};
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};

use crate::{failure, setup::SetupError};

/// The variable behind `Settings::ca_bundle`.
const NIX_VARIABLE: &str = "NIX_SSL_CERT_FILE";

/// The variable that the platform's own TLS code reads.
const VARIABLE: &str = "SSL_CERT_FILE";

/// Has `builder` trust what the table says.
pub(crate) fn trust(
    builder: ClientBuilder,
    ca_bundle: Option<&Path>,
) -> Result<ClientBuilder, SetupError> {
    trust_with(builder, ca_bundle, env::var_os(VARIABLE))
}

fn trust_with(
    builder: ClientBuilder,
    ca_bundle: Option<&Path>,
    variable: Option<OsString>,
) -> Result<ClientBuilder, SetupError> {
    if let Some(bundle) = ca_bundle {
        return Ok(builder.tls_certs_only(read(bundle, NIX_VARIABLE)?));
    }
    let Some(path) = variable.filter(|path| !path.is_empty()).map(PathBuf::from) else {
        return Ok(builder);
    };
    let certificates = read(&path, VARIABLE)?;
    // Elsewhere the platform's code reads the variable itself, in place of its own authorities.
    Ok(if cfg!(any(target_vendor = "apple", windows)) {
        builder.tls_certs_merge(certificates)
    } else {
        builder
    })
}

/// The authorities in a PEM file. Comments and other kinds of entries are passed over.
fn read(path: &Path, named_by: &'static str) -> Result<Vec<Certificate>, SetupError> {
    let unusable = |reason: String| SetupError::Authorities {
        path: path.to_owned(),
        named_by,
        reason,
    };
    let pem = std::fs::read(path).map_err(|error| unusable(error.to_string()))?;
    let mut certificates = Vec::new();
    let mut last_refused = None;
    for (number, found) in CertificateDer::pem_slice_iter(&pem).enumerate() {
        let refused = |reason: String| format!("certificate {}: {reason}", number + 1);
        let found = found.map_err(|error| unusable(refused(error.to_string())))?;
        // What the HTTP client would refuse later, as a whole.
        let added = RootCertStore::empty().add(found.clone());
        match added.map(|()| Certificate::from_der(&found)) {
            Ok(Ok(certificate)) => certificates.push(certificate),
            Ok(Err(error)) => last_refused = Some(refused(failure::describe(&error))),
            Err(error) => last_refused = Some(refused(error.to_string())),
        }
    }
    match (certificates.is_empty(), last_refused) {
        (true, Some(reason)) => Err(unusable(reason)),
        (true, None) => Err(unusable(String::from("it has no `BEGIN CERTIFICATE`"))),
        (false, refused) => {
            if let Some(reason) = refused {
                tracing::warn!(file = %path.display(), reason, "an authority is not used");
            }
            Ok(certificates)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn file(content: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content.as_bytes()).unwrap();
        file
    }

    fn authority() -> String {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::default().self_signed(&key);
        certificate.unwrap().pem()
    }

    fn outcome(ca_bundle: Option<&Path>, variable: Option<&Path>) -> Result<(), String> {
        let variable = variable.map(|path| path.as_os_str().to_owned());
        trust_with(reqwest::Client::builder(), ca_bundle, variable)
            .map(drop)
            .map_err(|error| format!("{error} | {}", error.hint().unwrap()))
    }

    #[test]
    fn a_file_of_certificates_is_taken_by_either_name() {
        let bundle = file(&format!("# two of them\n{}\n{}", authority(), authority()));
        assert_eq!(read(bundle.path(), VARIABLE).unwrap().len(), 2);
        outcome(Some(bundle.path()), None).unwrap();
        outcome(None, Some(bundle.path())).unwrap();
        outcome(None, None).unwrap();
        outcome(None, Some(Path::new(""))).unwrap();
    }

    #[test]
    fn an_oddity_among_authorities_is_passed_over() {
        let odd = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let bundle = file(&format!("{odd}{}", authority()));
        assert_eq!(read(bundle.path(), VARIABLE).unwrap().len(), 1);
    }

    #[test]
    fn a_file_that_is_missing_or_holds_no_certificate_is_named_with_its_variable() {
        let empty = file("no certificate\n");
        let broken = file("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
        let missing = empty.path().with_extension("missing");
        for path in [empty.path(), broken.path(), &missing, Path::new("/")] {
            for (bundle, variable, name) in [
                (Some(path), None, "`NIX_SSL_CERT_FILE`"),
                (None, Some(path), "`SSL_CERT_FILE`"),
            ] {
                let shown = outcome(bundle, variable).unwrap_err();
                assert!(shown.contains(name), "{shown}");
                assert!(shown.contains(&path.display().to_string()), "{shown}");
            }
        }
    }
}
