use std::collections::BTreeMap;

use async_trait::async_trait;
use sqlx::sqlite::SqliteRow;
use wharf_domain::Timestamp;
use wharf_domain::audit::NewAuditRow;
use wharf_domain::dead_letter::{
    DISPOSAL, DeadLetter, DeadLetterFilter, DisposalReason, HEALING_PAUSE, MOST_TRIES,
};
use wharf_domain::ids::{BucketId, JobId, NamespaceId, OrganizationId, SyncId};
use wharf_domain::page::{Page, PageCursor, PageRequest};
use wharf_domain::run::commit::FailedFile;
use wharf_ports::{DeadLetterRepository, RepositoryError};

use crate::audit;
use crate::clock::{micros, span};
use crate::error::Fault;
use crate::page::{Bounds, page};
use crate::row::{Columns, json};
use crate::store::{Store, Tx, in_transaction};

macro_rules! columns {
    () => {
        "id, sync, bucket, namespace, job, source_object, path, version, error_type, error_message, tries, exhausted, \
         first_seen_at, last_seen_at, last_reattempt_at, requeued_at, resolved_at, disposal_reason"
    };
}

macro_rules! matching {
    () => {
        " FROM dead_letters WHERE organization = $1 AND sync = $2 AND resolved_at IS NULL AND (NOT $3 OR exhausted) \
         AND ($4 IS NULL OR error_type IN (SELECT value FROM json_each($4)))"
    };
}

/// How many match.
pub(crate) const COUNT: &str = concat!("SELECT COUNT(*)", matching!());

/// A page of those that match.
pub(crate) const LIST: &str = concat!(
    "SELECT ",
    columns!(),
    matching!(),
    " AND (first_seen_at, id) < ($5, $6) ORDER BY first_seen_at DESC, id DESC LIMIT $7 OFFSET $8"
);

/// Exhausted ones by error code.
pub(crate) const COUNT_EXHAUSTED: &str = "SELECT error_type, COUNT(*) FROM dead_letters \
     WHERE organization = $1 AND sync = $2 AND resolved_at IS NULL AND exhausted GROUP BY error_type";

/// Open ones by their last try, apart from those that failed in one job.
macro_rules! by_last_try {
    ($which:literal) => {
        concat!(
            "SELECT ",
            columns!(),
            ", MAX(last_seen_at, COALESCE(last_reattempt_at, last_seen_at)) AS tried_at FROM dead_letters \
             WHERE organization = $1 AND sync = $2 AND resolved_at IS NULL AND job <> $3 AND ",
            $which
        )
    };
}

/// Those that a run may try: not exhausted, or exhausted and left alone for long enough.
pub(crate) const DUE: &str = concat!(
    by_last_try!("exhausted = 0"),
    " UNION ALL ",
    by_last_try!(
        "exhausted = 1 AND MAX(last_seen_at, COALESCE(last_reattempt_at, last_seen_at)) <= $4"
    ),
    " ORDER BY tried_at, id LIMIT $5"
);

/// Ones that were exhausted before, and have failed again: that alone is noted.
pub(crate) const REATTEMPTED: &str = "UPDATE dead_letters INDEXED BY dead_letters_open SET last_reattempt_at = $4 \
     WHERE organization = $1 AND sync = $2 AND (source_object, version) IN \
     (SELECT f.value ->> 'object', f.value ->> 'version' FROM json_each($3) AS f) AND resolved_at IS NULL AND exhausted";

/// One more failure of what was not exhausted before. The open one of another version starts over.
pub(crate) const FAILED: &str = "INSERT INTO dead_letters (organization, id, sync, bucket, namespace, job, source_object, path, version, error_type, \
     error_message, tries, exhausted, first_seen_at, last_seen_at) \
     SELECT $1, f.value ->> 'id', $2, $5, $6, $7, f.value ->> 'object', f.value ->> 'path', f.value ->> 'version', \
     f.value ->> 'error_type', f.value ->> 'error_message', 1, 1 >= $8, $4, $4 FROM json_each($3) AS f WHERE true \
     ON CONFLICT (organization, sync, source_object) WHERE resolved_at IS NULL DO UPDATE SET job = excluded.job, \
     path = excluded.path, version = excluded.version, error_type = excluded.error_type, \
     error_message = excluded.error_message, last_seen_at = excluded.last_seen_at, \
     tries = CASE WHEN version = excluded.version THEN tries + 1 ELSE 1 END, \
     exhausted = (CASE WHEN version = excluded.version THEN tries + 1 ELSE 1 END) >= $8, \
     first_seen_at = CASE WHEN version = excluded.version THEN first_seen_at ELSE excluded.first_seen_at END, \
     last_reattempt_at = CASE WHEN version = excluded.version THEN last_reattempt_at END, \
     requeued_at = CASE WHEN version = excluded.version THEN requeued_at END \
     WHERE NOT (exhausted AND version = excluded.version)";

/// The open ones of these source objects have come to an end.
pub(crate) const RESOLVE: &str = "UPDATE dead_letters SET resolved_at = $4 WHERE organization = $1 AND sync = $2 \
     AND resolved_at IS NULL AND source_object IN (SELECT value FROM json_each($3))";

/// Old exhausted ones of syncs that do not run, and why these do not.
pub(crate) const DISPOSE: &str = "UPDATE dead_letters SET resolved_at = $1, disposal_reason = \
     (SELECT CASE s.state WHEN 'connection_archived' THEN $4 ELSE $5 END FROM syncs s \
     WHERE s.organization = dead_letters.organization AND s.id = dead_letters.sync) \
     WHERE rowid IN (SELECT d.rowid FROM syncs s CROSS JOIN dead_letters d \
     ON d.organization = s.organization AND d.sync = s.id AND d.resolved_at IS NULL AND d.exhausted \
     WHERE (s.state <> 'active' OR s.paused_at IS NOT NULL) \
     AND MAX(d.last_seen_at, COALESCE(d.last_reattempt_at, d.last_seen_at)) <= $2 LIMIT $3)";

fn read(row: &SqliteRow) -> Result<DeadLetter, Fault> {
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

/// The run in which files failed.
pub(crate) struct FailedIn<'a> {
    pub(crate) sync: &'a SyncId,
    pub(crate) bucket: &'a BucketId,
    pub(crate) namespace: &'a NamespaceId,
    pub(crate) job: &'a JobId,
}

/// Notes files that failed.
pub(crate) async fn fail(
    tx: &mut Tx,
    organization: &OrganizationId,
    run: FailedIn<'_>,
    failed: &[FailedFile],
    now: Timestamp,
) -> Result<(), Fault> {
    if failed.is_empty() {
        return Ok(());
    }
    let files = failed.iter().map(|file| {
        serde_json::json!({
            "id": file.new_id,
            "object": file.object,
            "path": file.path,
            "version": file.version,
            "error_type": file.error_type,
            "error_message": file.error_message,
        })
    });
    let files = json(&files.collect::<Vec<_>>());
    sqlx::query(REATTEMPTED)
        .bind(organization.as_str())
        .bind(run.sync.as_str())
        .bind(&files)
        .bind(micros(now))
        .execute(&mut **tx)
        .await?;
    sqlx::query(FAILED)
        .bind(organization.as_str())
        .bind(run.sync.as_str())
        .bind(&files)
        .bind(micros(now))
        .bind(run.bucket.as_str())
        .bind(run.namespace.as_str())
        .bind(run.job.as_str())
        .bind(MOST_TRIES)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Closes the open ones of these source objects: they are copied, or left out.
pub(crate) async fn resolve(
    tx: &mut Tx,
    organization: &OrganizationId,
    sync: &SyncId,
    objects: &[&str],
    now: Timestamp,
) -> Result<(), Fault> {
    if objects.is_empty() {
        return Ok(());
    }
    sqlx::query(RESOLVE)
        .bind(organization.as_str())
        .bind(sync.as_str())
        .bind(json(&objects))
        .bind(micros(now))
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Closes at most `limit` old ones of syncs that do not run any more, whichever organization's they are. Returns how many.
pub(crate) async fn dispose(tx: &mut Tx, limit: u32, now: Timestamp) -> Result<u64, Fault> {
    let disposed = sqlx::query(DISPOSE)
        .bind(micros(now))
        .bind(micros(now) - span(DISPOSAL))
        .bind(limit)
        .bind(DisposalReason::ConnectionArchived.as_str())
        .bind(DisposalReason::SyncDeactivated.as_str())
        .execute(&mut **tx)
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
        let codes = filter.error_types.as_ref().map(json);
        let bounds = Bounds::of(request);
        let mut connection = self.read().await?;
        let total = sqlx::query_scalar(COUNT)
            .bind(organization.as_str())
            .bind(sync.as_str())
            .bind(filter.only_exhausted)
            .bind(&codes)
            .fetch_one(&mut *connection)
            .await?;
        let rows = sqlx::query(LIST)
            .bind(organization.as_str())
            .bind(sync.as_str())
            .bind(filter.only_exhausted)
            .bind(&codes)
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
            " FROM dead_letters WHERE organization = $1 AND sync = $2 AND source_object = $3 AND resolved_at IS NULL"
        ))
        .bind(organization.as_str())
        .bind(sync.as_str())
        .bind(source_object)
        .fetch_optional(&self.reads)
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
        let mut connection = self.read().await?;
        let now = self.now(&mut connection).await?;
        sqlx::query(DUE)
            .bind(organization.as_str())
            .bind(sync.as_str())
            .bind(job.as_str())
            .bind(micros(now) - span(HEALING_PAUSE))
            .bind(limit)
            .fetch_all(&mut *connection)
            .await?
            .iter()
            .map(read)
            .collect()
    }

    async fn count_exhausted_dead_letters(
        &self,
        organization: &OrganizationId,
        sync: &SyncId,
    ) -> Result<BTreeMap<String, u64>, Fault> {
        let counts: Vec<(String, i64)> = sqlx::query_as(COUNT_EXHAUSTED)
            .bind(organization.as_str())
            .bind(sync.as_str())
            .fetch_all(&self.reads)
            .await?;
        let count = |(code, count)| (code, u64::try_from(count).unwrap_or(0));
        Ok(counts.into_iter().map(count).collect())
    }

    async fn requeue_dead_letters(
        &self,
        tx: &mut Tx,
        organization: &OrganizationId,
        sync: &SyncId,
        error_types: Option<&[String]>,
        audit: NewAuditRow,
    ) -> Result<u64, Fault> {
        let now = self.now(tx).await?;
        let requeued = sqlx::query(
            "UPDATE dead_letters SET tries = 0, exhausted = 0, requeued_at = $4 \
             WHERE organization = $1 AND sync = $2 AND resolved_at IS NULL AND exhausted \
             AND ($3 IS NULL OR error_type IN (SELECT value FROM json_each($3)))",
        )
        .bind(organization.as_str())
        .bind(sync.as_str())
        .bind(error_types.map(|codes| json(&codes)))
        .bind(micros(now))
        .execute(&mut **tx)
        .await?
        .rows_affected();
        if requeued > 0 {
            audit::store(tx, organization, &audit.with("requeued", requeued), now);
        }
        Ok(requeued)
    }

    async fn exhaust_dead_letters(
        &self,
        tx: &mut Tx,
        organization: &OrganizationId,
        sync: &SyncId,
        error_types: &[String],
        audit: NewAuditRow,
    ) -> Result<u64, Fault> {
        let marked = sqlx::query(
            "UPDATE dead_letters SET exhausted = 1 \
             WHERE organization = $1 AND sync = $2 AND resolved_at IS NULL AND NOT exhausted \
             AND error_type IN (SELECT value FROM json_each($3))",
        )
        .bind(organization.as_str())
        .bind(sync.as_str())
        .bind(json(&error_types))
        .execute(&mut **tx)
        .await?
        .rows_affected();
        if marked > 0 {
            let now = self.now(tx).await?;
            audit::store(tx, organization, &audit.with("marked", marked), now);
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
        Ok(self
            .count_exhausted_dead_letters(organization, sync)
            .await?)
    }

    async fn requeue(
        &self,
        organization: &OrganizationId,
        sync: &SyncId,
        error_types: Option<&[String]>,
        audit: NewAuditRow,
    ) -> Result<u64, RepositoryError> {
        Ok(
            in_transaction!(self, tx => self.requeue_dead_letters(&mut tx, organization, sync, error_types, audit))?,
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
            in_transaction!(self, tx => self.exhaust_dead_letters(&mut tx, organization, sync, error_types, audit))?,
        )
    }
}
