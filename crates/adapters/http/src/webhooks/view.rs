use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use wharf_domain::event::EventType;
use wharf_domain::webhook::{Delivery, DeliveryHealth, Webhook};

/// A webhook, without its secrets.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookOutput)]
pub(crate) struct WebhookView {
    /// `wh_` and 16 hex digits.
    webhook_id: String,
    webhook_name: String,
    /// What it is told of, as far as the published SDK knows the types.
    event_types: Vec<&'static str>,
    /// The other types that it is told of.
    extension_event_types: Vec<&'static str>,
    /// Whether it is told of everything, types of later versions included.
    all_event_types: bool,
    /// Only of these kinds of things; empty means any.
    resource_types: Vec<String>,
    /// Where to. `redacted` stands in the place of secrets.
    #[schema(value_type = Vec<Object>)]
    channels: Value,
    is_active: bool,
    delivery_health: HealthView,
    #[serde(serialize_with = "crate::time::rfc3339")]
    created_at: DateTime<Utc>,
    #[serde(serialize_with = "crate::time::rfc3339")]
    updated_at: DateTime<Utc>,
}

/// How deliveries went lately.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookDeliveryHealth)]
pub(crate) struct HealthView {
    /// Failed attempts since the last one that was accepted.
    consecutive_failures: u32,
    /// Events given up since the last one that was accepted; the third in a row pauses the webhook.
    given_up: u32,
    #[serde(serialize_with = "crate::time::rfc3339_or_null")]
    first_failure_at: Option<DateTime<Utc>>,
    #[serde(serialize_with = "crate::time::rfc3339_or_null")]
    last_failure_at: Option<DateTime<Utc>>,
    /// In this server's words.
    last_failure_cause: Option<String>,
    #[serde(serialize_with = "crate::time::rfc3339_or_null")]
    last_success_at: Option<DateTime<Utc>>,
    /// When failures paused it. Setting `is_active` to true brings it back.
    #[serde(serialize_with = "crate::time::rfc3339_or_null")]
    paused_at: Option<DateTime<Utc>>,
    paused_reason: Option<String>,
    /// When it was last noticed that events had been removed before the webhook was told of them.
    #[serde(serialize_with = "crate::time::rfc3339_or_null")]
    missed_events_at: Option<DateTime<Utc>>,
}

/// Every type that a webhook is told of.
pub(crate) fn told_of(webhook: &Webhook) -> Vec<EventType> {
    if webhook.settings.all {
        EventType::ALL.to_vec()
    } else {
        webhook.settings.event_types.clone()
    }
}

/// Whether the published SDK can read it: its list of types must not be empty.
pub(super) fn is_readable_by_sdk(webhook: &Webhook) -> bool {
    told_of(webhook).into_iter().any(EventType::is_known_to_sdk)
}

impl From<Webhook> for WebhookView {
    fn from(webhook: Webhook) -> Self {
        let (known, others): (Vec<EventType>, Vec<EventType>) = told_of(&webhook)
            .into_iter()
            .partition(|kind| kind.is_known_to_sdk());
        let words = |kinds: Vec<EventType>| kinds.into_iter().map(EventType::as_str).collect();
        let settings = webhook.settings;
        Self {
            webhook_id: webhook.id.to_string(),
            webhook_name: settings.name,
            event_types: words(known),
            extension_event_types: words(others),
            all_event_types: settings.all,
            resource_types: settings.resource_types,
            channels: settings.channels,
            is_active: settings.is_active,
            delivery_health: webhook.health.into(),
            created_at: webhook.created_at,
            updated_at: webhook.updated_at,
        }
    }
}

impl From<DeliveryHealth> for HealthView {
    fn from(health: DeliveryHealth) -> Self {
        let DeliveryHealth {
            consecutive_failures,
            given_up,
            first_failure_at,
            last_failure_at,
            last_failure_cause,
            last_success_at,
            paused_at,
            paused_reason,
            missed_events_at,
        } = health;
        Self {
            consecutive_failures,
            given_up,
            first_failure_at,
            last_failure_at,
            last_failure_cause,
            last_success_at,
            paused_at,
            paused_reason,
            missed_events_at,
        }
    }
}

/// One attempt to deliver an event.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookDelivery)]
pub(crate) struct DeliveryView {
    /// `dlv_` and 16 hex digits; the delivery's `X-Wharf-Delivery`.
    delivery_id: String,
    event_id: String,
    #[schema(value_type = String)]
    event_type: &'static str,
    /// Which attempt of the event it was, from 1.
    attempt: u32,
    /// Whether a person asked for it.
    redelivery: bool,
    accepted: bool,
    /// What was answered, if something was.
    http_status: Option<u16>,
    /// Why it was not accepted, in this server's words.
    error: Option<String>,
    /// How long it took.
    duration_ms: u64,
    #[serde(serialize_with = "crate::time::rfc3339")]
    at: DateTime<Utc>,
}

impl From<Delivery> for DeliveryView {
    fn from(delivery: Delivery) -> Self {
        Self {
            accepted: delivery.accepted(),
            delivery_id: delivery.id.to_string(),
            event_id: delivery.event.as_str().to_owned(),
            event_type: delivery.event_type.as_str(),
            attempt: delivery.attempt,
            redelivery: delivery.redelivery,
            http_status: delivery.http_status,
            error: delivery.error,
            duration_ms: delivery.ms,
            at: delivery.at,
        }
    }
}
