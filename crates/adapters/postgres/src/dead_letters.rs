use std::collections::BTreeMap;

use async_trait::async_trait;
use sqlx::PgConnection;
use sqlx::postgres::PgRow;
use wharf_domain::Timestamp;
use wharf_domain::audit::NewAuditRow;
use wharf_domain::dead_letter::{
    DISPOSAL, DeadLetter, DeadLetterFilter, DisposalReason, HEALING_PAUSE, MOST_TRIES,
};
use wharf_domain::ids::{JobId, OrganizationId, SyncId};
use wharf_domain::page::{Page, PageCursor, PageRequest};
use wharf_domain::run::commit::FailedFile;
use wharf_domain::sync::Sync;
use wharf_ports::{DeadLetterRepository, RepositoryError};

use crate::error::Fault;
use crate::page::{Bounds, page};
use crate::row::Columns;
use crate::store::{Store, Tx, in_transaction};
use crate::{audit, syncs};

macro_rules! columns {
    () => {
        "id, sync, bucket, namespace, job, source_object, path, version, error_type, error_message, tries, exhausted, \
         first_seen_at, last_seen_at, last_reattempt_at, requeued_at, resolved_at, disposal_reason"
    };
}

macro_rules! open_ones {
    () => {
        " FROM dead_letters WHERE organization = $1 AND sync = $2 AND resolved_at IS NULL"
    };
}

macro_rules! matching {
    () => {
        concat!(
            open_ones!(),
            " AND (exhausted OR NOT $3) AND ($4::text[] IS NULL OR error_type = ANY($4))"
        )
    };
}

/// Open ones by their last try, apart from those that failed in one job.
macro_rules! by_last_try {
    ($which:literal) => {
        concat!(
            "(SELECT ",
            columns!(),
            ", GREATEST(last_seen_at, last_reattempt_at) AS tried_at",
            open_ones!(),
            " AND job <> $3 AND ",
            $which,
            " ORDER BY GREATEST(last_seen_at, last_reattempt_at), id LIMIT $5)"
        )
    };
}

/// Those that a run may try: not exhausted, or exhausted and left alone for long enough.
const DUE: &str = concat!(
    by_last_try!("NOT exhausted"),
    " UNION ALL ",
    by_last_try!("exhausted AND GREATEST(last_seen_at, last_reattempt_at) <= $4"),
    " ORDER BY tried_at, id LIMIT $5"
);

fn read(row: &PgRow) -> Result<DeadLetter, Fault> {
    let columns = Columns::of("dead_letters", row);
    Ok(DeadLetter {
        id: columns.parse("id")?,
        sync: columns.parse("sync")?,
        bucket: columns.parse("bucket")?,
        namespace: columns.parse("namespace")?,
        job: columns.parse("job")?,
        source_object: columns.get("source_object")?,
        path: columns.get("path")?,
        version: columns.get("version")?,
        error_type: columns.get("error_type")?,
        error_message: columns.get("error_message")?,
        tries: columns.number("tries")?,
        exhausted: columns.get("exhausted")?,
        first_seen_at: columns.time("first_seen_at")?,
        last_seen_at: columns.time("last_seen_at")?,
        last_reattempt_at: columns.time_optional("last_reattempt_at")?,
        requeued_at: columns.time_optional("requeued_at")?,
        resolved_at: columns.time_optional("resolved_at")?,
        disposal_reason: columns.read_optional("disposal_reason", DisposalReason::parse)?,
    })
}

/// Closes the open dead letters of source objects: they were copied, or need not be.
pub(crate) async fn resolve(
    tx: &mut PgConnection,
    organization: &OrganizationId,
    sync: &SyncId,
    objects: &[&str],
    now: Timestamp,
) -> Result<(), Fault> {
    sqlx::query(
        "UPDATE dead_letters SET resolved_at = $4 \
         WHERE organization = $1 AND sync = $2 AND source_object = ANY($3) AND resolved_at IS NULL",
    )
    .bind(organization.as_str())
    .bind(sync.as_str())
    .bind(objects)
    .bind(now)
    .execute(tx)
    .await?;
    Ok(())
}

/// Notes files that could not be copied: one more try of the open dead letter of the same version, else a first one. Of
/// one that was exhausted before, only the try is noted.
pub(crate) async fn note_failures(
    tx: &mut PgConnection,
    organization: &OrganizationId,
    sync: &Sync,
    job: &JobId,
    failed: &[FailedFile],
    now: Timestamp,
) -> Result<(), Fault> {
    // One file that failed twice in one step failed once, as the last one tells: a statement may not touch a row twice.
    let failed: BTreeMap<&str, &FailedFile> = failed
        .iter()
        .map(|file| (file.object.as_str(), file))
        .collect();
    let each = |column: fn(&FailedFile) -> &str| -> Vec<&str> {
        failed.values().map(|file| column(file)).collect()
    };
    sqlx::query(
        "INSERT INTO dead_letters AS d (organization, id, sync, bucket, namespace, job, source_object, path, version, \
         error_type, error_message, tries, exhausted, first_seen_at, last_seen_at) \
         SELECT $1, file.id, $2, $3, $4, $5, file.source_object, file.path, file.version, file.error_type, \
         file.error_message, 1, 1 >= $7, $6, $6 \
         FROM UNNEST($8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[]) \
         AS file (id, source_object, path, version, error_type, error_message) \
         ON CONFLICT (organization, sync, source_object) WHERE resolved_at IS NULL DO UPDATE SET \
         (job, path, version, error_type, error_message, tries, exhausted, first_seen_at, last_seen_at, \
          last_reattempt_at, requeued_at) = (SELECT \
         CASE WHEN left_alone THEN d.job ELSE excluded.job END, \
         CASE WHEN left_alone THEN d.path ELSE excluded.path END, \
         excluded.version, \
         CASE WHEN left_alone THEN d.error_type ELSE excluded.error_type END, \
         CASE WHEN left_alone THEN d.error_message ELSE excluded.error_message END, \
         CASE WHEN left_alone THEN d.tries WHEN again THEN d.tries + 1 ELSE excluded.tries END, \
         CASE WHEN again THEN d.exhausted OR d.tries + 1 >= $7 ELSE excluded.exhausted END, \
         CASE WHEN again THEN d.first_seen_at ELSE excluded.first_seen_at END, \
         CASE WHEN left_alone THEN d.last_seen_at ELSE excluded.last_seen_at END, \
         CASE WHEN left_alone THEN $6 WHEN again THEN d.last_reattempt_at END, \
         CASE WHEN again THEN d.requeued_at END \
         FROM (SELECT d.version = excluded.version AS again, \
                      d.version = excluded.version AND d.exhausted AS left_alone) AS it)",
    )
    .bind(organization.as_str())
    .bind(sync.id.as_str())
    .bind(sync.bucket.as_str())
    .bind(sync.namespace.as_str())
    .bind(job.as_str())
    .bind(now)
    .bind(i64::from(MOST_TRIES))
    .bind(each(|file| file.new_id.as_str()))
    .bind(each(|file| &file.object))
    .bind(each(|file| &file.path))
    .bind(each(|file| &file.version))
    .bind(each(|file| &file.error_type))
    .bind(each(|file| &file.error_message))
    .execute(tx)
    .await?;
    Ok(())
}

/// Closes exhausted dead letters whose last try is long ago and whose sync does not run any more. Returns how many.
pub(crate) async fn dispose(
    tx: &mut PgConnection,
    limit: u32,
    now: Timestamp,
) -> Result<u64, Fault> {
    // Who is at work on one leaves it out: a sync that is not to run is not at work for long.
    let disposed = sqlx::query(
        "UPDATE dead_letters d SET resolved_at = $1, disposal_reason = due.reason \
         FROM (SELECT e.organization, e.id, CASE s.state WHEN 'connection_archived' THEN $2 ELSE $3 END AS reason \
               FROM dead_letters e JOIN syncs s ON s.organization = e.organization AND s.id = e.sync \
               AND (s.state <> 'active' OR s.paused_at IS NOT NULL) \
               WHERE e.resolved_at IS NULL AND e.exhausted AND GREATEST(e.last_seen_at, e.last_reattempt_at) <= $4 \
               ORDER BY GREATEST(e.last_seen_at, e.last_reattempt_at) LIMIT $5 FOR UPDATE OF e SKIP LOCKED) AS due \
         WHERE d.organization = due.organization AND d.id = due.id",
    )
    .bind(now)
    .bind(DisposalReason::ConnectionArchived.as_str())
    .bind(DisposalReason::SyncDeactivated.as_str())
    .bind(now - DISPOSAL)
    .bind(i64::from(limit))
    .execute(tx)
    .await?;
    Ok(disposed.rows_affected())
}

impl Store {
    async fn list_dead_letters(
        &self,
        organization: &OrganizationId,
        sync: &SyncId,
        filter: &DeadLetterFilter,
        request: &PageRequest,
    ) -> Result<Page<DeadLetter>, Fault> {
        let bounds = Bounds::of(request);
        let mut connection = self.read(organization).await?;
        let total = sqlx::query_scalar(concat!("SELECT COUNT(*)", matching!()))
            .bind(organization.as_str())
            .bind(sync.as_str())
            .bind(filter.only_exhausted)
            .bind(&filter.error_types)
            .fetch_one(&mut *connection)
            .await?;
        let rows = sqlx::query(concat!(
            "SELECT ",
            columns!(),
            matching!(),
            " AND (first_seen_at, id) < ($5, $6) ORDER BY first_seen_at DESC, id DESC LIMIT $7 OFFSET $8"
        ))
        .bind(organization.as_str())
        .bind(sync.as_str())
        .bind(filter.only_exhausted)
        .bind(&filter.error_types)
        .bind(bounds.at)
        .bind(bounds.id)
        .bind(bounds.limit)
        .bind(bounds.offset)
        .fetch_all(&mut *connection)
        .await?;
        page(request, &rows, total, read, |it| PageCursor {
            created_at: it.first_seen_at,
            id: it.id.to_string(),
        })
    }

    async fn find_dead_letter(
        &self,
        organization: &OrganizationId,
        sync: &SyncId,
        source_object: &str,
    ) -> Result<Option<DeadLetter>, Fault> {
        sqlx::query(concat!(
            "SELECT ",
            columns!(),
            open_ones!(),
            " AND source_object = $3"
        ))
        .bind(organization.as_str())
        .bind(sync.as_str())
        .bind(source_object)
        .fetch_optional(&mut *self.read(organization).await?)
        .await?
        .as_ref()
        .map(read)
        .transpose()
    }

    async fn due_dead_letters(
        &self,
        organization: &OrganizationId,
        sync: &SyncId,
        job: &JobId,
        limit: u32,
    ) -> Result<Vec<DeadLetter>, Fault> {
        let mut connection = self.read(organization).await?;
        let now = self.now(&mut connection).await?;
        sqlx::query(DUE)
            .bind(organization.as_str())
            .bind(sync.as_str())
            .bind(job.as_str())
            .bind(now - HEALING_PAUSE)
            .bind(i64::from(limit))
            .fetch_all(&mut *connection)
            .await?
            .iter()
            .map(read)
            .collect()
    }

    async fn exhausted_by_code(
        &self,
        organization: &OrganizationId,
        sync: &SyncId,
    ) -> Result<BTreeMap<String, u64>, Fault> {
        sqlx::query(concat!(
            "SELECT error_type, COUNT(*) AS count",
            open_ones!(),
            " AND exhausted GROUP BY error_type"
        ))
        .bind(organization.as_str())
        .bind(sync.as_str())
        .fetch_all(&mut *self.read(organization).await?)
        .await?
        .iter()
        .map(|row| {
            let columns = Columns::of("dead_letters", row);
            Ok((columns.get("error_type")?, columns.number("count")?))
        })
        .collect()
    }

    async fn requeue_dead_letters(
        &self,
        tx: &mut Tx,
        organization: &OrganizationId,
        sync: &SyncId,
        error_types: Option<&[String]>,
        audit: &NewAuditRow,
    ) -> Result<u64, Fault> {
        syncs::lock(tx, organization, sync).await?;
        let now = self.now(tx).await?;
        let requeued = sqlx::query(
            "UPDATE dead_letters SET tries = 0, exhausted = FALSE, requeued_at = $4 \
             WHERE organization = $1 AND sync = $2 AND resolved_at IS NULL AND exhausted \
             AND ($3::text[] IS NULL OR error_type = ANY($3))",
        )
        .bind(organization.as_str())
        .bind(sync.as_str())
        .bind(error_types)
        .bind(now)
        .execute(&mut **tx)
        .await?
        .rows_affected();
        if requeued > 0 {
            let row = audit.clone().with("requeued", requeued);
            audit::store(tx, organization, &row, now);
        }
        Ok(requeued)
    }

    async fn exhaust_dead_letters(
        &self,
        tx: &mut Tx,
        organization: &OrganizationId,
        sync: &SyncId,
        error_types: &[String],
        audit: &NewAuditRow,
    ) -> Result<u64, Fault> {
        syncs::lock(tx, organization, sync).await?;
        let now = self.now(tx).await?;
        let marked = sqlx::query(
            "UPDATE dead_letters SET exhausted = TRUE \
             WHERE organization = $1 AND sync = $2 AND resolved_at IS NULL AND NOT exhausted AND error_type = ANY($3)",
        )
        .bind(organization.as_str())
        .bind(sync.as_str())
        .bind(error_types)
        .execute(&mut **tx)
        .await?
        .rows_affected();
        if marked > 0 {
            let row = audit.clone().with("marked", marked);
            audit::store(tx, organization, &row, now);
        }
        Ok(marked)
    }
}

#[async_trait]
impl DeadLetterRepository for Store {
    async fn list(
        &self,
        organization: &OrganizationId,
        sync: &SyncId,
        filter: &DeadLetterFilter,
        page: &PageRequest,
    ) -> Result<Page<DeadLetter>, RepositoryError> {
        Ok(self
            .list_dead_letters(organization, sync, filter, page)
            .await?)
    }

    async fn find_by_source(
        &self,
        organization: &OrganizationId,
        sync: &SyncId,
        source_object: &str,
    ) -> Result<Option<DeadLetter>, RepositoryError> {
        Ok(self
            .find_dead_letter(organization, sync, source_object)
            .await?)
    }

    async fn due(
        &self,
        organization: &OrganizationId,
        sync: &SyncId,
        job: &JobId,
        limit: u32,
    ) -> Result<Vec<DeadLetter>, RepositoryError> {
        Ok(self
            .due_dead_letters(organization, sync, job, limit)
            .await?)
    }

    async fn count_exhausted(
        &self,
        organization: &OrganizationId,
        sync: &SyncId,
    ) -> Result<BTreeMap<String, u64>, RepositoryError> {
        Ok(self.exhausted_by_code(organization, sync).await?)
    }

    async fn requeue(
        &self,
        organization: &OrganizationId,
        sync: &SyncId,
        error_types: Option<&[String]>,
        audit: NewAuditRow,
    ) -> Result<u64, RepositoryError> {
        Ok(
            in_transaction!(self, organization, tx => self.requeue_dead_letters(&mut tx, organization, sync, error_types, &audit))?,
        )
    }

    async fn mark_exhausted(
        &self,
        organization: &OrganizationId,
        sync: &SyncId,
        error_types: &[String],
        audit: NewAuditRow,
    ) -> Result<u64, RepositoryError> {
        Ok(
            in_transaction!(self, organization, tx => self.exhaust_dead_letters(&mut tx, organization, sync, error_types, &audit))?,
        )
    }
}
