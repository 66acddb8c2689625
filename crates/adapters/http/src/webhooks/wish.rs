use serde_json::{Map, Value};
use utoipa::ToSchema;
use wharf_domain::audit::ResourceType;
use wharf_domain::event::EventType;
use wharf_domain::input::{Length, Reader};
use wharf_domain::webhook::DraftChannels;
use wharf_engine::WebhookWish;

use crate::fields;

/// Most types that one list may name: more than there are.
const MOST_TYPES: usize = 100;

/// A webhook as it is wanted. What reads show can be sent back as it is.
#[derive(ToSchema)]
#[schema(as = WebhookInput)]
#[expect(dead_code, reason = "documents the body that `parse` reads")]
pub(crate) struct WebhookRequest {
    #[schema(min_length = 1, max_length = 200)]
    webhook_name: String,
    /// What it is told of, at least one; `["*"]` means everything. `GET /v1/organizations/events/types` lists them all.
    #[schema(min_items = 1, max_items = 100)]
    event_types: Vec<String>,
    /// More of them, as reads show those that the published SDK does not know.
    #[schema(max_items = 100)]
    extension_event_types: Option<Vec<String>>,
    /// Whether it is told of everything, whatever types are listed.
    all_event_types: Option<bool>,
    /// Only of these kinds of things, such as `object` or `storage_connection`; empty means any.
    #[schema(max_items = 100)]
    resource_types: Option<Vec<String>>,
    /// Where to, 1 to 5: `{"channel": "webhook", "configs": {"url": …}}` with optional `headers`, `payload_template`, `timeout` (1 to
    /// 30 seconds) and `signing_secret`; or `{"channel": "slack", "configs": {"webhook_url": …}}`. Secrets are sealed and read back
    /// as `redacted`; sending that, or leaving them out, keeps them while the host stays the same, an empty text removes them.
    #[schema(value_type = Vec<Object>, min_items = 1, max_items = 5)]
    channels: Vec<Map<String, Value>>,
    #[schema(default = true)]
    is_active: Option<bool>,
    /// Set by the server; ignored.
    webhook_id: Option<String>,
    /// Set by the server; ignored.
    internal_id: Option<String>,
    /// Set by the server; ignored.
    #[schema(value_type = Option<Object>)]
    delivery_health: Option<Map<String, Value>>,
    /// Set by the server; ignored.
    created_at: Option<String>,
    /// Set by the server; ignored.
    updated_at: Option<String>,
}

impl WebhookRequest {
    pub(crate) fn parse(reader: &mut Reader) -> Option<WebhookWish> {
        let name = reader.required_string("webhook_name", Length::new(1, 200));
        let named = |reader: &mut Reader, key| reader.strings(key, Length::new(1, 100), MOST_TYPES);
        let types = reader
            .require("event_types")
            .then(|| named(reader, "event_types"))
            .flatten();
        let more = named(reader, "extension_event_types").unwrap_or_default();
        let mut all = reader.boolean("all_event_types").unwrap_or(false);
        if types.as_ref().is_some_and(Vec::is_empty) {
            reader.reject(
                "event_types",
                "too_short",
                "must have at least one type, or *",
            );
        }
        let mut event_types: Vec<EventType> = Vec::new();
        for word in types.iter().flatten().chain(&more) {
            if word == "*" {
                all = true;
            } else if let Some(parsed) = fields::noted(reader, word.parse::<EventType>())
                && !event_types.contains(&parsed)
            {
                event_types.push(parsed);
            }
        }
        let resource_types = named(reader, "resource_types").unwrap_or_default();
        if resource_types
            .iter()
            .any(|word| ResourceType::parse(word).is_none())
        {
            let message = "must be kinds of things that events are about, such as object, bucket, storage_connection, sync or sync_job";
            reader.reject("resource_types", "enum", message);
        }
        let channels = reader
            .require("channels")
            .then(|| reader.value("channels"))
            .flatten()
            .and_then(|value| fields::noted(reader, DraftChannels::parse("channels", value)));
        let is_active = reader.boolean("is_active").unwrap_or(true);
        for key in ["webhook_id", "internal_id", "created_at", "updated_at"] {
            let _ = reader.string(key, Length::new(0, 1000));
        }
        let _ = reader.object("delivery_health");
        Some(WebhookWish {
            name: name?,
            event_types,
            all,
            resource_types,
            channels: channels?,
            is_active,
        })
    }
}
