use async_trait::async_trait;
use sqlx::PgConnection;
use sqlx::postgres::PgRow;
use wharf_domain::Timestamp;
use wharf_domain::audit::NewAuditRow;
use wharf_domain::ids::{
    BucketId, ConnectionId, JobId, NamespaceId, OrganizationId, SyncId, UserId,
};
use wharf_domain::job::JobTrigger;
use wharf_domain::page::{Page, PageCursor, PageRequest};
use wharf_domain::sync::{
    LeaseHolder, NewSync, Pause, Sync, SyncFilter, SyncMode, SyncState, SyncStatus, SyncTotals,
};
use wharf_ports::{
    InsertError, RepositoryError, SyncChange, SyncRepository, TriggerOutcome, UpdateSyncError,
};

use crate::audit;
use crate::error::{Failure, Fault, inserting};
use crate::jobs::{self, QueuedJob};
use crate::page::{Bounds, page};
use crate::row::{Columns, json, number};
use crate::store::{Store, Tx, in_transaction};

mod deletes;
mod lifecycle;

use deletes::Settlement;
pub(crate) use deletes::clear_held_deletes;
use lifecycle::Wish;
pub(crate) use lifecycle::{forget_found_missing, stop_archived};

/// What [`read`] reads.
macro_rules! columns {
    () => {
        "clock_timestamp() AS read_at, id, bucket, namespace, connection, mode, settings, state, paused_at, paused_by, \
         pause_reason, pending_full, held_deletes, next_run_at, queued_job, lease_job, lease_worker, lease_acquired_at, \
         lease_expires_at, last_pass, checkpoint, counters, runs_completed, runs_failed, stats, feed, push, last_sync_at, last_error, \
         consecutive_failures, revision, created_by, created_at, updated_at"
    };
}
pub(crate) use columns;

/// What filters see as a sync's status, which is what the model's own function says.
macro_rules! status {
    () => {
        "CASE WHEN state = 'active' THEN CASE WHEN paused_at IS NULL THEN 'ACTIVE' ELSE 'SUSPENDED' END \
         WHEN state = 'completed' THEN 'COMPLETED' ELSE 'ARCHIVED' END"
    };
}

macro_rules! matching {
    () => {
        concat!(
            " FROM syncs WHERE organization = $1 AND bucket = $2 AND ($3::text IS NULL OR connection = $3) \
             AND ($4::text IS NULL OR ",
            status!(),
            " = $4) AND ($5::boolean IS NULL OR (state = 'active' AND paused_at IS NULL) = $5)"
        )
    };
}

/// Reads a sync: a lease that has expired is not shown.
pub(crate) fn read(row: &PgRow) -> Result<Sync, Fault> {
    let columns = Columns::of("syncs", row);
    let now = columns.time("read_at")?;
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

/// Locks a sync until the transaction ends; where there is none, nothing.
pub(crate) async fn lock(
    tx: &mut PgConnection,
    organization: &OrganizationId,
    sync: &SyncId,
) -> Result<(), Fault> {
    sqlx::query("SELECT 1 FROM syncs WHERE organization = $1 AND id = $2 FOR UPDATE")
        .bind(organization.as_str())
        .bind(sync.as_str())
        .execute(tx)
        .await?;
    Ok(())
}

/// A sync of the bucket, locked until the transaction ends.
async fn find_locked(
    tx: &mut PgConnection,
    organization: &OrganizationId,
    bucket: &BucketId,
    sync: &SyncId,
) -> Result<Option<Sync>, Fault> {
    sqlx::query(concat!(
        "SELECT ",
        columns!(),
        " FROM syncs WHERE organization = $1 AND bucket = $2 AND id = $3 FOR UPDATE"
    ))
    .bind(organization.as_str())
    .bind(bucket.as_str())
    .bind(sync.as_str())
    .fetch_optional(tx)
    .await?
    .as_ref()
    .map(read)
    .transpose()
}

/// Locks the syncs of a bucket that is about to be removed.
pub(crate) async fn lock_of_bucket(
    tx: &mut PgConnection,
    organization: &OrganizationId,
    bucket: &BucketId,
) -> Result<(), Fault> {
    sqlx::query(
        "SELECT 1 FROM syncs WHERE organization = $1 AND bucket = $2 ORDER BY id FOR UPDATE",
    )
    .bind(organization.as_str())
    .bind(bucket.as_str())
    .execute(tx)
    .await?;
    Ok(())
}

/// Locks the syncs of a namespace that is about to be removed.
pub(crate) async fn lock_of_namespace(
    tx: &mut PgConnection,
    organization: &OrganizationId,
    namespace: &NamespaceId,
) -> Result<(), Fault> {
    sqlx::query(
        "SELECT 1 FROM syncs WHERE organization = $1 \
         AND bucket IN (SELECT id FROM buckets WHERE organization = $1 AND namespace = $2) ORDER BY id FOR UPDATE",
    )
    .bind(organization.as_str())
    .bind(namespace.as_str())
    .execute(tx)
    .await?;
    Ok(())
}

/// Whether the organization has such a connection and it is not archived, which then stays so until the transaction
/// ends.
async fn connection_usable(
    tx: &mut PgConnection,
    organization: &OrganizationId,
    connection: &ConnectionId,
) -> Result<bool, Fault> {
    let found: Option<i32> = sqlx::query_scalar(
        "SELECT 1 FROM connections WHERE organization = $1 AND id = $2 AND intent <> 'archived' FOR SHARE",
    )
    .bind(organization.as_str())
    .bind(connection.as_str())
    .fetch_optional(tx)
    .await?;
    Ok(found.is_some())
}

async fn insert(
    tx: &mut PgConnection,
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
    .bind(sync.created_at)
    .bind(sync.queued_job.as_ref().map(JobId::as_str))
    .bind(number(sync.last_pass))
    .bind(json(&sync.totals.counters))
    .bind(number(sync.revision))
    .bind(sync.created_by.as_str())
    .execute(tx)
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
        sqlx::query(concat!(
            "SELECT ",
            columns!(),
            " FROM syncs WHERE organization = $1 AND bucket = $2 AND id = $3"
        ))
        .bind(organization.as_str())
        .bind(bucket.as_str())
        .bind(sync.as_str())
        .fetch_optional(&mut *self.read(organization).await?)
        .await?
        .as_ref()
        .map(read)
        .transpose()
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
        let mut connection = self.read(organization).await?;
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
        page(request, &rows, total, read, position)
    }

    async fn remove_sync(
        &self,
        tx: &mut Tx,
        organization: &OrganizationId,
        bucket: &BucketId,
        sync: &SyncId,
        audit: &NewAuditRow,
    ) -> Result<bool, Fault> {
        // Jobs and catalogue go with it by their foreign keys.
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
        in_transaction!(self, organization, tx => self.insert_sync(&mut tx, organization, sync.clone(), mode, &audit)).map_err(Failure::into_port)
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
            in_transaction!(self, organization, tx => self.remove_sync(&mut tx, organization, bucket, sync, &audit))?,
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
        in_transaction!(self, organization, tx => self.update_sync(&mut tx, organization, bucket, sync, revision, change, &audit)).map_err(Failure::into_port)
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
            in_transaction!(self, organization, tx => self.pause_sync(&mut tx, organization, bucket, sync, by, reason, &audit))?,
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
            in_transaction!(self, organization, tx => self.resume_sync(&mut tx, organization, bucket, sync, &audit))?,
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
            in_transaction!(self, organization, tx => self.unlock_sync(&mut tx, organization, bucket, sync, &audit))?,
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
            in_transaction!(self, organization, tx => self.settle_deletes(&mut tx, organization, bucket, sync, Settlement::Approve, limit, &audit))?,
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
            in_transaction!(self, organization, tx => self.settle_deletes(&mut tx, organization, bucket, sync, Settlement::Discard, limit, &audit))?,
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
            in_transaction!(self, organization, tx => self.trigger_sync(&mut tx, organization, bucket, sync, Wish { job, full }, &audit))?,
        )
    }
}
