use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use wharf_domain::event::EventId;
use wharf_domain::input::{FieldError, InvalidInput, Length, Reader};
use wharf_engine::MOST_REDELIVERIES;

use crate::ApiState;
use crate::body::Body;
use crate::error::ApiError;
use crate::fields;
use crate::path::Segments;
use crate::scope::Authorized;

/// Events that are wanted once more.
#[derive(ToSchema)]
#[schema(as = RedeliverRequest)]
#[expect(dead_code, reason = "documents the body that `parse` reads")]
pub(crate) struct RedeliverRequest {
    /// 1 to 100 events, by their identifiers.
    #[schema(min_items = 1, max_items = 100)]
    event_ids: Vec<String>,
}

impl RedeliverRequest {
    pub(crate) fn parse(reader: &mut Reader) -> Vec<EventId> {
        let listed = reader
            .require("event_ids")
            .then(|| reader.strings("event_ids", Length::new(1, 100), MOST_REDELIVERIES))
            .flatten();
        if listed.as_ref().is_some_and(Vec::is_empty) {
            reader.reject("event_ids", "too_short", "must have at least one event");
        }
        let mut events = Vec::new();
        for (i, text) in listed.into_iter().flatten().enumerate() {
            let parsed = text.parse::<EventId>().map_err(|_| {
                let message = "must be the identifier of an event, such as evt_0123456789abcdef";
                InvalidInput::from(FieldError::new(
                    &format!("event_ids.{i}"),
                    "string_pattern",
                    message,
                ))
            });
            events.extend(fields::noted(reader, parsed).filter(|event| !events.contains(event)));
        }
        events
    }
}

/// What was asked for.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RedeliverResponse)]
pub(crate) struct Redelivering {
    webhook_id: String,
    /// How many events are delivered once more.
    requested: usize,
}

/// Deliver events once more
///
/// Each is tried once, soon, whether the webhook is active or not; the log of its deliveries tells what came of it.
#[utoipa::path(
    post,
    path = "/v1/organizations/webhooks/{identifier}/redeliver",
    operation_id = "redeliver_webhook_events",
    tag = "webhooks",
    params(("identifier" = String, Path, description = "The webhook's identifier.")),
    request_body = RedeliverRequest,
    responses((status = 200, description = "They are delivered soon.", body = Redelivering)),
    extensions(("x-wharf-extension" = json!(true))),
)]
pub(super) async fn redeliver(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    Segments(identifier): Segments<String>,
    body: Body,
) -> Result<Json<Redelivering>, ApiError> {
    let events = body.read(RedeliverRequest::parse)?;
    state
        .engine()
        .redeliver(&caller, &identifier, &events)
        .await?;
    Ok(Json(Redelivering {
        webhook_id: identifier,
        requested: events.len(),
    }))
}
