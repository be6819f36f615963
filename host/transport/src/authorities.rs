//! Which certificate authorities are trusted.
//!
//! **The threat.** A variable that names authorities is mistyped, or its file is gone: most programs
//! then trust fewer than the user believes, and blame the server.
//!
//! **The rule.** The platform's authorities are trusted, and those of each file that the user names
//! besides. Such a file must exist and hold authorities that can be used, before anything is contacted.
//! A single one that cannot (bundles have oddities) is passed over with a warning.
//!
//! | named by | authorities |
//! |---|---|
//! | nothing | the platform's |
//! | `NIX_SSL_CERT_FILE` | the platform's and those of the file |
//! | `SSL_CERT_FILE` | the platform's and those of the file |
//! | both | the platform's and those of both files |
//!
//! OpenSSL and Nix trust such a file *instead* of the platform's. Here one private authority is added
//! without a copy of all public ones; who must not be trusted is taken from the platform's.

use std::path::{Path, PathBuf};

use reqwest::{Certificate, ClientBuilder};
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};

use crate::{failure, setup::SetupError};

/// The variable that the platform's TLS code reads by itself, and then nothing else.
const DISPLACES_PLATFORM: &str = "SSL_CERT_FILE";

/// A PEM file of certificate authorities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorityFile {
    /// The file.
    pub path: PathBuf,
    /// The environment variable that names it.
    pub named_by: &'static str,
}

/// Has `builder` trust what the table says.
pub(crate) fn trust(
    builder: ClientBuilder,
    files: &[AuthorityFile],
) -> Result<ClientBuilder, SetupError> {
    Ok(builder.tls_certs_merge(besides_platform(files, platform)?))
}

/// What is trusted besides what the HTTP client finds by itself.
fn besides_platform(
    files: &[AuthorityFile],
    platform: impl FnOnce() -> Vec<Certificate>,
) -> Result<Vec<Certificate>, SetupError> {
    let mut certificates = Vec::new();
    for file in files {
        certificates.extend(read(&file.path, file.named_by)?);
    }
    if files.iter().any(|file| file.named_by == DISPLACES_PLATFORM) {
        certificates.extend(platform());
    }
    Ok(certificates)
}

/// The platform's own authorities, where the HTTP client would not find them for the variable.
fn platform() -> Vec<Certificate> {
    if cfg!(any(target_vendor = "apple", windows)) {
        return Vec::new();
    }
    // The file holds all of them where there is one; folders repeat them, one by one.
    let file = FILES.iter().map(Path::new).find(|path| path.exists());
    let found = rustls_native_certs::load_certs_from_paths(file, None).certs;
    let usable =
        |found: &CertificateDer<'static>| RootCertStore::empty().add(found.clone()).is_ok();
    found
        .iter()
        .filter(|found| usable(found))
        .filter_map(|found| Certificate::from_der(found).ok())
        .collect()
}

/// Where platforms keep all their authorities in one file; the first one counts.
const FILES: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/usr/local/share/certs/ca-root-nss.crt",
];

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

    fn named(path: &Path, named_by: &'static str) -> AuthorityFile {
        let path = path.to_owned();
        AuthorityFile { path, named_by }
    }

    fn outcome(path: &Path, named_by: &'static str) -> Result<(), String> {
        trust(reqwest::Client::builder(), &[named(path, named_by)])
            .map(drop)
            .map_err(|error| format!("{error} | {}", error.hint().unwrap()))
    }

    const NAMES: [&str; 2] = ["NIX_SSL_CERT_FILE", "SSL_CERT_FILE"];

    #[test]
    fn files_of_both_names_are_trusted_and_the_platforms_besides() {
        let two = file(&format!("# two of them\n{}\n{}", authority(), authority()));
        let one = file(&authority());
        let platform = || vec![Certificate::from_pem(authority().as_bytes()).unwrap()];
        let count = |files: &[AuthorityFile]| besides_platform(files, platform).unwrap().len();
        let [nix, ssl] = NAMES;
        assert_eq!(count(&[]), 0, "the HTTP client finds the platform's");
        assert_eq!(count(&[named(two.path(), nix)]), 2);
        // This one the HTTP client reads in place of the platform's.
        assert_eq!(count(&[named(two.path(), ssl)]), 2 + 1);
        let both = [named(two.path(), nix), named(one.path(), ssl)];
        assert_eq!(count(&both), 2 + 1 + 1);
    }

    #[test]
    fn an_oddity_among_authorities_is_passed_over() {
        let odd = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let bundle = file(&format!("{odd}{}", authority()));
        assert_eq!(read(bundle.path(), NAMES[0]).unwrap().len(), 1);
    }

    #[test]
    fn a_file_that_is_missing_or_holds_no_certificate_is_named_with_its_variable() {
        let empty = file("no certificate\n");
        let broken = file("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
        let missing = empty.path().with_extension("missing");
        for path in [empty.path(), broken.path(), &missing, Path::new("/")] {
            for name in NAMES {
                let shown = outcome(path, name).unwrap_err();
                assert!(shown.contains(&format!("`{name}`")), "{shown}");
                assert!(shown.contains(&path.display().to_string()), "{shown}");
            }
        }
    }
}
