//! Looks for traces of a secret in what a run left.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use memchr::memmem;

use crate::files_below;

/// A secret in all the shapes in which it could have got out.
pub struct Secret {
    name: String,
    shapes: Vec<Vec<u8>>,
}

impl Secret {
    /// `name` is what a failing test calls it.
    #[must_use]
    pub fn new(name: &str, secret: impl AsRef<[u8]>) -> Self {
        let secret = secret.as_ref();
        let encoded = |one: fn(&u8) -> String| -> String { secret.iter().map(one).collect() };
        let mut shapes: Vec<Vec<u8>> = vec![
            secret.to_owned(),
            encoded(|byte| format!("{byte:02x}")).into(),
            encoded(|byte| format!("{byte:02X}")).into(),
            encoded(|byte| format!("%{byte:02X}")).into(),
            secret.iter().rev().copied().collect(),
        ];
        // In the middle of other text, base64 depends on the offset: what is in the middle of each
        // of the three forms is the same whatever surrounds it.
        for padding in 0..3 {
            let text = [&vec![b' '; padding], secret].concat();
            for engine in [STANDARD, URL_SAFE] {
                let encoded = engine.encode(&text);
                shapes.push(encoded[4..encoded.len() - 4].into());
            }
        }
        Self {
            name: name.to_owned(),
            shapes,
        }
    }

    /// Demands that there is no trace in some bytes.
    #[track_caller]
    pub fn is_not_in(&self, place: &str, bytes: &[u8]) {
        for shape in &self.shapes {
            let found = memmem::find(bytes, shape);
            assert!(found.is_none(), "the {} is in {place}", self.name);
        }
    }

    /// Demands that there is no trace in any file below a folder, nor in the files' names.
    #[track_caller]
    pub fn is_not_below(&self, folder: &Path) {
        for (path, content) in files_below(folder) {
            let path = path.display().to_string();
            self.is_not_in(&format!("the name of {path}"), path.as_bytes());
            self.is_not_in(&path, &content);
        }
    }
}
