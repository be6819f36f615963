//! What can be typed after `credential`.

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum CredentialCommand {
    /// List the configured credentials; secrets are not read
    List {
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
    /// Encrypt a secret from stdin or the terminal, and define or redefine the credential
    Set {
        /// What the configuration calls it
        name: String,
        /// An origin that may receive it; repeatable [default: as before]
        #[arg(long, value_name = "ORIGIN")]
        origin: Vec<String>,
        /// How it is sent: bearer, basic:USER, header:NAME or aws-sigv4 [default: as before]
        #[arg(long)]
        scheme: Option<String>,
    },
    /// Remove a credential, and the file that `set` wrote
    Remove {
        /// What the configuration calls it
        name: String,
    },
    /// Read a credential from its source, and send it to a URL if one is given
    Test {
        /// What the configuration calls it
        name: String,
        /// A URL of one of its origins; asked with HEAD
        url: Option<String>,
    },
}
