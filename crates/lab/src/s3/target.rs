//! What an S3 request is about, read from its method, host and URL alone, before any signature is
//! checked: the journal and the fault rules speak of requests in these terms.

use http::{Method, Uri};
use percent_encoding::percent_decode_str;
use s3s::S3Result;
use s3s::host::{S3Host, VirtualHost};
use url::form_urlencoded;

use crate::operation::Operation;

/// Query parameters that turn an object's URL into that of something belonging to it.
const OBJECT_PARTS: [&str; 9] = [
    "acl",
    "attributes",
    "legal-hold",
    "retention",
    "select",
    "tagging",
    "torrent",
    "uploadId",
    "uploads",
];

/// Query parameters that turn a bucket's URL into that of something belonging to it.
const BUCKET_PARTS: [&str; 20] = [
    "accelerate",
    "acl",
    "analytics",
    "cors",
    "delete",
    "encryption",
    "inventory",
    "lifecycle",
    "location",
    "logging",
    "metrics",
    "notification",
    "object-lock",
    "policy",
    "replication",
    "tagging",
    "uploads",
    "versioning",
    "versions",
    "website",
];

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) operation: Operation,
    pub(crate) bucket: Option<String>,
    pub(crate) key: Option<String>,
}

impl Target {
    pub(crate) fn read(method: &Method, uri: &Uri, host: Option<&str>, domains: &[String]) -> Self {
        let path = percent_decode_str(uri.path()).decode_utf8_lossy();
        let path = path.strip_prefix('/').unwrap_or(&path);
        let (bucket, key) = match host.and_then(|host| bucket_label(host, domains)) {
            Some((bucket, _)) => (bucket, path),
            None => path.split_once('/').unwrap_or((path, "")),
        };
        let query = uri.query().unwrap_or_default();
        let operation = match (bucket.is_empty(), key.is_empty()) {
            (true, _) if *method == Method::GET => Operation::ListBuckets,
            (true, _) => Operation::Other,
            (false, true) => on_bucket(method, query),
            (false, false) => on_object(method, query),
        };
        let named = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Self {
            operation,
            bucket: named(bucket),
            key: named(key),
        }
    }
}

fn on_bucket(method: &Method, query: &str) -> Operation {
    let has =
        |wanted: &str| form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name == wanted);
    let part = BUCKET_PARTS.into_iter().find(|part| has(part));
    match (method, part) {
        (&Method::GET, None) if has("list-type") => Operation::ListObjects,
        (&Method::GET, None) => Operation::ListObjectsV1,
        (&Method::GET, Some("location")) => Operation::GetBucketLocation,
        (&Method::GET, Some("uploads")) => Operation::ListMultipartUploads,
        (&Method::POST, Some("delete")) => Operation::DeleteObjects,
        (&Method::HEAD, None) => Operation::HeadBucket,
        (&Method::PUT, None) if query.is_empty() => Operation::CreateBucket,
        _ => Operation::Other,
    }
}

fn on_object(method: &Method, query: &str) -> Operation {
    let part = form_urlencoded::parse(query.as_bytes())
        .map(|(name, _)| name)
        .find(|name| OBJECT_PARTS.contains(&name.as_ref()));
    match (method, part.as_deref()) {
        (&Method::GET, None) => Operation::GetObject,
        (&Method::GET, Some("tagging")) => Operation::GetObjectTagging,
        (&Method::HEAD, None) => Operation::HeadObject,
        (&Method::PUT, None) => Operation::PutObject,
        (&Method::DELETE, None) => Operation::DeleteObject,
        (&Method::PUT, Some("tagging")) => Operation::PutObjectTagging,
        (&Method::POST, Some("uploads")) => Operation::CreateMultipartUpload,
        (&Method::PUT, Some("uploadId")) => Operation::UploadPart,
        (&Method::POST, Some("uploadId")) => Operation::CompleteMultipartUpload,
        (&Method::DELETE, Some("uploadId")) => Operation::AbortMultipartUpload,
        (&Method::GET, Some("uploadId")) => Operation::ListParts,
        _ => Operation::Other,
    }
}

/// The bucket a host names as a label below one of these domains, and that domain.
fn bucket_label<'a>(host: &'a str, domains: &'a [String]) -> Option<(&'a str, &'a str)> {
    let host = host.rsplit_once(':').map_or(host, |(name, _)| name);
    domains.iter().find_map(|domain| {
        let bucket = host.strip_suffix(domain.as_str())?.strip_suffix('.')?;
        (!bucket.is_empty()).then_some((bucket, domain.as_str()))
    })
}

/// Teaches the protocol crate the same reading of hosts.
pub(crate) struct BucketDomains(pub(crate) Vec<String>);

impl S3Host for BucketDomains {
    fn parse_host_header<'a>(&'a self, host: &'a str) -> S3Result<VirtualHost<'a>> {
        Ok(match bucket_label(host, &self.0) {
            Some((bucket, domain)) => VirtualHost::new(domain).with_bucket(bucket),
            None => VirtualHost::new(host),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(
        method: &Method,
        host: &str,
        uri: &'static str,
    ) -> (Operation, Option<String>, Option<String>) {
        let domains = ["localhost".to_owned()];
        let target = Target::read(method, &Uri::from_static(uri), Some(host), &domains);
        (target.operation, target.bucket, target.key)
    }

    #[test]
    fn path_and_host_name_the_same_target() {
        let expected = (
            Operation::GetObject,
            Some("bkt".to_owned()),
            Some("/a b".to_owned()),
        );
        assert_eq!(
            read(&Method::GET, "127.0.0.1:9", "/bkt//a%20b?x-id=GetObject"),
            expected
        );
        assert_eq!(read(&Method::GET, "localhost:9", "/bkt//a%20b"), expected);
        assert_eq!(read(&Method::GET, "bkt.localhost:9", "//a%20b"), expected);
    }

    #[test]
    fn sub_resources_are_not_the_object() {
        let operation = |method, uri| read(method, "localhost", uri).0;
        assert_eq!(
            operation(&Method::GET, "/b/k?tagging"),
            Operation::GetObjectTagging
        );
        assert_eq!(operation(&Method::GET, "/b/k?acl"), Operation::Other);
        assert_eq!(
            operation(&Method::GET, "/b?list-type=2&prefix=x"),
            Operation::ListObjects
        );
        assert_eq!(
            operation(&Method::GET, "/b/?location"),
            Operation::GetBucketLocation
        );
        assert_eq!(
            operation(&Method::GET, "/b?marker=x"),
            Operation::ListObjectsV1
        );
        assert_eq!(
            operation(&Method::PUT, "/b/k?partNumber=1&uploadId=u"),
            Operation::UploadPart
        );
        assert_eq!(operation(&Method::GET, "/b?versions"), Operation::Other);
        assert_eq!(operation(&Method::GET, "/"), Operation::ListBuckets);
    }
}
