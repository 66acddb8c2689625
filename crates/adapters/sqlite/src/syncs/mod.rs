//! Syncs: what is stored of them here, what people do with their runs and held deletes in the modules below.

pub(crate) mod deletes;
pub(crate) mod lifecycle;

use async_trait::async_trait;
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;
use wharf_domain::Timestamp;
use wharf_domain::audit::NewAuditRow;
use wharf_domain::ids::{BucketId, ConnectionId, JobId, OrganizationId, SyncId, UserId};
use wharf_domain::job::{JobEnd, JobStatus, JobTrigger};
use wharf_domain::page::{Page, PageCursor, PageRequest};
use wharf_domain::sync::{
    LeaseHolder, NewSync, Pause, Sync, SyncFilter, SyncMode, SyncState, SyncStatus, SyncTotals,
};
use wharf_ports::{
    InsertError, RepositoryError, SyncChange, SyncRepository, TriggerOutcome, UpdateSyncError,
};

use crate::audit;
use crate::clock::micros;
use crate::error::{Failure, Fault, inserting};
use crate::jobs::{self, QueuedJob};
use crate::page::{Bounds, page};
use crate::row::{Columns, json, number};
use crate::store::{Store, Tx, in_transaction};

/// What [`read`] reads.
macro_rules! columns {
    () => {
        "id, bucket, namespace, connection, mode, settings, state, next_run_at, queued_job, lease_job, lease_worker, \
         lease_acquired_at, lease_expires_at, last_pass, checkpoint, counters, runs_completed, runs_failed, \
         last_sync_at, last_error, consecutive_failures, revision, paused_at, paused_by, pause_reason, pending_full, \
         held_deletes, stats, feed, push, created_by, created_at, updated_at"
    };
}
pub(crate) use columns;
pub(crate) use deletes::{count_waiting, tell_released};

macro_rules! matching {
    () => {
        " FROM syncs WHERE organization = $1 AND bucket = $2 AND ($3 IS NULL OR connection = $3) \
         AND ($4 IS NULL OR CASE state WHEN 'completed' THEN 'COMPLETED' WHEN 'connection_archived' THEN 'ARCHIVED' \
         ELSE CASE WHEN paused_at IS NULL THEN 'ACTIVE' ELSE 'SUSPENDED' END END = $4) \
         AND ($5 IS NULL OR (state = 'active' AND paused_at IS NULL) = $5)"
    };
}

/// Reads a sync as it stands at `now`: a lease that has expired is not shown.
pub(crate) fn read(row: &SqliteRow, now: Timestamp) -> Result<Sync, Fault> {
    let columns = Columns::of("syncs", row);
    Ok(Sync {
        id: columns.parse("id")?,
        bucket: columns.parse("bucket")?,
        namespace: columns.parse("namespace")?,
        connection: columns.parse("connection")?,
        mode: columns.read("mode", SyncMode::parse)?,
        settings: columns.json("settings")?,
        state: columns.read("state", SyncState::parse)?,
        paused: read_pause(&columns)?,
        pending_full: columns.get("pending_full")?,
        feed: columns.json_optional("feed")?,
        push: columns.json_optional("push")?,
        held_deletes: columns.json_optional("held_deletes")?,
        next_run_at: columns.time_optional("next_run_at")?,
        queued_job: columns.parse_optional("queued_job")?,
        lease: read_lease(&columns)?.filter(|lease| lease.expires_at > now),
        last_pass: columns.number("last_pass")?,
        checkpoint: columns.json_optional("checkpoint")?,
        totals: SyncTotals {
            counters: columns.json("counters")?,
            runs_completed: columns.number("runs_completed")?,
            runs_failed: columns.number("runs_failed")?,
            stats: columns.json("stats")?,
        },
        last_sync_at: columns.time_optional("last_sync_at")?,
        last_error: columns.get("last_error")?,
        consecutive_failures: columns.number("consecutive_failures")?,
        revision: columns.number("revision")?,
        created_by: columns.parse("created_by")?,
        created_at: columns.time("created_at")?,
        updated_at: columns.time("updated_at")?,
    })
}

fn read_pause(columns: &Columns<'_>) -> Result<Option<Pause>, Fault> {
    let Some(at) = columns.time_optional("paused_at")? else {
        return Ok(None);
    };
    Ok(Some(Pause {
        at,
        by: columns.parse("paused_by")?,
        reason: columns.get("pause_reason")?,
    }))
}

fn read_lease(columns: &Columns<'_>) -> Result<Option<LeaseHolder>, Fault> {
    let Some(job) = columns.parse_optional("lease_job")? else {
        return Ok(None);
    };
    Ok(Some(LeaseHolder {
        job,
        worker: columns.get("lease_worker")?,
        acquired_at: columns.time("lease_acquired_at")?,
        expires_at: columns.time("lease_expires_at")?,
    }))
}

/// What was found missing through other credentials of the connection agrees with nothing that is found through these.
pub(crate) async fn forget_found_missing(
    tx: &mut Tx,
    organization: &OrganizationId,
    connection: &ConnectionId,
) -> Result<(), Fault> {
    for statement in [
        "UPDATE syncs SET held_deletes = NULL WHERE organization = $1 AND connection = $2 AND held_deletes IS NOT NULL",
        "UPDATE catalogue SET missing_since = NULL WHERE organization = $1 \
         AND sync IN (SELECT id FROM syncs WHERE organization = $1 AND connection = $2) \
         AND missing_pass IS NOT NULL AND missing_since IS NOT NULL",
    ] {
        sqlx::query(statement)
            .bind(organization.as_str())
            .bind(connection.as_str())
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}

/// Stops the syncs of a connection that has just been archived, and voids the leases of their runs.
pub(crate) async fn stop_archived(
    tx: &mut Tx,
    organization: &OrganizationId,
    connection: &ConnectionId,
    now: Timestamp,
) -> Result<(), Fault> {
    sqlx::query(
        "UPDATE syncs SET state = 'connection_archived', next_run_at = NULL, queued_job = NULL, resume_of = NULL, \
         fence = fence + 1, lease_job = NULL, lease_worker = NULL, lease_acquired_at = NULL, lease_expires_at = NULL, \
         lease_ttl = NULL, updated_at = $3 WHERE organization = $1 AND connection = $2",
    )
    .bind(organization.as_str())
    .bind(connection.as_str())
    .bind(micros(now))
    .execute(&mut **tx)
    .await?;
    let ended = sqlx::query(
        "UPDATE jobs SET status = CASE WHEN phase = 'queued' THEN 'skipped' ELSE 'interrupted' END, phase = 'idle', \
         complete = 0, incomplete_reason = 'connection_archived', completed_at = $3, updated_at = $3 \
         WHERE organization = $1 AND status = 'running' \
         AND sync IN (SELECT id FROM syncs WHERE organization = $1 AND connection = $2) \
         RETURNING id, sync, status",
    )
    .bind(organization.as_str())
    .bind(connection.as_str())
    .bind(micros(now))
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

/// Whether the organization has such a connection and it is not archived.
async fn connection_usable(
    tx: &mut Tx,
    organization: &OrganizationId,
    connection: &ConnectionId,
) -> Result<bool, Fault> {
    let found: Option<i64> = sqlx::query_scalar(
        "SELECT 1 FROM connections WHERE organization = $1 AND id = $2 AND intent <> 'archived'",
    )
    .bind(organization.as_str())
    .bind(connection.as_str())
    .fetch_optional(&mut **tx)
    .await?;
    Ok(found.is_some())
}

async fn insert(
    tx: &mut Tx,
    organization: &OrganizationId,
    sync: &Sync,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO syncs (organization, id, bucket, namespace, connection, mode, settings, state, next_run_at, \
         queued_job, fence, last_pass, counters, runs_completed, runs_failed, consecutive_failures, revision, \
         created_by, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 0, $11, $12, 0, 0, 0, $13, $14, $9, $9)",
    )
    .bind(organization.as_str())
    .bind(sync.id.as_str())
    .bind(sync.bucket.as_str())
    .bind(sync.namespace.as_str())
    .bind(sync.connection.as_str())
    .bind(sync.mode.as_str())
    .bind(json(&sync.settings))
    .bind(sync.state.as_str())
    .bind(micros(sync.created_at))
    .bind(sync.queued_job.as_ref().map(JobId::as_str))
    .bind(number(sync.last_pass))
    .bind(json(&sync.totals.counters))
    .bind(number(sync.revision))
    .bind(sync.created_by.as_str())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The sync that storing `new` at `now` makes: due at once, with its first job queued.
fn create(new: NewSync, mode: SyncMode, now: Timestamp) -> Sync {
    Sync {
        id: new.id,
        bucket: new.bucket,
        namespace: new.namespace,
        connection: new.connection,
        mode,
        settings: new.settings,
        state: SyncState::Active,
        paused: None,
        pending_full: false,
        feed: None,
        push: None,
        held_deletes: None,
        next_run_at: Some(now),
        queued_job: Some(new.first_job),
        lease: None,
        last_pass: 0,
        checkpoint: None,
        totals: SyncTotals::default(),
        last_sync_at: None,
        last_error: None,
        consecutive_failures: 0,
        revision: 1,
        created_by: new.created_by,
        created_at: now,
        updated_at: now,
    }
}

/// The bucket's sync, for a change.
async fn of_bucket(
    connection: &mut SqliteConnection,
    organization: &OrganizationId,
    bucket: &BucketId,
    sync: &SyncId,
    now: Timestamp,
) -> Result<Option<Sync>, Fault> {
    sqlx::query(concat!(
        "SELECT ",
        columns!(),
        " FROM syncs WHERE organization = $1 AND bucket = $2 AND id = $3"
    ))
    .bind(organization.as_str())
    .bind(bucket.as_str())
    .bind(sync.as_str())
    .fetch_optional(connection)
    .await?
    .as_ref()
    .map(|row| read(row, now))
    .transpose()
}

impl Store {
    async fn insert_sync(
        &self,
        tx: &mut Tx,
        organization: &OrganizationId,
        new: NewSync,
        mode: SyncMode,
        audit: &NewAuditRow,
    ) -> Result<Sync, Failure<InsertError>> {
        if !connection_usable(tx, organization, &new.connection).await? {
            return Err(Failure::Refused(InsertError::ParentMissing));
        }
        let now = self.now(tx).await?;
        let first_job = new.first_job.clone();
        let sync = create(new, mode, now);
        insert(tx, organization, &sync)
            .await
            .map_err(|error| inserting(error))?;
        let job = QueuedJob {
            id: &first_job,
            sync: &sync,
            trigger: JobTrigger::Scheduled,
        };
        jobs::queue(tx, organization, &job, now).await?;
        audit::store(tx, organization, audit, now);
        Ok(sync)
    }

    async fn find_sync(
        &self,
        organization: &OrganizationId,
        bucket: &BucketId,
        sync: &SyncId,
    ) -> Result<Option<Sync>, Fault> {
        let mut connection = self.read().await?;
        let now = self.now(&mut connection).await?;
        of_bucket(&mut connection, organization, bucket, sync, now).await
    }

    async fn list_syncs(
        &self,
        organization: &OrganizationId,
        bucket: &BucketId,
        filter: &SyncFilter,
        request: &PageRequest,
    ) -> Result<Page<Sync>, Fault> {
        let through = filter.connection.as_ref().map(ConnectionId::as_str);
        let status = filter.status.map(SyncStatus::as_str);
        let bounds = Bounds::of(request);
        let mut connection = self.read().await?;
        let now = self.now(&mut connection).await?;
        let total = sqlx::query_scalar(concat!("SELECT COUNT(*)", matching!()))
            .bind(organization.as_str())
            .bind(bucket.as_str())
            .bind(through)
            .bind(status)
            .bind(filter.is_active)
            .fetch_one(&mut *connection)
            .await?;
        let rows = sqlx::query(concat!(
            "SELECT ",
            columns!(),
            matching!(),
            " AND (created_at, id) < ($6, $7) ORDER BY created_at DESC, id DESC LIMIT $8 OFFSET $9"
        ))
        .bind(organization.as_str())
        .bind(bucket.as_str())
        .bind(through)
        .bind(status)
        .bind(filter.is_active)
        .bind(bounds.at)
        .bind(bounds.id)
        .bind(bounds.limit)
        .bind(bounds.offset)
        .fetch_all(&mut *connection)
        .await?;
        let position = |it: &Sync| PageCursor {
            created_at: it.created_at,
            id: it.id.to_string(),
        };
        page(request, &rows, total, |row| read(row, now), position)
    }

    async fn remove_sync(
        &self,
        tx: &mut Tx,
        organization: &OrganizationId,
        bucket: &BucketId,
        sync: &SyncId,
        audit: &NewAuditRow,
    ) -> Result<bool, Fault> {
        // Jobs, catalogue and dead letters go with it by their foreign keys.
        let removed =
            sqlx::query("DELETE FROM syncs WHERE organization = $1 AND bucket = $2 AND id = $3")
                .bind(organization.as_str())
                .bind(bucket.as_str())
                .bind(sync.as_str())
                .execute(&mut **tx)
                .await?;
        if removed.rows_affected() == 0 {
            return Ok(false);
        }
        let now = self.now(tx).await?;
        audit::store(tx, organization, audit, now);
        Ok(true)
    }
}

#[async_trait]
impl SyncRepository for Store {
    async fn insert(
        &self,
        organization: &OrganizationId,
        sync: NewSync,
        mode: SyncMode,
        audit: NewAuditRow,
    ) -> Result<Sync, InsertError> {
        in_transaction!(self, tx => self.insert_sync(&mut tx, organization, sync, mode, &audit))
            .map_err(Failure::into_port)
    }

    async fn find(
        &self,
        organization: &OrganizationId,
        bucket: &BucketId,
        sync: &SyncId,
    ) -> Result<Option<Sync>, RepositoryError> {
        Ok(self.find_sync(organization, bucket, sync).await?)
    }

    async fn list(
        &self,
        organization: &OrganizationId,
        bucket: &BucketId,
        filter: &SyncFilter,
        page: &PageRequest,
    ) -> Result<Page<Sync>, RepositoryError> {
        Ok(self.list_syncs(organization, bucket, filter, page).await?)
    }

    async fn remove(
        &self,
        organization: &OrganizationId,
        bucket: &BucketId,
        sync: &SyncId,
        audit: NewAuditRow,
    ) -> Result<bool, RepositoryError> {
        Ok(
            in_transaction!(self, tx => self.remove_sync(&mut tx, organization, bucket, sync, &audit))?,
        )
    }

    async fn update(
        &self,
        organization: &OrganizationId,
        bucket: &BucketId,
        sync: &SyncId,
        revision: u64,
        change: &SyncChange,
        audit: NewAuditRow,
    ) -> Result<Sync, UpdateSyncError> {
        in_transaction!(self, tx => self.update_sync(&mut tx, organization, bucket, sync, revision, change, &audit))
            .map_err(Failure::into_port)
    }

    async fn pause(
        &self,
        organization: &OrganizationId,
        bucket: &BucketId,
        sync: &SyncId,
        by: &UserId,
        reason: Option<&str>,
        audit: NewAuditRow,
    ) -> Result<Option<Sync>, RepositoryError> {
        Ok(
            in_transaction!(self, tx => self.pause_sync(&mut tx, organization, bucket, sync, (by, reason), &audit))?,
        )
    }

    async fn resume(
        &self,
        organization: &OrganizationId,
        bucket: &BucketId,
        sync: &SyncId,
        audit: NewAuditRow,
    ) -> Result<Option<Sync>, RepositoryError> {
        Ok(
            in_transaction!(self, tx => self.resume_sync(&mut tx, organization, bucket, sync, &audit))?,
        )
    }

    async fn unlock(
        &self,
        organization: &OrganizationId,
        bucket: &BucketId,
        sync: &SyncId,
        audit: NewAuditRow,
    ) -> Result<Option<bool>, RepositoryError> {
        Ok(
            in_transaction!(self, tx => self.unlock_sync(&mut tx, organization, bucket, sync, &audit))?,
        )
    }

    async fn approve_deletes(
        &self,
        organization: &OrganizationId,
        bucket: &BucketId,
        sync: &SyncId,
        limit: u32,
        audit: NewAuditRow,
    ) -> Result<Option<u64>, RepositoryError> {
        Ok(
            in_transaction!(self, tx => self.approve_step(&mut tx, organization, bucket, sync, limit, audit))?,
        )
    }

    async fn discard_deletes(
        &self,
        organization: &OrganizationId,
        bucket: &BucketId,
        sync: &SyncId,
        limit: u32,
        audit: NewAuditRow,
    ) -> Result<Option<u64>, RepositoryError> {
        Ok(
            in_transaction!(self, tx => self.discard_step(&mut tx, organization, bucket, sync, limit, audit))?,
        )
    }

    async fn trigger(
        &self,
        organization: &OrganizationId,
        bucket: &BucketId,
        sync: &SyncId,
        job: &JobId,
        full: bool,
        audit: NewAuditRow,
    ) -> Result<Option<TriggerOutcome>, RepositoryError> {
        Ok(
            in_transaction!(self, tx => self.trigger_sync(&mut tx, organization, bucket, sync, (job, full), &audit))?,
        )
    }
}
