//! Every form of every address, by rule and at random, against an opinion of its own on what is closed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use proptest::prelude::*;
use wharf_egress::{AllowEntry, Class, Policy, Standing, classify};

use crate::fakes::is_closed;

/// As open as any configuration can be.
fn widest() -> Policy {
    Policy {
        allow: ["0.0.0.0/0:*", "[::/0]:*", "[fc00::/7]:*", "100.64.0.0/10:*"]
            .map(|entry| entry.parse().unwrap())
            .to_vec(),
        allow_loopback: true,
        trusted_origins: Vec::new(),
    }
}

/// Classes that no configuration opens.
fn is_sealed(class: Class) -> bool {
    !class.can_be_allowed() && class != Class::Loopback
}

/// Every IPv6 address that carries this IPv4 address, or leads to it; `filler` is what else stands in such an address.
fn forms_of(v4: Ipv4Addr, filler: u64) -> Vec<(&'static str, Ipv6Addr)> {
    let bits = u128::from(v4.to_bits());
    let filler = u128::from(filler);
    let low_32 = filler & 0xffff_ffff;
    let form = |name, bits: u128| (name, Ipv6Addr::from_bits(bits));
    let isatap = |unique: u128| {
        // Under any prefix that is given out, so that nothing but its own mark gives it away.
        (0x2607 << 112) | ((filler >> 16) << 64) | (unique << 57) | (0x5efe << 32) | bits
    };
    vec![
        form("compatible", bits),
        form("mapped", (0xffff << 32) | bits),
        form("translated (SIIT)", (0xffff << 48) | bits),
        form("NAT64, everybody's prefix", (0x0064_ff9b << 96) | bits),
        form(
            "NAT64, a network's own prefix",
            (0x0064_ff9b_0001 << 80) | ((filler & 0xffff_ffff_ffff) << 32) | bits,
        ),
        form("6to4", (0x2002 << 112) | (bits << 80) | filler),
        form(
            "Teredo, the server",
            (0x2001_0000 << 96) | (bits << 64) | filler,
        ),
        form(
            "Teredo, the client",
            (0x2001_0000 << 96)
                | (low_32 << 64)
                | (filler & 0xffff_ffff_0000_0000)
                | (bits ^ 0xffff_ffff),
        ),
        form("ISATAP", isatap(0)),
        form("ISATAP, unique", isatap(1)),
    ]
}

/// Any IPv4 address, those near the ends of special ranges more often than by chance.
fn any_v4() -> impl Strategy<Value = Ipv4Addr> {
    let edges = prop::sample::select(vec![
        [0, 0, 0, 0],
        [10, 0, 0, 0],
        [100, 64, 0, 0],
        [100, 100, 100, 200],
        [100, 128, 0, 0],
        [127, 0, 0, 0],
        [168, 63, 129, 16],
        [169, 254, 0, 0],
        [169, 254, 169, 254],
        [172, 16, 0, 0],
        [172, 32, 0, 0],
        [192, 0, 0, 0],
        [192, 0, 2, 0],
        [192, 31, 196, 0],
        [192, 52, 193, 0],
        [192, 88, 99, 0],
        [192, 168, 0, 0],
        [192, 175, 48, 0],
        [198, 18, 0, 0],
        [198, 20, 0, 0],
        [198, 51, 100, 0],
        [203, 0, 113, 0],
        [224, 0, 0, 0],
        [240, 0, 0, 0],
        [255, 255, 255, 255],
    ]);
    let near = (edges, 0..600_u32).prop_map(|(edge, step)| {
        Ipv4Addr::from_bits(
            Ipv4Addr::from(edge)
                .to_bits()
                .wrapping_add(step)
                .wrapping_sub(300),
        )
    });
    prop_oneof![any::<u32>().prop_map(Ipv4Addr::from_bits), near]
}

/// Any IPv6 address, those that begin like special ones more often than by chance.
fn any_v6() -> impl Strategy<Value = Ipv6Addr> {
    let begins = prop::sample::select(vec![
        0x0000, 0x0064, 0x0100, 0x2000, 0x2001, 0x2002, 0x2600, 0x2620, 0x3ffe, 0x3fff, 0x4000,
        0x5f00, 0xfc00, 0xfd00, 0xfe80, 0xfec0, 0xff02_u16,
    ]);
    let second = prop::sample::select(vec![
        0x0000, 0x0001, 0x0002, 0x0010, 0x0020, 0x01ff, 0x0200, 0x004f, 0x0db8, 0x0ec2, 0x0fff,
        0x1000, 0xff9b_u16,
    ]);
    let third = prop::sample::select(vec![0x0000, 0x0001, 0x8000, 0xffff_u16]);
    let alike = (begins, second, third, any::<[u16; 5]>())
        .prop_map(|(a, b, c, [d, e, f, g, h])| Ipv6Addr::new(a, b, c, d, e, f, g, h));
    prop_oneof![any::<u128>().prop_map(Ipv6Addr::from_bits), alike]
}

/// An address in the ways that URLs let it be written.
fn spellings_of(v4: Ipv4Addr) -> Vec<String> {
    let [a, b, c, d] = v4.octets();
    let whole = v4.to_bits();
    let (last_24, last_16) = (whole & 0xff_ffff, whole & 0xffff);
    vec![
        format!("{a}.{b}.{c}.{d}"),
        format!("{a}.{b}.{c}.{d}."),
        format!("{whole}"),
        format!("{whole:#x}"),
        format!("{whole:#X}").replace("0X", "0x"),
        format!("0{whole:o}"),
        format!("{a}.{last_24}"),
        format!("{a}.{b}.{last_16}"),
        format!("{a:#x}.{b:#x}.{c:#x}.{d:#x}"),
        format!("0{a:o}.0{b:o}.0{c:o}.0{d:o}"),
        format!("{a:#x}.0{b:o}.{last_16}"),
        format!(
            "%{:02x}{}.{b}.{c}.{d}",
            a.to_string().as_bytes()[0],
            &a.to_string()[1..]
        ),
        format!("{a}.{b}.{c}.{d}").replace('.', "\u{3002}"),
        format!("{a}.{b}.{c}.{d}").replace('.', "\u{ff0e}"),
        format!("{a}.{b}.{c}.{d}")
            .chars()
            .map(|c| match c.to_digit(10) {
                Some(digit) => char::from_u32(0xff10 + digit).unwrap(),
                None => c,
            })
            .collect(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn ipv4_is_public_exactly_where_the_other_opinion_has_it_open(v4 in any_v4()) {
        let ip = IpAddr::from(v4);
        // Among the carriers' shared range lies one for metadata; both opinions close the whole range.
        prop_assert_eq!(classify(ip) == Class::Public, !is_closed(ip), "{}", ip);
    }

    #[test]
    fn ipv6_is_public_exactly_where_the_other_opinion_has_it_open(v6 in any_v6()) {
        let ip = IpAddr::from(v6);
        prop_assert_eq!(classify(ip) == Class::Public, !is_closed(ip), "{}", ip);
    }

    #[test]
    fn no_ipv6_form_of_any_ipv4_address_passes_whatever_is_opened(v4 in any_v4(), filler in any::<u64>(), port in 1..=u16::MAX) {
        let policy = widest();
        for (name, v6) in forms_of(v4, filler) {
            if v6 == Ipv6Addr::LOCALHOST {
                continue;
            }
            prop_assert!(is_sealed(classify(v6.into())), "{}: {} of {}", name, v6, v4);
            prop_assert!(policy.verdict(SocketAddr::new(v6.into(), port)).is_err(), "{}: {} of {}", name, v6, v4);
            prop_assert!(policy.check_url(&format!("https://[{v6}]:{port}")).is_err(), "{}: {} of {}", name, v6, v4);
        }
    }

    #[test]
    fn every_spelling_of_an_address_gets_the_verdict_of_the_address(v4 in any_v4()) {
        let policy = Policy::default();
        for spelling in spellings_of(v4) {
            let url = format!("https://{spelling}");
            prop_assert_eq!(policy.check_url(&url).is_ok(), !is_closed(v4.into()), "{} is {}", url, v4);
        }
    }

    #[test]
    fn an_entry_opens_what_it_covers_of_the_classes_that_can_be_opened_and_nothing_else(
        ip in prop_oneof![any_v4().prop_map(IpAddr::from), any_v6().prop_map(IpAddr::from)],
        around in prop_oneof![any_v4().prop_map(IpAddr::from), any_v6().prop_map(IpAddr::from)],
        near in any::<bool>(),
        prefix in 0..=128_u8,
        ports in (1..=u16::MAX, 1..=u16::MAX),
        any_port in any::<bool>(),
    ) {
        let base = if near { ip } else { around };
        let entry = entry_around(base, prefix, (!any_port).then_some(ports.0)).parse::<AllowEntry>();
        let Ok(entry) = entry else { return Ok(()) };
        let policy = Policy { allow: vec![entry], ..Policy::default() };
        for port in [ports.0, ports.1] {
            let addr = SocketAddr::new(ip, port);
            let opened = policy.verdict(addr) == Ok(Standing::Opened);
            let expected = entry.covers(addr) && classify(ip).can_be_allowed();
            prop_assert_eq!(opened, expected, "{} and {}", entry, addr);
            prop_assert!(!(opened && is_sealed(classify(ip))));
        }
    }
}

fn entry_around(ip: IpAddr, prefix: u8, port: Option<u16>) -> String {
    let port = port.map_or("*".to_owned(), |port| port.to_string());
    match ip {
        IpAddr::V4(v4) => {
            let prefix = u32::from(prefix) % 33;
            let mask = u32::MAX.checked_shl(32 - prefix).unwrap_or(0);
            format!(
                "{}/{prefix}:{port}",
                Ipv4Addr::from_bits(v4.to_bits() & mask)
            )
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
            format!(
                "[{}/{prefix}]:{port}",
                Ipv6Addr::from_bits(v6.to_bits() & mask)
            )
        }
    }
}

/// The special-purpose ranges of IPv6, by their first and last addresses, the most general ones last.
#[test]
fn every_special_range_of_ipv6_is_closed_from_its_first_address_to_its_last() {
    for (first, last) in [
        ("::", "::ffff:ffff"),
        ("::ffff:0:0", "::ffff:ffff:ffff"),
        ("::ffff:0:0:0", "::ffff:0:ffff:ffff"),
        ("64:ff9b::", "64:ff9b::ffff:ffff"),
        ("64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff"),
        ("100::", "100::ffff:ffff:ffff:ffff"),
        ("100:0:0:1::", "100::1:ffff:ffff:ffff:ffff"),
        ("2001::", "2001:0:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("2001:1::1", "2001:1::3"),
        ("2001:2::", "2001:2:0:ffff:ffff:ffff:ffff:ffff"),
        ("2001:3::", "2001:3:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("2001:4:112::", "2001:4:112:ffff:ffff:ffff:ffff:ffff"),
        ("2001:10::", "2001:1f:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("2001:20::", "2001:2f:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("2001:30::", "2001:3f:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("2620:4f:8000::", "2620:4f:8000:ffff:ffff:ffff:ffff:ffff"),
        ("3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("4000::", "fbff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("5f00::", "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ] {
        for address in [first, last] {
            let addr = SocketAddr::new(address.parse().unwrap(), 443);
            assert!(Policy::default().verdict(addr).is_err(), "{address}");
        }
    }
}

#[test]
fn no_configuration_opens_a_place_where_clouds_hand_out_credentials() {
    let policy = widest();
    for address in [
        "169.254.169.254",
        "169.254.170.2",
        "169.254.170.23",
        "169.254.169.123",
        "168.63.129.16",
        "100.100.100.200",
        "192.0.0.192",
        "fd00:ec2::254",
        "fd00:ec2::23",
        "fd20:ce::254",
        "fd00:c1::a9fe:a9fe",
        "fd00:42::42",
        "fd00:a9fe:a9fe::1",
        "fe80::a9fe:a9fe",
    ] {
        for port in [80, 443, 9000, 31337] {
            let addr = SocketAddr::new(address.parse().unwrap(), port);
            assert!(policy.verdict(addr).is_err(), "{addr}");
        }
    }
}

#[test]
fn a_trusted_origin_is_open_to_the_guard_it_was_given_to_and_to_no_other() {
    let own = Policy {
        trusted_origins: vec!["http://10.9.8.7:4010".parse().unwrap()],
        ..Policy::default()
    };
    let tenants = Policy {
        trusted_origins: Vec::new(),
        ..own.clone()
    };
    assert!(own.check_url("http://10.9.8.7:4010").is_ok());
    for url in [
        "http://10.9.8.7:4010",
        "https://10.9.8.7:4010",
        "http://10.9.8.7",
    ] {
        assert!(tenants.check_url(url).is_err(), "{url}");
    }
    // Not by another spelling, scheme, port or neighbour either.
    for url in [
        "https://10.9.8.7:4010",
        "http://10.9.8.7:4011",
        "http://10.9.8.8:4010",
        "http://user@10.9.8.7:4010",
        "http://10.9.8.7:4010/path",
    ] {
        assert!(own.check_url(url).is_err(), "{url}");
    }
    // What is trusted is the origin, not its address by another way.
    let addr = "10.9.8.7:4010".parse().unwrap();
    assert!(own.verdict(addr).is_err());
}

#[test]
fn names_that_mean_something_only_inside_are_refused_however_their_dots_stand() {
    let policy = widest();
    for name in [
        "minio",
        "minio.",
        "minio..",
        "MINIO",
        "vault.internal",
        "vault.internal.",
        "vault.internal..",
        "Vault.Internal",
        "vault\u{3002}internal",
        "vault\u{ff0e}internal",
        "kubernetes.default.svc",
        "api.cluster.local",
        "printer.local..",
        "nas.lan",
        "nas.home.arpa",
        "metadata.google.internal",
    ] {
        assert!(
            policy.check_url(&format!("https://{name}")).is_err(),
            "{name}"
        );
    }
    for name in [
        "localhost",
        "localhost.",
        "localhost..",
        "a.localhost",
        "LOCALHOST",
    ] {
        let url = format!("https://{name}");
        assert!(Policy::default().check_url(&url).is_err(), "{name}");
    }
}
