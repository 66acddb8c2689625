use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use thiserror::Error;
use wharf_domain::ids::WebhookId;
use wharf_domain::secret::SecretString;

/// One delivery, ready to be sent.
pub struct WebhookRequest {
    /// For which webhook: deliveries of different ones never share a connection.
    pub webhook: WebhookId,
    /// Where to; an address of Slack's is a secret by itself.
    pub url: SecretString,
    /// Headers, with small names.
    pub headers: Vec<(String, SecretString)>,
    /// The body, JSON.
    pub body: Bytes,
    /// What it is signed with, if it is.
    pub signing_secret: Option<SecretString>,
    /// How long it may take, the answer's head included.
    pub timeout: Duration,
}

impl fmt::Debug for WebhookRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "WebhookRequest({}, {} bytes)",
            self.webhook,
            self.body.len()
        )
    }
}

/// Why a delivery got no answer, in our own words and fit for tenants.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SendError {
    /// It may not be sent there; nothing was.
    #[error("{0}")]
    Refused(String),
    /// There was no connection, or it broke.
    #[error("{0}")]
    Unreachable(String),
    /// The answer did not come in time.
    #[error("there was no answer within {} seconds", .0.as_secs_f64())]
    TimedOut(Duration),
}

/// Sends deliveries to webhooks' addresses.
#[async_trait]
pub trait WebhookSender: Send + Sync {
    /// Sends one request, once, and returns the answer's status, whichever it is. Redirects are answers and are not followed.
    async fn send(&self, request: WebhookRequest) -> Result<u16, SendError>;
}
