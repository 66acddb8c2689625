//! What a lab is started with: where it listens and which keys it accepts.

use std::net::{Ipv4Addr, SocketAddr};

use crate::identity::key::KeyPair;

/// The configuration of a lab.
#[derive(Debug, Clone)]
pub struct LabConfig {
    /// Where to listen; port 0 picks a free one.
    pub listen: SocketAddr,
    /// Where the lab's Google listens; port 0 picks a free one.
    pub google_listen: SocketAddr,
    /// The accepted key pairs; the first is the one [`crate::Lab::access_key_id`] returns.
    pub keys: Vec<KeyPair>,
    /// Domains below which the first label of the host names a bucket (virtual-host addressing).
    pub bucket_domains: Vec<String>,
}

impl Default for LabConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            google_listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
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

    /// Lets the lab's Google listen on this address instead of a free loopback port.
    #[must_use]
    pub fn google_listen(mut self, address: SocketAddr) -> Self {
        self.google_listen = address;
        self
    }

    /// Accepts these key pairs instead of the default one.
    #[must_use]
    pub fn keys(mut self, keys: impl IntoIterator<Item = KeyPair>) -> Self {
        self.keys = keys.into_iter().collect();
        self
    }
}
