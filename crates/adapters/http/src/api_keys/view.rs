use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use wharf_domain::access::{ApiKey, Permission, ResourceScope};
use wharf_domain::ids::OrganizationId;
use wharf_engine::{IssuedApiKey, key_fingerprint};

/// An API key, which itself was shown once.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = APIKeyModel)]
pub(crate) struct KeyView {
    /// `key_` and 16 hex digits.
    key_id: String,
    /// A fingerprint of the key's stored form; nothing can be done with it.
    key_hash: String,
    /// The key's first ten characters.
    key_prefix: String,
    /// Always `standard`.
    #[schema(value_type = String)]
    key_type: &'static str,
    /// Always false.
    is_internal: bool,
    /// The organization.
    internal_id: String,
    organization_id: String,
    user_id: String,
    name: String,
    description: String,
    /// Weakest first; each includes the weaker ones.
    #[schema(value_type = Vec<String>)]
    permissions: Vec<Permission>,
    /// None means the whole organization.
    #[schema(value_type = Vec<super::scopes::ScopeFields>)]
    scopes: Vec<ResourceScope>,
    rate_limit_override: Option<u32>,
    /// `active`, `revoked` or `expired`.
    #[schema(value_type = String)]
    status: &'static str,
    #[serde(serialize_with = "crate::time::rfc3339_or_null")]
    expires_at: Option<DateTime<Utc>>,
    /// Give or take a minute.
    #[serde(serialize_with = "crate::time::rfc3339_or_null")]
    last_used_at: Option<DateTime<Utc>>,
    #[serde(serialize_with = "crate::time::rfc3339")]
    created_at: DateTime<Utc>,
    /// A user's identifier, `system` or `operator`.
    created_by: String,
    #[serde(serialize_with = "crate::time::rfc3339_or_null")]
    revoked_at: Option<DateTime<Utc>>,
    revoked_by: Option<String>,
    allowed_origins: Option<Vec<String>>,
    principal_id: Option<String>,
}

impl KeyView {
    /// A key as it is at this time.
    pub(super) fn new(organization: &OrganizationId, key: ApiKey, now: DateTime<Utc>) -> Self {
        Self {
            key_id: key.id.to_string(),
            key_hash: key_fingerprint(&key),
            key_prefix: key.prefix.clone(),
            key_type: "standard",
            is_internal: false,
            internal_id: organization.to_string(),
            organization_id: organization.to_string(),
            user_id: key.user_id.to_string(),
            status: key.status(now).as_str(),
            name: key.name,
            description: key.description,
            permissions: key.grant.permissions,
            scopes: key.grant.scopes,
            rate_limit_override: key.grant.rate_limit_override,
            expires_at: key.grant.expires_at,
            last_used_at: key.last_used_at,
            created_at: key.created_at,
            created_by: key.created_by,
            revoked_at: key.revoked_at,
            revoked_by: key.revoked_by,
            allowed_origins: key.grant.allowed_origins,
            principal_id: key.principal_id,
        }
    }
}

/// An API key that was just issued, with the key itself.
#[derive(Serialize, ToSchema)]
#[schema(as = APIKeyCreateResponse)]
pub(crate) struct IssuedKeyView {
    #[serde(flatten)]
    row: KeyView,
    /// The key; it is not shown again.
    key: String,
}

impl IssuedKeyView {
    pub(super) fn new(
        organization: &OrganizationId,
        issued: IssuedApiKey,
        now: DateTime<Utc>,
    ) -> Self {
        Self {
            row: KeyView::new(organization, issued.key, now),
            key: issued.secret.expose().to_owned(),
        }
    }
}
