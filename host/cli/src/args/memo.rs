//! What can be typed after `memo`.

use std::path::PathBuf;

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum MemoCommand {
    /// List what is remembered on this machine
    List {
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
    /// Show what is remembered under an id, here and where it is shared
    Show {
        /// An id, or how it begins (8 digits at least)
        id: String,
    },
    /// Forget what is remembered, here and where it is shared; it comes back by signing or fetching anew alone
    Forget {
        /// Ids, or how they begin (8 digits at least)
        #[arg(required = true)]
        id: Vec<String>,
    },
    /// Write all that is remembered on this machine, one entry in each line
    Export {
        /// The new file [default: stdout]
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Take the entries of an export that are not here; none that is here is changed
    Import {
        /// The file, or - for stdin
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Also take results of fetchers that no trusted key has signed: whoever wrote the file decides what they are
        #[arg(long)]
        unsigned_results: bool,
    },
}
