//! What an operator opens: one range of addresses on one port, written `10.0.0.0/8:9000`.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;
use std::str::FromStr;

use crate::class::{Class, class_of_range};
use crate::network::Network;

/// One entry of `egress.allow`: `10.0.0.0/8:9000`, `[fd00::/8]:443`, `192.168.1.5:*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AllowEntry {
    network: Network,
    /// `None` opens every port.
    port: Option<NonZeroU16>,
}

impl AllowEntry {
    /// Whether this entry names the address and the port.
    pub fn covers(&self, addr: SocketAddr) -> bool {
        self.opens_port(addr.port()) && self.network.contains(addr.ip())
    }

    /// Whether this entry names the port, on whatever address.
    pub fn opens_port(&self, port: u16) -> bool {
        self.port.is_none_or(|open| open.get() == port)
    }
}

impl fmt::Display for AllowEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.network {
            Network::V4 { .. } => write!(f, "{}:", self.network)?,
            Network::V6 { .. } => write!(f, "[{}]:", self.network)?,
        }
        match self.port {
            Some(port) => write!(f, "{port}"),
            None => f.write_str("*"),
        }
    }
}

/// Why a text is not an allow entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AllowEntryError {
    /// No port.
    #[error("`{0}` names no port: write `10.0.0.0/8:9000`, or `10.0.0.0/8:*` for every port")]
    MissingPort(String),
    /// The port is neither a number nor `*`.
    #[error("`{0}` is not a port: write a number from 1 to 65535, or `*` for every port")]
    Port(String),
    /// IPv6 without brackets.
    #[error("`{0}` is IPv6 without brackets: write `[fd00::/8]:443`")]
    Brackets(String),
    /// Not an address.
    #[error(
        "`{0}` is not an IP address or range: write `10.0.0.0/8` or `10.1.2.3`; names are not accepted"
    )]
    Address(String),
    /// The prefix is not a number, or too long.
    #[error("`/{prefix}` is not a prefix length of {address}")]
    Prefix {
        /// The address before the slash.
        address: IpAddr,
        /// What stands after it.
        prefix: String,
    },
    /// The address has bits after its prefix: the range meant is unclear.
    #[error(
        "`{given}` has bits set beyond its prefix: write `{range}`, or leave the prefix out for the one address"
    )]
    HostBits {
        /// The text given.
        given: String,
        /// The range it lies in.
        range: String,
    },
    /// The entry could never open anything.
    #[error("`{entry}` would open {class}: {}", never(*class))]
    NeverOpened {
        /// The text given.
        entry: String,
        /// What lies there.
        class: Class,
    },
}

fn never(class: Class) -> &'static str {
    match class {
        Class::Loopback => "`egress.allow_loopback` is the switch for that",
        _ => "those stay closed, whatever is configured",
    }
}

impl FromStr for AllowEntry {
    type Err = AllowEntryError;

    fn from_str(entry: &str) -> Result<Self, Self::Err> {
        let entry = entry.trim();
        let missing_port = || AllowEntryError::MissingPort(entry.to_owned());
        let (range, port) = if let Some(bracketed) = entry.strip_prefix('[') {
            bracketed.split_once("]:").ok_or_else(missing_port)?
        } else {
            entry.rsplit_once(':').ok_or_else(missing_port)?
        };
        if range.contains(':') && !entry.starts_with('[') {
            return Err(AllowEntryError::Brackets(entry.to_owned()));
        }
        let network = parse_network(range)?;
        let port = match port {
            "*" => None,
            number => Some(
                number
                    .parse()
                    .map_err(|_| AllowEntryError::Port(number.to_owned()))?,
            ),
        };
        match class_of_range(&network) {
            Some(class) if !class.can_be_allowed() => Err(AllowEntryError::NeverOpened {
                entry: entry.to_owned(),
                class,
            }),
            _ => Ok(Self { network, port }),
        }
    }
}

fn parse_network(range: &str) -> Result<Network, AllowEntryError> {
    let (address, prefix) = match range.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (range, None),
    };
    let address: IpAddr = address
        .parse()
        .map_err(|_| AllowEntryError::Address(range.to_owned()))?;
    let whole = if address.is_ipv4() { 32 } else { 128 };
    let network = match prefix {
        None => Network::around(address, whole),
        Some(digits) => digits
            .parse()
            .ok()
            .and_then(|bits| Network::around(address, bits)),
    }
    .ok_or_else(|| AllowEntryError::Prefix {
        address,
        prefix: prefix.unwrap_or_default().to_owned(),
    })?;
    if network.base() == address {
        Ok(network)
    } else {
        Err(AllowEntryError::HostBits {
            given: range.to_owned(),
            range: network.to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(text: &str) -> AllowEntry {
        text.parse().unwrap()
    }

    #[test]
    fn an_entry_covers_its_range_on_its_port_and_nothing_else() {
        let lan = entry("10.0.0.0/8:9000");
        assert!(lan.covers("10.200.3.4:9000".parse().unwrap()));
        assert!(!lan.covers("10.200.3.4:9001".parse().unwrap()));
        assert!(!lan.covers("11.0.0.1:9000".parse().unwrap()));
        assert!(!lan.covers("[fd00::1]:9000".parse().unwrap()));

        let six = entry("[fd00::/8]:443");
        assert!(six.covers("[fd12::1]:443".parse().unwrap()));
        assert!(!six.covers("[fc00::1]:443".parse().unwrap()));

        assert!(entry("192.168.1.5:*").covers("192.168.1.5:31337".parse().unwrap()));
        assert!(!entry("192.168.1.5:*").covers("192.168.1.6:443".parse().unwrap()));
        assert!(entry("0.0.0.0/0:*").covers("8.8.8.8:25".parse().unwrap()));
        assert!(entry("[::/0]:443").covers("[fd00::1]:443".parse().unwrap()));
    }

    #[test]
    fn an_entry_reads_back_as_it_is_written() {
        for text in [
            "10.0.0.0/8:9000",
            "[fd00::/8]:443",
            "192.168.1.5/32:*",
            "0.0.0.0/0:*",
        ] {
            assert_eq!(entry(text).to_string(), text);
        }
    }

    #[test]
    fn a_wrong_entry_is_refused_with_the_right_way_to_write_it() {
        for (text, words) in [
            ("", "names no port"),
            ("10.0.0.0/8", "names no port"),
            ("[fd00::/8]", "names no port"),
            ("10.0.0.0/8:", "is not a port"),
            ("10.0.0.0/8:0", "is not a port"),
            ("10.0.0.0/8:65536", "is not a port"),
            ("10.0.0.0/8:https", "is not a port"),
            ("fd00::/8:443", "write `[fd00::/8]:443`"),
            ("minio.lan:9000", "names are not accepted"),
            ("10.0.0/8:9000", "not an IP address"),
            ("10.0.0.0/33:9000", "`/33` is not a prefix length"),
            ("10.0.0.0/-1:9000", "`/-1` is not a prefix length"),
            ("[fd00::/129]:443", "`/129` is not a prefix length"),
            ("10.1.2.3/8:9000", "write `10.0.0.0/8`"),
            ("127.0.0.1:9000", "`egress.allow_loopback`"),
            ("[::1]:9000", "`egress.allow_loopback`"),
            ("169.254.169.254:80", "metadata address: those stay closed"),
            ("169.254.0.0/16:*", "link-local address: those stay closed"),
            ("[fe80::/10]:*", "link-local address: those stay closed"),
            (
                "[::ffff:10.0.0.0/104]:*",
                "IPv6 form of an IPv4 address: those stay closed",
            ),
            ("224.0.0.0/4:*", "multicast"),
            ("198.18.0.0/15:*", "benchmarks"),
        ] {
            let error = text.parse::<AllowEntry>().unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
