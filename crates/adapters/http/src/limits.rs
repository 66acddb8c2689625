//! What the operator allows callers of the API.

/// How much is taken from callers before they are told to wait. Every process counts for itself.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Requests of one API key, unless the key has its own limit.
    pub requests_per_minute_per_key: u32,
    /// Requests of one organization in each category; an organization's own limits can only be lower.
    pub requests_per_minute_per_organization: u32,
    /// Tests of one connection that people ask for.
    pub tests_per_minute_per_connection: u32,
    /// Tests of all connections of an organization, those before saving included.
    pub tests_per_minute_per_organization: u32,
    /// API keys that stand for nobody, from one address (of IPv6, one /64 network).
    pub failed_authentications_per_minute: u32,
    /// Connections to this server at a time.
    pub connections: usize,
    /// Of these, from one address (of IPv6, one /64 network). A proxy in front of the server is one address.
    pub connections_per_address: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            requests_per_minute_per_key: 60_000,
            requests_per_minute_per_organization: 240_000,
            tests_per_minute_per_connection: 120,
            tests_per_minute_per_organization: 1200,
            failed_authentications_per_minute: 6000,
            connections: 8192,
            connections_per_address: 4096,
        }
    }
}
