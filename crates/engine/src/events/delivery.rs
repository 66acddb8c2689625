//! One attempt to tell a webhook of one event, through all of its channels.

use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};
use wharf_domain::event::Event;
use wharf_domain::ids::{DeliveryId, WebhookId};
use wharf_domain::secret::SecretString;
use wharf_domain::webhook::{Channel, Channels, Delivery, HttpChannel, Outcome, SlackChannel};
use wharf_ports::{SendError, WebhookRequest, WebhookSender};

/// How long a message to Slack may take.
const SLACK_TIMEOUT: Duration = Duration::from_secs(10);
/// What a sender may take longer than it was told to.
const GRACE: Duration = Duration::from_secs(5);

/// What one channel answered.
struct Answer {
    status: Option<u16>,
    outcome: Outcome,
}

/// An attempt that ended.
pub(super) struct Attempted {
    pub(super) outcome: Outcome,
    pub(super) delivery: Delivery,
}

/// Which attempt of an event one is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Turn {
    pub(super) attempt: u32,
    pub(super) redelivery: bool,
}

/// Tells the webhook of the event. It is accepted when every channel accepted it; else the first failure counts.
pub(super) async fn attempt(
    sender: &dyn WebhookSender,
    webhook: &WebhookId,
    channels: Result<&Channels, &str>,
    event: &Event,
    id: DeliveryId,
    turn: Turn,
) -> Attempted {
    let began = Instant::now();
    let answers = match channels {
        Ok(channels) => {
            let sent = channels
                .iter()
                .map(|channel| send(sender, webhook, channel, event, &id));
            join_all(sent).await
        }
        Err(unusable) => vec![Answer {
            status: None,
            outcome: failed(unusable),
        }],
    };
    let accepted = Answer {
        status: answers.last().and_then(|answer| answer.status),
        outcome: Outcome::Accepted,
    };
    let mut answers = answers.into_iter();
    let first_failure = answers.find(|answer| answer.outcome != Outcome::Accepted);
    let Answer { status, outcome } = first_failure.unwrap_or(accepted);
    let error = match &outcome {
        Outcome::Accepted => None,
        Outcome::Failed { cause, .. } => Some(cause.clone()),
    };
    let result = if error.is_none() {
        "accepted"
    } else {
        "failed"
    };
    metrics::counter!("wharf_webhook_deliveries_total", "outcome" => result).increment(1);
    let delivery = Delivery {
        id,
        event: event.id.clone(),
        event_type: event.event_type,
        attempt: turn.attempt,
        redelivery: turn.redelivery,
        http_status: status,
        error,
        ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        at: event.at,
    };
    Attempted { outcome, delivery }
}

async fn send(
    sender: &dyn WebhookSender,
    webhook: &WebhookId,
    channel: &Channel,
    event: &Event,
    delivery: &DeliveryId,
) -> Answer {
    let request = match request(webhook, channel, event, delivery) {
        Ok(request) => request,
        Err(cause) => {
            let outcome = failed(cause);
            return Answer {
                status: None,
                outcome,
            };
        }
    };
    let limit = request.timeout;
    let sent = timeout(limit + GRACE, sender.send(request)).await;
    let (status, outcome) = match sent {
        Ok(Ok(status)) => (Some(status), judged(status)),
        Ok(Err(error)) => (None, failed(error.to_string())),
        Err(_) => (None, failed(SendError::TimedOut(limit).to_string())),
    };
    Answer { status, outcome }
}

fn failed(cause: impl Into<String>) -> Outcome {
    Outcome::Failed {
        cause: cause.into(),
        gone: false,
    }
}

fn judged(status: u16) -> Outcome {
    match status {
        200..=299 => Outcome::Accepted,
        300..=399 => failed(format!(
            "the address answered with the status {status}; redirects are not followed, so enter the address that it leads to"
        )),
        410 => Outcome::Failed {
            cause:
                "the address answered with the status 410: nobody wants the events there any more"
                    .to_owned(),
            gone: true,
        },
        _ => failed(format!("the address answered with the status {status}")),
    }
}

fn request(
    webhook: &WebhookId,
    channel: &Channel,
    event: &Event,
    delivery: &DeliveryId,
) -> Result<WebhookRequest, String> {
    match channel {
        Channel::Webhook(channel) => {
            let HttpChannel {
                url,
                headers,
                payload_template,
                timeout,
                signing_secret,
            } = channel;
            let body = match payload_template {
                None => event.body(),
                Some(template) => template
                    .render(&event.body())
                    .map_err(|error| error.to_string())?,
            };
            let own = headers
                .iter()
                .map(|(name, value)| (name.clone(), value.duplicate()));
            Ok(WebhookRequest {
                webhook: webhook.clone(),
                url: SecretString::new(url.to_string()),
                headers: ours(event, delivery).into_iter().chain(own).collect(),
                body: bytes(&body),
                signing_secret: signing_secret.as_ref().map(SecretString::duplicate),
                timeout: *timeout,
            })
        }
        Channel::Slack(channel) => Ok(WebhookRequest {
            webhook: webhook.clone(),
            url: channel.webhook_url.duplicate(),
            headers: ours(event, delivery).into(),
            body: bytes(&slack(channel, event)),
            signing_secret: None,
            timeout: SLACK_TIMEOUT,
        }),
    }
}

/// What every delivery says of itself.
fn ours(event: &Event, delivery: &DeliveryId) -> [(String, SecretString); 3] {
    [
        ("x-wharf-event-id", event.id.as_str()),
        ("x-wharf-event-type", event.event_type.as_str()),
        ("x-wharf-delivery", delivery.as_str()),
    ]
    .map(|(name, value)| (name.to_owned(), SecretString::new(value.to_owned())))
}

fn bytes(body: &Value) -> Bytes {
    body.to_string().into()
}

/// A line of text, with what Slack takes for markup made harmless.
fn slack(channel: &SlackChannel, event: &Event) -> Value {
    let mut line = format!(
        "{}: {} {}",
        event.event_type,
        event.resource_type.as_str(),
        event.resource_id
    );
    for key in ["name", "source_path", "reason"] {
        if let Some(text) = event.facts.get(key).and_then(Value::as_str) {
            line.push_str(", ");
            line.extend(text.chars().filter(|c| !c.is_control()).take(200));
        }
    }
    let line = line
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    let mut message = json!({"text": line});
    for (key, text) in &channel.appearance {
        message[*key] = json!(text);
    }
    message
}
