//! From the index to events, in the order of a NAR.

use bytes::Bytes;
use fetchhost_formats::nar::{DecodeError, Event, decode};

use crate::batch::{Batcher, Sizes, cut};
use crate::emit::Batch;
use crate::error::ArtifactError;
use crate::meter::Meter;
use crate::prepare::Packed;
use crate::spool::SpooledBlob;
use crate::tree::{Content, Directory, FileNode, Node};
use crate::zip::EntryReader;

/// How much of a spooled file is read at once.
const READ_BYTES: u64 = 128 * 1024;

/// An indexed node with the blobs that its contents lie in.
pub(crate) struct Indexed {
    pub(crate) root: Node,
    pub(crate) blobs: Vec<SpooledBlob>,
    pub(crate) meter: Meter,
}

impl Indexed {
    /// Walks the whole tree and gives `send` each batch.
    pub(crate) fn walk(
        self,
        send: impl FnMut(Batch) -> Result<(), ArtifactError>,
    ) -> Result<Sizes, ArtifactError> {
        let mut walker = Walker {
            blobs: self.blobs,
            meter: self.meter,
            batcher: Batcher::new(),
            path: Vec::new(),
            send,
        };
        walker.node(self.root)?;
        let (last, sizes) = walker.batcher.finish()?;
        (walker.send)(last)?;
        Ok(sizes)
    }
}

impl Packed {
    /// Decodes the archive and gives `send` each batch of the one that is encoded again: it is the
    /// very same one, or refused.
    pub(crate) fn walk(
        mut self,
        mut send: impl FnMut(Batch) -> Result<(), ArtifactError>,
    ) -> Result<Sizes, ArtifactError> {
        let mut batcher = Batcher::new();
        decode(&mut self.archive, |event| {
            match &event {
                Event::Data(data) => {
                    self.meter.arrived(data.len() as u64)?;
                    self.meter.output(data.len() as u64)?;
                }
                Event::Entry { .. } => self.meter.entry()?,
                _ => {}
            }
            match batcher.push(event)? {
                Some(batch) => send(batch),
                None => Ok(()),
            }
        })
        .map_err(|error| match error {
            DecodeError::Visitor(error) => error,
            damaged => ArtifactError::Packed {
                detail: damaged.to_string(),
            },
        })?;
        let (last, sizes) = batcher.finish()?;
        send(last)?;
        Ok(sizes)
    }
}

struct Walker<F> {
    blobs: Vec<SpooledBlob>,
    meter: Meter,
    batcher: Batcher,
    /// Where the walk is, for messages.
    path: Vec<u8>,
    send: F,
}

impl<F: FnMut(Batch) -> Result<(), ArtifactError>> Walker<F> {
    fn event(&mut self, event: Event) -> Result<(), ArtifactError> {
        match self.batcher.push(event)? {
            Some(batch) => (self.send)(batch),
            None => Ok(()),
        }
    }

    fn node(&mut self, node: Node) -> Result<(), ArtifactError> {
        match node {
            Node::Directory(directory) => self.directory(directory),
            Node::File(file) => self.file(&file),
            Node::Symlink(target) => self.event(Event::Symlink {
                target: target.into(),
            }),
        }
    }

    /// No deeper than the levels that the index accepted, so recursion is bounded.
    fn directory(&mut self, directory: Directory) -> Result<(), ArtifactError> {
        self.event(Event::Directory)?;
        let above = self.path.len();
        for (name, node) in directory {
            self.path.extend_from_slice(&name);
            self.event(Event::Entry { name: name.into() })?;
            if matches!(node, Node::Directory(_)) {
                self.path.push(b'/');
            }
            self.node(node)?;
            self.event(Event::EndEntry)?;
            self.path.truncate(above);
        }
        self.event(Event::EndDirectory)
    }

    fn file(&mut self, file: &FileNode) -> Result<(), ArtifactError> {
        self.event(Event::File {
            executable: file.executable,
            size: file.size,
        })?;
        match &file.content {
            Content::Range { blob, offset } => {
                let blob = self.blobs[*blob as usize].clone();
                let mut at = *offset;
                let end = at + file.size;
                while at < end {
                    let length = (end - at).min(READ_BYTES);
                    self.data(blob.read(at, length as usize)?)?;
                    at += length;
                }
            }
            Content::Zip(stored) => {
                let blob = self.blobs[0].clone();
                let mut reader = EntryReader::open(&blob, stored, &self.meter)
                    .map_err(|error| error.in_entry(&self.path))?;
                while let Some(piece) = reader
                    .next_piece()
                    .map_err(|error| error.in_entry(&self.path))?
                {
                    self.data(piece)?;
                }
            }
        }
        self.event(Event::EndFile)
    }

    fn data(&mut self, data: Bytes) -> Result<(), ArtifactError> {
        cut(data).try_for_each(|piece| self.event(Event::Data(piece)))
    }
}
