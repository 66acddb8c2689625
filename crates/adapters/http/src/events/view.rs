use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use wharf_domain::event::Event;

/// An event, as webhooks and the stream get it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Event)]
pub(crate) struct EventView {
    /// To tell repetitions by.
    id: String,
    #[schema(value_type = String)]
    event_type: &'static str,
    #[serde(serialize_with = "crate::time::rfc3339")]
    timestamp: DateTime<Utc>,
    /// The organization.
    internal_id: String,
    /// What kind of thing it is about.
    #[schema(value_type = String)]
    resource_type: &'static str,
    /// Which one.
    resource_id: String,
    /// The particulars.
    #[schema(value_type = Object)]
    data: Value,
    /// The head of the organization's audit chain when it happened.
    audit_head: String,
}

impl From<Event> for EventView {
    fn from(event: Event) -> Self {
        Self {
            id: event.id.as_str().to_owned(),
            event_type: event.event_type.as_str(),
            timestamp: event.at,
            internal_id: event.organization.to_string(),
            resource_type: event.resource_type.as_str(),
            resource_id: event.resource_id,
            data: event.facts,
            audit_head: event.head.to_string(),
        }
    }
}
