//! The servers of the benchmarks: prints their URLs, and serves until its standard input closes.

#![expect(clippy::print_stdout, reason = "the URL is the result")]

use std::io::Read as _;
use std::time::Duration;

use fetchhost_standin::{Config, Content, Job, Project, Standin};

/// How far away the second server is.
const LATENCY: Duration = Duration::from_millis(50);

fn main() -> std::io::Result<()> {
    let length = std::env::args()
        .nth(1)
        .and_then(|length| length.parse().ok());
    let mut config = Config::new("glpat-bench").public_file("/tree.tar", tree()?);
    config.projects.push(Project {
        id: 1,
        path: "bench/large".to_owned(),
        public: true,
        public_builds: true,
        jobs: vec![Job {
            id: 1,
            name: "build".to_owned(),
            git_ref: "main".to_owned(),
            archive: Some(Content::Big(length.unwrap_or(1 << 30))),
        }],
    });
    let standin = Standin::start(config)?;
    let far = Standin::start(Config::new("glpat-bench").latency(LATENCY))?;
    println!(
        "{} {} {}",
        standin.url(),
        standin.storage_origin(),
        far.url()
    );
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

/// An archive of 100,000 small files in 100 folders.
fn tree() -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for number in 0..100_000_u32 {
        let content = format!("{number}\n").repeat(20);
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        let path = format!("{:02}/{number}", number % 100);
        archive.append_data(&mut header, path, content.as_bytes())?;
    }
    archive.into_inner()
}
