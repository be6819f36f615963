//! What anybody may fetch from the API origin: configured files, and `/public/big/LENGTH`.

use http::{HeaderMap, StatusCode};

use crate::answer::Answer;
use crate::{Config, Content};

/// Answers for a public path; none when it is not one.
pub(crate) fn answer(config: &Config, path: &str, headers: &HeaderMap) -> Option<Answer> {
    let content = match path.strip_prefix("/public/big/").map(str::parse) {
        Some(Ok(length)) => Content::Big(length),
        Some(Err(_)) => return Some(Answer::failure(StatusCode::NOT_FOUND)),
        None => config.public_files.get(path)?.clone(),
    };
    Some(Answer::file(content, "application/octet-stream", headers))
}
