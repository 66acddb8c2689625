use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use wharf_domain::Metadata;
use wharf_domain::connection::{Connection, StatusReason};

/// A connection as it is shown. Of its credentials, only their type.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StorageConnectionModel)]
pub(crate) struct ConnectionView {
    /// `conn_` and 15 alphanumerics.
    connection_id: String,
    /// The organization that owns it.
    internal_id: String,
    /// `google_drive`, `s3`, `snowflake`, `sharepoint` or `tigris`.
    #[schema(value_type = String)]
    provider_type: &'static str,
    /// The provider's settings; `credentials` holds their `type` and nothing else.
    #[schema(value_type = Object)]
    provider_config: Map<String, Value>,
    name: String,
    description: Option<String>,
    /// Whether exports may write through it.
    write_enabled: bool,
    /// `ACTIVE`, `SUSPENDED`, `FAILED` or `ARCHIVED`.
    #[schema(value_type = String)]
    status: &'static str,
    /// Whether the status is `ACTIVE`.
    is_active: bool,
    /// Why it is not active: `archived`, `user_suspended`, `consecutive_failures` or `health_check_failed`.
    #[schema(value_type = Option<String>)]
    status_reason: Option<&'static str>,
    /// When the status last changed.
    #[serde(serialize_with = "crate::time::rfc3339")]
    status_changed_at: DateTime<Utc>,
    /// When it is checked next by itself; null while only a person can bring that back.
    #[serde(serialize_with = "crate::time::rfc3339_or_null")]
    next_health_check_at: Option<DateTime<Utc>>,
    /// When its credentials or its endpoint's certificate run out, as far as the last check that passed could tell.
    #[serde(serialize_with = "crate::time::rfc3339_or_null")]
    credentials_expire_at: Option<DateTime<Utc>>,
    /// When a run or browsing last succeeded.
    #[serde(serialize_with = "crate::time::rfc3339_or_null")]
    last_used_at: Option<DateTime<Utc>>,
    /// What went wrong last.
    last_error: Option<String>,
    /// Counted failures since the last success.
    consecutive_failures: u32,
    #[schema(value_type = Object)]
    metadata: Metadata,
    /// Grows with every change.
    revision: u64,
    created_by_user_id: String,
    #[serde(serialize_with = "crate::time::rfc3339")]
    created_at: DateTime<Utc>,
    #[serde(serialize_with = "crate::time::rfc3339")]
    updated_at: DateTime<Utc>,
}

impl From<Connection> for ConnectionView {
    fn from(connection: Connection) -> Self {
        let mut provider_config = connection.config.to_json();
        provider_config.insert(
            "credentials".to_owned(),
            json!({"type": connection.credential_type.as_str()}),
        );
        Self {
            provider_type: connection.provider().as_str(),
            status: connection.status().as_str(),
            is_active: connection.is_active(),
            status_reason: connection.status_reason().map(StatusReason::as_str),
            consecutive_failures: connection.health.consecutive_failures(),
            connection_id: connection.id.to_string(),
            internal_id: connection.organization.to_string(),
            provider_config,
            name: connection.name.as_str().to_owned(),
            description: connection.description,
            write_enabled: connection.write_enabled,
            status_changed_at: connection.status_changed_at,
            next_health_check_at: connection.next_check_at,
            credentials_expire_at: connection.expires_at,
            last_used_at: connection.last_used_at,
            last_error: connection
                .last_error
                .map(|error| error.chars().take(1000).collect()),
            metadata: connection.metadata,
            revision: connection.revision,
            created_by_user_id: connection.created_by.to_string(),
            created_at: connection.created_at,
            updated_at: connection.updated_at,
        }
    }
}
