use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use wharf_domain::audit::AuditRow;
use wharf_engine::Actors;

/// One row of the audit trail.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditEventResponse)]
pub(crate) struct AuditView {
    /// `aud_` and 16 hex digits.
    audit_id: String,
    /// When it was stored.
    #[serde(serialize_with = "crate::time::rfc3339")]
    timestamp: DateTime<Utc>,
    #[schema(value_type = String)]
    resource_type: &'static str,
    resource_id: String,
    #[schema(value_type = String)]
    action: &'static str,
    /// A user's identifier, `system` or `operator`.
    actor_id: String,
    /// `user`, `system` or `operator`.
    #[schema(value_type = String)]
    actor_type: &'static str,
    /// Always `success`: what failed changed nothing and left no row. How a test or a run ended stands in `changes`.
    #[schema(value_type = String)]
    status: &'static str,
    #[schema(value_type = Object)]
    changes: Value,
    /// From the request's `X-Change-Reason`.
    reason: Option<String>,
    ip_address: Option<String>,
    user_agent: Option<String>,
    /// Null once the user is deleted.
    actor_name: Option<String>,
    /// Null once the user is deleted.
    actor_email: Option<String>,
    actor_key_name: Option<String>,
    /// The row's place in the organization's chain, from 1.
    position: u64,
    /// A keyed hash over the row and the link before it, in hex.
    link: String,
}

impl AuditView {
    pub(super) fn new(stored: AuditRow, actors: &Actors) -> Self {
        let row = stored.row;
        let actor = &row.origin.actor;
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Self {
            audit_id: row.id.to_string(),
            timestamp: stored.at,
            resource_type: row.resource_type.as_str(),
            resource_id: row.resource_id,
            action: row.action.as_str(),
            actor_id: actor.id().to_owned(),
            actor_type: actor.kind(),
            status: "success",
            changes: row.changes,
            actor_name: owned(actors.name(actor)),
            actor_email: owned(actors.email(actor)),
            actor_key_name: owned(actors.key_name(actor)),
            reason: row.origin.reason,
            ip_address: row.origin.ip_address,
            user_agent: row.origin.user_agent,
            position: stored.link.position,
            link: stored.link.hash.to_string(),
        }
    }
}
