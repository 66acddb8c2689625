use axum::Json;
use axum::extract::State;

use super::view::EventView;
use crate::ApiState;
use crate::error::ApiError;
use crate::path::Segments;
use crate::scope::Authorized;

/// Get an event
#[utoipa::path(
    get,
    path = "/v1/organizations/events/{event_id}",
    operation_id = "get_event",
    tag = "events",
    params(("event_id" = String, Path, description = "The event's identifier.")),
    responses((status = 200, description = "The event.", body = EventView)),
    extensions(("x-wharf-extension" = json!(true))),
)]
pub(super) async fn get(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    Segments(identifier): Segments<String>,
) -> Result<Json<EventView>, ApiError> {
    let event = state.engine().event(&caller, &identifier).await?;
    Ok(Json(event.into()))
}
