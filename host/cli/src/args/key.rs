//! What can be typed after `key`.

use std::path::PathBuf;

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// List the configured keys; none is unlocked
    List {
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
    /// Print the public half of a configured key, for `public-key` and for who verifies; asks for its passphrase
    /// if it must
    Show {
        /// What the configuration calls it
        name: String,
    },
    /// Write a new secret key into a file for you alone, and print the public key
    Generate {
        /// What signatures call the key, for instance cache.example.com-1
        name: String,
        /// The new file
        file: PathBuf,
    },
    /// Print the public key of a secret one, as trusted-public-keys wants it
    Public {
        /// The secret key's file, or - for stdin
        file: PathBuf,
    },
}
