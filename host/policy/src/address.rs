//! Which addresses may be connected to.
//!
//! **The threat.** A granted name resolves (at once, or on the second look) to
//! the user's own machine, his network or the cloud's metadata service, which
//! hands out credentials to whoever connects; or the address is spelt in one
//! of the ways in which IPv6 carries IPv4.
//!
//! **The rule.** Every address that a name resolves to is checked, and IP
//! literals too. An address outside the public internet needs an origin that
//! the user wrote exactly. Metadata services need `allow-metadata = true` on
//! top. Addresses where no server can be are always refused. Embedded IPv4 is
//! judged as the stricter of both spellings.
//!
//! | address | wildcard or redirect pattern | origin written exactly | and `allow-metadata` |
//! |---|---|---|---|
//! | `93.184.215.14`, `2606:2800::1` | yes | yes | yes |
//! | `127.0.0.1`, `::1`, `10/8`, `172.16/12`, `192.168/16`, `fc00::/7` | no | yes | yes |
//! | `169.254/16`, `fe80::/10`, `100.64/10`, `fec0::/10` | no | yes | yes |
//! | `192.0.0/24`, `192.0.2/24`, `198.18/15`, `198.51.100/24`, `203.0.113/24`, `192.88.99/24` | no | yes | yes |
//! | `2001:db8::/32`, `3fff::/20`, `100::/64`, `5f00::/16`, other `2001::/23` | no | yes | yes |
//! | `::ffff:8.8.8.8`, `::8.8.8.8`, `64:ff9b::808:808`, `2002:808:808::`, Teredo | no | yes | yes |
//! | `169.254.169.254`, `169.254.170.2`, `169.254.170.23`, `100.100.100.200`, `168.63.129.16`, `192.0.0.192` | no | no | yes |
//! | `fd00:ec2::254`, `fd00:ec2::23`, `fd20:ce::254`, and the above embedded in IPv6 | no | no | yes |
//! | `0.0.0.0/8`, `::`, multicast, broadcast, `240/4` | no | no | no |

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What a permit allows of the addresses behind its origin. The default
/// allows the public internet only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AddressRule {
    /// Whether the origin was written exactly, so that it may lie outside the
    /// public internet.
    pub private: bool,
    /// Whether `allow-metadata` is set. It adds to `private` and does nothing
    /// alone: a wildcard never reaches a metadata service.
    pub metadata: bool,
}

/// An address that the rule refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressDenied {
    /// Not on the public internet, and the origin was not written exactly.
    #[error("address `{address}` is {range}, and the origin is granted only by a wildcard")]
    Private {
        /// The address.
        address: IpAddr,
        /// What kind of address it is, with its article.
        range: &'static str,
    },
    /// A cloud's metadata service.
    #[error("address `{address}` is a cloud metadata service")]
    Metadata {
        /// The address.
        address: IpAddr,
    },
    /// An address where no server can be.
    #[error("address `{address}` is {range}, where no server can be")]
    Nowhere {
        /// The address.
        address: IpAddr,
        /// What kind of address it is, with its article.
        range: &'static str,
    },
}

impl AddressDenied {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Private { .. } => {
                Some("write the origin without a wildcard if this host is meant to be on your own network".to_owned())
            }
            Self::Metadata { .. } => Some(
                "metadata services hand out credentials; if you mean to reach one, write its origin exactly and `allow-metadata = true` at the top of `config.toml`"
                    .to_owned(),
            ),
            Self::Nowhere { .. } => None,
        }
    }
}

impl AddressRule {
    /// Whether `address` may be connected to.
    ///
    /// # Errors
    /// When the table above says no.
    pub fn check(&self, address: IpAddr) -> Result<(), AddressDenied> {
        match Class::of(address) {
            Class::Public => Ok(()),
            Class::Special(_) if self.private => Ok(()),
            Class::Special(range) => Err(AddressDenied::Private { address, range }),
            Class::Metadata if self.private && self.metadata => Ok(()),
            Class::Metadata => Err(AddressDenied::Metadata { address }),
            Class::Nowhere(range) => Err(AddressDenied::Nowhere { address, range }),
        }
    }
}

/// Ordered from harmless to refused, so that the stricter of two is the
/// greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    Public,
    Special(&'static str),
    Metadata,
    Nowhere(&'static str),
}

impl Class {
    fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => Self::of_v4(v4),
            IpAddr::V6(v6) => Self::of_v6(v6),
        }
    }

    fn of_v4(address: Ipv4Addr) -> Self {
        const METADATA: [Ipv4Addr; 6] = [
            // AWS, Google, Azure, OpenStack and most others.
            Ipv4Addr::new(169, 254, 169, 254),
            // Container credentials of AWS ECS and EKS.
            Ipv4Addr::new(169, 254, 170, 2),
            Ipv4Addr::new(169, 254, 170, 23),
            // Alibaba.
            Ipv4Addr::new(100, 100, 100, 200),
            // Azure's wire server.
            Ipv4Addr::new(168, 63, 129, 16),
            // Oracle.
            Ipv4Addr::new(192, 0, 0, 192),
        ];
        if METADATA.contains(&address) {
            return Self::Metadata;
        }
        match address.octets() {
            [0, ..] => Self::Nowhere("an unspecified address"),
            [255, 255, 255, 255] => Self::Nowhere("the broadcast address"),
            [224..=239, ..] => Self::Nowhere("a multicast address"),
            [240..=255, ..] => Self::Nowhere("a reserved address"),
            [127, ..] => Self::Special("a loopback address"),
            [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Self::Special("a private address"),
            [169, 254, ..] => Self::Special("a link-local address"),
            [100, 64..=127, ..] => Self::Special("a carrier's shared address"),
            [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => {
                Self::Special("a documentation address")
            }
            [198, 18..=19, ..] => Self::Special("a benchmarking address"),
            [192, 0, 0, _] => Self::Special("a protocol's own address"),
            [192, 88, 99, _] => Self::Special("a 6to4 relay address"),
            _ => Self::Public,
        }
    }

    fn of_v6(address: Ipv6Addr) -> Self {
        const METADATA: [Ipv6Addr; 3] = [
            // AWS: instances, then containers of EKS.
            Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
            Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23),
            // Google.
            Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
        ];
        if METADATA.contains(&address) {
            return Self::Metadata;
        }
        let words = address.segments();
        match words {
            [0, 0, 0, 0, 0, 0, 0, 0] => return Self::Nowhere("the unspecified address"),
            [0, 0, 0, 0, 0, 0, 0, 1] => return Self::Special("a loopback address"),
            [0xff00..=0xffff, ..] => return Self::Nowhere("a multicast address"),
            _ => {}
        }
        if let Some((range, embedded)) = embedded_v4(words) {
            return Self::of_v4(embedded).max(Self::Special(range));
        }
        match words {
            [0xfe80..=0xfebf, ..] => Self::Special("a link-local address"),
            [0xfec0..=0xfeff, ..] => Self::Special("a site-local address"),
            [0xfc00..=0xfdff, ..] => Self::Special("a private address"),
            [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => {
                Self::Special("a documentation address")
            }
            [0x2001, 0..=0x1ff, ..] => Self::Special("a protocol's own address"),
            [0x100, 0, 0, 0, ..] => Self::Special("a discard address"),
            [0x5f00, ..] => Self::Special("a segment-routing address"),
            // Only 2000::/3 is handed out for the public internet.
            [0x2000..=0x3fff, ..] => Self::Public,
            _ => Self::Special("an unassigned address"),
        }
    }
}

/// The IPv4 address that an IPv6 spelling carries, and what the spelling is.
fn embedded_v4(words: [u16; 8]) -> Option<(&'static str, Ipv4Addr)> {
    let v4 = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        Ipv4Addr::new(a, b, c, d)
    };
    match words {
        [0, 0, 0, 0, 0, 0xffff, high, low] => Some(("an IPv4-mapped address", v4(high, low))),
        [0, 0, 0, 0, 0, 0, high, low] => Some(("an IPv4-compatible address", v4(high, low))),
        [0, 0, 0, 0, 0xffff, 0, high, low] => Some(("an IPv4-translated address", v4(high, low))),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(("a NAT64 address", v4(high, low))),
        // The local-use prefix puts the IPv4 address where its operator likes;
        // the last place is the usual one, and the range is special anyway.
        [0x64, 0xff9b, 1, _, _, _, high, low] => Some(("a local NAT64 address", v4(high, low))),
        [0x2002, high, low, ..] => Some(("a 6to4 address", v4(high, low))),
        // Teredo stores the client's address inverted.
        [0x2001, 0, _, _, _, _, high, low] => Some(("a Teredo address", v4(!high, !low))),
        // ISATAP: an interface identifier under any prefix.
        [_, _, _, _, 0 | 0x200, 0x5efe, high, low] => Some(("an ISATAP address", v4(high, low))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdicts(address: &str) -> (bool, bool, bool) {
        let address: IpAddr = address.parse().unwrap();
        let rule = |private, metadata| AddressRule { private, metadata }.check(address).is_ok();
        // `allow-metadata` never helps a wildcard.
        assert_eq!(rule(false, false), rule(false, true), "{address}");
        (rule(false, false), rule(true, false), rule(true, true))
    }

    #[test]
    fn public_addresses_need_nothing() {
        for address in [
            "93.184.215.14",
            "8.8.8.8",
            "172.15.255.255",
            "172.32.0.1",
            "100.63.255.255",
            "100.128.0.1",
            "198.17.0.1",
            "198.20.0.1",
            "223.255.255.255",
            "2606:2800::1",
            "2a00:1450::1",
            "2001:200::1",
        ] {
            assert_eq!(verdicts(address), (true, true, true), "{address}");
        }
    }

    #[test]
    fn special_addresses_need_an_origin_written_exactly() {
        for address in [
            "127.0.0.1",
            "127.255.255.254",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.1.1",
            "100.64.0.1",
            "100.127.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "192.88.99.1",
            "::1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "fc00::1",
            "fd12::1",
            "2001:db8::1",
            "3fff::1",
            "100::1",
            "5f00::1",
            "2001:2::1",
            "::ffff:8.8.8.8",
            "::8.8.8.8",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "64:ff9b::808:808",
            "64:ff9b::7f00:1",
            "64:ff9b:1::808:808",
            "2002:808:808::1",
            "2002:7f00:1::1",
            "2001:0:1:2:3:4:f7f7:f7f7",
            "::ffff:0:8.8.8.8",
            "4000::1",
            "2606:2800::5efe:a00:1",
            "2606:2800::200:5efe:a00:1",
        ] {
            assert_eq!(verdicts(address), (false, true, true), "{address}");
        }
    }

    #[test]
    fn metadata_services_need_allow_metadata_in_every_spelling() {
        for address in [
            "169.254.169.254",
            "169.254.170.2",
            "169.254.170.23",
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.192",
            "fd00:ec2::254",
            "fd00:ec2::23",
            "fd20:ce::254",
            "::ffff:169.254.169.254",
            "::169.254.169.254",
            "::ffff:0:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
            "2001:0:1:2:3:4:5601:5601",
            "fe80::5efe:a9fe:a9fe",
        ] {
            assert_eq!(verdicts(address), (false, false, true), "{address}");
        }
    }

    #[test]
    fn addresses_where_no_server_can_be_are_always_refused() {
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "::",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "ff02::1",
            "ff0e::1",
            "::ffff:0.0.0.0",
            "64:ff9b::e000:1",
        ] {
            assert_eq!(verdicts(address), (false, false, false), "{address}");
        }
    }

    #[test]
    fn a_refusal_says_what_the_address_is() {
        let error = AddressRule::default()
            .check("10.1.2.3".parse().unwrap())
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "address `10.1.2.3` is a private address, and the origin is granted only by a wildcard"
        );
        assert!(error.hint().unwrap().contains("without a wildcard"));
    }
}
