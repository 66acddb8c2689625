use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;
use wharf_domain::event::EventType;

use crate::scope::Authorized;

/// A type of event.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EventTypeDescription)]
pub(crate) struct EventTypeView {
    #[schema(value_type = String)]
    event_type: &'static str,
    /// Whether the published SDK knows it.
    known_to_sdk: bool,
}

/// All types of events.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EventTypesResponse)]
pub(crate) struct EventTypeList {
    results: Vec<EventTypeView>,
}

/// List the types of events
#[utoipa::path(
    get,
    path = "/v1/organizations/events/types",
    operation_id = "list_event_types",
    tag = "events",
    responses((status = 200, description = "Every type.", body = EventTypeList)),
    extensions(("x-wharf-extension" = json!(true))),
)]
pub(super) async fn types(_: Authorized) -> Json<EventTypeList> {
    let results = EventType::ALL.iter().map(|kind| EventTypeView {
        event_type: kind.as_str(),
        known_to_sdk: kind.is_known_to_sdk(),
    });
    Json(EventTypeList {
        results: results.collect(),
    })
}
