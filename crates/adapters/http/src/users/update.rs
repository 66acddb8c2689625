use axum::Json;
use axum::extract::State;
use serde_json::Value;
use utoipa::ToSchema;
use wharf_domain::input::Reader;
use wharf_engine::UpdateUser;

use super::view::UserView;
use super::{NAME, ROLES, STATUSES, URL, plain};
use crate::ApiState;
use crate::body::Body;
use crate::error::ApiError;
use crate::fields;
use crate::path::Segments;
use crate::scope::Authorized;

/// What is to be different.
#[derive(ToSchema)]
#[schema(as = UserUpdateRequest)]
#[expect(dead_code, reason = "documents the body that `parse` reads")]
pub(crate) struct UpdateUserRequest {
    #[schema(min_length = 2, max_length = 100)]
    user_name: Option<String>,
    /// An empty one clears it.
    #[schema(max_length = 2048)]
    avatar_url: Option<String>,
    /// `admin`, `member` or `viewer`. The user's keys allow no more than it does from then on.
    #[schema(inline)]
    role: Option<crate::words::Role>,
    /// `active`, `suspended` or `pending`. While a user is suspended, none of their keys is accepted.
    #[schema(inline)]
    status: Option<crate::words::UserStatus>,
    /// Replaces all. At most 50 keys, 16 KiB and 8 levels.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Value>,
}

impl UpdateUserRequest {
    pub(crate) fn parse(reader: &mut Reader) -> UpdateUser {
        let name = reader.string("user_name", NAME);
        let avatar_url = reader.string("avatar_url", URL);
        UpdateUser {
            name: plain(reader, "user_name", name),
            avatar_url: plain(reader, "avatar_url", avatar_url),
            role: fields::word(reader, "role", |word| word.parse().ok(), ROLES),
            status: fields::word(reader, "status", |word| word.parse().ok(), STATUSES),
            metadata: fields::metadata(reader),
        }
    }
}

/// Update a user
///
/// The organization keeps at least one active admin.
#[utoipa::path(
    patch,
    path = "/v1/organizations/users/{user_email}",
    operation_id = "update_user_organizations_email",
    tag = "users",
    params(("user_email" = String, Path, description = "The user's e-mail address.")),
    request_body = Option<UpdateUserRequest>,
    responses((status = 200, description = "The user as it is now.", body = UserView)),
)]
pub(super) async fn update(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    Segments(email): Segments<String>,
    body: Body,
) -> Result<Json<UserView>, ApiError> {
    let update = body.read(UpdateUserRequest::parse)?;
    let user = state.engine().update_user(&caller, &email, update).await?;
    Ok(Json(UserView::new(caller.organization(), user)))
}
