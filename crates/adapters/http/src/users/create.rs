use axum::Json;
use axum::extract::State;
use serde_json::Value;
use utoipa::ToSchema;
use wharf_domain::access::{Email, Role, UserProfile, UserStatus};
use wharf_domain::input::{Length, Reader};
use wharf_engine::CreateUser;

use super::view::UserView;
use super::{NAME, ROLES, STATUSES, URL, plain};
use crate::ApiState;
use crate::body::Body;
use crate::error::ApiError;
use crate::fields;
use crate::scope::Authorized;

/// A new user.
#[derive(ToSchema)]
#[schema(as = UserCreateRequest)]
#[expect(dead_code, reason = "documents the body that `parse` reads")]
pub(crate) struct CreateUserRequest {
    /// Unique within the organization; compared in lower case.
    #[schema(min_length = 3, max_length = 254)]
    email: String,
    #[schema(min_length = 2, max_length = 100)]
    user_name: String,
    #[schema(max_length = 2048)]
    avatar_url: Option<String>,
    /// `admin`, `member` (unless given) or `viewer`: what the user's keys may allow at most.
    #[schema(inline)]
    role: Option<crate::words::Role>,
    /// `active` (unless given), `suspended` or `pending`.
    #[schema(inline)]
    status: Option<crate::words::UserStatus>,
    /// At most 50 keys, 16 KiB and 8 levels.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Value>,
}

impl CreateUserRequest {
    pub(crate) fn parse(reader: &mut Reader) -> Option<CreateUser> {
        let email = reader.required_string("email", Length::new(0, 1000));
        let email = email.and_then(|email| fields::noted(reader, Email::parse(&email)));
        let name = reader.required_string("user_name", NAME);
        let name = plain(reader, "user_name", name);
        let avatar_url = reader.string("avatar_url", URL);
        let avatar_url = plain(reader, "avatar_url", avatar_url).filter(|url| !url.is_empty());
        let role = fields::word(reader, "role", |word| word.parse().ok(), ROLES);
        let status = fields::word(reader, "status", |word| word.parse().ok(), STATUSES);
        let metadata = fields::metadata(reader).unwrap_or_default();
        Some(CreateUser {
            email: email?,
            profile: UserProfile {
                name: name?,
                avatar_url,
                role: role.unwrap_or(Role::Member),
                status: status.unwrap_or(UserStatus::Active),
                metadata,
            },
        })
    }
}

/// Create a user
#[utoipa::path(
    post,
    path = "/v1/organizations/users",
    operation_id = "create_user_organizations",
    tag = "users",
    request_body = CreateUserRequest,
    responses((status = 200, description = "The stored user.", body = UserView)),
)]
pub(super) async fn create(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    body: Body,
) -> Result<Json<UserView>, ApiError> {
    let new = body.read_whole(CreateUserRequest::parse)?;
    let user = state.engine().create_user(&caller, new).await?;
    Ok(Json(UserView::new(caller.organization(), user)))
}
