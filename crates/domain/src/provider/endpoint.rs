//! The address of an S3-compatible store.

use std::fmt;

use thiserror::Error;
use url::Url;

/// The scheme of an [`EndpointUrl`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Plain HTTP.
    Http,
    /// HTTP over TLS.
    Https,
}

impl Scheme {
    /// The word before `://`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// A scheme, a host and a port, and nothing else: where an S3-compatible store answers.
///
/// The text is in the normal form of the URL standard (lower-case host, IDNA encoded, decimal IP address, default port
/// left out) and has no slash at its end. Whether the address may be dialled is the egress guard's decision.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct EndpointUrl {
    scheme: Scheme,
    host: String,
    port: u16,
}

/// A text that is not the address of a store. The message says what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct InvalidEndpoint(String);

impl EndpointUrl {
    /// Reads an address such as `https://minio.example.com:9000`; one slash at the end is fine.
    ///
    /// # Errors
    /// Anything but `http://` or `https://`, and a user name, path, query or fragment.
    pub fn parse(text: &str) -> Result<Self, InvalidEndpoint> {
        let refuse = |message: String| Err(InvalidEndpoint(message));
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return refuse("must not contain spaces or control characters".into());
        }
        if !text.contains("://") {
            return refuse(match Self::parse(&format!("https://{text}")) {
                // Only what looks like a host is worth showing again.
                Ok(meant) if meant.host.contains('.') || text.contains(':') => {
                    format!("needs a scheme: write {meant}")
                }
                _ => "needs a scheme, as in https://minio.example.com:9000".into(),
            });
        }
        let Ok(url) = Url::parse(text) else {
            return refuse(
                "must be a URL with a host, as in https://minio.example.com:9000".into(),
            );
        };
        let scheme = match url.scheme() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return refuse("must start with https:// or http://".into()),
        };
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
            return refuse(
                "must be a URL with a host, as in https://minio.example.com:9000".into(),
            );
        };
        let of_a_host = |b: u8| b.is_ascii_alphanumeric() || b"-._[]:".contains(&b);
        if port == 0 || !host.bytes().all(of_a_host) {
            return refuse(
                "must name a host that can be dialled, as in https://minio.example.com:9000".into(),
            );
        }
        let endpoint = Self {
            scheme,
            host: host.to_owned(),
            port,
        };
        if text.contains('@') {
            return refuse(format!(
                "must not contain a user name or password: write {endpoint}"
            ));
        }
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return refuse(format!(
                "must not contain a path, query or fragment: write {endpoint}; a sync's source_path names bucket and prefix"
            ));
        }
        if let Some(host) = host_without_bucket(&endpoint.host) {
            let meant = Self {
                host: host.to_owned(),
                ..endpoint
            };
            return refuse(format!(
                "must not contain the bucket: write {meant}; a sync's source_path names the bucket"
            ));
        }
        Ok(endpoint)
    }

    /// The scheme.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The host name or IP address; an IPv6 address stands in brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, the scheme's own when the text names none.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Display for EndpointUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.as_str(), self.host)?;
        match (self.scheme, self.port) {
            (Scheme::Http, 80) | (Scheme::Https, 443) => Ok(()),
            (_, port) => write!(f, ":{port}"),
        }
    }
}

impl fmt::Debug for EndpointUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EndpointUrl({self})")
    }
}

/// The service's host when `host` is a bucket's own address at a vendor whose hosts are known.
fn host_without_bucket(host: &str) -> Option<&str> {
    // The address of a VPC endpoint rightly starts with a word of its own.
    if host.contains(".vpce.") {
        return None;
    }
    after_first_label_of_s3(host)
        .or_else(|| after_bucket_of_spaces(host))
        .or_else(|| after_bucket_of_r2(host))
        .or_else(|| after_bucket_of_one_host(host))
}

/// `{bucket}.s3.{region}.{vendor}`, or `{bucket}.s3-{region}.{vendor}`.
fn after_first_label_of_s3(host: &str) -> Option<&str> {
    const VENDORS: [&str; 5] = [
        ".amazonaws.com",
        ".amazonaws.com.cn",
        ".amazonaws.eu",
        ".wasabisys.com",
        ".backblazeb2.com",
    ];
    if !VENDORS.iter().any(|vendor| host.ends_with(vendor)) {
        return None;
    }
    let service = host.find(".s3.").or_else(|| host.find(".s3-"))?;
    Some(&host[service + 1..])
}

/// `{bucket}.{region}.digitaloceanspaces.com`.
fn after_bucket_of_spaces(host: &str) -> Option<&str> {
    let (bucket, region) = host
        .strip_suffix(".digitaloceanspaces.com")?
        .rsplit_once('.')?;
    // Of the content delivery network, which is no endpoint.
    (region != "cdn").then(|| &host[bucket.len() + 1..])
}

/// `{bucket}.{account}.r2.cloudflarestorage.com`, with a jurisdiction after the account or without.
fn after_bucket_of_r2(host: &str) -> Option<&str> {
    let is_account =
        |label: &str| label.len() == 32 && label.bytes().all(|b| b.is_ascii_hexdigit());
    let labels = host.strip_suffix(".r2.cloudflarestorage.com")?;
    let account = labels.rsplit('.').find(|label| is_account(label))?;
    let (bucket, _) = labels.rsplit_once(&format!(".{account}"))?;
    Some(&host[bucket.len() + 1..])
}

/// `{bucket}.{service}`, where the service has one host for all.
fn after_bucket_of_one_host(host: &str) -> Option<&str> {
    const SERVICES: [&str; 3] = [
        "storage.googleapis.com",
        "t3.storage.dev",
        "fly.storage.tigris.dev",
    ];
    let service = SERVICES
        .into_iter()
        .find(|service| host.strip_suffix(service).is_some_and(|b| b.ends_with('.')))?;
    Some(&host[host.len() - service.len()..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_normalised() {
        for (text, shown, host, port) in [
            (
                "https://minio.example.com:9000",
                "https://minio.example.com:9000",
                "minio.example.com",
                9000,
            ),
            (
                "https://minio.example.com/",
                "https://minio.example.com",
                "minio.example.com",
                443,
            ),
            (
                "HTTPS://Minio.Example.com:443",
                "https://minio.example.com",
                "minio.example.com",
                443,
            ),
            ("http://minio:80", "http://minio", "minio", 80),
            (
                "http://0x7f.1:9000",
                "http://127.0.0.1:9000",
                "127.0.0.1",
                9000,
            ),
            ("http://[::1]:9000/", "http://[::1]:9000", "[::1]", 9000),
            (
                "https://bücher.example",
                "https://xn--bcher-kva.example",
                "xn--bcher-kva.example",
                443,
            ),
            (
                "https://s3.us-east-1.amazonaws.com",
                "https://s3.us-east-1.amazonaws.com",
                "s3.us-east-1.amazonaws.com",
                443,
            ),
            (
                "https://bucket.vpce-1a2b.s3.us-east-1.vpce.amazonaws.com",
                "https://bucket.vpce-1a2b.s3.us-east-1.vpce.amazonaws.com",
                "bucket.vpce-1a2b.s3.us-east-1.vpce.amazonaws.com",
                443,
            ),
            (
                "https://nyc3.digitaloceanspaces.com",
                "https://nyc3.digitaloceanspaces.com",
                "nyc3.digitaloceanspaces.com",
                443,
            ),
            (
                "https://0123456789abcdef0123456789abcdef.eu.r2.cloudflarestorage.com",
                "https://0123456789abcdef0123456789abcdef.eu.r2.cloudflarestorage.com",
                "0123456789abcdef0123456789abcdef.eu.r2.cloudflarestorage.com",
                443,
            ),
            (
                "https://fly.storage.tigris.dev",
                "https://fly.storage.tigris.dev",
                "fly.storage.tigris.dev",
                443,
            ),
        ] {
            let endpoint =
                EndpointUrl::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(
                (
                    endpoint.to_string().as_str(),
                    endpoint.host(),
                    endpoint.port()
                ),
                (shown, host, port),
                "{text}"
            );
            assert_eq!(EndpointUrl::parse(shown), Ok(endpoint), "{text}");
        }
    }

    #[test]
    fn a_refusal_shows_what_to_write() {
        for (text, remedy) in [
            ("minio.local:9000", "write https://minio.local:9000"),
            ("localhost:9000", "write https://localhost:9000"),
            ("minio.local", "write https://minio.local"),
            ("minio", "as in https://minio.example.com:9000"),
            ("ftp://minio.local", "must start with https:// or http://"),
            ("s3://bucket", "must start with https:// or http://"),
            (
                "https://user:pass@minio.local:9000",
                "write https://minio.local:9000",
            ),
            ("https://@minio.local", "write https://minio.local"),
            (
                "https://minio.local/bucket/prefix",
                "write https://minio.local;",
            ),
            ("https://minio.local?x=1", "write https://minio.local;"),
            ("https://minio.local/#", "write https://minio.local;"),
            (
                "https://good.example\\@evil.example",
                "write https://good.example",
            ),
            (
                "https://photos.s3.eu-west-1.amazonaws.com",
                "write https://s3.eu-west-1.amazonaws.com;",
            ),
            (
                "https://photos.s3-us-west-2.amazonaws.com",
                "write https://s3-us-west-2.amazonaws.com;",
            ),
            (
                "https://photos.s3.us-west-000.backblazeb2.com",
                "write https://s3.us-west-000.backblazeb2.com;",
            ),
            (
                "https://photos.2024.nyc3.digitaloceanspaces.com",
                "write https://nyc3.digitaloceanspaces.com;",
            ),
            (
                "https://photos.0123456789abcdef0123456789abcdef.eu.r2.cloudflarestorage.com",
                "write https://0123456789abcdef0123456789abcdef.eu.r2.cloudflarestorage.com;",
            ),
            (
                "https://photos.storage.googleapis.com",
                "write https://storage.googleapis.com;",
            ),
            (
                "https://photos.t3.storage.dev",
                "write https://t3.storage.dev;",
            ),
            ("https://", "with a host"),
            ("https://:9000", "with a host"),
            ("https://minio.local:0", "can be dialled"),
            ("https://minio.local:70000", "with a host"),
            ("https://a b", "spaces"),
            ("https://minio.local\r\nHost: evil", "control"),
            (" https://minio.local", "spaces"),
            ("https://mi%00nio.local", "with a host"),
            ("https://1.2.3.4.5.6", "with a host"),
        ] {
            let error = EndpointUrl::parse(text).expect_err(text).to_string();
            assert!(error.contains(remedy), "{text}: {error}");
            assert!(
                !error.contains("pass")
                    || !text.contains("user:pass")
                    || !error.contains("user:pass"),
                "{error}"
            );
        }
    }
}
