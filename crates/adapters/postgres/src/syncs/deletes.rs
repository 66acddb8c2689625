//! Deletes that wait for a person.

use sqlx::PgConnection;
use wharf_domain::audit::NewAuditRow;
use wharf_domain::ids::{BucketId, OrganizationId, SyncId};
use wharf_domain::sync::Sync;

use super::find_locked;
use crate::error::Fault;
use crate::store::{Store, Tx};
use crate::{audit, buckets, objects};

/// What a person says about deletes that wait.
#[derive(Clone, Copy)]
pub(super) enum Settlement {
    /// The objects go.
    Approve,
    /// The objects stay.
    Discard,
}

/// Tells people of held deletes no longer once no row is left that a complete pass has found missing.
pub(crate) async fn clear_held_deletes(
    tx: &mut PgConnection,
    organization: &OrganizationId,
    sync: &Sync,
) -> Result<(), Fault> {
    if sync.held_deletes.is_none() {
        return Ok(());
    }
    sqlx::query(
        "UPDATE syncs SET held_deletes = NULL WHERE organization = $1 AND id = $2 AND NOT EXISTS ( \
         SELECT 1 FROM catalogue c WHERE c.organization = $1 AND c.sync = $2 AND c.missing_pass IS NOT NULL \
         AND c.missing_since IS NOT NULL)",
    )
    .bind(organization.as_str())
    .bind(sync.id.as_str())
    .execute(tx)
    .await?;
    Ok(())
}

impl Store {
    /// One step of doing what a person said. Returns how many rows went.
    #[expect(
        clippy::too_many_arguments,
        reason = "the port's own, within a transaction"
    )]
    pub(super) async fn settle_deletes(
        &self,
        tx: &mut Tx,
        organization: &OrganizationId,
        bucket: &BucketId,
        sync: &SyncId,
        settlement: Settlement,
        limit: u32,
        audit: &NewAuditRow,
    ) -> Result<Option<u64>, Fault> {
        let Some(found) = find_locked(tx, organization, bucket, sync).await? else {
            return Ok(None);
        };
        buckets::hold(tx, organization, bucket).await?;
        let now = self.now(tx).await?;
        let went: Vec<Option<String>> = sqlx::query_scalar(
            "DELETE FROM catalogue WHERE organization = $1 AND sync = $2 AND ctid = ANY (ARRAY( \
             SELECT c.ctid FROM catalogue c WHERE c.organization = $1 AND c.sync = $2 AND c.missing_pass IS NOT NULL \
             AND c.missing_since IS NOT NULL LIMIT $3)) RETURNING object",
        )
        .bind(organization.as_str())
        .bind(sync.as_str())
        .bind(i64::from(limit))
        .fetch_all(&mut **tx)
        .await?;
        clear_held_deletes(tx, organization, &found).await?;
        let went_count = went.len() as u64;
        if went.is_empty() {
            return Ok(Some(0));
        }
        let (row, buried) = match settlement {
            Settlement::Approve => {
                let objects: Vec<&str> = went.iter().flatten().map(String::as_str).collect();
                let buried = objects::bury_unheld(tx, organization, &objects, now).await?;
                (audit.clone().with("deleted", buried.len()), buried)
            }
            Settlement::Discard => (audit.clone().with("discarded", went_count), Vec::new()),
        };
        audit::store_with_objects(tx, organization, &row, now, bucket, buried);
        Ok(Some(went_count))
    }
}
