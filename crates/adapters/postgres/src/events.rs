use async_trait::async_trait;
use sqlx::PgConnection;
use sqlx::postgres::PgRow;
use wharf_domain::audit::{AuditHash, ChainHead, ResourceType};
use wharf_domain::event::{EventCursor, EventId, OutboxEntry};
use wharf_domain::ids::{AuditId, OrganizationId};
use wharf_ports::{EventRepository, RepositoryError};

use crate::error::Fault;
use crate::row::{Columns, number};
use crate::store::Store;

macro_rules! columns {
    () => {
        "SELECT organization, position, link, audit, at, resource_type, resource_id, announcement FROM events "
    };
}

/// From this place on.
pub(crate) const FROM: &str = concat!(
    columns!(),
    "WHERE organization = $1 AND position >= $2 ORDER BY position LIMIT $3"
);

/// Before this place, backwards.
pub(crate) const BEFORE: &str = concat!(
    columns!(),
    "WHERE organization = $1 AND position < $2 ORDER BY position DESC LIMIT $3"
);

/// Those that follow from these audit rows.
pub(crate) const OF_ROWS: &str = concat!(columns!(), "WHERE organization = $1 AND audit = ANY($2)");

fn read(row: &PgRow) -> Result<OutboxEntry, Fault> {
    let columns = Columns::of("events", row);
    let link: Vec<u8> = columns.get("link")?;
    let hash = <[u8; 32]>::try_from(link).map_err(|_| columns.corrupt("link", "does not read"))?;
    Ok(OutboxEntry {
        organization: columns.parse("organization")?,
        audit: columns.parse("audit")?,
        head: ChainHead {
            position: columns.number("position")?,
            hash: AuditHash(hash),
        },
        at: columns.time("at")?,
        resource_type: columns.read("resource_type", ResourceType::parse)?,
        resource_id: columns.get("resource_id")?,
        announcement: columns.json("announcement")?,
    })
}

async fn from(
    connection: &mut PgConnection,
    organization: &OrganizationId,
    position: u64,
    limit: i64,
) -> Result<Vec<OutboxEntry>, Fault> {
    sqlx::query(FROM)
        .bind(organization.as_str())
        .bind(number(position))
        .bind(limit)
        .fetch_all(connection)
        .await?
        .iter()
        .map(read)
        .collect()
}

/// At most `limit` entries that a subscriber who stands here has not got wholly.
pub(crate) async fn behind(
    connection: &mut PgConnection,
    organization: &OrganizationId,
    cursor: EventCursor,
    limit: u32,
) -> Result<Vec<OutboxEntry>, Fault> {
    let limit = i64::from(limit);
    // The entry that the cursor stands in may have events left.
    let mut entries = from(connection, organization, cursor.position, limit + 1).await?;
    entries.retain(|entry| {
        entry.head.position > cursor.position || !entry.events_after(cursor).is_empty()
    });
    entries.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(entries)
}

/// The entries that these events are in, as far as the outbox still has them.
pub(crate) async fn holding(
    connection: &mut PgConnection,
    organization: &OrganizationId,
    events: &[EventId],
) -> Result<Vec<OutboxEntry>, Fault> {
    let rows: Vec<String> = events
        .iter()
        .map(|event| event.audit_id().to_string())
        .collect();
    sqlx::query(OF_ROWS)
        .bind(organization.as_str())
        .bind(&rows)
        .fetch_all(connection)
        .await?
        .iter()
        .map(read)
        .collect()
}

impl Store {
    async fn events_after(
        &self,
        organization: &OrganizationId,
        position: u64,
        limit: u32,
    ) -> Result<Vec<OutboxEntry>, Fault> {
        let mut reader = self.read(organization).await?;
        let next = position.saturating_add(1);
        from(&mut reader, organization, next, i64::from(limit)).await
    }

    async fn events_before(
        &self,
        organization: &OrganizationId,
        position: Option<u64>,
        limit: u32,
    ) -> Result<Vec<OutboxEntry>, Fault> {
        let mut reader = self.read(organization).await?;
        sqlx::query(BEFORE)
            .bind(organization.as_str())
            .bind(position.map_or(i64::MAX, number))
            .bind(i64::from(limit))
            .fetch_all(&mut *reader)
            .await?
            .iter()
            .map(read)
            .collect()
    }

    async fn event_of(
        &self,
        organization: &OrganizationId,
        audit: &AuditId,
    ) -> Result<Option<OutboxEntry>, Fault> {
        let mut reader = self.read(organization).await?;
        sqlx::query(OF_ROWS)
            .bind(organization.as_str())
            .bind([audit.as_str()])
            .fetch_optional(&mut *reader)
            .await?
            .as_ref()
            .map(read)
            .transpose()
    }
}

#[async_trait]
impl EventRepository for Store {
    async fn after(
        &self,
        organization: &OrganizationId,
        position: u64,
        limit: u32,
    ) -> Result<Vec<OutboxEntry>, RepositoryError> {
        Ok(self.events_after(organization, position, limit).await?)
    }

    async fn before(
        &self,
        organization: &OrganizationId,
        position: Option<u64>,
        limit: u32,
    ) -> Result<Vec<OutboxEntry>, RepositoryError> {
        Ok(self.events_before(organization, position, limit).await?)
    }

    async fn find(
        &self,
        organization: &OrganizationId,
        audit: &AuditId,
    ) -> Result<Option<OutboxEntry>, RepositoryError> {
        Ok(self.event_of(organization, audit).await?)
    }
}
