//! The storage origin: presigned URLs, and nothing else.
//!
//! **Threat.** A client follows GitLab's redirect and takes the token along, so that whoever runs
//! the object storage, or reads its logs, has it.
//!
//! **Rule.** Any request with a credential-bearing header is answered 400 before anything else is
//! looked at, so that a leak cannot pass for a success.
//!
//! | request | answer |
//! |---|---|
//! | with a credential in any header | 400 |
//! | without signature, with a wrong one, or too late | 403 |
//! | otherwise | 200, or 206 for a range |

use std::hash::{BuildHasher as _, RandomState};
use std::time::{SystemTime, UNIX_EPOCH};

use http::{HeaderMap, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest, Sha256};

use crate::answer::Answer;
use crate::record::carries_credential;
use crate::{Config, Content, PackageFile, Tracked};

/// Signs and checks the URLs of the storage origin.
pub(crate) struct Store {
    origin: String,
    lifetime_seconds: u64,
    key: [u64; 2],
}

impl Store {
    pub(crate) fn new(origin: String, config: &Config) -> Self {
        // The standard library's hasher is the one source of randomness that needs no dependency;
        // it is enough for a key that lives as long as a test.
        let key = [0, 1].map(|salt: u64| RandomState::new().hash_one(salt));
        Self {
            origin,
            lifetime_seconds: config.presigned_for.as_secs(),
            key,
        }
    }

    /// The presigned URL of an object, in the shape of a content network's signed URLs. `more` goes
    /// into its query.
    pub(crate) fn presign(&self, object: &str, more: &str) -> String {
        let expires = now_seconds().saturating_add(self.lifetime_seconds);
        let signature = self.signature(object, expires);
        let origin = &self.origin;
        format!("{origin}{object}?Expires={expires}&KeyName=standin&Signature={signature}{more}")
    }

    fn signature(&self, path: &str, expires: u64) -> String {
        let mut hasher = Sha256::new();
        hasher.update(self.key[0].to_le_bytes());
        hasher.update(self.key[1].to_le_bytes());
        hasher.update(format!("{expires}{path}"));
        hasher
            .finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    /// Answers a GET or HEAD on the storage origin.
    pub(crate) fn answer(
        &self,
        config: &Config,
        path: &str,
        query: Option<&str>,
        headers: &HeaderMap,
    ) -> Answer {
        if let Some(name) = headers
            .keys()
            .find(|name| carries_credential(name.as_str()))
        {
            let text = format!("a credential reached the object storage: {name}");
            return failure(StatusCode::BAD_REQUEST, "InvalidArgument", &text);
        }
        if !self.is_signed(path, query.unwrap_or_default()) {
            let text = "the signature is missing, wrong or too old";
            return failure(StatusCode::FORBIDDEN, "AccessDenied", text);
        }
        match find(config, path) {
            Some(content) => Answer::file(content, "application/octet-stream", headers),
            None => failure(
                StatusCode::NOT_FOUND,
                "NoSuchKey",
                "there is no such object",
            ),
        }
    }

    fn is_signed(&self, path: &str, query: &str) -> bool {
        let value = |name| query.split('&').find_map(|pair| pair.strip_prefix(name));
        let expires = value("Expires=").and_then(|expires| expires.parse::<u64>().ok());
        expires.is_some_and(|expires| {
            now_seconds() <= expires
                && value("Signature=") == Some(self.signature(path, expires).as_str())
        })
    }
}

/// A failure in the XML of object storage; `text` must need no escaping.
fn failure(status: StatusCode, code: &str, text: &str) -> Answer {
    let xml = format!("<Error><Code>{code}</Code><Message>{text}</Message></Error>\n");
    Answer::text(status, "application/xml", xml)
}

/// All that is encoded in a segment of a path.
pub(crate) const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The object that holds a job's archive.
pub(crate) fn artifacts_object(project_id: u64, job_id: u64) -> String {
    format!("/artifacts/{project_id}/{job_id}/artifacts.zip")
}

/// The object that holds a file of a package. Not named after it: several may share a name.
pub(crate) fn package_object(project_id: u64, file: &PackageFile) -> String {
    let tag = file.content.entity_tag();
    format!("/packages/{project_id}/{}", tag.trim_matches('"'))
}

/// The object that holds what git LFS keeps of a file.
pub(crate) fn lfs_object(project_id: u64, path: &str) -> String {
    let path = utf8_percent_encode(path, SEGMENT);
    format!("/lfs/{project_id}/{path}")
}

fn find(config: &Config, path: &str) -> Option<Content> {
    if let Some(rest) = path.strip_prefix("/artifacts/") {
        let project = rest.split('/').next()?;
        let mut projects = config.projects.iter();
        let project = projects.find(|held| held.id.to_string() == project)?;
        let mut jobs = project.jobs.iter();
        return jobs
            .find(|job| artifacts_object(project.id, job.id) == path)?
            .archive
            .clone();
    }
    config.holdings.iter().find_map(|(id, held)| {
        let mut packages = held.packages.iter();
        let package = packages.find(|file| package_object(*id, file) == path);
        let mut files = held.repository.files.iter();
        package.map(|file| file.content.clone()).or_else(|| {
            files.find_map(|(name, tracked)| match tracked {
                Tracked::Lfs(content) if lfs_object(*id, name) == path => {
                    Some(Content::from(content.clone()))
                }
                _ => None,
            })
        })
    })
}

fn now_seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
