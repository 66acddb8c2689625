//! Endpoints: the reader of configurations and the egress guard read one text alike, and what passes the strictest
//! policy is a public address or a name.
#![no_main]

use libfuzzer_sys::fuzz_target;
use url::Host;
use wharf_domain::provider::EndpointUrl;
use wharf_egress::{Class, Endpoint, Policy, classify};

fn assert_alike(text: &str, parsed: &EndpointUrl, judged: &Endpoint) {
    let origin = judged.origin();
    assert_eq!(parsed.host(), origin.host().to_string(), "{text}");
    assert_eq!(parsed.port(), origin.port(), "{text}");
    assert_eq!(
        parsed.scheme().as_str(),
        origin.scheme().to_string(),
        "{text}"
    );
}

fn assert_public(text: &str, judged: &Endpoint) {
    match judged.origin().host() {
        Host::Ipv4(v4) => assert_eq!(classify((*v4).into()), Class::Public, "{text}"),
        Host::Ipv6(v6) => assert_eq!(classify((*v6).into()), Class::Public, "{text}"),
        Host::Domain(name) => {
            let name = name.trim_end_matches('.');
            assert!(name.contains('.') && name != "localhost", "{text}");
            assert!(name.parse::<std::net::IpAddr>().is_err(), "{text}");
        }
    }
}

fuzz_target!(|text: &str| {
    let strict = Policy::default();
    let lenient = Policy {
        allow_loopback: true,
        allow: ["10.0.0.0/8:*", "[fd00::/8]:9000"]
            .map(|entry| entry.parse().unwrap())
            .into(),
        ..Policy::default()
    };
    let parsed = EndpointUrl::parse(text);
    if let Ok(parsed) = &parsed {
        let shown = parsed.to_string();
        let again = EndpointUrl::parse(&shown).expect("the normal form is an endpoint");
        assert_eq!(
            &again, parsed,
            "{text}: the normal form means something else"
        );
        assert!(!shown.contains(['@', '?', '#', '\\', ' ']), "{shown}");
        for policy in [&strict, &lenient] {
            if let Ok(judged) = policy.check_url(&shown) {
                assert_alike(text, parsed, &judged);
            }
        }
    }
    for policy in [&strict, &lenient] {
        // Of one text, guard and reader may differ in what they refuse, never in where it leads.
        if let (Ok(judged), Ok(parsed)) = (policy.check_url(text), &parsed) {
            assert_alike(text, parsed, &judged);
        }
    }
    if let Ok(judged) = strict.check_url(text) {
        assert_public(text, &judged);
    }
});
