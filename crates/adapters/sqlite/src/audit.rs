use std::mem::take;

use async_trait::async_trait;
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;
use wharf_domain::Timestamp;
use wharf_domain::audit::{
    Action, Actor, AuditFilter, AuditHash, AuditRow, AuditSettings, ChainHead, NewAuditRow, Origin,
    ResourceType, link_bytes,
};
use wharf_domain::event::{Announcement, ObjectChange, announce};
use wharf_domain::ids::{AuditId, BucketId, OrganizationId};
use wharf_ports::{AuditPage, AuditRepository, AuditSeal, ChainedRow, RepositoryError};

use crate::clock::{micros, micros_of};
use crate::error::Fault;
use crate::row::{Columns, json, number};
use crate::store::{Store, Tx, in_transaction};

/// A row that its transaction stores at its end, and what it announces.
pub(crate) struct Recorded {
    organization: OrganizationId,
    at: Timestamp,
    row: NewAuditRow,
    announcement: Option<Announcement>,
}

/// Records a change within the transaction that makes it.
pub(crate) fn store(tx: &mut Tx, organization: &OrganizationId, row: &NewAuditRow, at: Timestamp) {
    record(tx, organization, row, at, announce(row, None, Vec::new()));
}

/// Records a change of objects of a bucket.
pub(crate) fn store_with_objects(
    tx: &mut Tx,
    organization: &OrganizationId,
    row: &NewAuditRow,
    at: Timestamp,
    bucket: &BucketId,
    changes: Vec<ObjectChange>,
) {
    record(
        tx,
        organization,
        row,
        at,
        announce(row, Some(bucket), changes),
    );
}

fn record(
    tx: &mut Tx,
    organization: &OrganizationId,
    row: &NewAuditRow,
    at: Timestamp,
    announcement: Option<Announcement>,
) {
    tx.recorded.push(Recorded {
        organization: organization.clone(),
        at,
        row: row.clone(),
        announcement,
    });
}

/// Writes what a transaction has recorded, as its last act: each row linked to its organization's chain, with its event. The
/// order of the places is the order of the commits.
pub(crate) async fn append(tx: &mut Tx, seal: &dyn AuditSeal) -> Result<(), Fault> {
    let mut recorded = take(&mut tx.recorded);
    note_effect(tx, &recorded).await?;
    recorded.sort_by(|one, other| one.organization.cmp(&other.organization));
    for of_one in recorded.chunk_by(|one, other| one.organization == other.organization) {
        let organization = &of_one[0].organization;
        let mut head = head(tx, organization).await?.unwrap_or(ChainHead::EMPTY);
        for recorded in of_one {
            head = next_link(seal, organization, &head, recorded.at, &recorded.row);
            insert(tx, &head, recorded).await?;
            if let Some(announcement) = &recorded.announcement {
                insert_event(tx, &head, recorded, announcement).await?;
            }
        }
        move_head(tx, organization, &head).await?;
    }
    Ok(())
}

/// Notes on the request's claim what it has effected. A claim that somebody else holds by now undoes the transaction.
async fn note_effect(tx: &mut Tx, recorded: &[Recorded]) -> Result<(), Fault> {
    let first = recorded.iter().find_map(|recorded| {
        let claim = recorded.row.origin.claim.as_ref()?;
        Some((recorded, claim))
    });
    let Some((recorded, claim)) = first else {
        return Ok(());
    };
    let noted = sqlx::query(
        "UPDATE idempotency_claims SET effect_type = COALESCE(effect_type, $4), effect_id = COALESCE(effect_id, $5) \
         WHERE organization = $1 AND id = $2 AND attempt = $3",
    )
    .bind(recorded.organization.as_str())
    .bind(&claim.id)
    .bind(number(claim.attempt))
    .bind(recorded.row.resource_type.as_str())
    .bind(&recorded.row.resource_id)
    .execute(&mut **tx)
    .await?;
    if noted.rows_affected() == 0 {
        return Err(Fault::ClaimLost);
    }
    Ok(())
}

/// The place of a row behind `before`.
fn next_link(
    seal: &dyn AuditSeal,
    organization: &OrganizationId,
    before: &ChainHead,
    at: Timestamp,
    row: &NewAuditRow,
) -> ChainHead {
    ChainHead {
        position: before.position + 1,
        hash: seal.link(&link_bytes(organization, before, at, row)),
    }
}

async fn head(
    connection: &mut SqliteConnection,
    organization: &OrganizationId,
) -> Result<Option<ChainHead>, Fault> {
    sqlx::query("SELECT position, link FROM audit_heads WHERE organization = $1")
        .bind(organization.as_str())
        .fetch_optional(connection)
        .await?
        .as_ref()
        .map(|row| read_head(&Columns::of("audit_heads", row)))
        .transpose()
}

async fn move_head(
    tx: &mut Tx,
    organization: &OrganizationId,
    head: &ChainHead,
) -> Result<(), Fault> {
    sqlx::query(
        "INSERT INTO audit_heads (organization, position, link) VALUES ($1, $2, $3) \
         ON CONFLICT (organization) DO UPDATE SET position = excluded.position, link = excluded.link",
    )
    .bind(organization.as_str())
    .bind(number(head.position))
    .bind(head.hash.0.as_slice())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn insert(tx: &mut Tx, head: &ChainHead, recorded: &Recorded) -> Result<(), Fault> {
    let Recorded {
        organization,
        at,
        row,
        ..
    } = recorded;
    let (user, key) = match &row.origin.actor {
        Actor::User { user_id, key_id } => (Some(user_id), Some(key_id)),
        Actor::System | Actor::Operator => (None, None),
    };
    sqlx::query(
        "INSERT INTO audit_rows (organization, id, at, action, resource_type, resource_id, actor, user_id, key_id, \
         reason, ip_address, user_agent, changes, position, link) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
    )
    .bind(organization.as_str())
    .bind(row.id.as_str())
    .bind(micros(*at))
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
    .bind(number(head.position))
    .bind(head.hash.0.as_slice())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn insert_event(
    tx: &mut Tx,
    head: &ChainHead,
    recorded: &Recorded,
    announcement: &Announcement,
) -> Result<(), Fault> {
    sqlx::query(
        "INSERT INTO events (organization, position, link, audit, at, resource_type, resource_id, announcement) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(recorded.organization.as_str())
    .bind(number(head.position))
    .bind(head.hash.0.as_slice())
    .bind(recorded.row.id.as_str())
    .bind(micros(recorded.at))
    .bind(recorded.row.resource_type.as_str())
    .bind(&recorded.row.resource_id)
    .bind(json(announcement))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

fn read_head(columns: &Columns<'_>) -> Result<ChainHead, Fault> {
    let link = <[u8; 32]>::try_from(columns.get::<&[u8]>("link")?);
    Ok(ChainHead {
        position: columns.number("position")?,
        hash: AuditHash(link.map_err(|_| columns.corrupt("link", "is of another length"))?),
    })
}

fn read_new(columns: &Columns<'_>) -> Result<NewAuditRow, Fault> {
    let actor = match columns.get("actor")? {
        "user" => Actor::User {
            user_id: columns.get("user_id")?,
            key_id: columns.get("key_id")?,
        },
        "system" => Actor::System,
        "operator" => Actor::Operator,
        _ => return Err(columns.corrupt("actor", "does not read")),
    };
    Ok(NewAuditRow {
        id: columns.parse("id")?,
        action: columns.read("action", Action::parse)?,
        resource_type: columns.read("resource_type", ResourceType::parse)?,
        resource_id: columns.get("resource_id")?,
        origin: Origin {
            actor,
            reason: columns.get("reason")?,
            ip_address: columns.get("ip_address")?,
            user_agent: columns.get("user_agent")?,
            claim: None,
        },
        changes: columns.json("changes")?,
    })
}

fn read(row: &SqliteRow) -> Result<AuditRow, Fault> {
    let columns = Columns::of("audit_rows", row);
    Ok(AuditRow {
        organization: columns.parse("organization")?,
        at: columns.time("at")?,
        link: read_head(&columns)?,
        row: read_new(&columns)?,
    })
}

macro_rules! columns {
    () => {
        "organization, id, at, action, resource_type, resource_id, actor, user_id, key_id, reason, ip_address, \
         user_agent, changes, position, link"
    };
}

/// The rows of the chain that match. Which resource is wanted is a question of its own, because it has an index.
macro_rules! matching {
    ($index:literal, $resource:literal) => {
        concat!(
            " FROM audit_rows INDEXED BY ",
            $index,
            " WHERE organization = $1 AND position > 0 AND position < $2 AND ",
            $resource,
            " AND ($4 IS NULL OR resource_type = $4) AND ($5 IS NULL OR COALESCE(user_id, actor) = $5) \
             AND ($6 IS NULL OR action = $6) AND ($7 IS NULL OR at >= $7) AND ($8 IS NULL OR at <= $8)"
        )
    };
}

macro_rules! list {
    ($index:literal, $resource:literal) => {
        concat!(
            "SELECT ",
            columns!(),
            matching!($index, $resource),
            " ORDER BY position DESC LIMIT $9 OFFSET $10"
        )
    };
}

/// A page of those that match, of whatever resource.
pub(crate) const LIST: &str = list!("audit_rows_position", "$3 IS NULL");
/// A page of those of one resource.
pub(crate) const LIST_OF: &str = list!("audit_rows_resource", "resource_id = $3");
/// How many match.
pub(crate) const COUNT: &str = concat!(
    "SELECT COUNT(*)",
    matching!("audit_rows_position", "$3 IS NULL")
);
pub(crate) const COUNT_OF: &str = concat!(
    "SELECT COUNT(*)",
    matching!("audit_rows_resource", "resource_id = $3")
);

/// The chain behind a place.
pub(crate) const CHAIN: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM audit_rows WHERE organization = $1 AND position > $2 ORDER BY position LIMIT $3"
);

/// An organization whose rows were stored before there were chains: the migration has set its head to the start, and no row
/// has a place.
const UNCHAINED_ORGANIZATION: &str = "SELECT organization FROM audit_heads h WHERE position = 0 \
     AND EXISTS (SELECT 1 FROM audit_rows r WHERE r.organization = h.organization AND r.position IS NULL) \
     AND NOT EXISTS (SELECT 1 FROM audit_rows r WHERE r.organization = h.organization AND r.position IS NOT NULL) LIMIT 1";

/// Its rows, oldest first.
pub(crate) const UNCHAINED: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM audit_rows WHERE organization = $1 AND position IS NULL ORDER BY at, id LIMIT $2"
);

/// Rows that are read at a time while they are adopted.
const ADOPTED_AT_ONCE: u32 = 1000;

/// A row of the chain, whatever became of it.
fn read_chained(row: &SqliteRow) -> ChainedRow {
    let columns = Columns::of("audit_rows", row);
    // Without a place, or with one below the first: such a row stands before the chain.
    let position = columns.number("position").unwrap_or(0);
    ChainedRow {
        id: columns.get("id").unwrap_or_default(),
        link: read_head(&columns).unwrap_or(ChainHead {
            position,
            hash: AuditHash::START,
        }),
        row: read(row).ok(),
    }
}

impl Store {
    async fn record_audit(
        &self,
        tx: &mut Tx,
        organization: &OrganizationId,
        row: &NewAuditRow,
    ) -> Result<(), Fault> {
        let now = self.now(tx).await?;
        store(tx, organization, row, now);
        Ok(())
    }

    async fn find_audit(
        &self,
        organization: &OrganizationId,
        id: &AuditId,
    ) -> Result<Option<AuditRow>, Fault> {
        sqlx::query(concat!(
            "SELECT ",
            columns!(),
            " FROM audit_rows WHERE organization = $1 AND id = $2 AND position > 0"
        ))
        .bind(organization.as_str())
        .bind(id.as_str())
        .fetch_optional(&self.reads)
        .await?
        .as_ref()
        .map(read)
        .transpose()
    }

    async fn count_audit(
        &self,
        organization: &OrganizationId,
        filter: &AuditFilter,
    ) -> Result<u64, Fault> {
        let statement = if filter.resource_id.is_some() {
            COUNT_OF
        } else {
            COUNT
        };
        let total: i64 = sqlx::query_scalar(statement)
            .bind(organization.as_str())
            .bind(i64::MAX)
            .bind(&filter.resource_id)
            .bind(&filter.resource_type)
            .bind(&filter.actor_id)
            .bind(&filter.action)
            .bind(micros_of(filter.start))
            .bind(micros_of(filter.end))
            .fetch_one(&self.reads)
            .await?;
        Ok(u64::try_from(total).unwrap_or(0))
    }

    async fn audit_before(
        &self,
        organization: &OrganizationId,
        filter: &AuditFilter,
        position: Option<u64>,
        limit: u32,
        skip: u64,
    ) -> Result<Vec<AuditRow>, Fault> {
        let statement = if filter.resource_id.is_some() {
            LIST_OF
        } else {
            LIST
        };
        sqlx::query(statement)
            .bind(organization.as_str())
            .bind(position.map_or(i64::MAX, number))
            .bind(&filter.resource_id)
            .bind(&filter.resource_type)
            .bind(&filter.actor_id)
            .bind(&filter.action)
            .bind(micros_of(filter.start))
            .bind(micros_of(filter.end))
            .bind(limit)
            .bind(number(skip))
            .fetch_all(&self.reads)
            .await?
            .iter()
            .map(read)
            .collect()
    }

    async fn audit_settings(&self, organization: &OrganizationId) -> Result<AuditSettings, Fault> {
        let reads: Option<bool> =
            sqlx::query_scalar("SELECT read_auditing FROM organizations WHERE id = $1")
                .bind(organization.as_str())
                .fetch_optional(&self.reads)
                .await?;
        Ok(AuditSettings {
            read_auditing_enabled: reads.unwrap_or(false),
        })
    }

    async fn change_audit_settings(
        &self,
        tx: &mut Tx,
        organization: &OrganizationId,
        settings: AuditSettings,
        audit: &NewAuditRow,
    ) -> Result<(), Fault> {
        let changed = sqlx::query(
            "UPDATE organizations SET read_auditing = $2 WHERE id = $1 AND read_auditing <> $2",
        )
        .bind(organization.as_str())
        .bind(settings.read_auditing_enabled)
        .execute(&mut **tx)
        .await?;
        if changed.rows_affected() > 0 {
            let now = self.now(tx).await?;
            store(tx, organization, audit, now);
        }
        Ok(())
    }

    async fn audit_head(&self, organization: &OrganizationId) -> Result<ChainHead, Fault> {
        let mut connection = self.read().await?;
        let head = head(&mut connection, organization).await?;
        Ok(head.unwrap_or(ChainHead::EMPTY))
    }

    async fn audit_chain(
        &self,
        organization: &OrganizationId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<ChainedRow>, Fault> {
        let from_the_start = after == 0;
        if from_the_start {
            let placeless = sqlx::query(UNCHAINED)
                .bind(organization.as_str())
                .bind(limit)
                .fetch_all(&self.reads)
                .await?;
            if !placeless.is_empty() {
                return Ok(placeless.iter().map(read_chained).collect());
            }
        }
        let rows = sqlx::query(CHAIN)
            .bind(organization.as_str())
            .bind(if from_the_start {
                i64::MIN
            } else {
                number(after)
            })
            .bind(limit)
            .fetch_all(&self.reads)
            .await?;
        Ok(rows.iter().map(read_chained).collect())
    }

    /// Whether [`adopt_next`](Self::adopt_next) has something to do.
    pub(crate) async fn has_unchained(&self) -> Result<bool, Fault> {
        let organization = sqlx::query(UNCHAINED_ORGANIZATION)
            .fetch_optional(&self.reads)
            .await?;
        Ok(organization.is_some())
    }

    /// Links the rows of one organization that were stored before rows were linked, oldest first: one that the migration has
    /// found, and that has no chain yet. Elsewhere a row without a place stays without. Whether there was such an organization.
    pub(crate) async fn adopt_next(&self, tx: &mut Tx) -> Result<bool, Fault> {
        let organization = sqlx::query(UNCHAINED_ORGANIZATION)
            .fetch_optional(&mut **tx)
            .await?;
        let Some(organization) = organization else {
            return Ok(false);
        };
        let organization: OrganizationId =
            Columns::of("audit_heads", &organization).parse("organization")?;
        let mut head = ChainHead::EMPTY;
        loop {
            let rows = sqlx::query(UNCHAINED)
                .bind(organization.as_str())
                .bind(ADOPTED_AT_ONCE)
                .fetch_all(&mut **tx)
                .await?;
            if rows.is_empty() {
                break;
            }
            for row in &rows {
                let columns = Columns::of("audit_rows", row);
                let (at, row) = (columns.time("at")?, read_new(&columns)?);
                head = next_link(&*self.seal, &organization, &head, at, &row);
                sqlx::query("UPDATE audit_rows SET position = $3, link = $4 WHERE organization = $1 AND id = $2")
                    .bind(organization.as_str())
                    .bind(row.id.as_str())
                    .bind(number(head.position))
                    .bind(head.hash.0.as_slice())
                    .execute(&mut **tx)
                    .await?;
            }
        }
        move_head(tx, &organization, &head).await?;
        // Expected once. Somebody may want to know who made it look as if it were the first time.
        tracing::warn!(%organization, rows = head.position, "linked the audit rows of an earlier version");
        Ok(true)
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

    async fn find(
        &self,
        organization: &OrganizationId,
        id: &AuditId,
    ) -> Result<Option<AuditRow>, RepositoryError> {
        Ok(self.find_audit(organization, id).await?)
    }

    async fn list(
        &self,
        organization: &OrganizationId,
        filter: &AuditFilter,
        skip: u64,
        limit: u32,
    ) -> Result<AuditPage, RepositoryError> {
        Ok(AuditPage {
            rows: self
                .audit_before(organization, filter, None, limit, skip)
                .await?,
            total: self.count_audit(organization, filter).await?,
        })
    }

    async fn before(
        &self,
        organization: &OrganizationId,
        filter: &AuditFilter,
        position: Option<u64>,
        limit: u32,
    ) -> Result<Vec<AuditRow>, RepositoryError> {
        Ok(self
            .audit_before(organization, filter, position, limit, 0)
            .await?)
    }

    async fn settings(
        &self,
        organization: &OrganizationId,
    ) -> Result<AuditSettings, RepositoryError> {
        Ok(self.audit_settings(organization).await?)
    }

    async fn change_settings(
        &self,
        organization: &OrganizationId,
        settings: AuditSettings,
        audit: NewAuditRow,
    ) -> Result<(), RepositoryError> {
        Ok(
            in_transaction!(self, tx => self.change_audit_settings(&mut tx, organization, settings, &audit))?,
        )
    }

    async fn head(&self, organization: &OrganizationId) -> Result<ChainHead, RepositoryError> {
        Ok(self.audit_head(organization).await?)
    }

    async fn chain(
        &self,
        organization: &OrganizationId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<ChainedRow>, RepositoryError> {
        Ok(self.audit_chain(organization, after, limit).await?)
    }
}
