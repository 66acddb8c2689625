//! What a lab is started with: where it listens and which keys it accepts.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};

/// The configuration of a lab.
#[derive(Debug, Clone)]
pub struct LabConfig {
    /// Where to listen; port 0 picks a free one.
    pub listen: SocketAddr,
    /// The accepted key pairs; the first is the one [`crate::Lab::access_key_id`] returns.
    pub keys: Vec<KeyPair>,
    /// Domains below which the first label of the host names a bucket (virtual-host addressing).
    pub bucket_domains: Vec<String>,
}

impl Default for LabConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            keys: vec![KeyPair::default()],
            bucket_domains: vec!["localhost".to_owned()],
        }
    }
}

impl LabConfig {
    /// Listens on this address instead of a free loopback port.
    #[must_use]
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = address;
        self
    }

    /// Accepts these key pairs instead of the default one.
    #[must_use]
    pub fn keys(mut self, keys: impl IntoIterator<Item = KeyPair>) -> Self {
        self.keys = keys.into_iter().collect();
        self
    }
}

/// An access key the lab accepts.
#[derive(Clone)]
pub struct KeyPair {
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key: String,
    pub(crate) session_token: Option<String>,
    pub(crate) buckets: Option<Vec<String>>,
}

impl KeyPair {
    /// A long-lived key that may do everything.
    pub fn new(access_key_id: impl Into<String>, secret_access_key: impl Into<String>) -> Self {
        Self {
            access_key_id: access_key_id.into(),
            secret_access_key: secret_access_key.into(),
            session_token: None,
            buckets: None,
        }
    }

    /// Makes it a temporary key: requests must carry this token, any other answers `InvalidToken`.
    #[must_use]
    pub fn session_token(mut self, token: impl Into<String>) -> Self {
        self.session_token = Some(token.into());
        self
    }

    /// Restricts the key: other buckets, and the list of buckets, answer `AccessDenied`.
    #[must_use]
    pub fn only_buckets<B: Into<String>>(mut self, buckets: impl IntoIterator<Item = B>) -> Self {
        self.buckets = Some(buckets.into_iter().map(Into::into).collect());
        self
    }
}

impl Default for KeyPair {
    fn default() -> Self {
        Self::new(
            "LABACCESSKEY00000001",
            "lab-secret-for-simulated-stores-only-001",
        )
    }
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyPair")
            .field("access_key_id", &self.access_key_id)
            .field("buckets", &self.buckets)
            .finish_non_exhaustive()
    }
}
