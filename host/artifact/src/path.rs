//! Which paths an archive may name.
//!
//! **The threat.** An archive names its entries itself. `../../etc/passwd` or `/etc/passwd` would
//! write outside of the output; `a/b` after a symlink `a -> /etc` would write through the link; two
//! entries of one name, or a name that one reader cuts at a NUL or turns at a backslash, would make
//! different trees for different readers, so that the tree that was reviewed is not the one that is
//! built.
//!
//! **The rule.** Nothing is written under an archive's names here: the tree is an index in memory.
//! Still an entry must have one relative path that means the same to every reader, and each path
//! one meaning. What breaks the rule ends the fetch; nothing is repaired silently except the two
//! spellings below that every archiver writes. Bytes are not text: names that are no UTF-8 stay as
//! they are, and names that differ in case only are different names.
//!
//! A plan's paths are a program's, not an archiver's: there a leading `./` is refused as well.
//!
//! | spelling | zip, plan | tar |
//! |---|---|---|
//! | `a/b`, `-`, `...`, ` `, `ü`, bytes that are no UTF-8 | kept | kept |
//! | `./a`, `././a` | `a`; refused in a plan | `a` |
//! | `a/` | folder `a` | folder `a` |
//! | `.`, `./` | the root folder | the root folder |
//! | `a/`, `.` for a symlink, or a file of a plan | refused | refused |
//! | the empty path | refused | refused |
//! | `/a`, `//a` | refused | refused |
//! | `..`, `../a`, `a/../b`, `a/..` | refused | refused |
//! | `a//b`, `a/./b`, `a/.`, `a//` | refused | refused |
//! | NUL anywhere | refused | refused |
//! | a segment longer than 255 bytes | refused | refused |
//! | `a\b`, `..\a`, `\a` | refused: a separator to some | kept: an ordinary byte (systemd's units) |
//! | `C:`, `C:a`, `C:/a` | refused: a drive to some | kept: an ordinary name |
//! | `a` twice as file or symlink | refused | refused |
//! | `a` a file or symlink and a folder | refused | refused |
//! | `a/b` where `a` is a file or a symlink | refused | refused |
//! | folder `a` twice | one folder | one folder |
//! | `A` and `a` | both kept | both kept |
//! | deeper than 64 levels | limit `depth` | limit `depth` |

use std::fmt;

use fetchhost_formats::nar;

use crate::error::ArtifactError;

/// Whose spelling a path has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Names written by a module into its plan.
    Plan,
    /// Names written on any system, Windows among them: zip.
    Portable,
    /// Names written on Unix.
    Unix,
}

/// The rule that a path breaks, as the rest of a sentence about the entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PathProblem {
    /// No path at all.
    Empty,
    /// It starts at the root of the file system.
    Absolute,
    /// It climbs with `..`.
    Parent,
    /// It holds an empty segment or `.` between others, or, in a plan, at its start.
    Unclean,
    /// It holds a NUL.
    Nul,
    /// It holds a backslash.
    Backslash,
    /// It starts with a drive letter.
    Drive,
    /// One of its names is too long.
    LongName,
    /// The same path came before.
    Duplicate,
    /// It lies below an entry that is a file.
    BelowFile,
    /// It lies below an entry that is a symlink.
    BelowSymlink,
    /// A folder of the same path came before.
    OverDirectory,
    /// It ends in `/`, and the entry is no folder.
    NotDirectory,
    /// It is a folder, and a file or symlink of the same path came before.
    OverFile,
}

impl fmt::Display for PathProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "has no path",
            Self::Absolute => "has an absolute path",
            Self::Parent => "climbs out of its folder with `..`",
            Self::Unclean => "has an empty or `.` segment in its path",
            Self::Nul => "has a NUL in its path",
            Self::Backslash => "has a backslash in its path, which some take for a separator",
            Self::Drive => "starts with a drive letter",
            Self::LongName => "has a name of more than 255 bytes",
            Self::Duplicate => "is there twice",
            Self::BelowFile => "lies below an entry that is a file",
            Self::BelowSymlink => "lies below an entry that is a symlink",
            Self::OverDirectory => "is there as a folder, too",
            Self::NotDirectory => "has the path of a folder and is none",
            Self::OverFile => "is a folder, and a file or symlink, too",
        })
    }
}

/// A path that keeps the rule: segments without any of the refused spellings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EntryPath {
    bytes: Vec<u8>,
    directory: bool,
}

impl EntryPath {
    /// Checks one spelling against the table above.
    pub(crate) fn parse(raw: &[u8], dialect: Dialect) -> Result<Self, ArtifactError> {
        let refuse = |problem| Err(ArtifactError::path(raw, problem));
        if raw.is_empty() {
            return refuse(PathProblem::Empty);
        }
        if raw.contains(&0) {
            return refuse(PathProblem::Nul);
        }
        if raw.starts_with(b"/") {
            return refuse(PathProblem::Absolute);
        }
        if dialect == Dialect::Plan && raw.starts_with(b"./") {
            return refuse(PathProblem::Unclean);
        }
        if dialect != Dialect::Unix {
            if raw.contains(&b'\\') {
                return refuse(PathProblem::Backslash);
            }
            if let [letter, b':', ..] = raw
                && letter.is_ascii_alphabetic()
            {
                return refuse(PathProblem::Drive);
            }
        }
        let mut rest = raw;
        while let Some(below) = rest.strip_prefix(b"./") {
            rest = below;
        }
        if rest.is_empty() || rest == b"." {
            return Ok(Self {
                bytes: Vec::new(),
                directory: true,
            });
        }
        let (rest, directory) = match rest.strip_suffix(b"/") {
            Some(stem) => (stem, true),
            None => (rest, false),
        };
        for segment in rest.split(|byte| *byte == b'/') {
            match segment {
                b".." => return refuse(PathProblem::Parent),
                b"" | b"." => return refuse(PathProblem::Unclean),
                _ if segment.len() > nar::MAX_NAME_LEN => return refuse(PathProblem::LongName),
                _ => {}
            }
        }
        Ok(Self {
            bytes: rest.to_vec(),
            directory,
        })
    }

    /// Whether the spelling says that this is a folder.
    pub(crate) fn says_directory(&self) -> bool {
        self.directory
    }

    /// The names from the root on; none for the root itself.
    pub(crate) fn segments(&self) -> impl Iterator<Item = &[u8]> {
        self.bytes
            .split(|byte| *byte == b'/')
            .filter(|segment| !segment.is_empty())
    }

    /// The path without leading `./` and trailing `/`.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Dialect::{Plan, Portable, Unix};

    fn parsed(raw: &[u8], dialect: Dialect) -> Result<(Vec<u8>, bool), PathProblem> {
        match EntryPath::parse(raw, dialect) {
            Ok(path) => Ok((path.as_bytes().to_vec(), path.says_directory())),
            Err(ArtifactError::Path { problem, .. }) => Err(problem),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn spellings_that_mean_the_same_to_all_are_kept() {
        for raw in [
            &b"a/b"[..],
            b"-",
            b"...",
            b" ",
            "ü".as_bytes(),
            b"\xff\xfe",
            b"a..b",
            b".a",
            b"a.",
        ] {
            assert_eq!(parsed(raw, Portable), Ok((raw.to_vec(), false)));
            assert_eq!(parsed(raw, Unix), Ok((raw.to_vec(), false)));
        }
    }

    #[test]
    fn the_two_spellings_of_every_archiver_are_normalised() {
        for (raw, path, directory) in [
            (&b"./a"[..], &b"a"[..], false),
            (b"././a", b"a", false),
            (b"a/", b"a", true),
            (b"./a/b/", b"a/b", true),
            (b".", b"", true),
            (b"./", b"", true),
            (b"./.", b"", true),
        ] {
            assert_eq!(parsed(raw, Portable), Ok((path.to_vec(), directory)));
            assert_eq!(parsed(raw, Unix), Ok((path.to_vec(), directory)));
        }
    }

    #[test]
    fn a_plan_has_no_leading_dot() {
        for raw in [&b"./a"[..], b"./", b"a/."] {
            assert_eq!(
                parsed(raw, Plan),
                Err(PathProblem::Unclean),
                "{}",
                raw.escape_ascii()
            );
        }
        assert_eq!(parsed(b"a/b", Plan), Ok((b"a/b".to_vec(), false)));
        assert_eq!(parsed(b"a\\b", Plan), Err(PathProblem::Backslash));
    }

    #[test]
    fn spellings_that_lead_outside_or_are_not_clean_are_refused() {
        let long = [b'x'; 256];
        for (raw, problem) in [
            (&b""[..], PathProblem::Empty),
            (b"/a", PathProblem::Absolute),
            (b"//a", PathProblem::Absolute),
            (b"/", PathProblem::Absolute),
            (b"..", PathProblem::Parent),
            (b"../", PathProblem::Parent),
            (b"../a", PathProblem::Parent),
            (b"./../a", PathProblem::Parent),
            (b"a/../b", PathProblem::Parent),
            (b"a/..", PathProblem::Parent),
            (b"a//b", PathProblem::Unclean),
            (b"a/./b", PathProblem::Unclean),
            (b"a/.", PathProblem::Unclean),
            (b"a//", PathProblem::Unclean),
            (b".//", PathProblem::Unclean),
            (b".//a", PathProblem::Unclean),
            (b"a\0b", PathProblem::Nul),
            (&long, PathProblem::LongName),
        ] {
            assert_eq!(
                parsed(raw, Portable),
                Err(problem),
                "{}",
                raw.escape_ascii()
            );
            assert_eq!(parsed(raw, Unix), Err(problem), "{}", raw.escape_ascii());
        }
    }

    #[test]
    fn backslashes_and_drives_are_refused_where_windows_may_have_written_them() {
        for (raw, problem) in [
            (&b"a\\b"[..], PathProblem::Backslash),
            (b"..\\a", PathProblem::Backslash),
            (b"\\a", PathProblem::Backslash),
            (b"C:", PathProblem::Drive),
            (b"C:a", PathProblem::Drive),
            (b"c:/a", PathProblem::Drive),
        ] {
            assert_eq!(parsed(raw, Portable), Err(problem));
            assert_eq!(parsed(raw, Unix), Ok((raw.to_vec(), false)));
        }
    }

    #[test]
    fn a_refused_path_is_shown_without_its_control_characters() {
        let error = EntryPath::parse(b"../\x1b[2Jevil", Unix)
            .unwrap_err()
            .to_string();
        assert!(!error.contains('\x1b'), "{error:?}");
        assert!(error.contains("evil"), "{error:?}");
    }
}
