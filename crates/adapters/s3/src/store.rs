//! Where a store answers and how its buckets are addressed.

use std::net::Ipv4Addr;

use wharf_domain::provider::s3::Region;
use wharf_domain::provider::{EndpointUrl, ProviderConfig, Scheme};

/// The vendor's own rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    S3,
    Tigris,
}

/// A store, as the configuration describes it.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    pub(crate) profile: Profile,
    pub(crate) region: Region,
    /// None is AWS, in the region.
    pub(crate) endpoint: Option<EndpointUrl>,
    pub(crate) tls: bool,
    pub(crate) verified: bool,
}

impl Store {
    /// The store of a configuration, unless that is for another kind of provider.
    pub(crate) fn of(config: &ProviderConfig) -> Option<Self> {
        match config {
            ProviderConfig::S3(config) => Some(Self {
                profile: Profile::S3,
                region: config.region.clone(),
                endpoint: config.endpoint_url.clone(),
                tls: config.use_ssl,
                verified: config.verify_ssl,
            }),
            ProviderConfig::Tigris(config) => Some(Self {
                profile: Profile::Tigris,
                region: config.region.clone(),
                endpoint: Some(config.endpoint_url.clone()),
                tls: config.endpoint_url.scheme() == Scheme::Https,
                verified: true,
            }),
            _ => None,
        }
    }

    /// What files are identified under: AWS's partition, in which bucket names are unique, or host and port. The scheme
    /// has no part in it.
    pub(crate) fn authority(&self) -> String {
        match &self.endpoint {
            None => self.region.partition().to_owned(),
            Some(endpoint) => format!("{}:{}", endpoint.host(), endpoint.port()),
        }
    }

    /// Whether the bucket stands in the path, and not in the host name.
    pub(crate) fn names_bucket_in_path(&self, bucket: &str) -> bool {
        // No certificate covers a host with the dots of a bucket in it.
        let dotted = bucket.contains('.');
        match (&self.endpoint, self.profile) {
            (None, _) => dotted,
            (Some(_), Profile::S3) => true,
            (Some(endpoint), Profile::Tigris) => dotted || has_no_subdomains(endpoint.host()),
        }
    }

    /// Whether AWS itself answers, which knows more than every store does.
    pub(crate) fn is_aws(&self) -> bool {
        self.endpoint.as_ref().is_none_or(|endpoint| {
            let host = endpoint.host();
            host.ends_with(".amazonaws.com") || host.ends_with(".amazonaws.com.cn")
        })
    }
}

fn has_no_subdomains(host: &str) -> bool {
    host == "localhost" || host.starts_with('[') || host.parse::<Ipv4Addr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(profile: Profile, region: &str, endpoint: Option<&str>) -> Store {
        Store {
            profile,
            region: Region::parse(region).unwrap(),
            endpoint: endpoint.map(|url| EndpointUrl::parse(url).unwrap()),
            tls: true,
            verified: true,
        }
    }

    #[test]
    fn the_authority_is_the_partition_or_host_and_port() {
        for (region, endpoint, authority) in [
            ("eu-west-1", None, "aws"),
            ("us-east-1", None, "aws"),
            ("cn-north-1", None, "aws-cn"),
            ("us-gov-west-1", None, "aws-us-gov"),
            ("auto", Some("https://t3.storage.dev"), "t3.storage.dev:443"),
            (
                "auto",
                Some("http://t3.storage.dev:443"),
                "t3.storage.dev:443",
            ),
            ("auto", Some("http://[::1]:9000"), "[::1]:9000"),
        ] {
            assert_eq!(store(Profile::S3, region, endpoint).authority(), authority);
        }
    }

    #[test]
    fn a_bucket_stands_in_the_host_only_where_that_works() {
        let minio = Some("https://minio.example.com");
        let tigris = Some("https://fly.storage.tigris.dev");
        for (profile, endpoint, bucket, in_path) in [
            (Profile::S3, None, "media", false),
            (Profile::S3, None, "media.2024", true),
            (Profile::S3, minio, "media", true),
            (Profile::S3, minio, "media.2024", true),
            (Profile::Tigris, tigris, "media", false),
            (Profile::Tigris, tigris, "media.2024", true),
            (
                Profile::Tigris,
                Some("http://127.0.0.1:9000"),
                "media",
                true,
            ),
            (Profile::Tigris, Some("http://[::1]:9000"), "media", true),
            (
                Profile::Tigris,
                Some("http://localhost:9000"),
                "media",
                true,
            ),
            (
                Profile::Tigris,
                Some("http://t3.localhost:9000"),
                "media",
                false,
            ),
        ] {
            let store = store(profile, "us-east-1", endpoint);
            assert_eq!(
                store.names_bucket_in_path(bucket),
                in_path,
                "{endpoint:?} {bucket}"
            );
        }
    }
}
