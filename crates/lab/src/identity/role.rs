//! Roles: whom they trust and how long their sessions last.

use serde::Deserialize;

use super::permission::{Because, Denial};

const DEFAULT_MAX_SESSION_SECONDS: u32 = 3600;

/// A role any key of the lab may assume, on the condition the role sets. Without a condition of either
/// kind it trusts nobody.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Role {
    pub(crate) arn: String,
    #[serde(default)]
    external_id: Option<String>,
    #[serde(default)]
    trusting_anyone: bool,
    #[serde(default)]
    pub(crate) session_seconds: Option<u32>,
    #[serde(default = "default_max_session_seconds")]
    pub(crate) max_session_seconds: u32,
    #[serde(default)]
    pub(crate) only_buckets: Option<Vec<String>>,
    #[serde(default)]
    pub(crate) denials: Vec<Denial>,
}

impl Role {
    /// A role of this ARN that trusts nobody yet.
    pub fn new(arn: impl Into<String>) -> Self {
        Self {
            arn: arn.into(),
            external_id: None,
            trusting_anyone: false,
            session_seconds: None,
            max_session_seconds: DEFAULT_MAX_SESSION_SECONDS,
            only_buckets: None,
            denials: Vec::new(),
        }
    }

    /// Trusts those who name this external id; without it, or with another, `AccessDenied`.
    #[must_use]
    pub fn external_id(mut self, id: impl Into<String>) -> Self {
        self.external_id = Some(id.into());
        self
    }

    /// Trusts whoever asks, with or without an external id: what a role looks like whose owner forgot
    /// the condition.
    #[must_use]
    pub fn trusting_anyone(mut self) -> Self {
        self.trusting_anyone = true;
        self
    }

    /// Ends sessions this early whatever duration was asked for; `Expiration` says so.
    #[must_use]
    pub fn session_seconds(mut self, seconds: u32) -> Self {
        self.session_seconds = Some(seconds);
        self
    }

    /// The longest duration that may be asked for; 3600 when not said, as with a new role in AWS.
    #[must_use]
    pub fn max_session_seconds(mut self, seconds: u32) -> Self {
        self.max_session_seconds = seconds;
        self
    }

    /// Restricts its sessions: other buckets, and the list of buckets, answer `AccessDenied`.
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

    pub(crate) fn trusts(&self, external_id: Option<&str>) -> bool {
        self.trusting_anyone
            || (self.external_id.is_some() && self.external_id.as_deref() == external_id)
    }
}

fn default_max_session_seconds() -> u32 {
    DEFAULT_MAX_SESSION_SECONDS
}
