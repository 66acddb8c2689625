//! What kind of place an address is. The tables are facts about the address plan; what follows from a
//! class is the policy's matter.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use crate::network::Network;

/// The kind of place an address stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Reachable from anywhere.
    Public,
    /// A private IPv4 network.
    Private,
    /// A private IPv6 network (unique local).
    UniqueLocal,
    /// The range carriers share among their customers.
    CarrierShared,
    /// This machine.
    Loopback,
    /// The cable this machine hangs on.
    LinkLocal,
    /// Where clouds hand out credentials and settings to their machines.
    Metadata,
    /// A group of machines.
    Multicast,
    /// Kept for examples.
    Documentation,
    /// Kept for measurements between devices.
    Benchmark,
    /// IPv6 that carries, or leads to, an IPv4 address.
    Transition,
    /// Set aside, or not yet given out.
    Reserved,
}

impl Class {
    /// Whether an operator's allow entry can open addresses of this class. Loopback has a switch of its own.
    pub fn can_be_allowed(self) -> bool {
        matches!(
            self,
            Self::Public | Self::Private | Self::UniqueLocal | Self::CarrierShared
        )
    }

    fn words(self) -> &'static str {
        match self {
            Self::Public => "a public address",
            Self::Private | Self::UniqueLocal => "a private address",
            Self::CarrierShared => "an address of a carrier's shared range",
            Self::Loopback => "a loopback address",
            Self::LinkLocal => "a link-local address",
            Self::Metadata => "a cloud metadata address",
            Self::Multicast => "a multicast address",
            Self::Documentation => "an address kept for documentation",
            Self::Benchmark => "an address kept for benchmarks",
            Self::Transition => "an IPv6 form of an IPv4 address",
            Self::Reserved => "a reserved address",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}

/// Narrow ranges stand before the wide ones around them; the first hit counts.
const V4: &[(Network, Class)] = &[
    (Network::v4([169, 254, 169, 254], 32), Class::Metadata),
    (Network::v4([169, 254, 170, 2], 32), Class::Metadata),
    (Network::v4([169, 254, 170, 23], 32), Class::Metadata),
    (Network::v4([168, 63, 129, 16], 32), Class::Metadata),
    (Network::v4([100, 100, 100, 200], 32), Class::Metadata),
    (Network::v4([192, 0, 0, 192], 32), Class::Metadata),
    (Network::v4([0, 0, 0, 0], 8), Class::Reserved),
    (Network::v4([10, 0, 0, 0], 8), Class::Private),
    (Network::v4([100, 64, 0, 0], 10), Class::CarrierShared),
    (Network::v4([127, 0, 0, 0], 8), Class::Loopback),
    (Network::v4([169, 254, 0, 0], 16), Class::LinkLocal),
    (Network::v4([172, 16, 0, 0], 12), Class::Private),
    (Network::v4([192, 0, 0, 0], 24), Class::Reserved),
    (Network::v4([192, 0, 2, 0], 24), Class::Documentation),
    (Network::v4([192, 31, 196, 0], 24), Class::Reserved),
    (Network::v4([192, 52, 193, 0], 24), Class::Reserved),
    (Network::v4([192, 88, 99, 0], 24), Class::Reserved),
    (Network::v4([192, 168, 0, 0], 16), Class::Private),
    (Network::v4([192, 175, 48, 0], 24), Class::Reserved),
    (Network::v4([198, 18, 0, 0], 15), Class::Benchmark),
    (Network::v4([198, 51, 100, 0], 24), Class::Documentation),
    (Network::v4([203, 0, 113, 0], 24), Class::Documentation),
    (Network::v4([224, 0, 0, 0], 4), Class::Multicast),
    (Network::v4([240, 0, 0, 0], 4), Class::Reserved),
];

/// The same for IPv6. What no row names is public inside `2000::/3` and reserved outside.
const V6: &[(Network, Class)] = &[
    (
        Network::v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0], 32),
        Class::Metadata,
    ),
    (
        Network::v6([0xfd20, 0xce, 0, 0, 0, 0, 0, 0], 32),
        Class::Metadata,
    ),
    (
        Network::v6([0xfd00, 0xc1, 0, 0, 0, 0, 0, 0], 32),
        Class::Metadata,
    ),
    (
        Network::v6([0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42], 128),
        Class::Metadata,
    ),
    (
        Network::v6([0xfd00, 0xa9fe, 0xa9fe, 0, 0, 0, 0, 0], 48),
        Class::Metadata,
    ),
    (Network::v6([0, 0, 0, 0, 0, 0, 0, 0], 128), Class::Reserved),
    (Network::v6([0, 0, 0, 0, 0, 0, 0, 1], 128), Class::Loopback),
    (Network::v6([0, 0, 0, 0, 0, 0, 0, 0], 96), Class::Transition),
    (
        Network::v6([0, 0, 0, 0, 0, 0xffff, 0, 0], 96),
        Class::Transition,
    ),
    (
        Network::v6([0, 0, 0, 0, 0xffff, 0, 0, 0], 96),
        Class::Transition,
    ),
    (
        Network::v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 32),
        Class::Transition,
    ),
    (
        Network::v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 32),
        Class::Transition,
    ),
    (
        Network::v6([0x2001, 2, 0, 0, 0, 0, 0, 0], 48),
        Class::Benchmark,
    ),
    (
        Network::v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23),
        Class::Reserved,
    ),
    (
        Network::v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32),
        Class::Documentation,
    ),
    (
        Network::v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16),
        Class::Transition,
    ),
    (
        Network::v6([0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0], 48),
        Class::Reserved,
    ),
    (
        Network::v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20),
        Class::Documentation,
    ),
    (
        Network::v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7),
        Class::UniqueLocal,
    ),
    (
        Network::v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10),
        Class::LinkLocal,
    ),
    (
        Network::v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8),
        Class::Multicast,
    ),
];

const V6_GIVEN_OUT: Network = Network::v6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);

/// The class of an address.
pub fn classify(address: IpAddr) -> Class {
    let table = match address {
        IpAddr::V4(_) => V4,
        // ISATAP hides in the lower half of any prefix, so no range can name it.
        IpAddr::V6(v6) if is_isatap(v6) => return Class::Transition,
        IpAddr::V6(_) => V6,
    };
    let named = table.iter().find(|(range, _)| range.contains(address));
    match named {
        Some((_, class)) => *class,
        None if address.is_ipv4() || V6_GIVEN_OUT.contains(address) => Class::Public,
        None => Class::Reserved,
    }
}

/// The class of a whole range, when it lies inside one row of the tables.
pub(crate) fn class_of_range(range: &Network) -> Option<Class> {
    V4.iter()
        .chain(V6)
        .find(|(row, _)| row.covers(range))
        .map(|(_, class)| *class)
}

fn is_isatap(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    // The bit masked out only says whether the embedded IPv4 address is globally unique.
    segments[4] & !0x0200 == 0 && segments[5] == 0x5efe
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(address: &str) -> Class {
        classify(address.parse().unwrap())
    }

    #[test]
    fn every_ipv4_range_is_named_at_both_ends_and_left_behind_one_address_outside() {
        for (first, last, expected) in [
            ("0.0.0.0", "0.255.255.255", Class::Reserved),
            ("10.0.0.0", "10.255.255.255", Class::Private),
            ("100.64.0.0", "100.127.255.255", Class::CarrierShared),
            ("127.0.0.0", "127.255.255.255", Class::Loopback),
            ("169.254.0.0", "169.254.255.255", Class::LinkLocal),
            ("172.16.0.0", "172.31.255.255", Class::Private),
            ("192.0.0.0", "192.0.0.255", Class::Reserved),
            ("192.0.2.0", "192.0.2.255", Class::Documentation),
            ("192.88.99.0", "192.88.99.255", Class::Reserved),
            ("192.168.0.0", "192.168.255.255", Class::Private),
            ("198.18.0.0", "198.19.255.255", Class::Benchmark),
            ("198.51.100.0", "198.51.100.255", Class::Documentation),
            ("203.0.113.0", "203.0.113.255", Class::Documentation),
            ("224.0.0.0", "239.255.255.255", Class::Multicast),
            ("240.0.0.0", "255.255.255.255", Class::Reserved),
        ] {
            assert_eq!(class(first), expected, "{first}");
            assert_eq!(class(last), expected, "{last}");
        }
        for outside in [
            "1.0.0.0",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.0.3.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "198.51.101.0",
            "203.0.114.0",
            "223.255.255.255",
            "168.63.129.15",
        ] {
            assert_eq!(class(outside), Class::Public, "{outside}");
        }
    }

    #[test]
    fn metadata_addresses_are_told_from_the_ranges_around_them() {
        for address in [
            "169.254.169.254",
            "169.254.170.2",
            "169.254.170.23",
            "168.63.129.16",
            "100.100.100.200",
            "192.0.0.192",
            "fd00:ec2::254",
            "fd00:ec2::23",
            "fd20:ce::254",
            "fd00:c1::a9fe:a9fe",
            "fd00:42::42",
            "fd00:a9fe:a9fe::1",
        ] {
            assert_eq!(class(address), Class::Metadata, "{address}");
        }
    }

    #[test]
    fn ipv6_is_public_only_inside_the_space_given_out() {
        for (address, expected) in [
            ("2000::1", Class::Public),
            ("2606:4700::1111", Class::Public),
            ("2a00:1450::1", Class::Public),
            ("3ffe:ffff::1", Class::Public),
            ("::", Class::Reserved),
            ("::1", Class::Loopback),
            ("1fff::1", Class::Reserved),
            ("4000::1", Class::Reserved),
            ("5f00::1", Class::Reserved),
            ("100::1", Class::Reserved),
            ("fc00::1", Class::UniqueLocal),
            ("fdff:ffff::1", Class::UniqueLocal),
            ("fe80::1", Class::LinkLocal),
            ("febf::1", Class::LinkLocal),
            ("fec0::1", Class::Reserved),
            ("ff02::1", Class::Multicast),
            ("2001:db8::1", Class::Documentation),
            ("3fff::1", Class::Documentation),
            ("3fff:fff::1", Class::Documentation),
            ("3fff:1000::1", Class::Public),
            ("2001:2::1", Class::Benchmark),
            ("2001:10::1", Class::Reserved),
            ("2001:20::1", Class::Reserved),
            ("2001:200::1", Class::Public),
            ("2620:4f:8000::1", Class::Reserved),
        ] {
            assert_eq!(class(address), expected, "{address}");
        }
    }

    #[test]
    fn every_ipv6_form_of_an_ipv4_address_is_transition_even_of_a_public_one() {
        for address in [
            "::127.0.0.1",
            "::8.8.8.8",
            "::ffff:127.0.0.1",
            "::ffff:8.8.8.8",
            "::ffff:0:169.254.169.254",
            "64:ff9b::8.8.8.8",
            "64:ff9b:1::1",
            "2002:808:808::1",
            "2001:0:808:808::1",
            "2607:f8b0::5efe:10.0.0.1",
            "2607:f8b0::200:5efe:8.8.8.8",
            "fe80::5efe:10.0.0.1",
        ] {
            assert_eq!(class(address), Class::Transition, "{address}");
        }
    }
}
