//! Key pairs.

use std::fmt;

use serde::Deserialize;

use super::permission::{Because, Denial};

/// An access key the lab accepts.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyPair {
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key: String,
    #[serde(default)]
    pub(crate) session_token: Option<String>,
    #[serde(default)]
    pub(crate) only_buckets: Option<Vec<String>>,
    #[serde(default)]
    pub(crate) denials: Vec<Denial>,
}

impl KeyPair {
    /// A long-lived key that may do everything.
    pub fn new(access_key_id: impl Into<String>, secret_access_key: impl Into<String>) -> Self {
        Self {
            access_key_id: access_key_id.into(),
            secret_access_key: secret_access_key.into(),
            session_token: None,
            only_buckets: None,
            denials: Vec::new(),
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
        self.only_buckets = Some(buckets.into_iter().map(Into::into).collect());
        self
    }

    /// Forbids an action, such as `s3:GetObject`, on a bucket (`media`) or on keys (`media/private/*`).
    /// A listing is an `s3:ListBucket` on the bucket and on `bucket/prefix`.
    #[must_use]
    pub fn deny(self, action: impl Into<String>, resource: impl Into<String>) -> Self {
        self.deny_because(action, resource, Because::default())
    }

    /// The same, refused in the words that fit this policy.
    #[must_use]
    pub fn deny_because(
        mut self,
        action: impl Into<String>,
        resource: impl Into<String>,
        because: Because,
    ) -> Self {
        self.denials.push(Denial::new(action, resource, because));
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
            .field("only_buckets", &self.only_buckets)
            .finish_non_exhaustive()
    }
}
