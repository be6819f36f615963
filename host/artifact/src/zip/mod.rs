//! Reading a zip from its central directory.
//!
//! **The threat.** A zip says everything twice: before each entry and in the directory at its end,
//! and readers that believe different copies see different trees. Sizes and checksums are claims.
//! Entries may overlap, so that one compressed block is every file of a huge tree. The directory
//! may claim any number of records.
//!
//! **The rule.** The directory at the end is the archive; a local header is used only to find where
//! an entry's bytes begin. Records are read one at a time against the entry limit (readers that
//! collect them first can be made to allocate without bound, and a map by name hides duplicates,
//! which is why this is not left to a crate). Each entry's size and CRC are checked when it is
//! emitted, and no more than the claimed size is ever produced.
//!
//! | entry | here |
//! |---|---|
//! | stored, deflate, zstd; zip64; sizes after the data ("data descriptor") | read |
//! | encrypted, other methods, several disks | refused by name |
//! | Unix mode says symlink | kept, never followed; its content is the target |
//! | Unix mode says folder, or the name ends in `/` | folder, also when it is empty |
//! | Unix mode says file or nothing, or another system made it | file; executable if the owner's x bit is set |
//! | device, fifo, socket | refused |
//! | bytes before the archive (self-extracting programs) | skipped |
//! | number of records other than stated, directory of another length | refused |

mod directory;
mod entry;

use crate::error::ArtifactError;
use crate::meter::Meter;
use crate::path::{Dialect, EntryPath};
use crate::spool::SpooledBlob;
use crate::tree::{Content, Directory, FileNode, Node, TreeBuilder};

pub(crate) use self::entry::{EntryReader, Stored};

use self::directory::{CentralDirectory, Record};

/// A symlink longer than this cannot be made; the check proper follows when it is.
const MAX_TARGET_BYTES: u64 = 64 * 1024;

/// The file type part of a Unix mode.
const TYPE_MASK: u32 = 0o170_000;

pub(crate) fn malformed(detail: impl Into<String>) -> ArtifactError {
    ArtifactError::Malformed {
        format: "zip",
        detail: detail.into(),
    }
}

/// Indexes all entries of a zip, reading none but the symlinks.
pub(crate) fn index(
    blob: &SpooledBlob,
    tree: &mut TreeBuilder,
    meter: &Meter,
) -> Result<(), ArtifactError> {
    let mut directory = CentralDirectory::find(blob)?;
    while let Some(record) = directory.next_record()? {
        let path = EntryPath::parse(&record.name, Dialect::Portable)?;
        let node = node(blob, &path, record, meter)?;
        tree.insert(&path, node)?;
    }
    Ok(())
}

fn node(
    blob: &SpooledBlob,
    path: &EntryPath,
    record: Record,
    meter: &Meter,
) -> Result<Node, ArtifactError> {
    let mode = record.unix_mode;
    match mode & TYPE_MASK {
        0o040_000 => return Ok(Node::Directory(Directory::new())),
        0 | 0o100_000 if path.says_directory() => return Ok(Node::Directory(Directory::new())),
        0 | 0o100_000 | 0o120_000 => {}
        _ => {
            let problem = "is a device, fifo or socket, which no store path can hold";
            return Err(ArtifactError::entry(&record.name, problem));
        }
    }
    let size = record.stored.size();
    meter.output(size)?;
    if mode & TYPE_MASK == 0o120_000 {
        if size > MAX_TARGET_BYTES {
            return Err(ArtifactError::entry(&record.name, crate::tree::BAD_TARGET));
        }
        let mut reader = EntryReader::open(blob, &record.stored, meter)
            .map_err(|error| error.in_entry(&record.name))?;
        let mut target = Vec::new();
        while let Some(piece) = reader
            .next_piece()
            .map_err(|error| error.in_entry(&record.name))?
        {
            target.extend_from_slice(&piece);
        }
        return Node::symlink(&record.name, target);
    }
    Ok(Node::File(FileNode {
        executable: mode & 0o100 != 0,
        size,
        content: Content::Zip(Box::new(record.stored)),
    }))
}
