//! The built-in module `gitlab`: fetchers for what a GitLab instance holds.
//!
//! Each fetcher turns its parameters into one URL of the REST API and plans a request for it; the host
//! sends, resumes and judges that request. So nothing of an artifact passes through the module, and what
//! can go wrong here is a URL, which is what the tests look at.

mod api;
mod artifact;

fetchhost_sdk::export!(artifact::GitlabArtifact);
