//! Where a store answers and how its buckets are addressed.

use std::net::Ipv4Addr;

use wharf_domain::provider::s3::Region;
use wharf_domain::provider::{EndpointUrl, ProviderConfig, Scheme};

use crate::profile::{self, Profile};

/// A store, as the configuration describes it.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    pub(crate) profile: &'static Profile,
    /// The one that requests are signed for.
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
            ProviderConfig::S3(config) => {
                let (profile, region) = match &config.endpoint_url {
                    None => (&profile::AWS, config.region.clone()),
                    Some(endpoint) => {
                        let profile = profile::of_host(endpoint.host());
                        let region = profile.signing_region(&config.region, endpoint.host());
                        (profile, region)
                    }
                };
                Some(Self {
                    profile,
                    region,
                    endpoint: config.endpoint_url.clone(),
                    tls: config.use_ssl,
                    verified: config.verify_ssl,
                })
            }
            ProviderConfig::Tigris(config) => Some(Self {
                profile: &profile::TIGRIS,
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
        let host = self.endpoint.as_ref().map(EndpointUrl::host);
        !self.profile.bucket_in_host || dotted || host.is_some_and(has_no_subdomains)
    }
}

fn has_no_subdomains(host: &str) -> bool {
    host == "localhost" || host.starts_with('[') || host.parse::<Ipv4Addr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(profile: &'static Profile, region: &str, endpoint: Option<&str>) -> Store {
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
            assert_eq!(
                store(&profile::OTHER, region, endpoint).authority(),
                authority
            );
        }
    }

    #[test]
    fn a_bucket_stands_in_the_host_only_where_that_works() {
        let minio = Some("https://minio.example.com");
        let tigris = Some("https://fly.storage.tigris.dev");
        for (profile, endpoint, bucket, in_path) in [
            (&profile::AWS, None, "media", false),
            (&profile::AWS, None, "media.2024", true),
            (&profile::OTHER, minio, "media", true),
            (&profile::OTHER, minio, "media.2024", true),
            (&profile::TIGRIS, tigris, "media", false),
            (&profile::TIGRIS, tigris, "media.2024", true),
            (
                &profile::TIGRIS,
                Some("http://127.0.0.1:9000"),
                "media",
                true,
            ),
            (&profile::TIGRIS, Some("http://[::1]:9000"), "media", true),
            (
                &profile::TIGRIS,
                Some("http://localhost:9000"),
                "media",
                true,
            ),
            (
                &profile::TIGRIS,
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
