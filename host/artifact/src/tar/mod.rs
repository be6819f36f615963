//! Reading a tar archive as it streams by: contents go to a spool, the rest into the index.
//!
//! **The threat.** The format is a pile of dialects. Readers disagree about names that are given
//! twice (header, GNU long name, pax record), about sizes of entries that have no content, about
//! sparse files; an extension record may claim to be gigabytes long; a hard link may point anywhere
//! and be repeated without end.
//!
//! **The rule.** The crate `tar` decodes header fields; which records there are and what they mean
//! is decided here, because its own reader keeps extension records of any length in memory. Only
//! what has one meaning is taken:
//!
//! | entry | here |
//! |---|---|
//! | file (`0`, NUL, `7`) | kept; executable if the owner's x bit is set; a name ending in `/` is a folder |
//! | folder (`5`), symlink (`2`) | kept, as having no content whatever their size says (as POSIX) |
//! | hard link (`1`) | the content, or symlink, of the *earlier* entry of that name; else refused |
//! | pax (`x`), GNU long name and target (`L`, `K`) | replace name and target of the next entry; at most 1 MiB |
//! | global pax (`g`) | skipped (git writes its commit there); refused if it sets names, targets or sizes |
//! | volume label (`V`) | skipped |
//! | device, fifo, sparse file, anything else | refused by name |
//! | no zero block at the end | refused: cut short |

mod pax;

use std::io::BufRead as _;

use ::tar::{EntryType, Header};

use crate::decode::drain;
use crate::error::{ArtifactError, shown};
use crate::meter::Meter;
use crate::path::{Dialect, EntryPath};
use crate::reader::{BoxReader, read_full};
use crate::spool::Spool;
use crate::tree::{Content, FileNode, Node, TreeBuilder};

use self::pax::Overrides;

/// Everything in a tar is padded to this.
const BLOCK_BYTES: u64 = 512;

/// Longest extension record that is read.
const MAX_EXTENSION_BYTES: u64 = 1024 * 1024;

/// What is said of an archive that ends too early.
const CUT_SHORT: &str = "it is cut short";

/// The type of an entry that only names the tape.
const VOLUME_LABEL: u8 = b'V';

/// Where a header keeps its checksum, counted as spaces.
const CHECKSUM: std::ops::Range<usize> = 148..156;

/// Reads the whole archive, up to the end of the reader.
pub(crate) fn unpack(
    reader: BoxReader,
    spool: &mut Spool,
    tree: &mut TreeBuilder,
    meter: &Meter,
) -> Result<(), ArtifactError> {
    let mut archive = Archive {
        reader,
        position: 0,
    };
    let mut overrides = Overrides::default();
    while let Some(header) = archive.header()? {
        let kind = header.entry_type();
        let declared = header
            .entry_size()
            .map_err(|error| archive.malformed(error))?;
        if declared > i64::MAX.cast_unsigned() {
            return Err(archive.malformed("an entry's size is absurd"));
        }
        match kind {
            EntryType::GNULongName => overrides.path = Some(archive.long_name(declared)?),
            EntryType::GNULongLink => overrides.target = Some(archive.long_name(declared)?),
            EntryType::XHeader => {
                let records = archive.extension(declared)?;
                overrides
                    .read(&records)
                    .map_err(|detail| archive.malformed(detail))?;
            }
            EntryType::XGlobalHeader => {
                let records = archive.extension(declared)?;
                let mut global = Overrides::default();
                global
                    .read(&records)
                    .map_err(|detail| archive.malformed(detail))?;
                if !global.is_empty() {
                    return Err(archive.malformed("a global header renames or resizes entries"));
                }
            }
            kind if kind.as_byte() == VOLUME_LABEL => archive.skip(padded(declared))?,
            _ => {
                let overrides = std::mem::take(&mut overrides);
                archive.entry(&header, declared, overrides, spool, tree, meter)?;
            }
        }
    }
    if !overrides.is_empty() {
        return Err(archive.malformed("it ends between an extension and its entry"));
    }
    drain(&mut archive.reader)
        .map(drop)
        .map_err(|error| ArtifactError::from_io(error, |error| archive.malformed(error)))
}

struct Archive {
    reader: BoxReader,
    position: u64,
}

impl Archive {
    fn malformed(&self, detail: impl std::fmt::Display) -> ArtifactError {
        malformed(self.position, detail)
    }

    /// Fills the buffer or says that the archive is cut short.
    fn exactly(&mut self, buffer: &mut [u8]) -> Result<(), ArtifactError> {
        let amount = read_full(&mut self.reader, buffer)
            .map_err(|error| ArtifactError::from_io(error, |error| self.malformed(error)))?;
        self.position += amount as u64;
        if amount < buffer.len() {
            Err(self.malformed(CUT_SHORT))
        } else {
            Ok(())
        }
    }

    /// The next header; `None` at the mark of the end.
    fn header(&mut self) -> Result<Option<Header>, ArtifactError> {
        let mut header = Header::new_old();
        self.exactly(header.as_mut_bytes())?;
        if header.as_bytes().iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let stated = header.cksum().map_err(|error| self.malformed(error))?;
        if !checksums(header.as_bytes()).contains(&i64::from(stated)) {
            return Err(self.malformed("a header has the wrong checksum"));
        }
        Ok(Some(header))
    }

    /// Gives the next `length` bytes to `take`, as they lie in the reader's buffer.
    fn pass(
        &mut self,
        length: u64,
        mut take: impl FnMut(&[u8]) -> Result<(), ArtifactError>,
    ) -> Result<(), ArtifactError> {
        let mut left = length;
        while left > 0 {
            let position = self.position;
            let piece = self.reader.fill_buf().map_err(|error| {
                ArtifactError::from_io(error, |error| malformed(position, error))
            })?;
            if piece.is_empty() {
                return Err(self.malformed(CUT_SHORT));
            }
            let part = left.min(piece.len() as u64);
            take(&piece[..part as usize])?;
            self.reader.consume(part as usize);
            self.position += part;
            left -= part;
        }
        Ok(())
    }

    fn skip(&mut self, length: u64) -> Result<(), ArtifactError> {
        self.pass(length, |_| Ok(()))
    }

    /// The content of an extension record.
    fn extension(&mut self, length: u64) -> Result<Vec<u8>, ArtifactError> {
        if length > MAX_EXTENSION_BYTES {
            return Err(self.malformed(format_args!(
                "an extension record has {length} bytes, at most {MAX_EXTENSION_BYTES} are read"
            )));
        }
        let mut content = vec![0; length as usize];
        self.exactly(&mut content)?;
        self.skip(padded(length) - length)?;
        Ok(content)
    }

    /// A GNU long name, which ends with a NUL.
    fn long_name(&mut self, length: u64) -> Result<Vec<u8>, ArtifactError> {
        let mut name = self.extension(length)?;
        if name.last() == Some(&0) {
            name.pop();
        }
        Ok(name)
    }

    fn entry(
        &mut self,
        header: &Header,
        declared: u64,
        overrides: Overrides,
        spool: &mut Spool,
        tree: &mut TreeBuilder,
        meter: &Meter,
    ) -> Result<(), ArtifactError> {
        let raw = overrides
            .path
            .unwrap_or_else(|| header.path_bytes().into_owned());
        let path = EntryPath::parse(&raw, Dialect::Unix)?;
        let target = || {
            let own = || header.link_name_bytes().map(Into::into);
            overrides.target.clone().or_else(own).unwrap_or_default()
        };
        if overrides.sparse {
            return Err(ArtifactError::entry(
                &raw,
                "is a sparse file, which is not supported",
            ));
        }
        let node = match header.entry_type() {
            EntryType::Regular | EntryType::Continuous if !path.says_directory() => {
                let size = overrides.size.unwrap_or(declared);
                let mode = header.mode().map_err(|error| self.malformed(error))?;
                let offset = spool.len();
                self.content(size, spool, meter)?;
                Node::File(FileNode {
                    executable: mode & 0o100 != 0,
                    size,
                    content: Content::Range { blob: 0, offset },
                })
            }
            EntryType::Regular if declared > 0 => {
                let problem = "has the path of a folder and holds something";
                return Err(ArtifactError::entry(&raw, problem));
            }
            EntryType::Regular | EntryType::Directory => Node::Directory(Default::default()),
            EntryType::Symlink => Node::symlink(&raw, target())?,
            EntryType::Link => hard_link(&raw, &target(), tree, meter)?,
            other => {
                let problem = format!("is {}, which no store path can hold", kind_name(other));
                return Err(ArtifactError::entry(&raw, problem));
            }
        };
        tree.insert(&path, node)
    }

    /// Moves a file's content to the spool.
    fn content(
        &mut self,
        size: u64,
        spool: &mut Spool,
        meter: &Meter,
    ) -> Result<(), ArtifactError> {
        self.pass(size, |piece| {
            meter.output(piece.len() as u64)?;
            spool.append(piece)
        })?;
        self.skip(padded(size) - size)
    }
}

fn malformed(position: u64, detail: impl std::fmt::Display) -> ArtifactError {
    // The decoder of header fields quotes them.
    let detail = shown(detail.to_string().as_bytes());
    let detail = format!("{detail} (before byte {position})");
    ArtifactError::Malformed {
        format: "tar",
        detail,
    }
}

/// The earlier entry that a hard link names. It shares the spooled content, and counts again.
fn hard_link(
    raw: &[u8],
    target: &[u8],
    tree: &TreeBuilder,
    meter: &Meter,
) -> Result<Node, ArtifactError> {
    match tree.get(&EntryPath::parse(target, Dialect::Unix)?) {
        Some(node @ Node::File(file)) => {
            meter.output(file.size)?;
            Ok(node.clone())
        }
        Some(node @ Node::Symlink(_)) => Ok(node.clone()),
        _ => Err(ArtifactError::entry(
            raw,
            format!(
                "is a hard link to `{}`, which is no earlier file",
                shown(target)
            ),
        )),
    }
}

fn kind_name(kind: EntryType) -> String {
    match kind {
        EntryType::Char => "a character device".to_owned(),
        EntryType::Block => "a block device".to_owned(),
        EntryType::Fifo => "a fifo".to_owned(),
        EntryType::GNUSparse => "a GNU sparse file".to_owned(),
        other => format!("of the unknown type `{}`", other.as_byte().escape_ascii()),
    }
}

/// Length with padding; lengths are below 2^63, so nothing overflows.
fn padded(length: u64) -> u64 {
    length.next_multiple_of(BLOCK_BYTES)
}

/// The sum of a header's bytes, and the sum that some old archivers wrote: of signed bytes.
fn checksums(header: &[u8]) -> [i64; 2] {
    let mut sums = [0, 0];
    for (at, byte) in header.iter().enumerate() {
        let byte = if CHECKSUM.contains(&at) { b' ' } else { *byte };
        sums[0] += i64::from(byte);
        sums[1] += i64::from(byte.cast_signed());
    }
    sums
}
