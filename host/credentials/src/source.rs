//! The sources themselves. Each returns the raw text; the keyring judges its content.

use std::{
    ffi::OsString,
    fs::File,
    io::{self, Read},
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::Path,
};

use fetchhost_policy::{CredentialName, CredentialSpec, SourceSpec};
use zeroize::Zeroizing;

use crate::{CredentialError, Problem};

/// No token is larger; a file that is was named by mistake.
const MAX_BYTES: usize = 64 * 1024;

/// Permission bits that let anybody but the owner read, write or execute.
const OTHERS: u32 = 0o077;

/// What the spec's source holds, whole.
pub(crate) fn read(
    spec: &CredentialSpec,
    environment: &dyn Fn(&str) -> Option<OsString>,
    user: u32,
) -> Result<Zeroizing<String>, CredentialError> {
    let bytes = match &spec.source {
        SourceSpec::Env(variable) => {
            let value = environment(variable).ok_or_else(|| CredentialError::VariableMissing {
                credential: spec.name.clone(),
                variable: variable.clone(),
            })?;
            Zeroizing::new(value.into_encoded_bytes())
        }
        SourceSpec::File {
            path,
            insecure_permissions,
        } => file(&spec.name, path, *insecure_permissions, user)?,
    };
    let unusable = |problem| CredentialError::Unusable {
        credential: spec.name.clone(),
        from: spec.source.clone(),
        problem,
    };
    if bytes.len() > MAX_BYTES {
        return Err(unusable(Problem::TooLarge));
    }
    let text = str::from_utf8(&bytes).map_err(|_| unusable(Problem::NotText))?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// Up to one byte more than [`MAX_BYTES`] of a file that nobody but `user` or root could have
/// written. Links are followed (that is how secret managers lay files out) and the opened file is
/// judged, so it cannot be swapped between the check and the read. A pipe is a file too:
/// `file:/dev/fd/63` is what `<(command)` becomes.
fn file(
    credential: &CredentialName,
    path: &Path,
    insecure_permissions: bool,
    user: u32,
) -> Result<Zeroizing<Vec<u8>>, CredentialError> {
    let unreadable = |error: io::Error| CredentialError::FileUnreadable {
        credential: credential.clone(),
        path: path.to_owned(),
        error,
    };
    let file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() && !metadata.file_type().is_fifo() {
        return Err(CredentialError::NotAFile {
            credential: credential.clone(),
            path: path.to_owned(),
        });
    }
    let owner = metadata.uid();
    if owner != user && owner != 0 {
        return Err(CredentialError::FileOwner {
            credential: credential.clone(),
            path: path.to_owned(),
            owner,
        });
    }
    let mode = metadata.mode() & 0o7777;
    if mode & OTHERS != 0 && !insecure_permissions {
        return Err(CredentialError::FilePermissions {
            credential: credential.clone(),
            path: path.to_owned(),
            mode,
        });
    }
    // Room for all of it at once: a vector that grows leaves unwiped copies behind.
    let mut content = Zeroizing::new(Vec::with_capacity(MAX_BYTES + 1));
    file.take(MAX_BYTES as u64 + 1)
        .read_to_end(&mut content)
        .map_err(unreadable)?;
    Ok(content)
}
