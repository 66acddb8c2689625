//! Refusing what the egress guard would never let through, before anything is dialled.

use url::Host;
use wharf_domain::input::InvalidInput;
use wharf_egress::{Endpoint, Policy, Reason, Scheme, Standing};

use crate::store::Store;

const ENDPOINT: &str = "provider_config.endpoint_url";
const USE_SSL: &str = "provider_config.use_ssl";
const VERIFY_SSL: &str = "provider_config.verify_ssl";

/// A store that could be dialled, as far as that shows without looking names up. Every dial is judged again.
pub(crate) fn vet(store: &Store, policy: &Policy) -> Result<(), InvalidInput> {
    let refused = |path, reason: String| Err(InvalidInput::one(path, "egress_refused", reason));
    let Some(endpoint) = &store.endpoint else {
        // AWS is public; only an opened address, such as one of a VPC endpoint, could do without proof.
        let could_be_opened = policy.allow_loopback || !policy.allow.is_empty();
        return match (store.tls, store.verified) {
            (false, _) if !could_be_opened => {
                refused(USE_SSL, words("AWS", &Reason::PlainHttp(80)))
            }
            (true, false) if !could_be_opened => {
                refused(VERIFY_SSL, words("AWS", &Reason::UnverifiedTls(443)))
            }
            _ => Ok(()),
        };
    };
    let endpoint = match policy.check_url(&endpoint.to_string()) {
        Ok(endpoint) => endpoint,
        Err(refusal) => return refused(ENDPOINT, refusal.to_string()),
    };
    let origin = endpoint.origin();
    let authority = origin.authority();
    match origin.scheme() {
        Scheme::Http if !could_be_opened(policy, &endpoint) => refused(
            ENDPOINT,
            words(&authority, &Reason::PlainHttp(origin.port())),
        ),
        Scheme::Https if !store.verified && !could_be_opened(policy, &endpoint) => refused(
            VERIFY_SSL,
            words(&authority, &Reason::UnverifiedTls(origin.port())),
        ),
        _ => Ok(()),
    }
}

/// Whether an operator opened the address, or, of a name, whether any opened address could be behind it.
fn could_be_opened(policy: &Policy, endpoint: &Endpoint) -> bool {
    let (port, opened) = (endpoint.origin().port(), Ok(Standing::Opened));
    let trusted = endpoint.is_trusted();
    trusted
        || match endpoint.origin().host() {
            Host::Ipv4(v4) => policy.verdict((*v4, port).into()) == opened,
            Host::Ipv6(v6) => policy.verdict((*v6, port).into()) == opened,
            Host::Domain(_) => {
                policy.allow_loopback || policy.allow.iter().any(|entry| entry.opens_port(port))
            }
        }
}

fn words(target: &str, reason: &Reason) -> String {
    format!("{target} cannot be contacted: {reason}")
}

#[cfg(test)]
mod tests {
    use wharf_domain::provider::EndpointUrl;
    use wharf_domain::provider::s3::Region;

    use super::*;
    use crate::profile;

    fn vetted(
        policy: &Policy,
        endpoint: Option<&str>,
        tls: bool,
        verified: bool,
    ) -> Result<(), (String, String)> {
        let store = Store {
            profile: &profile::OTHER,
            region: Region::parse("us-east-1").unwrap(),
            endpoint: endpoint.map(|url| EndpointUrl::parse(url).unwrap()),
            tls,
            verified,
        };
        vet(&store, policy).map_err(|error| (error.0[0].path(), error.0[0].message.clone()))
    }

    #[test]
    fn what_no_dial_could_reach_is_refused_with_the_field_and_the_remedy() {
        let strict = Policy::default();
        for (endpoint, tls, verified, field, remedy) in [
            (
                Some("http://127.0.0.1:9000"),
                false,
                true,
                ENDPOINT,
                "egress.allow_loopback",
            ),
            (
                Some("https://10.1.2.3:9000"),
                true,
                true,
                ENDPOINT,
                "`egress.allow` entry `10.1.2.3:9000`",
            ),
            (
                Some("https://169.254.169.254"),
                true,
                true,
                ENDPOINT,
                "never opened",
            ),
            (
                Some("https://minio.internal"),
                true,
                true,
                ENDPOINT,
                "egress.allow",
            ),
            (
                Some("https://minio.example.com:8080"),
                true,
                true,
                ENDPOINT,
                "port 8080 is not open",
            ),
            (
                Some("http://minio.example.com"),
                false,
                true,
                ENDPOINT,
                "plain HTTP",
            ),
            (
                Some("http://93.184.216.34:9000"),
                false,
                true,
                ENDPOINT,
                "plain HTTP",
            ),
            (
                Some("https://minio.example.com"),
                true,
                false,
                VERIFY_SSL,
                "certificates may go unverified",
            ),
            (
                Some("https://93.184.216.34"),
                true,
                false,
                VERIFY_SSL,
                "certificates may go unverified",
            ),
            (None, false, true, USE_SSL, "plain HTTP"),
            (
                None,
                true,
                false,
                VERIFY_SSL,
                "certificates may go unverified",
            ),
        ] {
            let (path, message) = vetted(&strict, endpoint, tls, verified).unwrap_err();
            assert_eq!(path, field, "{endpoint:?}");
            assert!(message.contains(remedy), "{endpoint:?}: {message}");
        }
        assert_eq!(vetted(&strict, None, true, true), Ok(()));
        assert_eq!(
            vetted(&strict, Some("https://minio.example.com:9000"), true, true),
            Ok(())
        );
    }

    #[test]
    fn what_an_operator_opened_passes() {
        let lan = Policy {
            allow: vec!["10.0.0.0/8:9000".parse().unwrap()],
            ..Policy::default()
        };
        assert_eq!(
            vetted(&lan, Some("http://10.1.2.3:9000"), false, true),
            Ok(())
        );
        assert_eq!(
            vetted(&lan, Some("https://10.1.2.3:9000"), true, false),
            Ok(())
        );
        assert_eq!(
            vetted(&lan, Some("http://minio.example.com:9000"), false, true),
            Ok(())
        );
        assert!(vetted(&lan, Some("http://93.184.216.34:9000"), false, true).is_err());
        assert!(vetted(&lan, Some("https://minio.example.com"), true, false).is_err());
        let lab = Policy {
            allow_loopback: true,
            ..Policy::default()
        };
        assert_eq!(
            vetted(&lab, Some("http://127.0.0.1:41000"), false, true),
            Ok(())
        );
    }
}
