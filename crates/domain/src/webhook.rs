//! Webhooks: where an organization wants to be told of events, and how deliveries go.

mod channel;
mod draft;
mod settle;
mod template;

pub use channel::{Channel, Channels, HttpChannel, SlackChannel, audience};
pub use draft::{DraftChannels, IncompleteChannels};
pub use settle::Outcome;
pub use template::{PayloadTemplate, PayloadTooLarge};

use std::time::Duration;

use crate::Timestamp;
use crate::event::{Event, EventCursor, EventId, EventType};
use crate::ids::{DeliveryId, OrganizationId, WebhookId};

/// How many attempts an event gets before the next one has its turn.
pub const MOST_ATTEMPTS: u32 = 8;

/// How many events in a row that were given up pause a webhook.
pub const PAUSE_AFTER: u32 = 3;

/// The pause after the `attempts`th attempt of one event: 5 seconds, doubling, at most an hour.
pub fn pause_after(attempts: u32) -> Duration {
    let doubled = 2_u64.saturating_pow(attempts.saturating_sub(1));
    Duration::from_secs(5_u64.saturating_mul(doubled).min(3600))
}

/// The channels of a webhook in their sealed form: addresses, headers and signing secrets. Opaque here.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedChannels(pub Vec<u8>);

impl std::fmt::Debug for SealedChannels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SealedChannels({} bytes)", self.0.len())
    }
}

/// What a person decides about a webhook.
#[derive(Debug, Clone, PartialEq)]
pub struct WebhookSettings {
    /// 1 to 200 characters; names need not be unique.
    pub name: String,
    /// What it is told of; at least one, or every type where `all` is set.
    pub event_types: Vec<EventType>,
    /// Whether it is told of everything.
    pub all: bool,
    /// Only of these kinds of things; empty means any.
    pub resource_types: Vec<String>,
    /// Where to, as reads show it: without secrets. A JSON array.
    pub channels: serde_json::Value,
    /// The same, whole.
    pub sealed: SealedChannels,
    /// Counts changes of the sealed form; part of what it is bound to.
    pub secret_version: u64,
    /// Whether it is told at all.
    pub is_active: bool,
}

impl WebhookSettings {
    /// Whether it is told of this event.
    pub fn wants(&self, event: &Event) -> bool {
        let of_type = self.all || self.event_types.contains(&event.event_type);
        let resource = event.resource_type.as_str();
        of_type
            && (self.resource_types.is_empty()
                || self.resource_types.iter().any(|wanted| wanted == resource))
    }
}

/// How deliveries went lately.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeliveryHealth {
    /// Failed attempts since the last one that was accepted.
    pub consecutive_failures: u32,
    /// Events given up since the last one that was accepted.
    pub given_up: u32,
    /// When the present run of failures began.
    pub first_failure_at: Option<Timestamp>,
    /// The last of them.
    pub last_failure_at: Option<Timestamp>,
    /// Its cause, in our own words.
    pub last_failure_cause: Option<String>,
    /// When an attempt was last accepted.
    pub last_success_at: Option<Timestamp>,
    /// When failures paused the webhook.
    pub paused_at: Option<Timestamp>,
    /// Why.
    pub paused_reason: Option<String>,
    /// When it was last noticed that events had been removed before it was told of them. Kept until a person changes the webhook.
    pub missed_events_at: Option<Timestamp>,
}

/// A stored webhook.
#[derive(Debug, Clone, PartialEq)]
pub struct Webhook {
    /// Its identifier.
    pub id: WebhookId,
    /// Whose it is.
    pub organization: OrganizationId,
    /// What a person decided.
    pub settings: WebhookSettings,
    /// How deliveries go.
    pub health: DeliveryHealth,
    /// How far it has been told.
    pub cursor: EventCursor,
    /// Attempts that the event after the cursor has had.
    pub attempts: u32,
    /// When it was created; it is told what happened since.
    pub created_at: Timestamp,
    /// When it was last changed by a person.
    pub updated_at: Timestamp,
}

/// What became of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Its identifier.
    pub id: DeliveryId,
    /// Of which event.
    pub event: EventId,
    /// What that event tells.
    pub event_type: EventType,
    /// Which attempt of that event it was, from 1.
    pub attempt: u32,
    /// Whether it was asked for by a person.
    pub redelivery: bool,
    /// The status that was answered, if one was.
    pub http_status: Option<u16>,
    /// Why it was not accepted, in our own words.
    pub error: Option<String>,
    /// How long it took, in milliseconds.
    pub ms: u64,
    /// When it ended; set when it is stored.
    pub at: Timestamp,
}

impl Delivery {
    /// Whether the event was accepted.
    pub fn accepted(&self) -> bool {
        self.error.is_none()
    }
}

/// What a round of deliveries amounts to.
#[derive(Debug, Clone, PartialEq)]
pub struct Settlement {
    /// How far the webhook has been told now.
    pub cursor: EventCursor,
    /// Attempts that the next event has had.
    pub attempts: u32,
    /// How deliveries go now; `paused_at` set pauses the webhook.
    pub health: DeliveryHealth,
    /// Every attempt of the round; the repository stamps their times.
    pub deliveries: Vec<Delivery>,
    /// Asked-for redeliveries that are done with.
    pub redelivered: Vec<EventId>,
    /// When the next round may begin.
    pub pause: Duration,
}
