//! What is to be made of which content.

use std::fmt;
use std::str::FromStr;

use crate::input::Input;

/// What an artifact looks like and where its bytes come from.
pub enum Layout {
    /// One file, as it comes.
    File {
        /// The bytes.
        content: Input,
        /// Whether the NAR marks the file executable.
        executable: bool,
    },
    /// The folder that an archive holds.
    Archive {
        /// The archive's bytes.
        content: Input,
        /// How the archive is packed.
        format: ArchiveFormat,
        /// Number of leading path components to drop; what has no more than these is dropped.
        strip: u32,
    },
    /// One file of an archive.
    Member {
        /// The archive's bytes.
        content: Input,
        /// How the archive is packed.
        format: ArchiveFormat,
        /// The file's path in the archive.
        path: String,
    },
    /// A folder made of parts.
    Tree(Vec<TreeEntry>),
}

/// One part of a [`Layout::Tree`]. Folders above it come by themselves.
pub enum TreeEntry {
    /// A regular file.
    File {
        /// Relative path, separated by `/`.
        path: String,
        /// The bytes.
        content: Input,
        /// Whether the file is executable.
        executable: bool,
    },
    /// A symbolic link. It is kept as it is and never followed.
    Symlink {
        /// Relative path, separated by `/`.
        path: String,
        /// What the link says.
        target: String,
    },
    /// A folder that may stay empty.
    Directory {
        /// Relative path, separated by `/`.
        path: String,
    },
}

/// How an archive is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ArchiveFormat {
    /// `zip`, read from its central directory.
    Zip,
    /// `tar`, not compressed.
    Tar,
    /// `tar.gz`, one or several members.
    TarGzip,
    /// `tar.bz2`, one or several streams.
    TarBzip2,
    /// `tar.xz`, one or several streams.
    TarXz,
    /// `tar.zst`, one or several frames.
    TarZstd,
    /// `auto`: told by the first bytes.
    Auto,
}

impl ArchiveFormat {
    /// All formats, in the order in which messages list them.
    pub const ALL: [Self; 7] = [
        Self::Zip,
        Self::Tar,
        Self::TarGzip,
        Self::TarBzip2,
        Self::TarXz,
        Self::TarZstd,
        Self::Auto,
    ];

    /// The format's name in plans and messages, such as `tar.gz`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Zip => "zip",
            Self::Tar => "tar",
            Self::TarGzip => "tar.gz",
            Self::TarBzip2 => "tar.bz2",
            Self::TarXz => "tar.xz",
            Self::TarZstd => "tar.zst",
            Self::Auto => "auto",
        }
    }
}

impl fmt::Display for ArchiveFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A name that is no archive format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no archive format: write zip, tar, tar.gz, tar.bz2, tar.xz, tar.zst or auto")]
pub struct UnknownArchiveFormat(String);

impl FromStr for ArchiveFormat {
    type Err = UnknownArchiveFormat;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|format| format.as_str() == name)
            .ok_or_else(|| UnknownArchiveFormat(fetchhost_policy::printable(name).into_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_parses_from_its_own_name() {
        for format in ArchiveFormat::ALL {
            assert_eq!(format.to_string().parse(), Ok(format));
        }
        assert!(
            "rar"
                .parse::<ArchiveFormat>()
                .unwrap_err()
                .to_string()
                .contains("`rar`")
        );
    }
}
