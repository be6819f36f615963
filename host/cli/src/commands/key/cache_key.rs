//! `nix-fetchhost key generate` and `public`: keys that sign narinfos, in Nix's own format.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use fetchhost_credentials::{Existing, leave_no_core_file, write_private};
use fetchhost_formats::SigningKey;
use zeroize::Zeroizing;

use crate::context::Context;
use crate::failure::{Failure, with_causes};

/// The longest file of a secret key, in bytes: a name, a colon and 88 characters.
const MAX_LENGTH: usize = 4096;

/// Makes a key, and writes its secret half into a new file for the user alone.
pub(super) fn generate(context: &Context, name: &str, file: &Path) -> Result<(), Failure> {
    leave_no_core_file();
    let mut seed = Zeroizing::new([0; 32]);
    // At most 256 bytes come whole.
    rustix::rand::getrandom(seed.as_mut_slice(), rustix::rand::GetRandomFlags::empty())
        .map_err(|error| Failure::usage(format!("the system gives no random numbers: {error}")))?;
    let key = SigningKey::from_seed(name, &seed).map_err(|_| {
        Failure::usage(format!("{name:?} cannot be the name of a key"))
            .with_hint("a name is visible ASCII without a colon, such as cache.example.com-1")
    })?;
    let written = write_private(file, key.secret_text().as_bytes(), Existing::Keep);
    match written {
        Ok(true) => context.printer.result(&key.public_key().to_string()),
        Ok(false) => Err(Failure::usage(format!(
            "`{}` is there already, and may be the only copy of a key",
            file.display()
        ))
        .with_hint("name another file, or move that one away")),
        Err(error) => Err(Failure::usage(format!(
            "`{}` cannot be written: {error}",
            file.display()
        ))),
    }
}

/// Prints the public half of a secret key.
pub(super) fn public(context: &Context, file: &Path) -> Result<(), Failure> {
    context
        .printer
        .result(&open(file)?.public_key().to_string())
}

/// The secret key in a file, or on stdin with `-`.
pub(crate) fn open(file: &Path) -> Result<SigningKey, Failure> {
    leave_no_core_file();
    let text = read(file)
        .map_err(|error| Failure::usage(format!("`{}` cannot be read: {error}", file.display())))?;
    SigningKey::parse(&text).map_err(|error| {
        Failure::usage(format!(
            "`{}` holds no secret key: {}",
            file.display(),
            with_causes(&error)
        ))
        .with_hint("`nix-fetchhost key generate NAME FILE` makes one, as `nix-store --generate-binary-cache-key` does")
    })
}

fn read(file: &Path) -> io::Result<Zeroizing<String>> {
    // Room for all of it at once: a text that grows leaves unwiped copies behind.
    let mut text = Zeroizing::new(String::with_capacity(MAX_LENGTH + 1));
    let limit = MAX_LENGTH as u64 + 1;
    if file == Path::new("-") {
        io::stdin().lock().take(limit).read_to_string(&mut text)?;
    } else {
        File::open(file)?.take(limit).read_to_string(&mut text)?;
    }
    if text.len() > MAX_LENGTH {
        return Err(io::Error::other("it is too long for a key"));
    }
    Ok(text)
}
