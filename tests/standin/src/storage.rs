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
use sha2::{Digest, Sha256};

use crate::answer::Answer;
use crate::record::carries_credential;
use crate::{Config, Content};

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

    /// The presigned URL of a job's archive, in the shape of a content network's signed URLs.
    pub(crate) fn presign(&self, project_id: u64, job_id: u64) -> String {
        let path = format!("/artifacts/{project_id}/{job_id}/artifacts.zip");
        let expires = now_seconds().saturating_add(self.lifetime_seconds);
        let signature = self.signature(&path, expires);
        let origin = &self.origin;
        format!("{origin}{path}?Expires={expires}&KeyName=standin&Signature={signature}")
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
            Some(content) => Answer::file(content.clone(), "application/zip", headers),
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

fn find<'a>(config: &'a Config, path: &str) -> Option<&'a Content> {
    let mut parts = path.strip_prefix("/artifacts/")?.split('/');
    let project_id: u64 = parts.next()?.parse().ok()?;
    let job_id: u64 = parts.next()?.parse().ok()?;
    if parts.next() != Some("artifacts.zip") || parts.next().is_some() {
        return None;
    }
    let project = config
        .projects
        .iter()
        .find(|project| project.id == project_id)?;
    project
        .jobs
        .iter()
        .find(|job| job.id == job_id)?
        .archive
        .as_ref()
}

fn now_seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
