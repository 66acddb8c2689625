use async_trait::async_trait;
use sqlx::PgConnection;
use sqlx::postgres::PgRow;
use wharf_domain::Timestamp;
use wharf_domain::audit::{Action, Actor, AuditRow, NewAuditRow, Origin, ResourceType};
use wharf_domain::ids::OrganizationId;
use wharf_domain::page::{Page, PageCursor, PageRequest};
use wharf_ports::{AuditRepository, RepositoryError};

use crate::error::Fault;
use crate::page::{Bounds, page};
use crate::row::{Columns, json};
use crate::store::{Store, in_transaction};

/// Stores a row within the transaction of the change that it records.
pub(crate) async fn store(
    connection: &mut PgConnection,
    organization: &OrganizationId,
    row: &NewAuditRow,
    at: Timestamp,
) -> Result<(), Fault> {
    let (user, key) = match &row.origin.actor {
        Actor::User { user_id, key_id } => (Some(user_id), Some(key_id)),
        Actor::System | Actor::Operator => (None, None),
    };
    sqlx::query(
        "INSERT INTO audit_rows (organization, id, at, action, resource_type, resource_id, actor, user_id, key_id, \
         reason, ip_address, user_agent, changes) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
    )
    .bind(organization.as_str())
    .bind(row.id.as_str())
    .bind(at)
    .bind(row.action.as_str())
    .bind(row.resource_type.as_str())
    .bind(&row.resource_id)
    .bind(row.origin.actor.kind())
    .bind(user)
    .bind(key)
    .bind(&row.origin.reason)
    .bind(&row.origin.ip_address)
    .bind(&row.origin.user_agent)
    .bind(json(&row.changes))
    .execute(connection)
    .await?;
    Ok(())
}

fn read(row: &PgRow) -> Result<AuditRow, Fault> {
    let columns = Columns::of("audit_rows", row);
    let actor = match columns.get("actor")? {
        "user" => Actor::User {
            user_id: columns.get("user_id")?,
            key_id: columns.get("key_id")?,
        },
        "system" => Actor::System,
        "operator" => Actor::Operator,
        _ => return Err(columns.corrupt("actor", "does not read")),
    };
    Ok(AuditRow {
        organization: columns.parse("organization")?,
        at: columns.time("at")?,
        row: NewAuditRow {
            id: columns.parse("id")?,
            action: columns.read("action", Action::parse)?,
            resource_type: columns.read("resource_type", ResourceType::parse)?,
            resource_id: columns.get("resource_id")?,
            origin: Origin {
                actor,
                reason: columns.get("reason")?,
                ip_address: columns.get("ip_address")?,
                user_agent: columns.get("user_agent")?,
            },
            changes: columns.json("changes")?,
        },
    })
}

impl Store {
    async fn record_audit(
        &self,
        tx: &mut PgConnection,
        organization: &OrganizationId,
        row: &NewAuditRow,
    ) -> Result<(), Fault> {
        let now = self.now(tx).await?;
        store(tx, organization, row, now).await?;
        Ok(())
    }

    async fn list_audit(
        &self,
        organization: &OrganizationId,
        request: &PageRequest,
    ) -> Result<Page<AuditRow>, Fault> {
        let bounds = Bounds::of(request);
        let mut connection = self.read().await?;
        let total = sqlx::query_scalar("SELECT COUNT(*) FROM audit_rows WHERE organization = $1")
            .bind(organization.as_str())
            .fetch_one(&mut *connection)
            .await?;
        let rows = sqlx::query(
            "SELECT organization, id, at, action, resource_type, resource_id, actor, user_id, key_id, reason, \
             ip_address, user_agent, changes FROM audit_rows WHERE organization = $1 AND (at, id) < ($2, $3) \
             ORDER BY at DESC, id DESC LIMIT $4 OFFSET $5",
        )
        .bind(organization.as_str())
        .bind(bounds.at)
        .bind(bounds.id)
        .bind(bounds.limit)
        .bind(bounds.offset)
        .fetch_all(&mut *connection)
        .await?;
        page(request, &rows, total, read, |row| PageCursor {
            created_at: row.at,
            id: row.row.id.to_string(),
        })
    }
}

#[async_trait]
impl AuditRepository for Store {
    async fn record(
        &self,
        organization: &OrganizationId,
        row: NewAuditRow,
    ) -> Result<(), RepositoryError> {
        Ok(in_transaction!(self, tx => self.record_audit(&mut tx, organization, &row))?)
    }

    async fn list(
        &self,
        organization: &OrganizationId,
        page: &PageRequest,
    ) -> Result<Page<AuditRow>, RepositoryError> {
        Ok(self.list_audit(organization, page).await?)
    }
}
