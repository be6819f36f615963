//! `[gateway]`: what `nix-fetchhost serve` offers, and to whom.

use std::fmt;
use std::str::FromStr;

use super::ConfigError;
use super::reader::{Table, Text};
use super::show::{line, quoted};
use crate::UpstreamUrl;
use crate::limits::{Quantity, Unit};

/// The keys of the table.
pub(super) const KEYS: [&str; 6] = [
    "port",
    "daemon-peers",
    "cache-size",
    "max-fetches",
    "upstreams",
    "share-with-local-users",
];

/// What `[gateway]` says; what it leaves out is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GatewayConfig {
    /// `port`: where it listens.
    pub port: Option<u16>,
    /// `daemon-peers`: what builds of a Nix daemon get.
    pub daemon_peers: Option<DaemonPeers>,
    /// `cache-size`: how much of what was fetched is kept, in bytes.
    pub cache_size: Option<u64>,
    /// `max-fetches`: how many fetches run at once.
    pub max_fetches: Option<u16>,
    /// `upstreams`: binary caches to serve again, in the order in which they are asked.
    pub upstreams: Vec<UpstreamUrl>,
    /// `share-with-local-users`: whether builds of a Nix daemon get all that the upstreams have.
    pub share_with_local_users: Option<bool>,
}

/// What builds of a Nix daemon get from the gateway. Whose builds they are cannot be told: every user's
/// arrive as the same build users. The order is from the most open to the strictest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DaemonPeers {
    /// All that the configuration grants.
    Open,
    /// What the owner approved by name and hash.
    Approved,
    /// Nothing.
    None,
}

impl DaemonPeers {
    const ALL: [Self; 3] = [Self::Open, Self::Approved, Self::None];

    /// As it is written in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Approved => "approved",
            Self::None => "none",
        }
    }
}

impl fmt::Display for DaemonPeers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for DaemonPeers {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|peers| peers.name() == text)
            .ok_or("`daemon-peers` is \"open\", \"approved\" or \"none\"")
    }
}

impl GatewayConfig {
    /// The administrator's table with the user's: of two bounds the stricter one holds; the port is the
    /// user's, because each user has a gateway of their own; upstreams are those of both.
    pub(super) fn merge(self, user: Self) -> Self {
        fn both<T>(admin: Option<T>, user: Option<T>, stricter: impl Fn(T, T) -> T) -> Option<T> {
            match (admin, user) {
                (Some(admin), Some(user)) => Some(stricter(admin, user)),
                (admin, user) => admin.or(user),
            }
        }
        Self {
            port: user.port.or(self.port),
            daemon_peers: both(self.daemon_peers, user.daemon_peers, Ord::max),
            cache_size: both(self.cache_size, user.cache_size, Ord::min),
            max_fetches: both(self.max_fetches, user.max_fetches, Ord::min),
            upstreams: [self.upstreams, user.upstreams].concat(),
            share_with_local_users: both(
                self.share_with_local_users,
                user.share_with_local_users,
                Ord::min,
            ),
        }
    }

    /// The table as TOML; none when it says nothing.
    pub(super) fn toml(&self) -> Option<String> {
        if *self == Self::default() {
            return None;
        }
        let mut text = "[gateway]\n".to_owned();
        if let Some(port) = self.port {
            line(&mut text, "port", &port.to_string());
        }
        if let Some(peers) = self.daemon_peers {
            line(&mut text, "daemon-peers", &quoted(peers.name()));
        }
        if let Some(bytes) = self.cache_size {
            let size = Quantity(Unit::Bytes, bytes).to_string();
            line(&mut text, "cache-size", &quoted(&size));
        }
        if let Some(number) = self.max_fetches {
            line(&mut text, "max-fetches", &number.to_string());
        }
        if !self.upstreams.is_empty() {
            let urls: Vec<String> = self
                .upstreams
                .iter()
                .map(|url| quoted(&url.to_string()))
                .collect();
            line(&mut text, "upstreams", &format!("[{}]", urls.join(", ")));
        }
        if let Some(share) = self.share_with_local_users {
            line(&mut text, "share-with-local-users", &share.to_string());
        }
        Some(text)
    }
}

pub(super) fn read(table: &Table<'_>) -> Result<GatewayConfig, ConfigError> {
    table.refuse_unknown(&KEYS, &[])?;
    let number = |key: &str, expected: &str| -> Result<Option<u16>, ConfigError> {
        let found = table.quantity(key, expected, |_| None)?;
        found
            .map(|value| {
                u16::try_from(value)
                    .ok()
                    .filter(|value| *value > 0)
                    .ok_or_else(|| {
                        ConfigError::at(
                            table.place_of(key),
                            format!("`{key}` in `[gateway]` is not {expected}"),
                        )
                    })
            })
            .transpose()
    };
    Ok(GatewayConfig {
        port: number("port", "a port from 1 to 65535")?,
        daemon_peers: table
            .text("daemon-peers")?
            .map(|text| text.parse())
            .transpose()?,
        cache_size: table.quantity(
            "cache-size",
            "a size such as `\"4 GiB\"`, or a number of bytes",
            |text| Unit::Bytes.read(text),
        )?,
        max_fetches: number("max-fetches", "a number from 1 to 65535")?,
        upstreams: table
            .texts("upstreams")?
            .unwrap_or_default()
            .iter()
            .map(Text::parse)
            .collect::<Result<_, _>>()?,
        share_with_local_users: table.boolean("share-with-local-users")?,
    })
}
