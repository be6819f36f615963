//! `/projects/ID/repository/archive.tar.gz` and `/projects/ID/repository/files/PATH/raw`.

use std::collections::BTreeMap;
use std::io::{self, Write as _};

use flate2::Compression;
use flate2::write::GzEncoder;
use http::StatusCode;
use sha2::{Digest as _, Sha256};

use super::caller::Caller;
use super::{Asked, FORBIDDEN, NOT_FOUND, Refusal, checked_path, decode};
use crate::answer::Answer;
use crate::config::Project;
use crate::holdings::{Repository, Tracked};
use crate::{Content, storage};

const NO_COMMIT: Refusal = Refusal::Message(StatusCode::NOT_FOUND, "404 Commit Not Found");
const NO_FILE: Refusal = Refusal::Message(StatusCode::NOT_FOUND, "404 File Not Found");

/// The archive; `format` is what follows `archive`. Job tokens are not looked at here.
pub(super) fn archive(asked: &Asked<'_>, id: &str, format: &str) -> Result<Answer, Refusal> {
    let caller = Caller::of_token(asked)?;
    let (project, repository) = readable(asked, id, caller)?;
    if !matches!(format, "" | ".tar.gz") {
        return Err(NOT_FOUND);
    }
    let reference = asked.parameter("sha").unwrap_or_else(|| "HEAD".to_owned());
    let commit = repository.commit(&reference).ok_or(NO_FILE)?;
    let folder = asked.parameter("path");
    let name = project.path.rsplit('/').next().unwrap_or_default();
    let mut top = format!("{name}-{}-{commit}", reference.replace('/', "-"));
    if let Some(folder) = &folder {
        top.push('-');
        top.push_str(&folder.replace('/', "-"));
    }
    let bytes = tar_gz(repository, commit, &top, folder.as_deref()).map_err(|_| NOT_FOUND)?;
    Ok(Answer::streamed(Content::from(bytes)))
}

/// One file; `rest` is what follows `files/`.
pub(super) fn file(asked: &Asked<'_>, id: &str, rest: &str) -> Result<Answer, Refusal> {
    let caller = Caller::of_token_or_job(asked)?;
    let path = decode(rest.strip_suffix("/raw").ok_or(NOT_FOUND)?);
    checked_path(&path, "file_path should be a valid file path")?;
    let (project, repository) = readable(asked, id, caller)?;
    let reference = asked.parameter("ref").unwrap_or_else(|| "HEAD".to_owned());
    repository.commit(&reference).ok_or(NO_COMMIT)?;
    let wants_content = asked.parameter("lfs").as_deref() == Some("true");
    let bytes = match repository.files.get(&path).ok_or(NO_FILE)? {
        Tracked::File { content, .. } => content.clone(),
        Tracked::Symlink(target) => target.clone().into_bytes(),
        Tracked::Lfs(content) if wants_content => {
            let object = storage::lfs_object(project.id, &path);
            return Ok(asked.stored(&object, "", &Content::from(content.clone())));
        }
        Tracked::Lfs(content) => pointer(content).into_bytes(),
    };
    Ok(Answer::file(
        Content::from(bytes),
        "text/plain; charset=utf-8",
        asked.headers,
    ))
}

fn readable<'a>(
    asked: &'a Asked<'_>,
    id: &str,
    caller: Caller,
) -> Result<(&'a Project, &'a Repository), Refusal> {
    let project = asked.project(id, caller)?;
    if caller.is_guest() && !project.public {
        return Err(FORBIDDEN);
    }
    let held = asked.config.holdings.get(&project.id).ok_or(NO_FILE)?;
    Ok((project, &held.repository))
}

/// What the repository itself holds of a file that git LFS keeps.
pub(crate) fn pointer(content: &[u8]) -> String {
    let digest: String = Sha256::digest(content)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!(
        "version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {}\n",
        content.len()
    )
}

/// An archive as git writes it: the commit in a global header, one folder around everything, and in
/// it what lies in `folder`, under its whole path. What git LFS keeps is put in.
fn tar_gz(
    repository: &Repository,
    commit: &str,
    top: &str,
    folder: Option<&str>,
) -> io::Result<Vec<u8>> {
    let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    let comment = format!("52 comment={commit}\n");
    let mut global = header(tar::EntryType::XGlobalHeader, 0o666, comment.len());
    builder.append_data(&mut global, "pax_global_header", comment.as_bytes())?;
    let mut folders = BTreeMap::new();
    let prefix = folder.map(|folder| format!("{folder}/"));
    let inside = repository.files.iter().filter(|(path, _)| {
        prefix
            .as_ref()
            .is_none_or(|prefix| path.starts_with(prefix.as_str()))
    });
    for (path, tracked) in inside {
        let path = format!("{top}/{path}");
        for (end, _) in path.match_indices('/') {
            let folder = &path[..=end];
            if folders.insert(folder.to_owned(), ()).is_none() {
                let mut header = header(tar::EntryType::Directory, 0o775, 0);
                builder.append_data(&mut header, folder, io::empty())?;
            }
        }
        match tracked {
            Tracked::File {
                content,
                executable,
            } => {
                let mode = if *executable { 0o775 } else { 0o664 };
                let mut header = header(tar::EntryType::Regular, mode, content.len());
                builder.append_data(&mut header, path, &content[..])?;
            }
            Tracked::Lfs(content) => {
                let mut header = header(tar::EntryType::Regular, 0o664, content.len());
                builder.append_data(&mut header, path, &content[..])?;
            }
            Tracked::Symlink(target) => {
                let mut header = header(tar::EntryType::Symlink, 0o777, 0);
                builder.append_link(&mut header, path, target)?;
            }
        }
    }
    let mut gzip = builder.into_inner()?;
    gzip.flush()?;
    gzip.finish()
}

fn header(kind: tar::EntryType, mode: u32, size: usize) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_mtime(1_700_000_000);
    header.set_size(size as u64);
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_global_header_counts_its_own_bytes() {
        let comment = format!("52 comment={}\n", "a".repeat(40));
        assert_eq!(comment.len(), 52);
    }

    #[test]
    fn a_pointer_is_what_git_lfs_writes() {
        assert_eq!(
            pointer(b"abc"),
            "version https://git-lfs.github.com/spec/v1\n\
             oid sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\n\
             size 3\n"
        );
    }
}
