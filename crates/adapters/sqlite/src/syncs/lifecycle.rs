//! What people do with a sync's settings and runs.

use wharf_domain::Timestamp;
use wharf_domain::audit::NewAuditRow;
use wharf_domain::ids::{BucketId, JobId, OrganizationId, SyncId, UserId};
use wharf_domain::job::{JobEnd, JobTrigger};
use wharf_domain::sync::{Pause, Sync, SyncState, SyncStatus};
use wharf_ports::{SyncChange, TriggerOutcome, UpdateSyncError};

use super::of_bucket;
use crate::audit;
use crate::clock::micros;
use crate::error::{Failure, Fault};
use crate::jobs::{self, QueuedJob};
use crate::row::{Columns, json};
use crate::store::{Store, Tx};

/// Rows that point at nothing are known for what was left out alone.
pub(crate) const FORGET_LEFT_OUT: &str =
    "DELETE FROM catalogue WHERE organization = $1 AND sync = $2 AND object IS NULL";

pub(crate) const LET_IN: &str = "UPDATE catalogue SET left_out_version = NULL, left_out_rule = NULL \
     WHERE organization = $1 AND sync = $2 AND left_out_version IS NOT NULL";

/// What was found missing under other rules agrees with nothing.
pub(crate) const FORGET_FOUND_MISSING: &str = "UPDATE catalogue SET missing_since = NULL \
     WHERE organization = $1 AND sync = $2 AND missing_pass IS NOT NULL AND missing_since IS NOT NULL";

/// Forgets what was decided by other rules.
async fn forget_rules(
    tx: &mut Tx,
    organization: &OrganizationId,
    sync: &SyncId,
) -> Result<(), Fault> {
    for statement in [FORGET_LEFT_OUT, LET_IN, FORGET_FOUND_MISSING] {
        sqlx::query(statement)
            .bind(organization.as_str())
            .bind(sync.as_str())
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}

/// When a sync that is to run at once is due: a time that has come already stays.
fn at_once(sync: &Sync, now: Timestamp) -> Timestamp {
    sync.next_run_at.map_or(now, |planned| planned.min(now))
}

impl Store {
    #[expect(
        clippy::too_many_arguments,
        reason = "the port's arguments and the transaction"
    )]
    pub(super) async fn update_sync(
        &self,
        tx: &mut Tx,
        organization: &OrganizationId,
        bucket: &BucketId,
        sync: &SyncId,
        revision: u64,
        change: &SyncChange,
        audit: &NewAuditRow,
    ) -> Result<Sync, Failure<UpdateSyncError>> {
        let now = self.now(tx).await?;
        let stored = of_bucket(tx, organization, bucket, sync, now).await?;
        let mut updated = stored.ok_or(Failure::Refused(UpdateSyncError::NotFound))?;
        if updated.revision != revision {
            return Err(Failure::Refused(UpdateSyncError::Conflict));
        }
        updated.settings = change.settings.clone();
        updated.revision += 1;
        updated.updated_at = now;
        if change.rules_changed {
            updated.checkpoint = None;
            updated.feed = None;
            updated.held_deletes = None;
            if updated.status() == SyncStatus::Active {
                updated.next_run_at = Some(at_once(&updated, now));
            }
            forget_rules(tx, organization, sync).await?;
            if take_lease_away(tx, organization, sync, "rules_changed", now).await? {
                updated.next_run_at = Some(now);
            }
            updated.lease = None;
        }
        sqlx::query(
            "UPDATE syncs SET settings = $3, revision = revision + 1, \
             checkpoint = CASE WHEN NOT $4 THEN checkpoint END, feed = CASE WHEN NOT $4 THEN feed END, held_deletes = CASE WHEN NOT $4 THEN held_deletes END, \
             next_run_at = $5, updated_at = $6 WHERE organization = $1 AND id = $2",
        )
        .bind(organization.as_str())
        .bind(sync.as_str())
        .bind(json(&updated.settings))
        .bind(change.rules_changed)
        .bind(updated.next_run_at.map(micros))
        .bind(micros(now))
        .execute(&mut **tx)
        .await?;
        audit::store(tx, organization, audit, now);
        Ok(updated)
    }

    pub(super) async fn pause_sync(
        &self,
        tx: &mut Tx,
        organization: &OrganizationId,
        bucket: &BucketId,
        sync: &SyncId,
        (by, reason): (&UserId, Option<&str>),
        audit: &NewAuditRow,
    ) -> Result<Option<Sync>, Fault> {
        let now = self.now(tx).await?;
        let Some(mut paused) = of_bucket(tx, organization, bucket, sync, now).await? else {
            return Ok(None);
        };
        if paused.status() != SyncStatus::Active {
            return Ok(Some(paused));
        }
        paused.paused = Some(Pause {
            at: now,
            by: by.clone(),
            reason: reason.map(str::to_owned),
        });
        paused.updated_at = now;
        sqlx::query(
            "UPDATE syncs SET paused_at = $3, paused_by = $4, pause_reason = $5, queued_job = NULL, updated_at = $3 \
             WHERE organization = $1 AND id = $2",
        )
        .bind(organization.as_str())
        .bind(sync.as_str())
        .bind(micros(now))
        .bind(by.as_str())
        .bind(reason)
        .execute(&mut **tx)
        .await?;
        if let Some(queued) = paused.queued_job.take() {
            let end = JobEnd::skipped("sync_paused");
            jobs::end_alone(tx, organization, sync, &queued, &end, now).await?;
        }
        audit::store(tx, organization, audit, now);
        Ok(Some(paused))
    }

    pub(super) async fn resume_sync(
        &self,
        tx: &mut Tx,
        organization: &OrganizationId,
        bucket: &BucketId,
        sync: &SyncId,
        audit: &NewAuditRow,
    ) -> Result<Option<Sync>, Fault> {
        let now = self.now(tx).await?;
        let Some(mut resumed) = of_bucket(tx, organization, bucket, sync, now).await? else {
            return Ok(None);
        };
        if resumed.status() != SyncStatus::Suspended {
            return Ok(Some(resumed));
        }
        resumed.paused = None;
        resumed.next_run_at = Some(at_once(&resumed, now));
        resumed.updated_at = now;
        sqlx::query(
            "UPDATE syncs SET paused_at = NULL, paused_by = NULL, pause_reason = NULL, next_run_at = $3, \
             updated_at = $4 WHERE organization = $1 AND id = $2",
        )
        .bind(organization.as_str())
        .bind(sync.as_str())
        .bind(resumed.next_run_at.map(micros))
        .bind(micros(now))
        .execute(&mut **tx)
        .await?;
        audit::store(tx, organization, audit, now);
        Ok(Some(resumed))
    }

    pub(super) async fn unlock_sync(
        &self,
        tx: &mut Tx,
        organization: &OrganizationId,
        bucket: &BucketId,
        sync: &SyncId,
        audit: &NewAuditRow,
    ) -> Result<Option<bool>, Fault> {
        let now = self.now(tx).await?;
        if of_bucket(tx, organization, bucket, sync, now)
            .await?
            .is_none()
        {
            return Ok(None);
        }
        if !take_lease_away(tx, organization, sync, "unlocked", now).await? {
            return Ok(Some(false));
        }
        audit::store(tx, organization, audit, now);
        Ok(Some(true))
    }

    pub(super) async fn trigger_sync(
        &self,
        tx: &mut Tx,
        organization: &OrganizationId,
        bucket: &BucketId,
        sync: &SyncId,
        (job, full): (&JobId, bool),
        audit: &NewAuditRow,
    ) -> Result<Option<TriggerOutcome>, Fault> {
        let now = self.now(tx).await?;
        let found = of_bucket(tx, organization, bucket, sync, now).await?;
        // Where the connection was archived after the caller had looked, a job queued now would wait for ever.
        let Some(found) = found.filter(|it| it.state != SyncState::ConnectionArchived) else {
            return Ok(None);
        };
        if found.paused.is_some() {
            return Ok(Some(TriggerOutcome::Paused));
        }
        let at_work = found.lease.as_ref().map(|holder| &holder.job);
        if let Some(busy) = at_work.or(found.queued_job.as_ref()) {
            if full && !found.pending_full {
                wish_full(tx, organization, sync, now).await?;
                audit::store(tx, organization, audit, now);
            }
            return Ok(Some(if full {
                TriggerOutcome::PendingFull(busy.clone())
            } else {
                TriggerOutcome::AlreadyRunning(busy.clone())
            }));
        }
        sqlx::query(
            "UPDATE syncs SET queued_job = $3, next_run_at = $4, checkpoint = CASE WHEN $5 THEN NULL ELSE checkpoint END, \
             feed = CASE WHEN $5 THEN NULL ELSE feed END, updated_at = $6 WHERE organization = $1 AND id = $2",
        )
        .bind(organization.as_str())
        .bind(sync.as_str())
        .bind(job.as_str())
        .bind(micros(at_once(&found, now)))
        .bind(full)
        .bind(micros(now))
        .execute(&mut **tx)
        .await?;
        let queued = QueuedJob {
            id: job,
            sync: &found,
            trigger: JobTrigger::Manual,
        };
        jobs::queue(tx, organization, &queued, now).await?;
        audit::store(tx, organization, audit, now);
        Ok(Some(TriggerOutcome::Queued(job.clone())))
    }
}

/// Takes the lease away from whoever holds it, expired or not. The sync is due at once, to go on from the job that ends so.
/// Whether there was one.
async fn take_lease_away(
    tx: &mut Tx,
    organization: &OrganizationId,
    sync: &SyncId,
    reason: &str,
    now: Timestamp,
) -> Result<bool, Fault> {
    let freed = sqlx::query(
        "UPDATE syncs SET fence = fence + 1, resume_of = lease_job, lease_job = NULL, lease_worker = NULL, \
         lease_acquired_at = NULL, lease_expires_at = NULL, lease_ttl = NULL, next_run_at = $3, updated_at = $3 \
         WHERE organization = $1 AND id = $2 AND lease_job IS NOT NULL RETURNING resume_of",
    )
    .bind(organization.as_str())
    .bind(sync.as_str())
    .bind(micros(now))
    .fetch_optional(&mut **tx)
    .await?;
    let Some(freed) = freed else { return Ok(false) };
    let job = Columns::of("syncs", &freed).parse("resume_of")?;
    jobs::end_alone(
        tx,
        organization,
        sync,
        &job,
        &JobEnd::interrupted(reason),
        now,
    )
    .await?;
    Ok(true)
}

/// Keeps the wish for a run over the whole source until the next lease.
async fn wish_full(
    tx: &mut Tx,
    organization: &OrganizationId,
    sync: &SyncId,
    now: Timestamp,
) -> Result<(), Fault> {
    sqlx::query(
        "UPDATE syncs SET pending_full = 1, updated_at = $3 WHERE organization = $1 AND id = $2",
    )
    .bind(organization.as_str())
    .bind(sync.as_str())
    .bind(micros(now))
    .execute(&mut **tx)
    .await?;
    Ok(())
}
