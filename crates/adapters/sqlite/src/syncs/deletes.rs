//! Held deletes: rows that a complete pass has found missing, until a person or a second pass decides.

use wharf_domain::Timestamp;
use wharf_domain::audit::NewAuditRow;
use wharf_domain::ids::{BucketId, OrganizationId, SyncId};

use super::of_bucket;
use crate::clock::micros;
use crate::error::Fault;
use crate::store::{Store, Tx};
use crate::{audit, objects};

/// The rows that wait.
macro_rules! waiting {
    () => {
        " FROM catalogue WHERE organization = $1 AND sync = $2 AND missing_pass IS NOT NULL AND missing_since IS NOT NULL"
    };
}

pub(crate) const COUNT_WAITING: &str = concat!("SELECT COUNT(*)", waiting!());

pub(crate) const DROP_WAITING: &str = concat!(
    "DELETE FROM catalogue WHERE organization = $1 AND sync = $2 AND (authority, source_object) IN \
     (SELECT authority, source_object",
    waiting!(),
    " LIMIT $3) RETURNING object"
);

pub(crate) const TELL_RELEASED: &str = concat!(
    "UPDATE syncs SET held_deletes = NULL, updated_at = $3 WHERE organization = $1 AND id = $2 \
     AND held_deletes IS NOT NULL AND NOT EXISTS (SELECT 1",
    waiting!(),
    ")"
);

/// How many deletes of the sync wait.
pub(crate) async fn count_waiting(
    tx: &mut Tx,
    organization: &OrganizationId,
    sync: &SyncId,
) -> Result<u64, Fault> {
    let count: i64 = sqlx::query_scalar(COUNT_WAITING)
        .bind(organization.as_str())
        .bind(sync.as_str())
        .fetch_one(&mut **tx)
        .await?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// Tells people that no delete waits any more, if that is so.
pub(crate) async fn tell_released(
    tx: &mut Tx,
    organization: &OrganizationId,
    sync: &SyncId,
    now: Timestamp,
) -> Result<(), Fault> {
    sqlx::query(TELL_RELEASED)
        .bind(organization.as_str())
        .bind(sync.as_str())
        .bind(micros(now))
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Takes at most `limit` rows that wait out of the catalogue. Returns what they held on to.
async fn drop_waiting(
    tx: &mut Tx,
    organization: &OrganizationId,
    sync: &SyncId,
    limit: u32,
    now: Timestamp,
) -> Result<Vec<String>, Fault> {
    let objects = sqlx::query_scalar(DROP_WAITING)
        .bind(organization.as_str())
        .bind(sync.as_str())
        .bind(limit)
        .fetch_all(&mut **tx)
        .await?;
    tell_released(tx, organization, sync, now).await?;
    Ok(objects)
}

impl Store {
    pub(super) async fn approve_step(
        &self,
        tx: &mut Tx,
        organization: &OrganizationId,
        bucket: &BucketId,
        sync: &SyncId,
        limit: u32,
        audit: NewAuditRow,
    ) -> Result<Option<u64>, Fault> {
        let now = self.now(tx).await?;
        let found = of_bucket(tx, organization, bucket, sync, now).await?;
        if found.is_none() {
            return Ok(None);
        }
        let objects = drop_waiting(tx, organization, sync, limit, now).await?;
        if !objects.is_empty() {
            let buried = objects::bury_unheld(tx, organization, &objects, now).await?;
            let row = audit.with("deleted", buried.len());
            audit::store_with_objects(tx, organization, &row, now, bucket, buried);
        }
        Ok(Some(objects.len() as u64))
    }

    pub(super) async fn discard_step(
        &self,
        tx: &mut Tx,
        organization: &OrganizationId,
        bucket: &BucketId,
        sync: &SyncId,
        limit: u32,
        audit: NewAuditRow,
    ) -> Result<Option<u64>, Fault> {
        let now = self.now(tx).await?;
        let found = of_bucket(tx, organization, bucket, sync, now).await?;
        if found.is_none() {
            return Ok(None);
        }
        let went = drop_waiting(tx, organization, sync, limit, now)
            .await?
            .len() as u64;
        if went > 0 {
            let row = audit.with("discarded", went);
            audit::store(tx, organization, &row, now);
        }
        Ok(Some(went))
    }
}
