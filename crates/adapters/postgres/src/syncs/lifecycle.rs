//! What becomes of a sync between its creation and its removal, by people's wishes.

use sqlx::PgConnection;
use wharf_domain::Timestamp;
use wharf_domain::audit::NewAuditRow;
use wharf_domain::ids::{BucketId, ConnectionId, JobId, OrganizationId, SyncId, UserId};
use wharf_domain::job::{JobEnd, JobStatus, JobTrigger};
use wharf_domain::sync::{Sync, SyncState, SyncStatus};
use wharf_ports::{SyncChange, TriggerOutcome, UpdateSyncError};

use super::{columns, find_locked, read};
use crate::audit;
use crate::error::{Failure, Fault};
use crate::jobs::{self, QueuedJob};
use crate::row::{Columns, json};
use crate::store::{Store, Tx};

/// Stops the syncs of a connection that has just been archived, and voids the leases of their runs.
pub(crate) async fn stop_archived(
    tx: &mut Tx,
    organization: &OrganizationId,
    connection: &ConnectionId,
    now: Timestamp,
) -> Result<(), Fault> {
    sqlx::query(
        "SELECT 1 FROM syncs WHERE organization = $1 AND connection = $2 ORDER BY id FOR UPDATE",
    )
    .bind(organization.as_str())
    .bind(connection.as_str())
    .execute(&mut **tx)
    .await?;
    sqlx::query(
        "UPDATE syncs SET state = 'connection_archived', next_run_at = NULL, queued_job = NULL, resume_of = NULL, \
         fence = fence + 1, lease_job = NULL, lease_worker = NULL, lease_acquired_at = NULL, lease_expires_at = NULL, \
         lease_ttl = NULL, updated_at = $3 WHERE organization = $1 AND connection = $2",
    )
    .bind(organization.as_str())
    .bind(connection.as_str())
    .bind(now)
    .execute(&mut **tx)
    .await?;
    let ended = sqlx::query(
        "UPDATE jobs SET status = CASE WHEN phase = 'queued' THEN 'skipped' ELSE 'interrupted' END, phase = 'idle', \
         complete = false, incomplete_reason = 'connection_archived', completed_at = $3, updated_at = $3 \
         WHERE organization = $1 AND status = 'running' \
         AND sync IN (SELECT id FROM syncs WHERE organization = $1 AND connection = $2) \
         RETURNING id, sync, status",
    )
    .bind(organization.as_str())
    .bind(connection.as_str())
    .bind(now)
    .fetch_all(&mut **tx)
    .await?;
    for row in &ended {
        let columns = Columns::of("jobs", row);
        let how = JobEnd {
            status: columns.read("status", JobStatus::parse)?,
            incomplete_reason: Some("connection_archived".to_owned()),
            error: None,
        };
        let row =
            NewAuditRow::job_ended_alone(&columns.parse("id")?, &columns.parse("sync")?, &how);
        audit::store(tx, organization, &row, now);
    }
    Ok(())
}

/// What was found missing through other credentials of the connection agrees with nothing that is found through these.
pub(crate) async fn forget_found_missing(
    tx: &mut PgConnection,
    organization: &OrganizationId,
    connection: &ConnectionId,
) -> Result<(), Fault> {
    for statement in [
        "SELECT 1 FROM syncs WHERE organization = $1 AND connection = $2 ORDER BY id FOR UPDATE",
        "UPDATE syncs SET held_deletes = NULL WHERE organization = $1 AND connection = $2 AND held_deletes IS NOT NULL",
        "UPDATE catalogue SET missing_since = NULL WHERE organization = $1 \
         AND sync IN (SELECT id FROM syncs WHERE organization = $1 AND connection = $2) \
         AND missing_pass IS NOT NULL AND missing_since IS NOT NULL",
    ] {
        sqlx::query(statement)
            .bind(organization.as_str())
            .bind(connection.as_str())
            .execute(&mut *tx)
            .await?;
    }
    Ok(())
}

/// The sync as it is stored now.
async fn reread(
    tx: &mut PgConnection,
    organization: &OrganizationId,
    sync: &SyncId,
) -> Result<Sync, Fault> {
    let row = sqlx::query(concat!(
        "SELECT ",
        columns!(),
        " FROM syncs WHERE organization = $1 AND id = $2"
    ))
    .bind(organization.as_str())
    .bind(sync.as_str())
    .fetch_one(tx)
    .await?;
    read(&row)
}

/// Drops what new rules make void: progress of an incomplete pass, what was remembered as left out, and what was found
/// missing, which agrees with nothing any more.
async fn forget_rules(
    tx: &mut PgConnection,
    organization: &OrganizationId,
    sync: &SyncId,
) -> Result<(), Fault> {
    for statement in [
        "UPDATE syncs SET checkpoint = NULL, feed = NULL, held_deletes = NULL WHERE organization = $1 AND id = $2",
        "DELETE FROM catalogue WHERE organization = $1 AND sync = $2 AND left_out_version IS NOT NULL AND object IS NULL",
        "UPDATE catalogue SET left_out_version = NULL, left_out_rule = NULL \
         WHERE organization = $1 AND sync = $2 AND left_out_version IS NOT NULL",
        "UPDATE catalogue SET missing_since = NULL \
         WHERE organization = $1 AND sync = $2 AND missing_pass IS NOT NULL AND missing_since IS NOT NULL",
    ] {
        sqlx::query(statement)
            .bind(organization.as_str())
            .bind(sync.as_str())
            .execute(&mut *tx)
            .await?;
    }
    Ok(())
}

/// Plans a run for now, unless it has been due for longer.
async fn due_at_once(
    tx: &mut PgConnection,
    organization: &OrganizationId,
    sync: &SyncId,
    now: Timestamp,
) -> Result<(), Fault> {
    sqlx::query(
        "UPDATE syncs SET next_run_at = LEAST(next_run_at, $3) WHERE organization = $1 AND id = $2",
    )
    .bind(organization.as_str())
    .bind(sync.as_str())
    .bind(now)
    .execute(tx)
    .await?;
    Ok(())
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
    .bind(now)
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
    tx: &mut PgConnection,
    organization: &OrganizationId,
    sync: &SyncId,
    now: Timestamp,
) -> Result<(), Fault> {
    sqlx::query(
        "UPDATE syncs SET pending_full = TRUE, updated_at = $3 WHERE organization = $1 AND id = $2",
    )
    .bind(organization.as_str())
    .bind(sync.as_str())
    .bind(now)
    .execute(tx)
    .await?;
    Ok(())
}

/// What a person asks for.
pub(super) struct Wish<'a> {
    pub(super) job: &'a JobId,
    pub(super) full: bool,
}

impl Store {
    #[expect(
        clippy::too_many_arguments,
        reason = "the port's own, within a transaction"
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
        let found = find_locked(tx, organization, bucket, sync).await?;
        let found = found.ok_or(Failure::Refused(UpdateSyncError::NotFound))?;
        if found.revision != revision {
            return Err(Failure::Refused(UpdateSyncError::Conflict));
        }
        let now = self.now(tx).await?;
        sqlx::query(
            "UPDATE syncs SET settings = $3, revision = revision + 1, updated_at = $4 WHERE organization = $1 AND id = $2",
        )
        .bind(organization.as_str())
        .bind(sync.as_str())
        .bind(json(&change.settings))
        .bind(now)
        .execute(&mut **tx)
        .await?;
        if change.rules_changed {
            forget_rules(tx, organization, sync).await?;
            if found.status() == SyncStatus::Active {
                due_at_once(tx, organization, sync, now).await?;
            }
            take_lease_away(tx, organization, sync, "rules_changed", now).await?;
        }
        audit::store(tx, organization, audit, now);
        Ok(reread(tx, organization, sync).await?)
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the port's own, within a transaction"
    )]
    pub(super) async fn pause_sync(
        &self,
        tx: &mut Tx,
        organization: &OrganizationId,
        bucket: &BucketId,
        sync: &SyncId,
        by: &UserId,
        reason: Option<&str>,
        audit: &NewAuditRow,
    ) -> Result<Option<Sync>, Fault> {
        let Some(found) = find_locked(tx, organization, bucket, sync).await? else {
            return Ok(None);
        };
        if found.status() != SyncStatus::Active {
            return Ok(Some(found));
        }
        let now = self.now(tx).await?;
        sqlx::query(
            "UPDATE syncs SET paused_at = $3, paused_by = $4, pause_reason = $5, queued_job = NULL, updated_at = $3 \
             WHERE organization = $1 AND id = $2",
        )
        .bind(organization.as_str())
        .bind(sync.as_str())
        .bind(now)
        .bind(by.as_str())
        .bind(reason)
        .execute(&mut **tx)
        .await?;
        if let Some(queued) = &found.queued_job {
            let end = JobEnd::skipped("sync_paused");
            jobs::end_alone(tx, organization, sync, queued, &end, now).await?;
        }
        audit::store(tx, organization, audit, now);
        Ok(Some(reread(tx, organization, sync).await?))
    }

    pub(super) async fn resume_sync(
        &self,
        tx: &mut Tx,
        organization: &OrganizationId,
        bucket: &BucketId,
        sync: &SyncId,
        audit: &NewAuditRow,
    ) -> Result<Option<Sync>, Fault> {
        let Some(found) = find_locked(tx, organization, bucket, sync).await? else {
            return Ok(None);
        };
        if found.status() != SyncStatus::Suspended {
            return Ok(Some(found));
        }
        let now = self.now(tx).await?;
        sqlx::query(
            "UPDATE syncs SET paused_at = NULL, paused_by = NULL, pause_reason = NULL, updated_at = $3 \
             WHERE organization = $1 AND id = $2",
        )
        .bind(organization.as_str())
        .bind(sync.as_str())
        .bind(now)
        .execute(&mut **tx)
        .await?;
        due_at_once(tx, organization, sync, now).await?;
        audit::store(tx, organization, audit, now);
        Ok(Some(reread(tx, organization, sync).await?))
    }

    pub(super) async fn unlock_sync(
        &self,
        tx: &mut Tx,
        organization: &OrganizationId,
        bucket: &BucketId,
        sync: &SyncId,
        audit: &NewAuditRow,
    ) -> Result<Option<bool>, Fault> {
        if find_locked(tx, organization, bucket, sync).await?.is_none() {
            return Ok(None);
        }
        let now = self.now(tx).await?;
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
        wish: Wish<'_>,
        audit: &NewAuditRow,
    ) -> Result<Option<TriggerOutcome>, Fault> {
        let Some(found) = find_locked(tx, organization, bucket, sync).await? else {
            return Ok(None);
        };
        if found.state == SyncState::ConnectionArchived {
            // The connection was archived after the caller had looked: a job queued now would wait for ever.
            return Ok(None);
        }
        if found.paused.is_some() {
            return Ok(Some(TriggerOutcome::Paused));
        }
        let now = self.now(tx).await?;
        let at_work = found.lease.as_ref().map(|holder| &holder.job);
        if let Some(busy) = at_work.or(found.queued_job.as_ref()) {
            if wish.full && !found.pending_full {
                wish_full(tx, organization, sync, now).await?;
                audit::store(tx, organization, audit, now);
            }
            return Ok(Some(if wish.full {
                TriggerOutcome::PendingFull(busy.clone())
            } else {
                TriggerOutcome::AlreadyRunning(busy.clone())
            }));
        }
        sqlx::query(
            "UPDATE syncs SET queued_job = $3, checkpoint = CASE WHEN $5 THEN NULL ELSE checkpoint END, \
             feed = CASE WHEN $5 THEN NULL ELSE feed END, updated_at = $4 \
             WHERE organization = $1 AND id = $2",
        )
        .bind(organization.as_str())
        .bind(sync.as_str())
        .bind(wish.job.as_str())
        .bind(now)
        .bind(wish.full)
        .execute(&mut **tx)
        .await?;
        due_at_once(tx, organization, sync, now).await?;
        let queued = QueuedJob {
            id: wish.job,
            sync: &found,
            trigger: JobTrigger::Manual,
        };
        jobs::queue(tx, organization, &queued, now).await?;
        audit::store(tx, organization, audit, now);
        Ok(Some(TriggerOutcome::Queued(wish.job.clone())))
    }
}
