//! Ceph's gateway for S3, on a cluster of one daemon of each kind that keeps its objects in memory.
//!
//! Nothing of it needs root, systemd or a folder outside of its own; all daemons listen on 127.0.0.1.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::client::{Client, encoded};
use super::policies;
use super::processes::{Folder, Process, free_port, missing, output, until};
use super::server::{Habits, Keys, Rights, Server, User};

/// What installs it on Debian.
const INSTALL: &str = "apt-get install --no-install-recommends ceph-mon ceph-osd ceph-mgr radosgw";
/// Everything of it that is run here.
const PROGRAMS: [&str; 8] = [
    "ceph",
    "ceph-authtool",
    "ceph-mgr",
    "ceph-mon",
    "ceph-osd",
    "monmaptool",
    "radosgw",
    "radosgw-admin",
];
/// How long it may take to answer; it takes a quarter of a minute where nothing else runs.
const PATIENCE: Duration = Duration::from_secs(180);

pub(super) struct Ceph {
    url: String,
    version: String,
    // Before the folder, so that they have ended when it goes.
    daemons: Vec<Process>,
    folder: Folder,
}

/// Which programs are missing and what to do, if any are.
pub(super) fn what_is_missing() -> Option<String> {
    let missing = missing(&PROGRAMS);
    (!missing.is_empty()).then(|| {
        format!(
            "Ceph is not here (no {}); this installs it:\n  {INSTALL}",
            missing.join(", ")
        )
    })
}

impl Ceph {
    /// Starts it, and makes its users.
    pub(super) fn start() -> Result<Self> {
        let folder = Folder::new()?;
        let (monitor_port, port) = (free_port()?, free_port()?);
        let id = fs::read_to_string("/proc/sys/kernel/random/uuid")?;
        let id = id.trim();
        for name in ["run", "mgr", "osd"] {
            folder.with(name)?;
        }
        let text = configuration(folder.path(), id, monitor_port, port);
        fs::write(folder.path().join("ceph.conf"), text)?;
        let mut ceph = Self {
            url: format!("http://127.0.0.1:{port}"),
            version: String::new(),
            daemons: Vec::new(),
            folder,
        };
        let version = ceph.says("radosgw", "--version")?;
        let version = version.split(' ').nth(2).context("it has no version")?;
        version.clone_into(&mut ceph.version);
        ceph.start_monitor(id, monitor_port)?;
        ceph.start_manager()?;
        ceph.start_storage()?;
        ceph.start_gateway()?;
        for user in User::ALL {
            let Keys { id, secret } = ceph.keys(user);
            let name = user.name();
            ceph.says(
                "radosgw-admin",
                &format!("user create --uid {name} --display-name {name} --access-key {id} --secret {secret}"),
            )?;
        }
        ceph.says("radosgw-admin", "caps add --uid owner --caps user-policy=*")?;
        Ok(ceph)
    }

    fn start_monitor(&mut self, id: &str, port: u16) -> Result<()> {
        self.says_to(
            "ceph-authtool",
            &["--create-keyring", "mon.keyring", "--gen-key"],
            &["--name", "mon."],
            &["mon"],
        )?;
        self.says_to(
            "ceph-authtool",
            &["mon.keyring", "--gen-key"],
            &["--name", "client.admin"],
            &["mon", "osd", "mgr"],
        )?;
        let folder = self.folder.path();
        fs::copy(folder.join("mon.keyring"), folder.join("keyring"))?;
        let map = format!("--create --addv 0 [v2:127.0.0.1:{port}] --fsid {id} monmap");
        self.says("monmaptool", &map)?;
        self.says(
            "ceph-mon",
            "--id 0 --mkfs --monmap monmap --keyring mon.keyring",
        )?;
        self.daemon("ceph-mon", "--id 0")
    }

    fn start_manager(&mut self) -> Result<()> {
        self.register(
            "mgr.x",
            "mgr/keyring",
            &["mon", "allow profile mgr", "osd", "allow *"],
        )?;
        self.daemon("ceph-mgr", "--id x")
    }

    fn start_storage(&mut self) -> Result<()> {
        self.says("ceph", "osd create")?;
        let rights = [
            "mon",
            "allow profile osd",
            "osd",
            "allow *",
            "mgr",
            "allow profile osd",
        ];
        self.register("osd.0", "osd/keyring", &rights)?;
        self.says("ceph", "osd crush add osd.0 1 root=default")?;
        self.says("ceph-osd", "--id 0 --mkfs")?;
        self.daemon("ceph-osd", "--id 0")
    }

    fn start_gateway(&mut self) -> Result<()> {
        let rights = ["mon", "allow rw", "osd", "allow rwx", "mgr", "allow rw"];
        self.register("client.rgw.a", "rgw.keyring", &rights)?;
        self.daemon("radosgw", "--name client.rgw.a --keyring rgw.keyring")?;
        let url = self.url.clone();
        let daemons = &mut self.daemons;
        let folder = self.folder.path();
        until("Ceph's gateway answers", PATIENCE, || {
            for daemon in daemons.iter_mut() {
                ensure!(
                    daemon.runs()?,
                    "a daemon of Ceph's ended: {}",
                    last_words(folder)
                );
            }
            let mut ask = Command::new("curl");
            ask.args(["--silent", "--output", "/dev/null", "--max-time", "5", &url]);
            Ok(super::processes::run(&mut ask)?.status.success())
        })
    }

    /// A program of Ceph's in the folder.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.folder.path());
        command.env("CEPH_CONF", self.folder.path().join("ceph.conf"));
        command
    }

    /// What a program prints whose arguments have no blanks.
    fn says(&self, program: &str, arguments: &str) -> Result<String> {
        output(self.command(program).args(arguments.split(' ')))
    }

    /// Makes a key in a file, with all rights to these kinds of daemons.
    fn says_to(
        &self,
        program: &str,
        file: &[&str],
        name: &[&str],
        kinds: &[&str],
    ) -> Result<String> {
        let mut command = self.command(program);
        command.args(file).args(name);
        for kind in kinds {
            command.args(["--cap", kind, "allow *"]);
        }
        output(&mut command)
    }

    /// Makes a key known to the monitor, and keeps it in a file.
    fn register(&self, name: &str, file: &str, rights: &[&str]) -> Result<()> {
        let mut command = self.command("ceph");
        command.args(["auth", "get-or-create", name]).args(rights);
        fs::write(self.folder.path().join(file), output(&mut command)?)?;
        Ok(())
    }

    fn daemon(&mut self, program: &str, arguments: &str) -> Result<()> {
        let said = File::create(self.folder.path().join(format!("run/{program}.said")))?;
        let mut command = self.command(program);
        command.arg("-f").args(arguments.split(' '));
        command.stdout(said.try_clone()?).stderr(said);
        self.daemons.push(Process::start(&mut command)?);
        Ok(())
    }
}

fn configuration(folder: &Path, id: &str, monitor_port: u16, port: u16) -> String {
    let folder = folder.display();
    // Without `cephx` the gateway alone does not come up. One copy of everything is enough for a run.
    format!(
        "\
[global]
fsid = {id}
mon host = v2:127.0.0.1:{monitor_port}
mon initial members = 0
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
public addr = 127.0.0.1
cluster addr = 127.0.0.1
osd crush chooseleaf type = 0
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pg autoscale mode = off
mon allow pool size one = true
mon max pg per osd = 1000
keyring = {folder}/keyring
run dir = {folder}/run
admin socket = {folder}/run/$name.$pid.asok
pid file = {folder}/run/$name.pid
log file = {folder}/run/$name.log
[mon.0]
mon data = {folder}/mon
[mgr.x]
mgr data = {folder}/mgr
keyring = {folder}/mgr/keyring
[osd.0]
osd data = {folder}/osd
keyring = {folder}/osd/keyring
osd objectstore = memstore
memstore device bytes = 2147483648
[client]
rgw frontends = beast endpoint=127.0.0.1:{port}
"
    )
}

/// The end of what each daemon printed.
fn last_words(folder: &Path) -> String {
    let said = |program: &&str| {
        let text = fs::read_to_string(folder.join(format!("run/{program}.said"))).ok()?;
        let line = text.lines().last()?;
        Some(format!("{program}: {line}"))
    };
    let lines: Vec<_> = PROGRAMS.iter().filter_map(said).collect();
    lines.join("; ")
}

impl Server for Ceph {
    fn name(&self) -> &'static str {
        "ceph"
    }

    fn version(&self) -> &str {
        &self.version
    }

    fn url(&self) -> &str {
        &self.url
    }

    fn region(&self) -> &'static str {
        "us-east-1"
    }

    fn habits(&self) -> Habits {
        Habits {
            policies: true,
            versions: true,
            conditional_writes: true,
            one_region: false,
            exact_clock: true,
            one_credential: true,
            says_why: true,
        }
    }

    fn keys(&self, user: User) -> Keys {
        let name = user.name();
        Keys {
            id: format!("AK{}", name.to_uppercase()),
            secret: format!("c4n4ry+secret/of/the-{name}"),
        }
    }

    fn create_bucket(&self, bucket: &str) -> Result<()> {
        Client::new(self, User::Owner).put(&format!("/{bucket}"), b"")
    }

    fn grant(&self, user: User, rights: Rights, bucket: &str) -> Result<()> {
        // A policy of the user's, as AWS and MinIO have them, and to the letter what the guide says.
        let form = format!(
            "Action=PutUserPolicy&PolicyName=cache&UserName={}&PolicyDocument={}",
            user.name(),
            encoded(&policies::of(rights, bucket)?)
        );
        Client::new(self, User::Owner).post("/", &form)
    }
}
