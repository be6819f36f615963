//! `/projects/ID/packages/generic/PACKAGE/VERSION/[FOLDERS/]FILE`.

use http::StatusCode;

use super::caller::Caller;
use super::{Asked, NOT_FOUND, Refusal, UNAUTHORIZED, checked_path, decode};
use crate::answer::Answer;
use crate::storage;

const BAD_NAME: Refusal = Refusal::Error(StatusCode::BAD_REQUEST, "package_name is invalid");
const BAD_VERSION: Refusal = Refusal::Error(StatusCode::BAD_REQUEST, "package_version is invalid");

/// What comes after `packages/generic/`.
pub(super) fn answer(asked: &Asked<'_>, id: &str, rest: &str) -> Result<Answer, Refusal> {
    let caller = Caller::of_anything(asked)?;
    let mut parts = rest.splitn(3, '/');
    let mut next = || parts.next().filter(|part| !part.is_empty()).map(decode);
    let (package, version, file) = match (next(), next(), next()) {
        (Some(package), Some(version), Some(file)) => (package, version, file),
        _ => return Err(NOT_FOUND),
    };
    checked_path(&file, "path should be a valid file path")?;
    if !is_word(&package) {
        return Err(BAD_NAME);
    }
    if !is_word(&version) || version.contains("..") {
        return Err(BAD_VERSION);
    }
    // Who is nobody is asked to become somebody, which the other endpoints do not do.
    let project = asked.project(id, caller).map_err(|refusal| {
        if caller.is_nobody() {
            UNAUTHORIZED
        } else {
            refusal
        }
    })?;
    let held = asked.config.holdings.get(&project.id).ok_or(NOT_FOUND)?;
    let found = held
        .packages
        .iter()
        .rev()
        .find(|held| held.package == package && held.version == version && held.file == file)
        .ok_or(NOT_FOUND)?;
    Ok(asked.stored(
        &storage::package_object(project.id, found),
        "&response-content-disposition=attachment%3B%20filename%3D%22file%22",
        &found.content,
    ))
}

fn is_word(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-+".contains(&b))
}
