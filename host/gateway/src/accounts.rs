//! Which users of the machine are the owner, and which are a Nix daemon's.
//!
//! With a daemon every user's builds reach loopback as the daemon's build users, so that nothing tells
//! whose builds they are. What they get is a rule: `[gateway] daemon-peers`, by default `open` where
//! nobody but the owner can log in, and `approved` elsewhere.
//!
//! | uid | is |
//! |---|---|
//! | the owner's | the owner |
//! | 0, members of `build-users-group`, 872415232 to 880803839 (`auto-allocate-uids`) | a daemon peer |
//! | any other, or none | nobody, who gets nothing |
//!
//! | who counts as somebody who can log in | |
//! |---|---|
//! | an entry of `/etc/passwd` with a uid from 1000 on and a login shell | yes |
//! | the owner, build users, `nobody` (65534) | no |
//! | an entry whose shell is `nologin`, `false`, `sync`, `halt` or `shutdown` | no |
//! | `/etc/nsswitch.conf` lets users come from elsewhere, as from LDAP | as if there were one |
//! | `/etc/passwd` has a line that begins with `+`, as for NIS, or names nobody | the same |

use std::collections::BTreeSet;
use std::io;
use std::ops::Range;

use fetchhost_policy::DaemonPeers;

/// The group of build users where `nix.conf` names no other.
const BUILD_USERS_GROUP: &str = "nixbld";
/// The uids that Nix hands out with `auto-allocate-uids`.
const AUTO_ALLOCATED: Range<u32> = 872_415_232..872_415_232 + 8_388_608;
/// The first uid of people.
const FIRST_LOGIN: u32 = 1000;
const NOBODY: u32 = 65534;
/// Programs that take the place of a shell where nobody is to log in.
const NO_SHELLS: [&str; 5] = ["nologin", "false", "sync", "halt", "shutdown"];
/// Where `nsswitch.conf` may look for users without there being more than in `/etc/passwd`: dynamic users
/// of services, and containers.
const LOCAL_SOURCES: [&str; 4] = ["files", "compat", "systemd", "mymachines"];

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// The user whose gateway this is.
    Owner,
    /// A build of a Nix daemon, whoever started it.
    Daemon,
    /// Anybody else, or nobody knows who.
    Stranger,
}

/// The texts that say who is who.
#[derive(Clone, Debug, Default)]
pub struct AccountFiles {
    /// `/etc/passwd`
    pub passwd: String,
    /// `/etc/group`
    pub group: String,
    /// `/etc/nsswitch.conf`
    pub nsswitch: String,
    /// `nix.conf`
    pub nix_conf: String,
}

impl AccountFiles {
    /// Reads the machine's own. What is not there is empty.
    ///
    /// # Errors
    ///
    /// When one is there and cannot be read: what it says is unknown then, and not that it says nothing.
    pub fn read() -> io::Result<Self> {
        let read = |path: &str| match std::fs::read(path) {
            Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            Err(error) => Err(io::Error::new(
                error.kind(),
                format!("`{path}` cannot be read: {error}"),
            )),
        };
        Ok(Self {
            passwd: read("/etc/passwd")?,
            group: read("/etc/group")?,
            nsswitch: read("/etc/nsswitch.conf")?,
            nix_conf: read("/etc/nix/nix.conf")?,
        })
    }
}

/// Tells callers apart, and says what builds of a daemon get.
#[derive(Clone, Debug)]
pub struct Accounts {
    owner: u32,
    build_users: BTreeSet<u32>,
    /// What builds of a daemon get.
    pub daemon_peers: DaemonPeers,
    /// Why that is so, for people.
    pub reason: String,
}

impl Accounts {
    /// The accounts of a machine as `owner` sees them, with the rule that is configured, if one is.
    #[must_use]
    pub fn new(owner: u32, files: &AccountFiles, configured: Option<DaemonPeers>) -> Self {
        let users: Vec<User<'_>> = files.passwd.lines().filter_map(User::parse).collect();
        let build_users = build_users(&users, files);
        let (daemon_peers, reason) = match configured {
            Some(peers) => (peers, "`daemon-peers` in the configuration".to_owned()),
            None => default_rule(owner, &users, &build_users, files),
        };
        Self {
            owner,
            build_users,
            daemon_peers,
            reason,
        }
    }

    /// Who a user is.
    #[must_use]
    pub fn caller(&self, uid: Option<u32>) -> Caller {
        match uid {
            Some(uid) if uid == self.owner => Caller::Owner,
            Some(uid)
                if uid == 0 || AUTO_ALLOCATED.contains(&uid) || self.build_users.contains(&uid) =>
            {
                Caller::Daemon
            }
            _ => Caller::Stranger,
        }
    }
}

/// An entry of `/etc/passwd`.
struct User<'a> {
    name: &'a str,
    uid: u32,
    gid: &'a str,
    shell: &'a str,
}

impl<'a> User<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _, uid, gid, _, _, shell] = fields[..] else {
            return None;
        };
        Some(Self {
            name,
            uid: uid.parse().ok()?,
            gid,
            shell,
        })
    }

    /// An empty field is `/bin/sh`.
    fn has_login_shell(&self) -> bool {
        let program = self.shell.rsplit('/').next().unwrap_or_default();
        !NO_SHELLS.contains(&program)
    }
}

fn build_users(users: &[User<'_>], files: &AccountFiles) -> BTreeSet<u32> {
    let mut configured = files.nix_conf.lines().filter_map(|line| {
        let line = line.split('#').next()?;
        let (key, value) = line.split_once('=')?;
        (key.trim() == "build-users-group").then(|| value.trim())
    });
    let group = configured.next_back().unwrap_or(BUILD_USERS_GROUP);
    let entry = files.group.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _, gid, members] = fields[..] else {
            return None;
        };
        (name == group && !group.is_empty()).then_some((gid, members))
    });
    let Some((gid, members)) = entry else {
        return BTreeSet::new();
    };
    users
        .iter()
        .filter(|user| user.gid == gid || members.split(',').any(|name| name == user.name))
        .map(|user| user.uid)
        .collect()
}

fn default_rule(
    owner: u32,
    users: &[User<'_>],
    build_users: &BTreeSet<u32>,
    files: &AccountFiles,
) -> (DaemonPeers, String) {
    if users.is_empty() {
        let reason = "`/etc/passwd` names nobody, so that others may log in";
        return (DaemonPeers::Approved, reason.to_owned());
    }
    if files.passwd.lines().any(|line| line.starts_with('+')) {
        let reason = "a line of `/etc/passwd` that begins with `+` lets users come from elsewhere, so that others may log in";
        return (DaemonPeers::Approved, reason.to_owned());
    }
    let sources = files
        .nsswitch
        .lines()
        .filter_map(|line| line.split('#').next()?.trim().strip_prefix("passwd:"))
        .flat_map(str::split_whitespace);
    // `[NOTFOUND=return]` and the like are no sources.
    let foreign = |source: &&str| !source.starts_with('[') && !LOCAL_SOURCES.contains(source);
    if let Some(source) = sources.clone().find(foreign) {
        return (
            DaemonPeers::Approved,
            format!(
                "/etc/nsswitch.conf lets users come from `{source}`, so that others may log in"
            ),
        );
    }
    let other = users.iter().find(|user| {
        user.uid >= FIRST_LOGIN
            && user.uid != NOBODY
            && user.uid != owner
            && !build_users.contains(&user.uid)
            && user.has_login_shell()
    });
    match other {
        Some(user) => (
            DaemonPeers::Approved,
            format!("`{}` can log in on this machine too", user.name),
        ),
        None => (
            DaemonPeers::Open,
            "nobody else can log in on this machine".to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "\
root:x:0:0:root:/root:/bin/bash
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
sync:x:4:65534:sync:/bin:/bin/sync
nobody:x:65534:65534:nobody:/:/bin/sh
ann:x:1000:1000:Ann:/home/ann:/bin/zsh
kiosk:x:1002:1002::/srv:/usr/bin/false
nixbld1:x:30001:30000::/var/empty:/sbin/nologin
nixbld2:x:30002:100::/var/empty:/bin/sh
";
    const GROUP: &str = "root:x:0:\nnixbld:x:30000:nixbld2,gone\nbuilders:x:7:ann\n";

    fn accounts(owner: u32, passwd: &str, nsswitch: &str, nix_conf: &str) -> Accounts {
        let files = AccountFiles {
            passwd: passwd.to_owned(),
            group: GROUP.to_owned(),
            nsswitch: nsswitch.to_owned(),
            nix_conf: nix_conf.to_owned(),
        };
        Accounts::new(owner, &files, None)
    }

    #[test]
    fn callers_are_told_apart_by_their_uid() {
        let accounts = accounts(1000, PASSWD, "", "");
        assert_eq!(accounts.caller(Some(1000)), Caller::Owner);
        for uid in [0, 30001, 30002, 872_415_232, 880_803_839] {
            assert_eq!(accounts.caller(Some(uid)), Caller::Daemon, "{uid}");
        }
        for uid in [1, 1002, 65534, 872_415_231, 880_803_840] {
            assert_eq!(accounts.caller(Some(uid)), Caller::Stranger, "{uid}");
        }
        assert_eq!(accounts.caller(None), Caller::Stranger);
    }

    #[test]
    fn the_group_of_build_users_is_the_configured_one() {
        let with = |nix_conf: &str| accounts(1002, PASSWD, "", nix_conf);
        let other = with("x = 1\nbuild-users-group = builders # people\n");
        assert_eq!(other.caller(Some(1000)), Caller::Daemon);
        assert_eq!(other.caller(Some(30001)), Caller::Stranger);
        let none = with("build-users-group =\n");
        assert_eq!(none.caller(Some(30001)), Caller::Stranger);
    }

    #[test]
    fn builds_of_a_daemon_get_all_only_where_the_owner_is_alone() {
        let rule = |owner, passwd: &str, nsswitch| {
            let accounts = accounts(owner, passwd, nsswitch, "");
            (accounts.daemon_peers, accounts.reason)
        };
        assert_eq!(rule(1000, PASSWD, "").0, DaemonPeers::Open);
        assert_eq!(rule(0, "", "").0, DaemonPeers::Approved, "who knows");
        let nis = format!("{PASSWD}+::::::\n");
        assert_eq!(rule(1000, &nis, "passwd: compat").0, DaemonPeers::Approved);
        let (peers, reason) = rule(0, PASSWD, "");
        assert_eq!(peers, DaemonPeers::Approved);
        assert!(reason.contains("`ann`"), "{reason}");
        let no_shell = format!("{PASSWD}bob:x:1001:1001::/home/bob:\n");
        assert_eq!(rule(1000, &no_shell, "").0, DaemonPeers::Approved);
        let local = "# passwd: ldap\npasswd: files [SUCCESS=merge] systemd\ngroup: ldap\n";
        assert_eq!(rule(1000, PASSWD, local).0, DaemonPeers::Open);
        let (peers, reason) = rule(1000, PASSWD, "passwd:\tfiles sss\n");
        assert_eq!(peers, DaemonPeers::Approved);
        assert!(reason.contains("`sss`"), "{reason}");
    }

    #[test]
    fn what_is_configured_holds() {
        let files = AccountFiles::default();
        let accounts = Accounts::new(1000, &files, Some(DaemonPeers::None));
        assert_eq!(accounts.daemon_peers, DaemonPeers::None);
    }
}
