use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use wharf_domain::event::{EventCursor, EventType};
use wharf_engine::{EventFilter, EventOrder};

use super::view::EventView;
use crate::ApiState;
use crate::error::ApiError;
use crate::query::Query;
use crate::scope::Authorized;

const MOST: u32 = 1000;
const USUAL: u32 = 100;

/// Some events.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EventsResponse)]
pub(crate) struct EventList {
    /// In the order that was asked for. There may be fewer than `limit` though more match: `next_cursor` tells whether to go on.
    results: Vec<EventView>,
    /// Where to go on, as `after`. Null at the end of the newest first; for the oldest first always there as soon as something was
    /// seen, since more may come.
    next_cursor: Option<String>,
}

/// List events
///
/// As long as they are kept.
#[utoipa::path(
    get,
    path = "/v1/organizations/events",
    operation_id = "list_events",
    tag = "events",
    params(
        ("event_type" = Option<String>, Query, description = "Of this type."),
        ("resource_type" = Option<String>, Query, description = "About this kind of thing."),
        ("resource_id" = Option<String>, Query, description = "About this thing."),
        ("order" = Option<String>, Query, description = "`newest` first unless given, or `oldest` first, as subscribers get them."),
        ("after" = Option<String>, Query, description = "Where to go on: an earlier `next_cursor` of the same order."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, description = "Most events; 100 unless given."),
    ),
    responses((status = 200, description = "Some events.", body = EventList)),
    extensions(("x-wharf-extension" = json!(true))),
)]
pub(super) async fn list(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    mut query: Query,
) -> Result<Json<EventList>, ApiError> {
    query.only(&[
        "event_type",
        "resource_type",
        "resource_id",
        "order",
        "after",
        "limit",
    ]);
    let event_type = query.string("event_type", 100).and_then(|word| {
        let parsed = word.parse::<EventType>().ok();
        if parsed.is_none() {
            let message = "is no event type; see GET /v1/organizations/events/types";
            query.reject("event_type", "enum", message);
        }
        parsed
    });
    let filter = EventFilter {
        event_type,
        resource_type: query.string("resource_type", 100),
        resource_id: query.string("resource_id", 100),
    };
    let order = match query.string("order", 100).as_deref() {
        None | Some("newest") => EventOrder::Newest,
        Some("oldest") => EventOrder::Oldest,
        Some(_) => {
            query.reject("order", "enum", "must be newest or oldest");
            EventOrder::Newest
        }
    };
    let after = query.string("after", 100).and_then(|text| {
        let cursor = parse_cursor(&text);
        if cursor.is_none() {
            let message = "is no cursor of this list; take it from next_cursor";
            query.reject("after", "cursor", message);
        }
        cursor
    });
    let limit = query.integer("limit", 1, MOST).unwrap_or(USUAL);
    query.finish()?;
    let page = state
        .engine()
        .list_events(&caller, &filter, order, after, limit as usize)
        .await?;
    Ok(Json(EventList {
        results: page.events.into_iter().map(Into::into).collect(),
        next_cursor: page
            .next
            .map(|cursor| format!("{}-{}", cursor.position, cursor.item)),
    }))
}

/// A cursor's text form. Places that no database counts up to are none.
fn parse_cursor(text: &str) -> Option<EventCursor> {
    let (position, item) = text.split_once('-')?;
    let cursor = EventCursor {
        position: position.parse().ok()?,
        item: item.parse().ok()?,
    };
    i64::try_from(cursor.position)
        .is_ok_and(|place| place < i64::MAX)
        .then_some(cursor)
}
