//! Where a bucket is, and which of its keys are ours.

use std::fmt;

use thiserror::Error;
use wharf_domain::object::BlobKey;
use wharf_domain::provider::BucketPath;
use wharf_domain::provider::s3::Region;
use wharf_domain::provider::{EndpointUrl, Scheme};
use wharf_egress::Origin;

/// Leaves room for the key of a blob within the 1024 bytes that the protocol allows.
const LONGEST_PREFIX: usize = 512;

/// A bucket of a store, and a prefix under which nothing but blobs lies.
///
/// A blob is the object `<prefix>/<organization>/<bucket>/<32 digits>`, so that the order of objects is the order of
/// blobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Place {
    bucket: String,
    /// Empty, or with a slash at its end.
    prefix: String,
    region: Region,
    /// None is AWS, in the region.
    endpoint: Option<EndpointUrl>,
    path_style: bool,
}

/// A text that names no bucket and prefix. The message says what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct InvalidPlace(&'static str);

impl S3Place {
    /// Reads `s3://bucket` or `s3://bucket/prefix`. Unless it is said, the bucket stands in the path of an endpoint, and
    /// in the host name of AWS.
    ///
    /// # Errors
    /// Anything else.
    pub fn new(
        url: &str,
        region: Region,
        endpoint: Option<EndpointUrl>,
        path_style: Option<bool>,
    ) -> Result<Self, InvalidPlace> {
        let form = InvalidPlace("must be s3:// and a bucket, as in s3://bucket/prefix");
        let path = url.strip_prefix("s3://").ok_or(form.clone())?;
        let path = BucketPath::parse(path, "").map_err(|_| form)?;
        let (bucket, prefix) = (path.bucket(), path.list_prefix());
        let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
        if !prefix.is_empty() && !prefix.split('/').all(is_plain_name) {
            return Err(InvalidPlace(
                "must have a prefix of letters, digits, dots, hyphens and underscores between single slashes",
            ));
        }
        if prefix.len() > LONGEST_PREFIX {
            return Err(InvalidPlace("must have a prefix of at most 512 characters"));
        }
        let prefix = if prefix.is_empty() {
            String::new()
        } else {
            format!("{prefix}/")
        };
        // No certificate covers a host with the dots of a bucket in it.
        let path_style = path_style.unwrap_or(endpoint.is_some() || bucket.contains('.'));
        Ok(Self {
            bucket: bucket.to_owned(),
            prefix,
            region,
            endpoint,
            path_style,
        })
    }

    pub(super) fn bucket(&self) -> &str {
        &self.bucket
    }

    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    pub(super) fn region(&self) -> &Region {
        &self.region
    }

    pub(super) fn endpoint(&self) -> Option<&EndpointUrl> {
        self.endpoint.as_ref()
    }

    pub(super) fn path_style(&self) -> bool {
        self.path_style
    }

    pub(super) fn tls(&self) -> bool {
        self.endpoint
            .as_ref()
            .is_none_or(|endpoint| endpoint.scheme() == Scheme::Https)
    }

    /// Whether the store is known to write under a key once when it is asked to.
    pub(super) fn heeds_conditions(&self) -> bool {
        self.endpoint
            .as_ref()
            .is_none_or(|endpoint| endpoint.host().ends_with(".amazonaws.com"))
    }

    /// Where requests go: what the operator named, and nothing else. Inside a private network AWS's own names may lead
    /// to private addresses, too.
    pub(super) fn origin(&self) -> Option<Origin> {
        let (scheme, host, port) = match &self.endpoint {
            Some(endpoint) => (
                endpoint.scheme().as_str(),
                endpoint.host().to_owned(),
                endpoint.port(),
            ),
            None => (
                "https",
                format!("s3.{}.{}", self.region, self.aws_domain()?),
                443,
            ),
        };
        let origin = if self.path_style {
            format!("{scheme}://{host}:{port}")
        } else {
            format!("{scheme}://{}.{host}:{port}", self.bucket)
        };
        origin.parse().ok()
    }

    fn aws_domain(&self) -> Option<&'static str> {
        match self.region.partition() {
            "aws" | "aws-us-gov" => Some("amazonaws.com"),
            "aws-cn" => Some("amazonaws.com.cn"),
            _ => None,
        }
    }

    /// The object of a blob; `None` for what would not be read as a key again.
    pub(super) fn object(&self, key: &BlobKey) -> Option<String> {
        BlobKey::parse(key.as_str())?;
        Some(format!("{}{}", self.prefix, key.as_str()))
    }

    /// The blob that an object is, if it is one.
    pub(super) fn blob(&self, object: &str) -> Option<BlobKey> {
        BlobKey::parse(object.strip_prefix(&self.prefix)?)
    }

    /// An object that is no blob, to try out whether the bucket can be written to.
    pub(super) fn probe(&self) -> String {
        format!("{}.probe", self.prefix)
    }
}

impl fmt::Display for S3Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = format!("{}/{}", self.bucket, self.prefix);
        write!(f, "s3://{} at ", path.trim_end_matches('/'))?;
        match &self.endpoint {
            Some(endpoint) => write!(f, "{endpoint}"),
            None => write!(f, "AWS in {}", self.region),
        }
    }
}

fn is_plain_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    !matches!(name, "" | "." | "..") && name.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(url: &str, endpoint: Option<&str>) -> Result<S3Place, InvalidPlace> {
        let endpoint = endpoint.map(|url| EndpointUrl::parse(url).unwrap());
        S3Place::new(url, Region::parse("eu-west-1").unwrap(), endpoint, None)
    }

    #[test]
    fn a_blob_lies_under_the_prefix_and_is_read_back_from_there() {
        let text = format!("int_{}/bkt_0123456789abcdef/{:032x}", "a".repeat(24), 7);
        let key = BlobKey::parse(&text).unwrap();
        for (url, prefix) in [
            ("s3://wharf", ""),
            ("s3://wharf/", ""),
            ("s3://wharf/blobs", "blobs/"),
            ("s3://wharf/a/b.c/", "a/b.c/"),
        ] {
            let place = place(url, None).unwrap();
            let object = place.object(&key).unwrap();
            assert_eq!(object, format!("{prefix}{text}"));
            assert_eq!(place.blob(&object), Some(key.clone()));
            assert_eq!(place.blob(&place.probe()), None);
            assert_eq!(place.blob(&format!("{object}x")), None);
            assert_eq!(place.blob(&format!("x{object}")), None);
        }
        let bucket = "bkt_0123456789abcdef".parse().unwrap();
        let organization = format!("int_{}", "a".repeat(24)).parse().unwrap();
        let odd = BlobKey::new(&organization, &bucket, "../x");
        assert_eq!(place("s3://wharf", None).unwrap().object(&odd), None);
    }

    #[test]
    fn what_names_no_bucket_and_prefix_is_refused() {
        for url in [
            "s3://",
            "s3:///x",
            "wharf/blobs",
            "s3://s3://wharf",
            "s3://w",
            "s3://wharf//x",
            "s3://wharf/x//",
            "s3://wharf/a b",
            "s3://wharf/../x",
            "s3://wharf/?x",
            "https://wharf",
        ] {
            assert!(place(url, None).is_err(), "{url}");
        }
        let long = format!("s3://wharf/{}", "x".repeat(LONGEST_PREFIX + 1));
        assert!(place(&long, None).is_err());
    }

    #[test]
    fn the_origin_is_what_the_operator_named_and_nothing_else() {
        for (url, endpoint, origin) in [
            (
                "s3://wharf/x",
                None,
                "https://wharf.s3.eu-west-1.amazonaws.com:443",
            ),
            (
                "s3://wharf.blobs",
                None,
                "https://s3.eu-west-1.amazonaws.com:443",
            ),
            (
                "s3://wharf",
                Some("http://10.0.0.7:9000"),
                "http://10.0.0.7:9000",
            ),
        ] {
            let place = place(url, endpoint).unwrap();
            assert_eq!(place.origin().unwrap().to_string(), origin);
        }
        let endpoint = EndpointUrl::parse("https://t3.storage.dev").unwrap();
        let region = Region::parse("auto").unwrap();
        let by_host = S3Place::new("s3://wharf", region, Some(endpoint), Some(false)).unwrap();
        assert_eq!(
            by_host.origin().unwrap().to_string(),
            "https://wharf.t3.storage.dev:443"
        );
    }
}
