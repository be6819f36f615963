//! Project tasks: `cargo xtask TASK`.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "printing is what tasks are for"
)]

mod acceptance;
mod bench;
mod measure;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask TASK

tasks:
  bench [ROW]…   measure against curl, openssl and nix-prefetch-url; all rows without ROW
                 (rows: large, small, overhead, tree, realise, gateway, instantiate, memory, size)
  acceptance s3 [ceph] [garage]
                 run the program against real S3 servers, which it starts and ends; all that are here without a name
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.split_first() {
        Some((task, rows)) if task == "bench" => bench::run(rows).map(|()| ExitCode::SUCCESS),
        Some((task, servers)) if task == "acceptance" => acceptance::run(servers),
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
