use std::collections::BTreeMap;
use std::mem;

use async_trait::async_trait;
use sqlx::PgConnection;
use sqlx::postgres::PgRow;
use wharf_domain::Timestamp;
use wharf_domain::audit::{
    Action, Actor, AuditFilter, AuditHash, AuditRow, AuditSettings, ChainHead, NewAuditRow, Origin,
    ResourceType, link_bytes,
};
use wharf_domain::event::{Announcement, ObjectChange, announce};
use wharf_domain::ids::{AuditId, BucketId, OrganizationId};
use wharf_ports::{AuditPage, AuditRepository, AuditSeal, ChainedRow, RepositoryError};

use crate::error::Fault;
use crate::row::{Columns, json, number};
use crate::store::{ACROSS, Store, Tx, in_transaction};

/// An audit row that its transaction has still to write, and what it announces.
pub(crate) struct Recorded {
    organization: OrganizationId,
    row: NewAuditRow,
    at: Timestamp,
    announcement: Option<Announcement>,
}

/// Stores a row within the transaction of the change that it records: it goes in at the end.
pub(crate) fn store(tx: &mut Tx, organization: &OrganizationId, row: &NewAuditRow, at: Timestamp) {
    record(tx, organization, row, at, announce(row, None, Vec::new()));
}

/// The same for a step that changes objects of a bucket; the changes are announced instead.
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
        row: row.clone(),
        at,
        announcement,
    });
}

/// Writes what a transaction has recorded, as its last act: whoever waits for the head of an organization's chain waits for no
/// more than a commit, holds no other head that somebody before it in the order waits for, and the order of the places is the
/// order of the commits.
pub(crate) async fn append(tx: &mut Tx, seal: &dyn AuditSeal) -> Result<(), Fault> {
    let recorded = mem::take(&mut tx.recorded);
    note_effect(tx, &recorded).await?;
    let mut chains: BTreeMap<OrganizationId, Vec<Recorded>> = BTreeMap::new();
    for row in recorded {
        chains
            .entry(row.organization.clone())
            .or_default()
            .push(row);
    }
    for (organization, rows) in chains {
        let (mut head, mut latest) = lock_head(tx, &organization).await?;
        let mut linked = Vec::with_capacity(rows.len());
        for mut row in rows {
            row.at = latest.map_or(row.at, |latest| latest.max(row.at));
            latest = Some(row.at);
            head = next_link(seal, &organization, &head, row.at, &row.row);
            linked.push((head, row));
        }
        insert_rows(tx, &organization, &linked).await?;
        insert_events(tx, &organization, &linked).await?;
        move_head(tx, &organization, &head, latest).await?;
    }
    Ok(())
}

/// Notes on the request's claim what it has effected, and holds on to it until the commit: once the claim was taken over, this
/// request may effect nothing any more.
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

/// The head of the organization's chain and the time of its newest row, locked until the transaction ends.
pub(crate) async fn lock_head(
    tx: &mut PgConnection,
    organization: &OrganizationId,
) -> Result<(ChainHead, Option<Timestamp>), Fault> {
    const LOCK: &str =
        "SELECT position, link, at FROM audit_heads WHERE organization = $1 FOR NO KEY UPDATE";
    let read = |row: &PgRow| {
        let latest = Columns::of("audit_heads", row).time_optional("at")?;
        Ok((read_head("audit_heads", row)?, latest))
    };
    let row = sqlx::query(LOCK)
        .bind(organization.as_str())
        .fetch_optional(&mut *tx)
        .await?;
    if let Some(row) = row {
        return read(&row);
    }
    // The very first row. Of two transactions at once, the second waits here for the first.
    sqlx::query(
        "INSERT INTO audit_heads (organization, position, link) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
    )
    .bind(organization.as_str())
    .bind(number(ChainHead::EMPTY.position))
    .bind(ChainHead::EMPTY.hash.0.as_slice())
    .execute(&mut *tx)
    .await?;
    let row = sqlx::query(LOCK)
        .bind(organization.as_str())
        .fetch_one(tx)
        .await?;
    read(&row)
}

/// Where the chain stands with one more row.
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

type Linked = (ChainHead, Recorded);

fn each<'a, T>(linked: &'a [Linked], column: impl Fn(&'a ChainHead, &'a Recorded) -> T) -> Vec<T> {
    let values = linked.iter().map(|(link, recorded)| column(link, recorded));
    values.collect()
}

async fn insert_rows(
    tx: &mut PgConnection,
    organization: &OrganizationId,
    linked: &[Linked],
) -> Result<(), Fault> {
    let ids = |row: &Recorded| match &row.row.origin.actor {
        Actor::User { user_id, key_id } => (Some(user_id.clone()), Some(key_id.clone())),
        Actor::System | Actor::Operator => (None, None),
    };
    sqlx::query(
        "INSERT INTO audit_rows (organization, id, at, action, resource_type, resource_id, actor, user_id, key_id, \
         reason, ip_address, user_agent, changes, position, link) \
         SELECT $1, it.* FROM UNNEST($2::text[], $3::timestamptz[], $4::text[], $5::text[], $6::text[], $7::text[], \
         $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::bigint[], $15::bytea[]) AS it",
    )
    .bind(organization.as_str())
    .bind(each(linked, |_, it| it.row.id.as_str()))
    .bind(each(linked, |_, it| it.at))
    .bind(each(linked, |_, it| it.row.action.as_str()))
    .bind(each(linked, |_, it| it.row.resource_type.as_str()))
    .bind(each(linked, |_, it| it.row.resource_id.as_str()))
    .bind(each(linked, |_, it| it.row.origin.actor.kind()))
    .bind(each(linked, |_, it| ids(it).0))
    .bind(each(linked, |_, it| ids(it).1))
    .bind(each(linked, |_, it| it.row.origin.reason.as_deref()))
    .bind(each(linked, |_, it| it.row.origin.ip_address.as_deref()))
    .bind(each(linked, |_, it| it.row.origin.user_agent.as_deref()))
    .bind(each(linked, |_, it| json(&it.row.changes)))
    .bind(each(linked, |link, _| number(link.position)))
    .bind(each(linked, |link, _| link.hash.0.as_slice()))
    .execute(tx)
    .await?;
    Ok(())
}

async fn insert_events(
    tx: &mut PgConnection,
    organization: &OrganizationId,
    linked: &[Linked],
) -> Result<(), Fault> {
    for (link, recorded) in linked {
        let Some(announcement) = &recorded.announcement else {
            continue;
        };
        sqlx::query(
            "INSERT INTO events (organization, position, link, audit, at, resource_type, resource_id, announcement) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(organization.as_str())
        .bind(number(link.position))
        .bind(link.hash.0.as_slice())
        .bind(recorded.row.id.as_str())
        .bind(recorded.at)
        .bind(recorded.row.resource_type.as_str())
        .bind(&recorded.row.resource_id)
        .bind(json(announcement))
        .execute(&mut *tx)
        .await?;
    }
    Ok(())
}

async fn move_head(
    tx: &mut PgConnection,
    organization: &OrganizationId,
    head: &ChainHead,
    latest: Option<Timestamp>,
) -> Result<(), Fault> {
    sqlx::query("UPDATE audit_heads SET position = $2, link = $3, at = $4 WHERE organization = $1")
        .bind(organization.as_str())
        .bind(number(head.position))
        .bind(head.hash.0.as_slice())
        .bind(latest)
        .execute(tx)
        .await?;
    Ok(())
}

macro_rules! columns {
    () => {
        "organization, id, at, action, resource_type, resource_id, actor, user_id, key_id, reason, ip_address, \
         user_agent, changes, position, link"
    };
}

macro_rules! matching {
    () => {
        " FROM audit_rows WHERE organization = $1 AND position > 0 AND ($2::text IS NULL OR resource_type = $2) \
         AND ($3::text IS NULL OR resource_id = $3) AND ($4::text IS NULL OR COALESCE(user_id, actor) = $4) \
         AND ($5::text IS NULL OR action = $5) AND ($6::timestamptz IS NULL OR at >= $6) \
         AND ($7::timestamptz IS NULL OR at <= $7)"
    };
}

fn read_head(table: &'static str, row: &PgRow) -> Result<ChainHead, Fault> {
    let columns = Columns::of(table, row);
    let link: Vec<u8> = columns.get("link")?;
    let hash = link.try_into().map(AuditHash);
    Ok(ChainHead {
        position: columns.number("position")?,
        hash: hash.map_err(|_| columns.corrupt("link", "is of another length"))?,
    })
}

fn read_new(row: &PgRow) -> Result<NewAuditRow, Fault> {
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

fn read(row: &PgRow) -> Result<AuditRow, Fault> {
    let columns = Columns::of("audit_rows", row);
    Ok(AuditRow {
        organization: columns.parse("organization")?,
        at: columns.time("at")?,
        link: read_head("audit_rows", row)?,
        row: read_new(row)?,
    })
}

/// A row of the chain, whatever its other columns say.
fn read_chained(row: &PgRow) -> Result<ChainedRow, Fault> {
    let columns = Columns::of("audit_rows", row);
    let link = columns.get::<Option<Vec<u8>>>("link")?;
    let hash = link.and_then(|link| link.try_into().ok()).map(AuditHash);
    Ok(ChainedRow {
        id: columns.get("id")?,
        link: ChainHead {
            // Without a place, or with one below the first: such a row stands before the chain.
            position: columns.number("position").unwrap_or(0),
            // A link that is none fits to no row.
            hash: hash.unwrap_or(AuditHash::START),
        },
        row: read(row).ok(),
    })
}

/// An organization whose rows were stored before there were chains: the migration has set its head to the start, and no row
/// has a place.
const UNCHAINED_ORGANIZATION: &str = "SELECT organization FROM audit_heads h WHERE position = 0 \
     AND EXISTS (SELECT 1 FROM audit_rows r WHERE r.organization = h.organization AND r.position IS NULL) \
     AND NOT EXISTS (SELECT 1 FROM audit_rows r WHERE r.organization = h.organization AND r.position IS NOT NULL) LIMIT 1";

/// Its rows, oldest first.
const UNCHAINED: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM audit_rows WHERE organization = $1 AND position IS NULL ORDER BY at, id LIMIT $2"
);

/// Rows that are read at a time while they are adopted.
const ADOPTED_AT_ONCE: i64 = 1000;

/// The conditions of [`matching`], with times as the server can take them: every row is later than 1970.
macro_rules! bind_filter {
    ($query:expr, $organization:expr, $filter:expr) => {
        $query
            .bind($organization.as_str())
            .bind(&$filter.resource_type)
            .bind(&$filter.resource_id)
            .bind(&$filter.actor_id)
            .bind(&$filter.action)
            .bind($filter.start.map(|start| start.max(Timestamp::UNIX_EPOCH)))
            .bind($filter.end.map(|end| end.max(Timestamp::UNIX_EPOCH)))
    };
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

    async fn find_audit_row(
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
        .fetch_optional(&mut *self.read(organization).await?)
        .await?
        .as_ref()
        .map(read)
        .transpose()
    }

    async fn list_audit(
        &self,
        organization: &OrganizationId,
        filter: &AuditFilter,
        skip: u64,
        limit: u32,
    ) -> Result<AuditPage, Fault> {
        let mut connection = self.read(organization).await?;
        let count = sqlx::query(concat!("SELECT COUNT(*) AS count", matching!()));
        let count = bind_filter!(count, organization, filter)
            .fetch_one(&mut *connection)
            .await?;
        let rows = sqlx::query(concat!(
            "SELECT ",
            columns!(),
            matching!(),
            " ORDER BY position DESC LIMIT $8 OFFSET $9"
        ));
        let rows = bind_filter!(rows, organization, filter)
            .bind(i64::from(limit))
            .bind(number(skip))
            .fetch_all(&mut *connection)
            .await?;
        Ok(AuditPage {
            rows: rows.iter().map(read).collect::<Result<_, _>>()?,
            total: Columns::of("audit_rows", &count).number("count")?,
        })
    }

    async fn audit_before(
        &self,
        organization: &OrganizationId,
        filter: &AuditFilter,
        position: Option<u64>,
        limit: u32,
    ) -> Result<Vec<AuditRow>, Fault> {
        let rows = sqlx::query(concat!(
            "SELECT ",
            columns!(),
            matching!(),
            " AND position < $8 ORDER BY position DESC LIMIT $9"
        ));
        bind_filter!(rows, organization, filter)
            .bind(position.map_or(i64::MAX, number))
            .bind(i64::from(limit))
            .fetch_all(&mut *self.read(organization).await?)
            .await?
            .iter()
            .map(read)
            .collect()
    }

    async fn audit_settings(&self, organization: &OrganizationId) -> Result<AuditSettings, Fault> {
        let enabled = sqlx::query_scalar("SELECT read_auditing FROM organizations WHERE id = $1")
            .bind(organization.as_str())
            .fetch_optional(&mut *self.read(organization).await?)
            .await?;
        Ok(AuditSettings {
            read_auditing_enabled: enabled.unwrap_or_default(),
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

    async fn chain_head(&self, organization: &OrganizationId) -> Result<ChainHead, Fault> {
        let head = sqlx::query("SELECT position, link FROM audit_heads WHERE organization = $1")
            .bind(organization.as_str())
            .fetch_optional(&mut *self.read(organization).await?)
            .await?;
        head.map_or(Ok(ChainHead::EMPTY), |row| read_head("audit_heads", &row))
    }

    async fn chained_rows(
        &self,
        organization: &OrganizationId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<ChainedRow>, Fault> {
        let mut connection = self.read(organization).await?;
        let from_the_start = after == 0;
        if from_the_start {
            let placeless = sqlx::query(UNCHAINED)
                .bind(organization.as_str())
                .bind(i64::from(limit))
                .fetch_all(&mut *connection)
                .await?;
            if !placeless.is_empty() {
                return placeless.iter().map(read_chained).collect();
            }
        }
        sqlx::query(concat!(
            "SELECT ",
            columns!(),
            " FROM audit_rows WHERE organization = $1 AND position > $2 ORDER BY position LIMIT $3"
        ))
        .bind(organization.as_str())
        .bind(if from_the_start {
            i64::MIN
        } else {
            number(after)
        })
        .bind(i64::from(limit))
        .fetch_all(&mut *connection)
        .await?
        .iter()
        .map(read_chained)
        .collect()
    }

    /// Whether [`adopt_next`](Self::adopt_next) has something to do.
    pub(crate) async fn has_unchained(&self) -> Result<bool, Fault> {
        let organization = sqlx::query(UNCHAINED_ORGANIZATION)
            .fetch_optional(&mut *self.read(ACROSS).await?)
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
        let (mut head, latest) = lock_head(tx, &organization).await?;
        if head != ChainHead::EMPTY {
            // Another process was faster.
            return Ok(true);
        }
        while self.adopt_some(tx, &organization, &mut head).await? {}
        move_head(tx, &organization, &head, latest).await?;
        // Expected once. Somebody may want to know who made it look as if it were the first time.
        tracing::warn!(%organization, rows = head.position, "linked the audit rows of an earlier version");
        Ok(true)
    }

    async fn adopt_some(
        &self,
        tx: &mut PgConnection,
        organization: &OrganizationId,
        head: &mut ChainHead,
    ) -> Result<bool, Fault> {
        let rows = sqlx::query(UNCHAINED)
            .bind(organization.as_str())
            .bind(ADOPTED_AT_ONCE)
            .fetch_all(&mut *tx)
            .await?;
        let (mut ids, mut positions, mut links) = (Vec::new(), Vec::new(), Vec::new());
        for row in &rows {
            let (at, new) = (Columns::of("audit_rows", row).time("at")?, read_new(row)?);
            *head = next_link(&*self.seal, organization, head, at, &new);
            ids.push(new.id.to_string());
            positions.push(number(head.position));
            links.push(head.hash.0.to_vec());
        }
        sqlx::query(
            "UPDATE audit_rows a SET position = it.position, link = it.link \
             FROM UNNEST($2::text[], $3::bigint[], $4::bytea[]) AS it (id, position, link) \
             WHERE a.organization = $1 AND a.id = it.id",
        )
        .bind(organization.as_str())
        .bind(ids)
        .bind(positions)
        .bind(links)
        .execute(tx)
        .await?;
        Ok(!rows.is_empty())
    }
}

#[async_trait]
impl AuditRepository for Store {
    async fn record(
        &self,
        organization: &OrganizationId,
        row: NewAuditRow,
    ) -> Result<(), RepositoryError> {
        Ok(
            in_transaction!(self, organization, tx => self.record_audit(&mut tx, organization, &row))?,
        )
    }

    async fn find(
        &self,
        organization: &OrganizationId,
        id: &AuditId,
    ) -> Result<Option<AuditRow>, RepositoryError> {
        Ok(self.find_audit_row(organization, id).await?)
    }

    async fn list(
        &self,
        organization: &OrganizationId,
        filter: &AuditFilter,
        skip: u64,
        limit: u32,
    ) -> Result<AuditPage, RepositoryError> {
        Ok(self.list_audit(organization, filter, skip, limit).await?)
    }

    async fn before(
        &self,
        organization: &OrganizationId,
        filter: &AuditFilter,
        position: Option<u64>,
        limit: u32,
    ) -> Result<Vec<AuditRow>, RepositoryError> {
        Ok(self
            .audit_before(organization, filter, position, limit)
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
            in_transaction!(self, organization, tx => self.change_audit_settings(&mut tx, organization, settings, &audit))?,
        )
    }

    async fn head(&self, organization: &OrganizationId) -> Result<ChainHead, RepositoryError> {
        Ok(self.chain_head(organization).await?)
    }

    async fn chain(
        &self,
        organization: &OrganizationId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<ChainedRow>, RepositoryError> {
        Ok(self.chained_rows(organization, after, limit).await?)
    }
}
