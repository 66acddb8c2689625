use std::time::Duration;

use async_trait::async_trait;
use sqlx::PgConnection;
use sqlx::postgres::PgRow;
use wharf_domain::Timestamp;
use wharf_domain::audit::NewAuditRow;
use wharf_domain::ids::{JobId, OrganizationId, SyncId};
use wharf_domain::job::{Counters, Job, JobEnd, JobPhase, JobStatus, JobTrigger};
use wharf_domain::page::{Page, PageCursor, PageRequest};
use wharf_domain::sync::Sync;
use wharf_ports::{JobRepository, RepositoryError};

use crate::audit;
use crate::error::Fault;
use crate::page::{Bounds, page};
use crate::row::{Columns, json};
use crate::store::{Store, Tx};

macro_rules! columns {
    () => {
        "id, sync, bucket, namespace, status, \"trigger\", phase, counters, complete, incomplete_reason, error, \
         resumed_from, created_at, started_at, completed_at, updated_at"
    };
}

macro_rules! matching {
    () => {
        " FROM jobs WHERE organization = $1 AND sync = $2 AND ($3::text IS NULL OR status = $3)"
    };
}

fn read(row: &PgRow) -> Result<Job, Fault> {
    let columns = Columns::of("jobs", row);
    Ok(Job {
        id: columns.parse("id")?,
        sync: columns.parse("sync")?,
        bucket: columns.parse("bucket")?,
        namespace: columns.parse("namespace")?,
        status: columns.read("status", JobStatus::parse)?,
        trigger: columns.read("trigger", JobTrigger::parse)?,
        phase: columns.read("phase", JobPhase::parse)?,
        counters: columns.json("counters")?,
        complete: columns.get("complete")?,
        incomplete_reason: columns.get("incomplete_reason")?,
        error: columns.get("error")?,
        resumed_from: columns.parse_optional("resumed_from")?,
        created_at: columns.time("created_at")?,
        started_at: columns.time_optional("started_at")?,
        completed_at: columns.time_optional("completed_at")?,
        updated_at: columns.time("updated_at")?,
    })
}

/// A job that waits for a worker.
pub(crate) struct QueuedJob<'a> {
    pub(crate) id: &'a JobId,
    pub(crate) sync: &'a Sync,
    pub(crate) trigger: JobTrigger,
}

/// Stores a job that waits for a worker.
pub(crate) async fn queue(
    tx: &mut PgConnection,
    organization: &OrganizationId,
    job: &QueuedJob<'_>,
    now: Timestamp,
) -> Result<(), Fault> {
    sqlx::query(
        "INSERT INTO jobs (organization, id, sync, bucket, namespace, status, \"trigger\", phase, counters, \
         created_at, updated_at) VALUES ($1, $2, $3, $4, $5, 'running', $6, 'queued', $7, $8, $8)",
    )
    .bind(organization.as_str())
    .bind(job.id.as_str())
    .bind(job.sync.id.as_str())
    .bind(job.sync.bucket.as_str())
    .bind(job.sync.namespace.as_str())
    .bind(job.trigger.as_str())
    .bind(json(&Counters::default()))
    .bind(now)
    .execute(tx)
    .await?;
    Ok(())
}

/// A worker takes the job: it starts now. Returns what it was queued for.
pub(crate) async fn start(
    tx: &mut PgConnection,
    organization: &OrganizationId,
    job: &JobId,
    resumed_from: Option<&JobId>,
    now: Timestamp,
) -> Result<JobTrigger, Fault> {
    let row = sqlx::query(
        "UPDATE jobs SET phase = 'discovering', resumed_from = $3, started_at = $4, updated_at = $4 \
         WHERE organization = $1 AND id = $2 RETURNING \"trigger\"",
    )
    .bind(organization.as_str())
    .bind(job.as_str())
    .bind(resumed_from.map(JobId::as_str))
    .bind(now)
    .fetch_one(tx)
    .await?;
    Columns::of("jobs", &row).read("trigger", JobTrigger::parse)
}

/// What a job that has ended leaves behind.
pub(crate) struct Ended {
    pub(crate) counters: Counters,
    started_at: Option<Timestamp>,
}

impl Ended {
    /// How long it took, if it ends now.
    pub(crate) fn took(&self, now: Timestamp) -> Duration {
        let took = self.started_at.map(|started_at| now - started_at);
        took.and_then(|took| took.to_std().ok()).unwrap_or_default()
    }
}

/// The job ends now.
pub(crate) async fn end(
    tx: &mut PgConnection,
    organization: &OrganizationId,
    job: &JobId,
    end: &JobEnd,
    now: Timestamp,
) -> Result<Ended, Fault> {
    let complete = end.status == JobStatus::Completed && end.incomplete_reason.is_none();
    let row = sqlx::query(
        "UPDATE jobs SET status = $3, phase = 'idle', complete = $4, incomplete_reason = $5, error = $6, \
         completed_at = $7, updated_at = $7 WHERE organization = $1 AND id = $2 RETURNING counters, started_at",
    )
    .bind(organization.as_str())
    .bind(job.as_str())
    .bind(end.status.as_str())
    .bind(complete)
    .bind(&end.incomplete_reason)
    .bind(&end.error)
    .bind(now)
    .fetch_one(tx)
    .await?;
    let columns = Columns::of("jobs", &row);
    Ok(Ended {
        counters: columns.json("counters")?,
        started_at: columns.time_optional("started_at")?,
    })
}

/// The job ends now without its worker, and leaves an audit row of that.
pub(crate) async fn end_alone(
    tx: &mut Tx,
    organization: &OrganizationId,
    sync: &SyncId,
    job: &JobId,
    how: &JobEnd,
    now: Timestamp,
) -> Result<(), Fault> {
    end(tx, organization, job, how, now).await?;
    let row = NewAuditRow::job_ended_alone(job, sync, how);
    audit::store(tx, organization, &row, now);
    Ok(())
}

/// Adds to what the job counted, and moves it to a phase if one is given.
pub(crate) async fn count(
    tx: &mut PgConnection,
    organization: &OrganizationId,
    job: &JobId,
    more: &Counters,
    phase: Option<JobPhase>,
    now: Timestamp,
) -> Result<(), Fault> {
    let row = sqlx::query("SELECT counters FROM jobs WHERE organization = $1 AND id = $2")
        .bind(organization.as_str())
        .bind(job.as_str())
        .fetch_one(&mut *tx)
        .await?;
    let mut counters: Counters = Columns::of("jobs", &row).json("counters")?;
    counters.add(more);
    sqlx::query(
        "UPDATE jobs SET counters = $3, phase = COALESCE($4, phase), updated_at = $5 \
         WHERE organization = $1 AND id = $2",
    )
    .bind(organization.as_str())
    .bind(job.as_str())
    .bind(json(&counters))
    .bind(phase.map(JobPhase::as_str))
    .bind(now)
    .execute(tx)
    .await?;
    Ok(())
}

impl Store {
    async fn find_job(
        &self,
        organization: &OrganizationId,
        sync: &SyncId,
        job: &JobId,
    ) -> Result<Option<Job>, Fault> {
        sqlx::query(concat!(
            "SELECT ",
            columns!(),
            " FROM jobs WHERE organization = $1 AND sync = $2 AND id = $3"
        ))
        .bind(organization.as_str())
        .bind(sync.as_str())
        .bind(job.as_str())
        .fetch_optional(&mut *self.read(organization).await?)
        .await?
        .as_ref()
        .map(read)
        .transpose()
    }

    async fn list_jobs(
        &self,
        organization: &OrganizationId,
        sync: &SyncId,
        status: Option<JobStatus>,
        request: &PageRequest,
    ) -> Result<Page<Job>, Fault> {
        let status = status.map(JobStatus::as_str);
        let bounds = Bounds::of(request);
        let mut connection = self.read(organization).await?;
        let total = sqlx::query_scalar(concat!("SELECT COUNT(*)", matching!()))
            .bind(organization.as_str())
            .bind(sync.as_str())
            .bind(status)
            .fetch_one(&mut *connection)
            .await?;
        let rows = sqlx::query(concat!(
            "SELECT ",
            columns!(),
            matching!(),
            " AND (created_at, id) < ($4, $5) ORDER BY created_at DESC, id DESC LIMIT $6 OFFSET $7"
        ))
        .bind(organization.as_str())
        .bind(sync.as_str())
        .bind(status)
        .bind(bounds.at)
        .bind(bounds.id)
        .bind(bounds.limit)
        .bind(bounds.offset)
        .fetch_all(&mut *connection)
        .await?;
        page(request, &rows, total, read, |it| PageCursor {
            created_at: it.created_at,
            id: it.id.to_string(),
        })
    }
}

#[async_trait]
impl JobRepository for Store {
    async fn find(
        &self,
        organization: &OrganizationId,
        sync: &SyncId,
        job: &JobId,
    ) -> Result<Option<Job>, RepositoryError> {
        Ok(self.find_job(organization, sync, job).await?)
    }

    async fn list(
        &self,
        organization: &OrganizationId,
        sync: &SyncId,
        status: Option<JobStatus>,
        page: &PageRequest,
    ) -> Result<Page<Job>, RepositoryError> {
        Ok(self.list_jobs(organization, sync, status, page).await?)
    }
}
