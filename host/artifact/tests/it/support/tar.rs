//! Tar archives, written by the crate `tar` and by hand.

use super::tree::{Node, Tree};

/// The tree in an archive, by a well-behaved archiver.
pub fn of_tree(tree: &Tree) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, node) in tree {
        let mut header = tar::Header::new_gnu();
        header.set_mtime(1_700_000_000);
        match node {
            Node::File {
                content,
                executable,
            } => {
                header.set_mode(if *executable { 0o755 } else { 0o644 });
                header.set_size(content.len() as u64);
                builder
                    .append_data(&mut header, path, &content[..])
                    .unwrap();
            }
            Node::Symlink(target) => {
                header.set_entry_type(tar::EntryType::Symlink);
                header.set_size(0);
                header.set_link_name_literal(target).unwrap();
                builder.append_data(&mut header, path, &[][..]).unwrap();
            }
            Node::Directory => {
                header.set_entry_type(tar::EntryType::Directory);
                header.set_mode(0o755);
                header.set_size(0);
                builder
                    .append_data(&mut header, format!("{path}/"), &[][..])
                    .unwrap();
            }
        }
    }
    builder.into_inner().unwrap()
}

/// An archive of entries that no archiver would write.
#[derive(Default)]
pub struct Raw(Vec<u8>);

impl Raw {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn file(self, path: &str, content: &[u8]) -> Self {
        self.entry(b'0', path.as_bytes(), b"", content)
    }

    pub fn symlink(self, path: &str, target: &str) -> Self {
        self.entry(b'2', path.as_bytes(), target.as_bytes(), b"")
    }

    pub fn hard_link(self, path: &str, target: &str) -> Self {
        self.entry(b'1', path.as_bytes(), target.as_bytes(), b"")
    }

    pub fn directory(self, path: &str) -> Self {
        self.entry(b'5', path.as_bytes(), b"", b"")
    }

    pub fn entry(self, kind: u8, path: &[u8], target: &[u8], content: &[u8]) -> Self {
        self.sized(kind, path, target, content.len() as u64, content)
    }

    pub fn sized(
        mut self,
        kind: u8,
        path: &[u8],
        target: &[u8],
        size: u64,
        content: &[u8],
    ) -> Self {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::new(kind));
        header.set_mode(0o644);
        header.set_size(size);
        header.set_mtime(0);
        header.as_old_mut().name[..path.len()].copy_from_slice(path);
        header.as_old_mut().linkname[..target.len()].copy_from_slice(target);
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    /// An extended header with these records.
    pub fn pax(self, kind: u8, records: &[(&str, &str)]) -> Self {
        let mut content = Vec::new();
        for (key, value) in records {
            let rest = format!(" {key}={value}\n");
            let digits = (1..).find(|digits| (rest.len() + digits).to_string().len() == *digits);
            let length = rest.len() + digits.unwrap();
            content.extend_from_slice(format!("{length}{rest}").as_bytes());
        }
        self.entry(kind, b"pax", b"", &content)
    }

    /// The archive without the mark of its end.
    pub fn cut(self) -> Vec<u8> {
        self.0
    }

    pub fn end(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }
}
