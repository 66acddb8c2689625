use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use wharf_domain::Metadata;
use wharf_domain::access::User;
use wharf_domain::ids::OrganizationId;

/// A user.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UserModel)]
pub(crate) struct UserView {
    /// `usr_` and 15 letters or digits.
    user_id: String,
    /// The organization.
    internal_id: String,
    email: String,
    user_name: String,
    avatar_url: Option<String>,
    /// `admin`, `member` or `viewer`.
    #[schema(value_type = String)]
    role: &'static str,
    /// `active`, `suspended` or `pending`.
    #[schema(value_type = String)]
    status: &'static str,
    #[schema(value_type = Object)]
    metadata: Metadata,
    #[serde(serialize_with = "crate::time::rfc3339")]
    created_at: DateTime<Utc>,
    #[serde(serialize_with = "crate::time::rfc3339")]
    updated_at: DateTime<Utc>,
}

impl UserView {
    pub(crate) fn new(organization: &OrganizationId, user: User) -> Self {
        Self {
            user_id: user.id.to_string(),
            internal_id: organization.to_string(),
            email: user.email.as_str().to_owned(),
            user_name: user.profile.name,
            avatar_url: user.profile.avatar_url,
            role: user.profile.role.as_str(),
            status: user.profile.status.as_str(),
            metadata: user.profile.metadata,
            created_at: user.created_at,
            updated_at: user.updated_at,
        }
    }
}
