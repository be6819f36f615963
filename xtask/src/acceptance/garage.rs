//! Garage: strict about regions and checksums, and without policies, versions and conditional writes.

use std::fs::{self, File};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::processes::{Folder, Process, free_port, missing, output, run, until};
use super::server::{Habits, Keys, Rights, Server, User};

/// How long it may take to answer; it takes less than a second.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) struct Garage {
    url: String,
    version: String,
    // Before the folder, so that it has ended when that goes.
    _process: Process,
    folder: Folder,
}

/// Whether it can be started.
pub(super) fn is_here() -> bool {
    missing(&["garage"]).is_empty()
}

impl Garage {
    /// Starts it, and makes its users.
    pub(super) fn start() -> Result<Self> {
        let folder = Folder::new()?;
        let (port, rpc_port) = (free_port()?, free_port()?);
        let secret = "0123456789abcdef".repeat(4);
        let path = folder.path().display();
        let configuration = format!(
            "metadata_dir = \"{path}/meta\"\ndata_dir = \"{path}/data\"\ndb_engine = \"sqlite\"\n\
             replication_factor = 1\nrpc_bind_addr = \"127.0.0.1:{rpc_port}\"\n\
             rpc_public_addr = \"127.0.0.1:{rpc_port}\"\nrpc_secret = \"{secret}\"\n\
             [s3_api]\napi_bind_addr = \"127.0.0.1:{port}\"\ns3_region = \"garage\"\n"
        );
        fs::write(folder.path().join("garage.toml"), configuration)?;
        let said = File::create(folder.path().join("said"))?;
        let mut server = command(&folder);
        server.arg("server").stdout(said.try_clone()?).stderr(said);
        let mut process = Process::start(&mut server)?;
        until("Garage answers", PATIENCE, || {
            anyhow::ensure!(process.runs()?, "it ended; see what `garage server` says");
            Ok(run(command(&folder).arg("status"))?.status.success())
        })?;
        let version = output(command(&folder).arg("--version"))?;
        let version = version.split(' ').nth(1).unwrap_or_default();
        let version = version.trim().to_owned();
        let garage = Self {
            url: format!("http://127.0.0.1:{port}"),
            version,
            _process: process,
            folder,
        };
        let node = garage.says("node id -q")?;
        let node = node.trim().split('@').next().context("it has no id")?;
        garage.says(&format!("layout assign -z dc1 -c 1G {node}"))?;
        garage.says("layout apply --version 1")?;
        for user in User::ALL {
            let Keys { id, secret } = garage.keys(user);
            garage.says(&format!(
                "key import --yes -n {} {id} {secret}",
                user.name()
            ))?;
        }
        Ok(garage)
    }

    fn says(&self, arguments: &str) -> Result<String> {
        output(command(&self.folder).args(arguments.split(' ')))
    }
}

fn command(folder: &Folder) -> Command {
    let mut command = Command::new("garage");
    command.env("GARAGE_CONFIG_FILE", folder.path().join("garage.toml"));
    command
}

impl Server for Garage {
    fn name(&self) -> &'static str {
        "garage"
    }

    fn version(&self) -> &str {
        &self.version
    }

    fn url(&self) -> &str {
        &self.url
    }

    fn region(&self) -> &'static str {
        "garage"
    }

    fn habits(&self) -> Habits {
        Habits {
            policies: false,
            versions: false,
            conditional_writes: false,
            one_region: true,
            exact_clock: false,
            one_credential: false,
            says_why: false,
        }
    }

    fn keys(&self, user: User) -> Keys {
        // What it takes for keys: `GK` and 12 bytes in hex, and 32 bytes in hex.
        let byte = format!("{:02x}", user as u8 + 0xa0);
        Keys {
            id: format!("GK{}", byte.repeat(12)),
            secret: byte.repeat(32),
        }
    }

    fn create_bucket(&self, bucket: &str) -> Result<()> {
        let owner = self.keys(User::Owner).id;
        self.says(&format!("bucket create {bucket}"))?;
        self.says(&format!(
            "bucket allow --read --write --owner {bucket} --key {owner}"
        ))?;
        Ok(())
    }

    fn grant(&self, user: User, rights: Rights, bucket: &str) -> Result<()> {
        let key = self.keys(user).id;
        let rights = match rights {
            Rights::ReadOnly => "--read",
            // To write is to delete, too.
            Rights::PushOnly => "--read --write",
        };
        self.says(&format!("bucket allow {rights} {bucket} --key {key}"))?;
        Ok(())
    }
}
