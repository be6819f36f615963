//! From a layout to something that can be emitted.

use std::io::BufRead;
use std::path::Path;

use fetchhost_policy::Limits;
use futures_util::StreamExt as _;
use futures_util::stream;

use crate::decode::undo_encoding;
use crate::error::ArtifactError;
use crate::input::{Body, BoxStream, Input};
use crate::layout::{ArchiveFormat, Layout, TreeEntry};
use crate::member;
use crate::meter::Meter;
use crate::path::{Dialect, EntryPath};
use crate::reader::{BoxReader, read_blocking};
use crate::sniff::{Packing, identify};
use crate::spool::{Spool, SpooledBlob};
use crate::tree::{self, Content, Directory, FileNode, Node, TreeBuilder};
use crate::walk::Indexed;
use crate::{tar, zip};

/// An artifact that can be emitted: one file, or a folder whose parts are all here.
pub struct Ready(pub(crate) Kind);

pub(crate) enum Kind {
    /// A file of known length that was not read yet.
    Streaming(Streaming),
    /// Anything else.
    Indexed(Indexed),
    /// What is packed already.
    Packed(Packed),
}

/// An archive that lies somewhere, not read yet.
pub(crate) struct Packed {
    pub(crate) archive: BoxReader,
    pub(crate) meter: Meter,
}

pub(crate) struct Streaming {
    pub(crate) stream: BoxStream,
    pub(crate) length: u64,
    pub(crate) executable: bool,
}

impl Ready {
    /// What a NAR holds, as it is: nothing but its hash says whether it is the right one.
    #[must_use]
    pub fn packed(archive: Box<dyn BufRead + Send>, limits: &Limits) -> Self {
        let meter = Meter::new(limits);
        Self(Kind::Packed(Packed { archive, meter }))
    }

    /// Whether it is a folder; otherwise it is one file, or what nobody has looked into.
    #[must_use]
    pub fn is_tree(&self) -> bool {
        match &self.0 {
            Kind::Streaming(_) | Kind::Packed(_) => false,
            Kind::Indexed(tree) => !matches!(tree.root, Node::File(_)),
        }
    }

    /// Marks the file executable or not. A folder stays as it is, and so does what is packed.
    #[must_use]
    pub fn with_executable(mut self, executable: bool) -> Self {
        match &mut self.0 {
            Kind::Streaming(file) => file.executable = executable,
            Kind::Indexed(Indexed {
                root: Node::File(file),
                ..
            }) => file.executable = executable,
            Kind::Indexed(_) | Kind::Packed(_) => {}
        }
        self
    }
}

/// Downloads and unpacks what has to be, so that it can be emitted in the order of a NAR.
///
/// A file whose length is known and that has no content encoding is not touched. Temporary files
/// are made in `tmp` and have no name. Dropping the future ends all of its threads.
///
/// # Errors
/// Every way in which content, archive or limits are not as they should be; see [`ArtifactError`].
pub async fn prepare(layout: Layout, limits: &Limits, tmp: &Path) -> Result<Ready, ArtifactError> {
    let meter = Meter::new(limits);
    match layout {
        Layout::File {
            content,
            executable,
        } => file(content, executable, meter, tmp).await,
        Layout::Archive {
            content,
            format,
            strip,
        } => {
            let (root, blob) = archive(content, format, &meter, tmp).await?;
            let root = Node::Directory(tree::strip(root, strip)?);
            Ok(indexed(root, vec![blob], meter))
        }
        Layout::Member {
            content,
            format,
            path,
        } => {
            let path = EntryPath::parse(path.as_bytes(), Dialect::Unix)?;
            let (root, blob) = archive(content, format, &meter, tmp).await?;
            let file = member::select(&root, &path)?;
            Ok(indexed(Node::File(file), vec![blob], meter))
        }
        Layout::Tree(entries) => plan_tree(entries, meter, tmp).await,
    }
}

fn indexed(root: Node, blobs: Vec<SpooledBlob>, meter: Meter) -> Ready {
    Ready(Kind::Indexed(Indexed { root, blobs, meter }))
}

/// One file: streamed when its length is known, else spooled to learn it.
async fn file(
    content: Input,
    executable: bool,
    meter: Meter,
    tmp: &Path,
) -> Result<Ready, ArtifactError> {
    let codec = content.codec()?;
    let (length, stream) = match content {
        Input {
            length: Some(length),
            body: Body::Stream(stream),
            ..
        } if codec.is_none() => (length, stream),
        Input {
            length: Some(length),
            body: Body::Bytes(bytes),
            ..
        } if codec.is_none() => (length, stream::once(async { Ok(bytes) }).boxed()),
        content => {
            let blob = spool(content, &meter, tmp).await?;
            let content = Content::Range { blob: 0, offset: 0 };
            let file = FileNode {
                executable,
                size: blob.len(),
                content,
            };
            return Ok(indexed(Node::File(file), vec![blob], meter));
        }
    };
    meter.arrived(length)?;
    Ok(Ready(Kind::Streaming(Streaming {
        stream,
        length,
        executable,
    })))
}

/// All bytes of an input, its content encoding undone, in a blob.
async fn spool(content: Input, meter: &Meter, tmp: &Path) -> Result<SpooledBlob, ArtifactError> {
    if let Some(blob) = content.lying()? {
        meter.arrived(blob.len())?;
        meter.output(blob.len())?;
        return Ok(blob);
    }
    let codec = content.codec()?;
    let (counting, tmp) = (meter.clone(), tmp.to_path_buf());
    read_blocking(content, meter, move |reader| {
        let mut spool = Spool::create(&tmp)?;
        let mut reader = undo_encoding(codec, reader, &counting)?;
        append(&mut reader, &mut spool, |more, _| counting.output(more))?;
        spool.finish()
    })
    .await
}

/// Moves everything that is left of a reader. `count` is told how much comes now and how much is
/// in the spool then, and may refuse it.
fn append(
    reader: &mut BoxReader,
    spool: &mut Spool,
    count: impl Fn(u64, u64) -> Result<(), ArtifactError>,
) -> Result<(), ArtifactError> {
    loop {
        let piece = reader.fill_buf().map_err(ArtifactError::from_reader)?;
        if piece.is_empty() {
            return Ok(());
        }
        let length = piece.len();
        count(length as u64, spool.len() + length as u64)?;
        spool.append(piece)?;
        reader.consume(length);
    }
}

/// Unpacks an archive into an index and the blob that its contents lie in.
async fn archive(
    content: Input,
    format: ArchiveFormat,
    meter: &Meter,
    tmp: &Path,
) -> Result<(Directory, SpooledBlob), ArtifactError> {
    let lying = content.lying()?;
    let codec = content.codec()?;
    let (counting, tmp) = (meter.clone(), tmp.to_path_buf());
    read_blocking(content, meter, move |reader| {
        let meter = &counting;
        let reader = undo_encoding(codec, reader, meter)?;
        let (packing, mut reader) = identify(reader, format)?;
        let mut tree = TreeBuilder::new(meter.clone());
        let blob = match (packing, lying) {
            (Packing::Tar(codec), _) => {
                let mut spool = Spool::create(&tmp)?;
                let reader = undo_encoding(codec, reader, meter)?;
                tar::unpack(reader, &mut spool, &mut tree, meter)?;
                spool.finish()?
            }
            (Packing::Zip, Some(blob)) => {
                zip::index(&blob, &mut tree, meter)?;
                blob
            }
            (Packing::Zip, None) => {
                let mut spool = Spool::create(&tmp)?;
                append(&mut reader, &mut spool, |_, total| meter.spooled(total))?;
                let blob = spool.finish()?;
                zip::index(&blob, &mut tree, meter)?;
                blob
            }
        };
        Ok((tree.finish(), blob))
    })
    .await
}

/// Lays out the parts of a plan. Contents are gathered in one spool, except those that lie in a
/// spool already.
async fn plan_tree(
    entries: Vec<TreeEntry>,
    meter: Meter,
    tmp: &Path,
) -> Result<Ready, ArtifactError> {
    let mut tree = TreeBuilder::new(meter.clone());
    let mut spool = Spool::create(tmp)?;
    let mut lying = Vec::new();
    for entry in entries {
        let (path, node) = match entry {
            TreeEntry::Directory { path } => (path, Node::Directory(Directory::new())),
            TreeEntry::Symlink { path, target } => {
                let node = Node::symlink(path.as_bytes(), target.into_bytes())?;
                (path, node)
            }
            TreeEntry::File {
                path,
                content,
                executable,
            } => {
                let (size, content) = if let Some(blob) = content.lying()? {
                    meter.arrived(blob.len())?;
                    meter.output(blob.len())?;
                    let size = blob.len();
                    lying.push(blob);
                    // The gathered contents are blob 0.
                    (
                        size,
                        Content::Range {
                            blob: lying.len() as u32,
                            offset: 0,
                        },
                    )
                } else {
                    let offset = spool.len();
                    spool = gather(content, spool, &meter).await?;
                    (spool.len() - offset, Content::Range { blob: 0, offset })
                };
                (
                    path,
                    Node::File(FileNode {
                        executable,
                        size,
                        content,
                    }),
                )
            }
        };
        tree.insert(&EntryPath::parse(path.as_bytes(), Dialect::Plan)?, node)?;
    }
    let mut blobs = vec![spool.finish()?];
    blobs.append(&mut lying);
    Ok(indexed(Node::Directory(tree.finish()), blobs, meter))
}

/// Appends the bytes of an input, its content encoding undone, and gives the spool back.
async fn gather(content: Input, mut spool: Spool, meter: &Meter) -> Result<Spool, ArtifactError> {
    let codec = content.codec()?;
    let counting = meter.clone();
    read_blocking(content, meter, move |reader| {
        let mut reader = undo_encoding(codec, reader, &counting)?;
        append(&mut reader, &mut spool, |more, _| counting.output(more))?;
        Ok(spool)
    })
    .await
}
