//! What a run reads and writes: its lease and its end here, its steps in the modules below.

pub(crate) mod absent;
pub(crate) mod commit;
pub(crate) mod deletes;

use std::time::Duration;

use async_trait::async_trait;
use sqlx::SqliteConnection;
use wharf_domain::Timestamp;
use wharf_domain::audit::NewAuditRow;
use wharf_domain::ids::{BucketId, NamespaceId, OrganizationId};
use wharf_domain::job::{Counters, JobEnd, JobPhase, JobStatus};
use wharf_domain::provider::Provider;
use wharf_domain::run::commit::{Commit, Standing};
use wharf_domain::run::deletes::{Hold, LetGo, MarkAbsent, MarkMissing, RowKey, Survey};
use wharf_domain::run::feed::MissingRow;
use wharf_domain::sync::{Feed, HeldDeletes, Lease, PushChannel, Sync, SyncMode};
use wharf_ports::{RunError, RunRepository};

use crate::clock::{micros, reading, span};
use crate::error::{Failure, Fault};
use crate::row::{Columns, json, number};
use crate::store::{Store, Tx, in_transaction};
use crate::syncs::columns;
use crate::{audit, jobs, syncs};

type Outcome<T> = Result<T, Failure<RunError>>;

/// The sync, if the lease on it is still the run's. A lease that has expired still is, until it is taken over.
async fn leased(
    connection: &mut SqliteConnection,
    organization: &OrganizationId,
    lease: &Lease,
    now: Timestamp,
) -> Outcome<Sync> {
    let row = sqlx::query(concat!(
        "SELECT ",
        columns!(),
        " FROM syncs WHERE organization = $1 AND id = $2 AND lease_job = $3 AND fence = $4"
    ))
    .bind(organization.as_str())
    .bind(lease.sync.as_str())
    .bind(lease.job.as_str())
    .bind(number(lease.fence))
    .fetch_optional(connection)
    .await?;
    let row = row.ok_or(Failure::Refused(RunError::LeaseLost))?;
    Ok(syncs::read(&row, now)?)
}

/// What a step of a run stands on, read once it holds the write lock.
struct Ground {
    bucket: BucketId,
    namespace: NamespaceId,
    provider: Provider,
    held_deletes: Option<HeldDeletes>,
    /// What all jobs of the sync counted.
    totals: Counters,
    /// What this job counted.
    counted: Counters,
    now: Timestamp,
}

/// What a step adds, and where it leaves the run.
#[derive(Default)]
struct Progress {
    counters: Counters,
    checkpoint: Option<String>,
    phase: Option<JobPhase>,
}

impl Store {
    /// Refuses unless the lease is still the run's, and the connection is active and what it was when the run started.
    async fn ground(
        &self,
        tx: &mut Tx,
        organization: &OrganizationId,
        lease: &Lease,
        standing: Standing,
    ) -> Outcome<Ground> {
        let row = sqlx::query(concat!(
            "SELECT s.bucket, s.namespace, s.held_deletes, s.counters, j.counters AS counted, c.provider, \
             c.status = 'ACTIVE' AND c.epoch = $5 AND c.credential_version = $6 AS stands, ",
            reading!(),
            " AS read FROM syncs s CROSS JOIN jobs j ON j.organization = s.organization AND j.id = s.lease_job \
             CROSS JOIN connections c ON c.organization = s.organization AND c.id = s.connection \
             WHERE s.organization = $1 AND s.id = $2 AND s.lease_job = $3 AND s.fence = $4"
        ))
        .bind(organization.as_str())
        .bind(lease.sync.as_str())
        .bind(lease.job.as_str())
        .bind(number(lease.fence))
        .bind(number(standing.epoch))
        .bind(number(standing.credential_version))
        .fetch_optional(&mut **tx)
        .await?;
        let row = row.ok_or(Failure::Refused(RunError::LeaseLost))?;
        let columns = Columns::of("syncs", &row);
        if !columns.get::<bool>("stands")? {
            return Err(Failure::Refused(RunError::ConnectionChanged));
        }
        Ok(Ground {
            bucket: columns.parse("bucket")?,
            namespace: columns.parse("namespace")?,
            provider: columns.parse("provider")?,
            held_deletes: columns.json_optional("held_deletes")?,
            totals: columns.json("counters")?,
            counted: columns.json("counted")?,
            now: self.clock.settle(columns.get("read")?)?,
        })
    }

    async fn load_leased(&self, organization: &OrganizationId, lease: &Lease) -> Outcome<Sync> {
        let mut connection = self.read().await?;
        let now = self.now(&mut connection).await?;
        leased(&mut connection, organization, lease, now).await
    }

    async fn extend_lease(
        &self,
        tx: &mut Tx,
        organization: &OrganizationId,
        lease: &Lease,
        ttl: Duration,
    ) -> Outcome<()> {
        let now = self.now(tx).await?;
        leased(tx, organization, lease, now).await?;
        sqlx::query("UPDATE syncs SET lease_expires_at = $3 WHERE organization = $1 AND id = $2")
            .bind(organization.as_str())
            .bind(lease.sync.as_str())
            .bind(micros(now) + span(ttl))
            .execute(&mut **tx)
            .await?;
        Ok(())
    }

    async fn note_channel(
        &self,
        tx: &mut Tx,
        organization: &OrganizationId,
        lease: &Lease,
        channel: Option<&PushChannel>,
    ) -> Outcome<()> {
        let now = self.now(tx).await?;
        leased(tx, organization, lease, now).await?;
        sqlx::query(
            "UPDATE syncs SET push = $3, push_channel = $4, lease_expires_at = MAX(lease_expires_at, $5 + lease_ttl) \
             WHERE organization = $1 AND id = $2",
        )
        .bind(organization.as_str())
        .bind(lease.sync.as_str())
        .bind(channel.map(json))
        .bind(channel.map(|channel| &*channel.channel))
        .bind(micros(now))
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    async fn finish_job(
        &self,
        tx: &mut Tx,
        organization: &OrganizationId,
        lease: &Lease,
        end: &JobEnd,
        delay: Duration,
        audit: &NewAuditRow,
    ) -> Outcome<()> {
        let now = self.now(tx).await?;
        let sync = leased(tx, organization, lease, now).await?;
        let (counters, started_at) = jobs::account(tx, organization, &lease.job).await?;
        jobs::end(tx, organization, &lease.job, end, now).await?;
        let completed = end.status == JobStatus::Completed;
        let failed = end.status == JobStatus::Failed;
        let complete_pass = completed && end.incomplete_reason.is_none();
        let done = complete_pass && sync.mode == SyncMode::InitialOnly;
        // What was asked for meanwhile is owed its run, even on a sync that has just completed.
        let next_run_at = if sync.queued_job.is_some() || sync.pending_full {
            Some(micros(now))
        } else if done {
            None
        } else {
            Some(micros(now) + span(delay))
        };
        let feed = sync.checkpoint.as_ref().filter(|_| end.saw_what_it_may());
        let feed = feed.and_then(|checkpoint| Feed::behind(checkpoint, sync.feed.as_ref(), now));
        let stats = if end.status == JobStatus::Skipped {
            sync.totals.stats
        } else {
            let took = now - started_at.unwrap_or(now);
            let took = took.to_std().unwrap_or_default();
            sync.totals.stats.with_run(end, counters, took, now)
        };
        let rest = end.ring_rest(delay);
        sqlx::query(
            "UPDATE syncs SET lease_job = NULL, lease_worker = NULL, lease_acquired_at = NULL, lease_expires_at = NULL, \
             lease_ttl = NULL, next_run_at = CASE WHEN rung AND NOT $5 THEN MIN($3, $14) ELSE $3 END, rung = 0, rings_from = $14, resume_of = $4, \
             state = CASE WHEN $5 THEN 'completed' ELSE state END, \
             paused_at = CASE WHEN NOT $5 THEN paused_at END, paused_by = CASE WHEN NOT $5 THEN paused_by END, \
             pause_reason = CASE WHEN NOT $5 THEN pause_reason END, \
             checkpoint = CASE WHEN $6 THEN NULL ELSE checkpoint END, feed = CASE WHEN $13 THEN $12 ELSE feed END, \
             runs_completed = runs_completed + $7, last_sync_at = CASE WHEN $7 = 1 THEN $9 ELSE last_sync_at END, \
             runs_failed = runs_failed + $8, \
             consecutive_failures = CASE WHEN $7 = 1 THEN 0 ELSE consecutive_failures + $8 END, \
             last_error = CASE WHEN $7 = 1 THEN NULL WHEN $8 = 1 THEN $10 ELSE last_error END, \
             stats = $11, updated_at = $9 WHERE organization = $1 AND id = $2",
        )
        .bind(organization.as_str())
        .bind(lease.sync.as_str())
        .bind(next_run_at)
        .bind((end.status == JobStatus::Interrupted).then(|| lease.job.as_str()))
        .bind(done)
        .bind(complete_pass)
        .bind(i64::from(completed))
        .bind(i64::from(failed))
        .bind(micros(now))
        .bind(&end.error)
        .bind(json(&stats))
        .bind(feed.as_ref().map(json))
        .bind(end.saw_what_it_may())
        .bind(micros(now) + span(rest))
        .execute(&mut **tx)
        .await?;
        audit::store(tx, organization, audit, now);
        Ok(())
    }
}

/// Leaves the run's progress on sync and job, and extends the lease by the time it was leased for.
async fn advance(
    tx: &mut Tx,
    organization: &OrganizationId,
    lease: &Lease,
    pass: u64,
    ground: Ground,
    progress: Progress,
) -> Result<(), Fault> {
    let (mut totals, mut counted) = (ground.totals, ground.counted);
    totals.add(&progress.counters);
    counted.add(&progress.counters);
    sqlx::query(
        "UPDATE syncs SET counters = $3, last_pass = MAX(last_pass, $4), checkpoint = COALESCE($5, checkpoint), \
         lease_expires_at = $6 + lease_ttl, updated_at = $6 WHERE organization = $1 AND id = $2",
    )
    .bind(organization.as_str())
    .bind(lease.sync.as_str())
    .bind(json(&totals))
    .bind(number(pass))
    .bind(progress.checkpoint)
    .bind(micros(ground.now))
    .execute(&mut **tx)
    .await?;
    jobs::note(
        tx,
        organization,
        &lease.job,
        &counted,
        progress.phase,
        ground.now,
    )
    .await
}

#[async_trait]
impl RunRepository for Store {
    async fn load(&self, organization: &OrganizationId, lease: &Lease) -> Result<Sync, RunError> {
        self.load_leased(organization, lease)
            .await
            .map_err(Failure::into_port)
    }

    async fn extend(
        &self,
        organization: &OrganizationId,
        lease: &Lease,
        ttl: Duration,
    ) -> Result<(), RunError> {
        in_transaction!(self, tx => self.extend_lease(&mut tx, organization, lease, ttl))
            .map_err(Failure::into_port)
    }

    async fn commit(
        &self,
        organization: &OrganizationId,
        lease: &Lease,
        standing: Standing,
        commit: &Commit,
        audit: Option<NewAuditRow>,
    ) -> Result<(), RunError> {
        in_transaction!(self, tx => self.commit_step(&mut tx, organization, lease, standing, commit, audit))
            .map_err(Failure::into_port)
    }

    async fn mark_missing(
        &self,
        organization: &OrganizationId,
        lease: &Lease,
        standing: Standing,
        step: &MarkMissing,
    ) -> Result<Option<RowKey>, RunError> {
        in_transaction!(self, tx => self.mark_missing_rows(&mut tx, organization, lease, standing, step))
            .map_err(Failure::into_port)
    }

    async fn mark_absent(
        &self,
        organization: &OrganizationId,
        lease: &Lease,
        standing: Standing,
        step: &MarkAbsent,
    ) -> Result<u64, RunError> {
        in_transaction!(self, tx => self.mark_absent_rows(&mut tx, organization, lease, standing, step))
            .map_err(Failure::into_port)
    }

    async fn missing_rows(
        &self,
        organization: &OrganizationId,
        lease: &Lease,
        pass: u64,
        authority: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<MissingRow>, RunError> {
        self.rows_to_trace(organization, lease, pass, authority, after, limit)
            .await
            .map_err(Failure::into_port)
    }

    async fn keep_channel(
        &self,
        organization: &OrganizationId,
        lease: &Lease,
        channel: Option<PushChannel>,
    ) -> Result<(), RunError> {
        in_transaction!(self, tx => self.note_channel(&mut tx, organization, lease, channel.as_ref()))
            .map_err(Failure::into_port)
    }

    async fn survey(
        &self,
        organization: &OrganizationId,
        lease: &Lease,
        pass: u64,
        denied: &[String],
    ) -> Result<Survey, RunError> {
        self.survey_rows(organization, lease, pass, denied)
            .await
            .map_err(Failure::into_port)
    }

    async fn hold(
        &self,
        organization: &OrganizationId,
        lease: &Lease,
        standing: Standing,
        step: &Hold,
        audit: NewAuditRow,
    ) -> Result<u64, RunError> {
        in_transaction!(self, tx => self.hold_rows(&mut tx, organization, lease, standing, step, audit))
            .map_err(Failure::into_port)
    }

    async fn let_go(
        &self,
        organization: &OrganizationId,
        lease: &Lease,
        standing: Standing,
        step: &LetGo,
        audit: NewAuditRow,
    ) -> Result<u64, RunError> {
        in_transaction!(self, tx => self.let_go_of_rows(&mut tx, organization, lease, standing, step, audit))
            .map_err(Failure::into_port)
    }

    async fn finish(
        &self,
        organization: &OrganizationId,
        lease: &Lease,
        end: JobEnd,
        delay: Duration,
        audit: NewAuditRow,
    ) -> Result<(), RunError> {
        in_transaction!(self, tx => self.finish_job(&mut tx, organization, lease, &end, delay, &audit)).map_err(Failure::into_port)
    }
}
