//! The sample project: what `demo` fetches and most tests ask for.
//!
//! The archive holds what an unpacker can get wrong: an executable, a symlink, an empty folder,
//! a file some folders down, and an empty file.

use std::io::{Cursor, Write};

use bytes::Bytes;
use zip::result::ZipResult;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::{
    Content, Holdings, Job, PackageFile, Project, Release, ReleaseLink, Repository, Target, Tracked,
};

/// The full path of the sample project.
pub const PROJECT: &str = "acme/rockets/engine";
/// Its numeric id.
pub const PROJECT_ID: u64 = 42;
/// The job whose artifacts exist.
pub const JOB_ID: u64 = 1001;
/// A job whose artifacts have expired.
pub const EXPIRED_JOB_ID: u64 = 1000;
/// The name of both jobs.
pub const JOB: &str = "build";
/// The ref that [`JOB_ID`] ran on: with slashes, as branch names have them.
pub const REF: &str = "release/2.x/stable";
/// The ref that [`EXPIRED_JOB_ID`] ran on.
pub const EXPIRED_REF: &str = "old";
/// A plain member of the archive, some folders down.
pub const MEMBER: &str = "share/doc/engine/manual.txt";

/// A generic package of the project.
pub const PACKAGE: &str = "engine-dist";
/// Its version.
pub const VERSION: &str = "2.1.0-rc.1+build_7";
/// A file of it, below a folder.
pub const PACKAGE_FILE: &str = "linux x86/engine@2.bin";
/// The content of [`PACKAGE_FILE`]; an older file of that name has another.
pub const PACKAGE_CONTENT: &str = "the engine, packaged\n";
/// The commit at [`REF`].
pub const COMMIT: &str = "5e2f0c7b9d4a1836ffbe6a70c1d2e3f405968778";
/// A file of the repository that git LFS keeps, some folders down.
pub const LFS_FILE: &str = "docs/assets/blueprint #1.bin";
/// The content of [`LFS_FILE`].
pub const LFS_CONTENT: &str = "a large drawing\n";
/// A plain file of the repository.
pub const FILE: &str = "docs/README.md";
/// The content of [`FILE`].
pub const FILE_CONTENT: &str = "# Engine\n";
/// The tag of a release, with a slash in it.
pub const TAG: &str = "release/2.1";
/// An asset of the release: [`PACKAGE_FILE`] in this instance, without a permalink.
pub const ASSET: &str = "engine (Linux)";
/// The same asset, with a permalink.
pub const PERMALINKED_ASSET: &str = "engine.bin";

/// What one entry of the archive is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// A regular file.
    File {
        /// Its content.
        content: &'static str,
        /// Whether the owner may execute it.
        executable: bool,
    },
    /// A symbolic link to the given target.
    Symlink(&'static str),
    /// A folder with nothing in it.
    EmptyFolder,
}

/// The entries of the archive by path, sorted.
pub const ENTRIES: &[(&str, Entry)] = &[
    (
        "bin/engine",
        Entry::File {
            content: "#!/bin/sh\necho ignition\n",
            executable: true,
        },
    ),
    ("bin/engine-stable", Entry::Symlink("engine")),
    (
        "share/doc/engine/manual.txt",
        Entry::File {
            content: MANUAL,
            executable: false,
        },
    ),
    (
        "share/empty.txt",
        Entry::File {
            content: "",
            executable: false,
        },
    ),
    ("var/log", Entry::EmptyFolder),
];

const MANUAL: &str = "Count down from ten.\nStand back.\n";

/// The sample project with both jobs, private.
#[must_use]
pub fn project() -> Project {
    Project {
        id: PROJECT_ID,
        path: PROJECT.to_owned(),
        public: false,
        public_builds: true,
        jobs: vec![
            Job {
                id: JOB_ID,
                name: JOB.to_owned(),
                git_ref: REF.to_owned(),
                archive: archive().ok().map(Content::Bytes),
            },
            Job {
                id: EXPIRED_JOB_ID,
                name: JOB.to_owned(),
                git_ref: EXPIRED_REF.to_owned(),
                archive: None,
            },
        ],
    }
}

/// What the sample project holds beside its jobs.
#[must_use]
pub fn holdings() -> Holdings {
    let package = |content: &'static str| PackageFile {
        package: PACKAGE.to_owned(),
        version: VERSION.to_owned(),
        file: PACKAGE_FILE.to_owned(),
        content: Content::from(content),
    };
    let file = |content: &str, executable| Tracked::File {
        content: content.into(),
        executable,
    };
    let files = [
        ("bin/start", file("#!/bin/sh\n", true)),
        (FILE, file(FILE_CONTENT, false)),
        ("docs/latest", Tracked::Symlink("README.md".to_owned())),
        (LFS_FILE, Tracked::Lfs(LFS_CONTENT.into())),
    ];
    Holdings {
        packages: vec![package("an older engine\n"), package(PACKAGE_CONTENT)],
        repository: Repository {
            refs: [REF, TAG, "HEAD"]
                .map(|name| (name.to_owned(), COMMIT.to_owned()))
                .into(),
            files: files.map(|(path, file)| (path.to_owned(), file)).into(),
        },
        releases: vec![Release {
            tag: TAG.to_owned(),
            links: vec![
                asset(ASSET, None),
                asset(PERMALINKED_ASSET, Some("/bin/engine")),
            ],
        }],
    }
}

/// An asset that lies in [`PACKAGE`].
fn asset(name: &str, direct_asset_path: Option<&str>) -> ReleaseLink {
    let file = PACKAGE_FILE.replace(' ', "%20");
    let version = VERSION.replace('+', "%2B");
    ReleaseLink {
        name: name.to_owned(),
        target: Target::Instance(format!(
            "/api/v4/projects/{PROJECT_ID}/packages/generic/{PACKAGE}/{version}/{file}"
        )),
        direct_asset_path: direct_asset_path.map(str::to_owned),
    }
}

/// The artifact archive; the same bytes every time.
///
/// # Errors
/// When the zip writer refuses an entry, which it does for none of [`ENTRIES`].
pub fn archive() -> ZipResult<Bytes> {
    zip(ENTRIES)
}

/// A zip archive of `entries` in the given order, as a runner on Unix would write it.
///
/// # Errors
/// When the zip writer refuses an entry, such as a name that occurs twice.
pub fn zip(entries: &[(&str, Entry)]) -> ZipResult<Bytes> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(zip::DateTime::default());
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (path, entry) in entries {
        match entry {
            Entry::File {
                content,
                executable,
            } => {
                let mode = if *executable { 0o755 } else { 0o644 };
                writer.start_file(*path, options.unix_permissions(mode))?;
                writer.write_all(content.as_bytes())?;
            }
            Entry::Symlink(target) => writer.add_symlink(*path, *target, options)?,
            Entry::EmptyFolder => writer.add_directory(*path, options.unix_permissions(0o755))?,
        }
    }
    Ok(Bytes::from(writer.finish()?.into_inner()))
}
