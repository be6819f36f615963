//! What content is, told by its first bytes.

use std::io::{self, Read as _};

use crate::decode::Codec;
use crate::error::ArtifactError;
use crate::layout::ArchiveFormat;
use crate::reader::{BoxReader, read_full};

/// How much is looked at: one tar header, and room for the white space before an HTML page.
const HEAD_BYTES: usize = 1024;

/// Where a tar header says `ustar`.
const TAR_MAGIC_OFFSET: usize = 257;

/// Reads the head and gives back a reader of everything.
fn peek(mut reader: BoxReader) -> io::Result<(Vec<u8>, BoxReader)> {
    let mut head = vec![0; HEAD_BYTES];
    let length = read_full(&mut reader, &mut head)?;
    head.truncate(length);
    let whole: BoxReader = Box::new(io::Cursor::new(head.clone()).chain(reader));
    Ok((head, whole))
}

/// How an archive is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packing {
    Zip,
    Tar(Option<Codec>),
}

impl Packing {
    /// `None` for `auto`, which says nothing.
    fn of(format: ArchiveFormat) -> Option<Self> {
        Some(match format {
            ArchiveFormat::Zip => Self::Zip,
            ArchiveFormat::Tar => Self::Tar(None),
            ArchiveFormat::TarGzip => Self::Tar(Some(Codec::Gzip)),
            ArchiveFormat::TarBzip2 => Self::Tar(Some(Codec::Bzip2)),
            ArchiveFormat::TarXz => Self::Tar(Some(Codec::Xz)),
            ArchiveFormat::TarZstd => Self::Tar(Some(Codec::Zstd)),
            ArchiveFormat::Auto => return None,
        })
    }
}

/// Decides how to unpack: as the named format when the content begins like it, or with `auto` as
/// the one that it begins like.
pub(crate) fn identify(
    reader: BoxReader,
    named: ArchiveFormat,
) -> Result<(Packing, BoxReader), ArtifactError> {
    let (head, reader) = peek(reader).map_err(ArtifactError::from_reader)?;
    let found = format_of(&head);
    let packing = match (Packing::of(named), found) {
        (Some(packing), Some(found)) if found == named => packing,
        _ if is_html(&head) => return Err(ArtifactError::LooksLikeHtml),
        (None, found) => found
            .and_then(Packing::of)
            .ok_or(ArtifactError::UnknownFormat)?,
        // A zip may have anything before its entries (a self-extracting program), and a tar of
        // before 1988 has no magic: their own readers judge.
        (Some(packing @ (Packing::Zip | Packing::Tar(None))), None) => packing,
        (Some(_), found) => {
            return Err(ArtifactError::WrongFormat {
                expected: named,
                found,
            });
        }
    };
    Ok((packing, reader))
}

fn format_of(head: &[u8]) -> Option<ArchiveFormat> {
    const MAGIC: [(&[u8], ArchiveFormat); 7] = [
        (b"PK\x03\x04", ArchiveFormat::Zip),
        // An empty zip is nothing but its end record.
        (b"PK\x05\x06", ArchiveFormat::Zip),
        (b"\x1f\x8b", ArchiveFormat::TarGzip),
        (b"BZh", ArchiveFormat::TarBzip2),
        (b"\xfd7zXZ\0", ArchiveFormat::TarXz),
        (b"\x28\xb5\x2f\xfd", ArchiveFormat::TarZstd),
        // A skippable frame; pzstd begins with one.
        (b"\x50\x2a\x4d\x18", ArchiveFormat::TarZstd),
    ];
    if let Some((_, format)) = MAGIC.iter().find(|(magic, _)| head.starts_with(magic)) {
        return Some(*format);
    }
    let tar = head
        .get(TAR_MAGIC_OFFSET..)
        .is_some_and(|rest| rest.starts_with(b"ustar"));
    tar.then_some(ArchiveFormat::Tar)
}

fn is_html(head: &[u8]) -> bool {
    let head = head
        .strip_prefix(b"\xef\xbb\xbf")
        .unwrap_or(head)
        .trim_ascii_start();
    [&b"<!doctype"[..], b"<html"].iter().any(|start| {
        head.get(..start.len())
            .is_some_and(|begin| begin.eq_ignore_ascii_case(start))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_recognised_in_any_case_after_white_space_or_a_byte_order_mark() {
        for page in [
            &b"<!DOCTYPE html>"[..],
            b"\n\n  <html lang=en>",
            b"\xef\xbb\xbf<!doctype HTML>",
            b"<HTML>",
        ] {
            assert!(is_html(page));
        }
        for other in [&b""[..], b"<", b"{}", b"<?xml", b"PK\x03\x04<html"] {
            assert!(!is_html(other));
        }
    }
}
