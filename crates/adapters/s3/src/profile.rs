//! The vendors' own rules, one row each. What is known of a store is known by the host of its endpoint; the stored
//! configuration is never changed by it, only how requests are made.

use std::time::Duration;

use wharf_domain::provider::s3::Region;

/// The region of a configuration that names none. It cannot be told from one that was written down, so a vendor's own
/// region takes its place; any other region is the owner's word.
const DEFAULT_REGION: &str = "us-east-1";

/// What is particular to a vendor.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Profile {
    pub(crate) name: &'static str,
    /// What the hosts of its endpoints are called, or end in after a dot.
    hosts: &'static [&'static str],
    /// Whether buckets are addressed in the host name, where that works; else in the path.
    pub(crate) bucket_in_host: bool,
    /// The region that requests are signed for.
    signing: Signing,
    /// Whether the `ETag` of an object that was uploaded in one piece is the MD5 of its bytes. Where it is not, or not
    /// always, a difference says nothing.
    md5_tags: Md5Tags,
    /// Whether `encoding-type=url` is understood. Believed only if the answer says so, too.
    pub(crate) url_encoding: bool,
    /// Whether listings tell on request if archived objects are restored. Elsewhere only reading them tells.
    pub(crate) restore_status: bool,
    /// How long an object may be missing in one place that another has listed.
    pub(crate) lag: Option<Duration>,
}

#[derive(Debug, PartialEq, Eq)]
enum Signing {
    /// As configured.
    Configured,
    /// A word of the vendor's.
    Named(&'static str),
    /// The one in the host's name, in the form of AWS: `s3.eu-west-1.…`, `s3-eu-west-1.…`.
    InHost,
    /// The label before the vendor's own name, whatever it is: `nyc3.…`.
    Label,
}

#[derive(Debug, PartialEq, Eq)]
enum Md5Tags {
    Yes,
    No,
    /// If what answers gives itself this name: its hosts are everyone's own.
    IfServerIs(&'static str),
}

/// Without an endpoint, and at the accelerated ones, which know no buckets in the path.
pub(crate) static AWS: Profile = AWS_BY_HOST;

const AWS_BY_HOST: Profile = Profile {
    name: "AWS",
    hosts: &[
        "s3-accelerate.amazonaws.com",
        "s3-accelerate.dualstack.amazonaws.com",
    ],
    bucket_in_host: true,
    signing: Signing::InHost,
    md5_tags: Md5Tags::Yes,
    url_encoding: true,
    restore_status: true,
    lag: None,
};

/// An endpoint that was named, such as that of a VPC, is dialled under that very name.
static AWS_BY_PATH: Profile = Profile {
    hosts: &["amazonaws.com", "amazonaws.com.cn", "amazonaws.eu"],
    bucket_in_host: false,
    ..AWS_BY_HOST
};

pub(crate) static TIGRIS: Profile = Profile {
    name: "Tigris",
    hosts: &["t3.storage.dev", "fly.storage.tigris.dev"],
    bucket_in_host: true,
    signing: Signing::Named("auto"),
    md5_tags: Md5Tags::No,
    lag: Some(Duration::from_secs(2)),
    ..OTHER_ROW
};

static R2: Profile = Profile {
    name: "Cloudflare R2",
    hosts: &["r2.cloudflarestorage.com"],
    signing: Signing::Named("auto"),
    md5_tags: Md5Tags::No,
    ..OTHER_ROW
};

static SPACES: Profile = Profile {
    name: "DigitalOcean Spaces",
    hosts: &["digitaloceanspaces.com"],
    signing: Signing::Label,
    md5_tags: Md5Tags::No,
    url_encoding: false,
    ..OTHER_ROW
};

static WASABI: Profile = Profile {
    name: "Wasabi",
    hosts: &["wasabisys.com"],
    signing: Signing::InHost,
    md5_tags: Md5Tags::Yes,
    ..OTHER_ROW
};

static BACKBLAZE: Profile = Profile {
    name: "Backblaze B2",
    hosts: &["backblazeb2.com"],
    signing: Signing::InHost,
    md5_tags: Md5Tags::Yes,
    ..OTHER_ROW
};

static GOOGLE: Profile = Profile {
    name: "Google Cloud Storage",
    hosts: &["storage.googleapis.com", "rep.googleapis.com"],
    signing: Signing::Named("auto"),
    md5_tags: Md5Tags::No,
    ..OTHER_ROW
};

/// Ceph, `MinIO` and whatever else answers at a host of its owner's.
pub(crate) static OTHER: Profile = OTHER_ROW;

const OTHER_ROW: Profile = Profile {
    name: "S3-compatible",
    hosts: &[],
    bucket_in_host: false,
    signing: Signing::Configured,
    md5_tags: Md5Tags::IfServerIs("MinIO"),
    url_encoding: true,
    restore_status: false,
    lag: None,
};

/// In this order: the first that knows a host has it.
static KNOWN: [&Profile; 8] = [
    &AWS,
    &AWS_BY_PATH,
    &TIGRIS,
    &R2,
    &SPACES,
    &WASABI,
    &BACKBLAZE,
    &GOOGLE,
];

/// The profile of an endpoint's host.
pub(crate) fn of_host(host: &str) -> &'static Profile {
    KNOWN
        .into_iter()
        .find(|profile| profile.before_name(host).is_some())
        .unwrap_or(&OTHER)
}

impl Profile {
    /// The region to sign for, given the configured one and the endpoint's host.
    pub(crate) fn signing_region(&self, configured: &Region, host: &str) -> Region {
        if configured.as_str() != DEFAULT_REGION {
            return configured.clone();
        }
        let own = match self.signing {
            Signing::Configured => None,
            Signing::Named(name) => Region::parse(name),
            Signing::InHost => host.rsplit('.').find_map(|label| {
                let named = label.strip_prefix("s3-").unwrap_or(label);
                let named = named.strip_prefix("fips-").unwrap_or(named);
                Region::parse(named).filter(Region::is_of_aws)
            }),
            Signing::Label => self
                .before_name(host)
                .and_then(|labels| Region::parse(labels.rsplit('.').next()?)),
        };
        own.unwrap_or_else(|| configured.clone())
    }

    /// Whether a plain `ETag` of an object in this bucket is the MD5 of its bytes, given what the server calls itself.
    pub(crate) fn has_md5_tags(&self, bucket: &str, server: Option<&str>) -> bool {
        match self.md5_tags {
            // The tags in directory buckets are something else.
            Md5Tags::Yes => !bucket.ends_with("--x-s3"),
            Md5Tags::No => false,
            Md5Tags::IfServerIs(name) => server.is_some_and(|server| server.starts_with(name)),
        }
    }

    /// What stands before the vendor's own name in a host's, if it is one of the vendor's.
    fn before_name<'a>(&self, host: &'a str) -> Option<&'a str> {
        self.hosts.iter().find_map(|name| {
            let before = host.strip_suffix(name)?;
            if before.is_empty() {
                Some(before)
            } else {
                before.strip_suffix('.')
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vendor_is_known_by_its_host_and_asked_in_its_own_region() {
        for (host, name, in_host, region) in [
            ("s3.eu-west-1.amazonaws.com", "AWS", false, "eu-west-1"),
            ("s3-us-west-2.amazonaws.com", "AWS", false, "us-west-2"),
            (
                "s3.dualstack.eu-west-1.amazonaws.com",
                "AWS",
                false,
                "eu-west-1",
            ),
            (
                "s3-fips.us-gov-west-1.amazonaws.com",
                "AWS",
                false,
                "us-gov-west-1",
            ),
            (
                "bucket.vpce-1a2b.s3.ap-south-1.vpce.amazonaws.com",
                "AWS",
                false,
                "ap-south-1",
            ),
            ("s3.cn-north-1.amazonaws.com.cn", "AWS", false, "cn-north-1"),
            ("s3.amazonaws.com", "AWS", false, "us-east-1"),
            ("s3-accelerate.amazonaws.com", "AWS", true, "us-east-1"),
            ("t3.storage.dev", "Tigris", true, "auto"),
            ("fly.storage.tigris.dev", "Tigris", true, "auto"),
            (
                "0123456789abcdef0123456789abcdef.r2.cloudflarestorage.com",
                "Cloudflare R2",
                false,
                "auto",
            ),
            (
                "0123456789abcdef0123456789abcdef.eu.r2.cloudflarestorage.com",
                "Cloudflare R2",
                false,
                "auto",
            ),
            (
                "nyc3.digitaloceanspaces.com",
                "DigitalOcean Spaces",
                false,
                "nyc3",
            ),
            ("s3.wasabisys.com", "Wasabi", false, "us-east-1"),
            (
                "s3.eu-central-1.wasabisys.com",
                "Wasabi",
                false,
                "eu-central-1",
            ),
            (
                "s3.us-west-000.backblazeb2.com",
                "Backblaze B2",
                false,
                "us-west-000",
            ),
            (
                "storage.googleapis.com",
                "Google Cloud Storage",
                false,
                "auto",
            ),
            ("minio.example.com", "S3-compatible", false, "us-east-1"),
            (
                "s3.eu-west-1.example.com",
                "S3-compatible",
                false,
                "us-east-1",
            ),
            ("notwasabisys.com", "S3-compatible", false, "us-east-1"),
            ("127.0.0.1", "S3-compatible", false, "us-east-1"),
        ] {
            let profile = of_host(host);
            let default = Region::parse(DEFAULT_REGION).unwrap();
            assert_eq!(
                (
                    profile.name,
                    profile.bucket_in_host,
                    profile.signing_region(&default, host).as_str()
                ),
                (name, in_host, region),
                "{host}"
            );
            let chosen = Region::parse("eu-north-1").unwrap();
            assert_eq!(profile.signing_region(&chosen, host), chosen, "{host}");
        }
    }

    #[test]
    fn a_tag_is_an_md5_only_where_the_vendor_makes_it_one() {
        let minio = Some("MinIO");
        for (host, server, trusted) in [
            ("s3.eu-west-1.amazonaws.com", Some("AmazonS3"), true),
            ("s3.eu-central-1.wasabisys.com", None, true),
            ("s3.us-west-000.backblazeb2.com", None, true),
            ("minio.example.com", minio, true),
            ("minio.example.com", Some("nginx"), false),
            ("minio.example.com", None, false),
            ("nyc3.digitaloceanspaces.com", minio, false),
            ("x.r2.cloudflarestorage.com", minio, false),
            ("storage.googleapis.com", minio, false),
            ("t3.storage.dev", None, false),
        ] {
            assert_eq!(
                of_host(host).has_md5_tags("media", server),
                trusted,
                "{host}"
            );
        }
        assert!(AWS.has_md5_tags("media", None));
        assert!(!AWS.has_md5_tags("media--euw1-az1--x-s3", None));
    }
}
