//! Zip archives, written by the crate `zip` and by hand.

use std::io::{Cursor, Write as _};

use super::tree::{Node, Tree};

/// The tree in an archive, by a well-behaved archiver.
pub fn of_tree(tree: &Tree) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    for (path, node) in tree {
        match node {
            Node::File {
                content,
                executable,
            } => {
                let mode = if *executable { 0o755 } else { 0o644 };
                let method = match content.len() % 3 {
                    0 => zip::CompressionMethod::Stored,
                    1 => zip::CompressionMethod::Deflated,
                    _ => zip::CompressionMethod::Zstd,
                };
                let options = options.unix_permissions(mode).compression_method(method);
                writer.start_file(path, options).unwrap();
                writer.write_all(content).unwrap();
            }
            Node::Symlink(target) => writer.add_symlink(path, target, options).unwrap(),
            Node::Directory => writer.add_directory(path, options).unwrap(),
        }
    }
    writer.finish().unwrap().into_inner()
}

/// One entry of an archive that no archiver would write.
#[derive(Clone)]
pub struct Entry {
    pub name: Vec<u8>,
    pub mode: u32,
    pub system: u8,
    pub flags: u16,
    pub method: u16,
    pub size: u64,
    pub crc: u32,
    pub data: Vec<u8>,
    /// Whether the numbers are in the 64-bit extra field.
    pub zip64: bool,
}

impl Entry {
    pub fn stored(name: &str, content: &[u8]) -> Self {
        Self {
            name: name.into(),
            mode: 0o100_644,
            system: 3,
            flags: 0,
            method: 0,
            size: content.len() as u64,
            crc: crc32fast::hash(content),
            data: content.to_vec(),
            zip64: false,
        }
    }

    pub fn deflated(name: &str, content: &[u8]) -> Self {
        Self {
            method: 8,
            data: super::deflate(content),
            ..Self::stored(name, content)
        }
    }

    pub fn symlink(name: &str, target: &str) -> Self {
        Self {
            mode: 0o120_777,
            ..Self::stored(name, target.as_bytes())
        }
    }

    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

pub fn of(entries: &[Entry]) -> Vec<u8> {
    Raw::new(entries).build()
}

/// An archive whose end can be made to lie.
pub struct Raw<'a> {
    pub entries: &'a [Entry],
    pub prefix: &'a [u8],
    pub comment: &'a [u8],
    pub stated: Option<u64>,
    pub zip64: bool,
    /// All records point at the first entry's bytes.
    pub overlapping: bool,
}

impl<'a> Raw<'a> {
    pub fn new(entries: &'a [Entry]) -> Self {
        let (prefix, comment) = (&[][..], &[][..]);
        Self {
            entries,
            prefix,
            comment,
            stated: None,
            zip64: false,
            overlapping: false,
        }
    }

    pub fn build(&self) -> Vec<u8> {
        let mut out = self.prefix.to_vec();
        let mut offsets = Vec::new();
        for entry in self.entries {
            if self.overlapping && !offsets.is_empty() {
                offsets.push(offsets[0]);
                continue;
            }
            offsets.push((out.len() - self.prefix.len()) as u64);
            out.extend(b"PK\x03\x04");
            // Sizes and CRC are zero here and follow the data, as stream writers do.
            for number in [20, entry.flags | 8, entry.method, 0, 0] {
                out.extend(number.to_le_bytes());
            }
            out.extend([0; 12]);
            out.extend((entry.name.len() as u16).to_le_bytes());
            out.extend([0; 2]);
            out.extend(&entry.name);
            out.extend(&entry.data);
            out.extend(b"PK\x07\x08");
            out.extend(entry.crc.to_le_bytes());
            out.extend((entry.data.len() as u32).to_le_bytes());
            out.extend((entry.size as u32).to_le_bytes());
        }
        let start = out.len();
        for (entry, offset) in self.entries.iter().zip(offsets) {
            let numbers = [entry.size, entry.data.len() as u64, offset];
            let extra: Vec<u8> = if entry.zip64 {
                let numbers = numbers.iter().flat_map(|number| number.to_le_bytes());
                [1, 0, 24, 0].into_iter().chain(numbers).collect()
            } else {
                Vec::new()
            };
            let short = |number: u64| {
                if entry.zip64 {
                    [0xff; 4]
                } else {
                    (number as u32).to_le_bytes()
                }
            };
            out.extend(b"PK\x01\x02");
            out.extend([20, entry.system, 20, 0]);
            out.extend((entry.flags | 8).to_le_bytes());
            out.extend(entry.method.to_le_bytes());
            out.extend([0; 4]);
            out.extend(entry.crc.to_le_bytes());
            out.extend(short(numbers[1]));
            out.extend(short(numbers[0]));
            out.extend((entry.name.len() as u16).to_le_bytes());
            out.extend((extra.len() as u16).to_le_bytes());
            out.extend([0; 6]);
            out.extend((entry.mode << 16).to_le_bytes());
            out.extend(short(numbers[2]));
            out.extend(&entry.name);
            out.extend(extra);
        }
        self.end(out, start)
    }

    fn end(&self, mut out: Vec<u8>, start: usize) -> Vec<u8> {
        let stated = self.stated.unwrap_or(self.entries.len() as u64);
        let size = out.len() - start;
        let offset = start - self.prefix.len();
        if self.zip64 {
            let at = (out.len() - self.prefix.len()) as u64;
            out.extend(b"PK\x06\x06");
            out.extend(44_u64.to_le_bytes());
            out.extend([45, 0, 45, 0]);
            out.extend([0; 8]);
            for number in [stated, stated, size as u64, offset as u64] {
                out.extend(number.to_le_bytes());
            }
            out.extend(b"PK\x06\x07");
            out.extend([0; 4]);
            out.extend(at.to_le_bytes());
            out.extend(1_u32.to_le_bytes());
        }
        out.extend(b"PK\x05\x06");
        out.extend([0; 4]);
        if self.zip64 {
            out.extend([0xff; 12]);
        } else {
            out.extend((stated as u16).to_le_bytes());
            out.extend((stated as u16).to_le_bytes());
            out.extend((size as u32).to_le_bytes());
            out.extend((offset as u32).to_le_bytes());
        }
        out.extend((self.comment.len() as u16).to_le_bytes());
        out.extend(self.comment);
        out
    }
}
