//! A range of addresses: a base and the number of leading bits that count.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An IPv4 or IPv6 range. The two families never overlap here: an IPv4 address written as IPv6 is an IPv6
/// address, and refused as such.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Network {
    V4 { base: u32, prefix: u8 },
    V6 { base: u128, prefix: u8 },
}

impl Network {
    pub(crate) const fn v4(octets: [u8; 4], prefix: u8) -> Self {
        Self::V4 {
            base: u32::from_be_bytes(octets),
            prefix,
        }
    }

    pub(crate) const fn v6(segments: [u16; 8], prefix: u8) -> Self {
        let mut base = 0;
        let mut at = 0;
        while at < segments.len() {
            base = base << 16 | segments[at] as u128;
            at += 1;
        }
        Self::V6 { base, prefix }
    }

    /// The range of `prefix` leading bits around `address`; `None` when the family has fewer bits.
    pub(crate) fn around(address: IpAddr, prefix: u8) -> Option<Self> {
        match address {
            IpAddr::V4(v4) if prefix <= 32 => Some(Self::V4 {
                base: v4.to_bits() & mask_v4(prefix),
                prefix,
            }),
            IpAddr::V6(v6) if prefix <= 128 => Some(Self::V6 {
                base: v6.to_bits() & mask_v6(prefix),
                prefix,
            }),
            _ => None,
        }
    }

    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        match (*self, address) {
            (Self::V4 { base, prefix }, IpAddr::V4(v4)) => v4.to_bits() & mask_v4(prefix) == base,
            (Self::V6 { base, prefix }, IpAddr::V6(v6)) => v6.to_bits() & mask_v6(prefix) == base,
            _ => false,
        }
    }

    /// Whether every address of `other` lies in this range.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        other.prefix() >= self.prefix() && self.contains(other.base())
    }

    pub(crate) fn base(&self) -> IpAddr {
        match *self {
            Self::V4 { base, .. } => Ipv4Addr::from_bits(base).into(),
            Self::V6 { base, .. } => Ipv6Addr::from_bits(base).into(),
        }
    }

    fn prefix(&self) -> u8 {
        match *self {
            Self::V4 { prefix, .. } | Self::V6 { prefix, .. } => prefix,
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base(), self.prefix())
    }
}

fn mask_v4(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)
}

fn mask_v6(prefix: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0)
}
