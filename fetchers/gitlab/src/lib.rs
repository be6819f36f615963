//! The built-in module `gitlab`: fetchers for what a GitLab instance holds.
//!
//! Each fetcher turns its parameters into one URL and plans a request for it; the host sends, resumes and
//! judges that request. So nothing of an artifact passes through the module, and what can go wrong
//! here is a URL, which is what the tests look at. Only `gitlab-release` has to ask the API first.

mod api;
mod archive;
mod artifact;
mod check;
mod file;
mod package;
mod release;

fetchhost_sdk::export!(
    artifact::GitlabArtifact,
    package::GitlabPackage,
    archive::GitlabArchive,
    file::GitlabFile,
    release::GitlabRelease,
);
