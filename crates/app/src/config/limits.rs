//! How much callers of the API are allowed.

use serde::Deserialize;
use wharf_http::Limits;

use super::ConfigError;

/// The limits of the API.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LimitSettings {
    requests_per_minute_per_key: u32,
    requests_per_minute_per_organization: u32,
    tests_per_minute_per_connection: u32,
    tests_per_minute_per_organization: u32,
    failed_authentications_per_minute: u32,
    connections: usize,
    connections_per_address: usize,
}

impl Default for LimitSettings {
    fn default() -> Self {
        let limits = Limits::default();
        Self {
            requests_per_minute_per_key: limits.requests_per_minute_per_key,
            requests_per_minute_per_organization: limits.requests_per_minute_per_organization,
            tests_per_minute_per_connection: limits.tests_per_minute_per_connection,
            tests_per_minute_per_organization: limits.tests_per_minute_per_organization,
            failed_authentications_per_minute: limits.failed_authentications_per_minute,
            connections: limits.connections,
            connections_per_address: limits.connections_per_address,
        }
    }
}

impl LimitSettings {
    /// Refuses limits under which nothing works.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let least = [
            (
                "requests_per_minute_per_key",
                self.requests_per_minute_per_key as usize,
            ),
            (
                "requests_per_minute_per_organization",
                self.requests_per_minute_per_organization as usize,
            ),
            (
                "tests_per_minute_per_connection",
                self.tests_per_minute_per_connection as usize,
            ),
            (
                "tests_per_minute_per_organization",
                self.tests_per_minute_per_organization as usize,
            ),
            ("connections", self.connections),
            ("connections_per_address", self.connections_per_address),
        ];
        match least.iter().find(|(_, value)| *value == 0) {
            None => Ok(()),
            Some((name, _)) => Err(ConfigError(format!("limits.{name} must be at least 1"))),
        }
    }

    /// The limits as the API knows them.
    pub(crate) fn read(&self) -> Limits {
        Limits {
            requests_per_minute_per_key: self.requests_per_minute_per_key,
            requests_per_minute_per_organization: self.requests_per_minute_per_organization,
            tests_per_minute_per_connection: self.tests_per_minute_per_connection,
            tests_per_minute_per_organization: self.tests_per_minute_per_organization,
            failed_authentications_per_minute: self.failed_authentications_per_minute,
            connections: self.connections,
            connections_per_address: self.connections_per_address,
        }
    }
}
