//! Deliveries to webhooks' addresses, through the egress guard.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, header};
use http_body_util::{BodyExt, Full};
use tokio::time::timeout;
use wharf_domain::ids::WebhookId;
use wharf_domain::secret::SecretString;
use wharf_egress::{Body, Client, EgressError, Guard, Timeouts, TlsMode};
use wharf_ports::{Clock, SendError, WebhookRequest, WebhookSender};

use crate::signature;

/// Webhooks whose connections are kept for the next delivery.
const MOST_KEPT: usize = 256;
/// How much of an answer is read, and for how long, so that its connection can serve again. Nobody looks at it.
const DRAIN_BYTES: usize = 16 * 1024;
const DRAIN_TIME: Duration = Duration::from_secs(1);
/// The longest step; the whole of an exchange has the request's own limit.
const STEP: Duration = Duration::from_secs(30);

/// Sends deliveries through the guard: any public address over https, what an operator opened over plain HTTP, too. No redirects.
pub struct GuardedSender {
    guard: Arc<Guard>,
    clock: Arc<dyn Clock>,
    /// One client, and so one pool of connections, for each webhook.
    clients: Mutex<HashMap<WebhookId, Client>>,
}

impl fmt::Debug for GuardedSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardedSender").finish_non_exhaustive()
    }
}

impl GuardedSender {
    /// A sender through this guard. The clock tells when a delivery is signed.
    pub fn new(guard: Arc<Guard>, clock: Arc<dyn Clock>) -> Self {
        Self {
            guard,
            clock,
            clients: Mutex::default(),
        }
    }

    fn client(&self, webhook: &WebhookId) -> Client {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if clients.len() >= MOST_KEPT && !clients.contains_key(webhook) {
            clients.clear();
        }
        let make = || {
            let timeouts = Timeouts {
                headers: STEP,
                ..Timeouts::default()
            };
            Client::with_timeouts(Arc::clone(&self.guard), TlsMode::Verified, timeouts)
        };
        clients.entry(webhook.clone()).or_insert_with(make).clone()
    }

    fn request(&self, delivery: &WebhookRequest) -> Result<Request<Full<Bytes>>, SendError> {
        let unsendable = || SendError::Refused("the address or a header cannot be sent".to_owned());
        let mut request = Request::post(delivery.url.expose())
            .body(Full::new(delivery.body.clone()))
            .map_err(|_| unsendable())?;
        let headers = request.headers_mut();
        let json = HeaderValue::from_static("application/json");
        headers.insert(header::CONTENT_TYPE, json);
        let agent = concat!("Wharf/", env!("CARGO_PKG_VERSION"));
        headers.insert(header::USER_AGENT, HeaderValue::from_static(agent));
        for (name, value) in &delivery.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| unsendable())?;
            headers.insert(name, secret_value(value).ok_or_else(unsendable)?);
        }
        if let Some(secret) = &delivery.signing_secret {
            let unix = self.clock.now().timestamp();
            let signature = signature::sign(secret, unix, &delivery.body);
            let signature = HeaderValue::try_from(signature).map_err(|_| unsendable())?;
            headers.insert(HeaderName::from_static(signature::HEADER), signature);
        }
        Ok(request)
    }
}

#[async_trait]
impl WebhookSender for GuardedSender {
    async fn send(&self, delivery: WebhookRequest) -> Result<u16, SendError> {
        let request = self.request(&delivery)?;
        let client = self.client(&delivery.webhook);
        let answer = timeout(delivery.timeout, client.send(request))
            .await
            .map_err(|_| SendError::TimedOut(delivery.timeout))?
            .map_err(|error| failed(&error, delivery.timeout))?;
        let status = answer.status().as_u16();
        let _ = timeout(DRAIN_TIME, drain(answer.into_body())).await;
        Ok(status)
    }
}

fn secret_value(value: &SecretString) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(value.expose()).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn failed(error: &EgressError, limit: Duration) -> SendError {
    match error {
        EgressError::Refused(_) | EgressError::Request { .. } => {
            SendError::Refused(error.to_string())
        }
        EgressError::Timeout { .. } => SendError::TimedOut(limit),
        other => SendError::Unreachable(other.to_string()),
    }
}

/// Takes a body of usual size off the connection. What is longer costs the connection.
async fn drain(mut body: Body) {
    let mut left = DRAIN_BYTES;
    while let Some(Ok(frame)) = body.frame().await {
        let size = frame.data_ref().map_or(0, Bytes::len);
        match left.checked_sub(size) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}
