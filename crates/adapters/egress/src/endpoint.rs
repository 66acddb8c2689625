//! Where a request goes: scheme, host and port, read by one parser.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use url::{Host, Url};

/// The two schemes that exist here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Plain HTTP.
    Http,
    /// HTTP over TLS.
    Https,
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http => "http",
            Self::Https => "https",
        })
    }
}

/// Scheme, host and port. Hosts are normalised: letters small, names in ASCII, numeric tricks undone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    scheme: Scheme,
    host: Host<String>,
    port: u16,
}

impl Origin {
    /// The origin of a URL, whatever else the URL says; `None` for other schemes and for URLs without a host.
    pub fn of(url: &Url) -> Option<Self> {
        let scheme = match url.scheme() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return None,
        };
        Some(Self {
            scheme,
            host: url.host()?.to_owned(),
            port: url.port_or_known_default()?,
        })
    }

    /// The scheme.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The host: a name or an address.
    pub fn host(&self) -> &Host<String> {
        &self.host
    }

    /// The port, the scheme's own when the URL named none.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Host and port as one text, for messages.
    pub fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// The address to dial, when the host is an address.
    pub(crate) fn literal(&self) -> Option<SocketAddr> {
        match self.host {
            Host::Ipv4(v4) => Some((v4, self.port).into()),
            Host::Ipv6(v6) => Some((v6, self.port).into()),
            Host::Domain(_) => None,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}", self.scheme, self.host, self.port)
    }
}

/// A text is not a URL with an origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an http or https URL with a host")]
pub struct OriginError;

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(url: &str) -> Result<Self, Self::Err> {
        Url::parse(url)
            .ok()
            .and_then(|url| Self::of(&url))
            .ok_or(OriginError)
    }
}

/// An origin that passed everything a policy can check without resolving its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    origin: Origin,
    trusted: bool,
}

impl Endpoint {
    pub(crate) fn new(origin: Origin, trusted: bool) -> Self {
        Self { origin, trusted }
    }

    /// Scheme, host and port.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Whether the operator named this very origin.
    pub fn is_trusted(&self) -> bool {
        self.trusted
    }
}
