use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use wharf_engine::UserFilter;

use super::view::UserView;
use super::{ROLES, STATUSES};
use crate::ApiState;
use crate::error::ApiError;
use crate::query::Query;
use crate::scope::Authorized;

/// Users that one answer holds unless asked otherwise, and at most.
const LIMIT: u32 = 100;
const MOST: u32 = 1000;

/// Some users of the organization.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ListOrganizationUsersResponse)]
pub(crate) struct UserList {
    /// Oldest first.
    results: Vec<UserView>,
    /// How many match, skipped ones included.
    total: u64,
    skip: u32,
    limit: u32,
}

/// List users
#[utoipa::path(
    get,
    path = "/v1/organizations/users",
    operation_id = "list_users_organizations",
    tag = "users",
    params(
        ("skip" = Option<u32>, Query, minimum = 0, description = "How many to skip."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, description = "At most so many; 100 unless given."),
        ("role" = Option<String>, Query, description = "With this role."),
        ("status" = Option<String>, Query, description = "With this status."),
    ),
    responses((status = 200, description = "The users.", body = UserList)),
)]
pub(super) async fn list(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    mut query: Query,
) -> Result<Json<UserList>, ApiError> {
    let skip = query
        .integer("skip", 0, i32::MAX.unsigned_abs())
        .unwrap_or(0);
    let limit = query.integer("limit", 1, MOST).unwrap_or(LIMIT);
    let filter = UserFilter {
        role: query.word("role", |word| word.parse().ok(), ROLES),
        status: query.word("status", |word| word.parse().ok(), STATUSES),
    };
    query.finish()?;
    let users = state.engine().list_users(&caller, filter).await?;
    let total = users.len() as u64;
    let wanted = users.into_iter().skip(skip as usize).take(limit as usize);
    let results = wanted
        .map(|user| UserView::new(caller.organization(), user))
        .collect();
    Ok(Json(UserList {
        results,
        total,
        skip,
        limit,
    }))
}
