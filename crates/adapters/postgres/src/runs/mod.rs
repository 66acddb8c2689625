use std::time::Duration;

use async_trait::async_trait;
use sqlx::PgConnection;
use wharf_domain::Timestamp;
use wharf_domain::audit::NewAuditRow;
use wharf_domain::ids::OrganizationId;
use wharf_domain::job::{Counters, JobEnd, JobPhase, JobStatus};
use wharf_domain::provider::Provider;
use wharf_domain::run::commit::{Commit, Standing};
use wharf_domain::run::deletes::{Hold, LetGo, MarkAbsent, MarkMissing, RowKey, Survey};
use wharf_domain::run::feed::MissingRow;
use wharf_domain::sync::{Feed, Lease, PushChannel, Sync, SyncMode};
use wharf_ports::{RunError, RunRepository};

use crate::clock::span;
use crate::error::{Failure, Fault};
use crate::row::{Columns, json, number};
use crate::store::{Store, Tx, in_transaction};
use crate::syncs::columns;
use crate::{audit, jobs, syncs};

mod absent;
mod commit;
mod deletes;

type Outcome<T> = Result<T, Failure<RunError>>;

macro_rules! select_leased {
    ($($lock:literal)?) => {
        concat!(
            "SELECT ",
            columns!(),
            " FROM syncs WHERE organization = $1 AND id = $2 AND lease_job = $3 AND fence = $4"
            $(, $lock)?
        )
    };
}

/// The sync, if the lease on it is still the run's. A lease that has expired still is, until it is taken over.
async fn leased(
    connection: &mut PgConnection,
    organization: &OrganizationId,
    lease: &Lease,
) -> Outcome<Sync> {
    read_leased(select_leased!(), connection, organization, lease).await
}

/// The same, locked until the transaction ends.
async fn hold(
    tx: &mut PgConnection,
    organization: &OrganizationId,
    lease: &Lease,
) -> Outcome<Sync> {
    read_leased(select_leased!(" FOR UPDATE"), tx, organization, lease).await
}

async fn read_leased(
    query: &'static str,
    connection: &mut PgConnection,
    organization: &OrganizationId,
    lease: &Lease,
) -> Outcome<Sync> {
    let row = sqlx::query(query)
        .bind(organization.as_str())
        .bind(lease.sync.as_str())
        .bind(lease.job.as_str())
        .bind(number(lease.fence))
        .fetch_optional(connection)
        .await?;
    let row = row.ok_or(Failure::Refused(RunError::LeaseLost))?;
    Ok(syncs::read(&row)?)
}

/// A leased sync whose connection is active and what it was when the run started.
struct Run {
    sync: Sync,
    provider: Provider,
}

/// The same as [`hold`] for a step that publishes, marks or buries: with the connection, which stays so until the
/// transaction ends.
async fn hold_standing(
    tx: &mut PgConnection,
    organization: &OrganizationId,
    lease: &Lease,
    standing: Standing,
) -> Outcome<Run> {
    let connection = sqlx::query(
        "SELECT c.provider FROM syncs s JOIN connections c ON c.organization = s.organization AND c.id = s.connection \
         WHERE s.organization = $1 AND s.id = $2 AND c.status = 'ACTIVE' AND c.epoch = $3 \
         AND c.credential_version = $4 FOR SHARE OF c",
    )
    .bind(organization.as_str())
    .bind(lease.sync.as_str())
    .bind(number(standing.epoch))
    .bind(number(standing.credential_version))
    .fetch_optional(&mut *tx)
    .await?;
    let sync = hold(tx, organization, lease).await?;
    let connection = connection.ok_or(Failure::Refused(RunError::ConnectionChanged))?;
    let provider = Columns::of("connections", &connection).parse("provider")?;
    Ok(Run { sync, provider })
}

/// What a write of a run leaves on the sync: the lease extended by the time it was leased for, and progress.
struct Progress<'a> {
    counters: &'a Counters,
    pass: u64,
    checkpoint: Option<String>,
    phase: Option<JobPhase>,
}

async fn advance(
    tx: &mut PgConnection,
    organization: &OrganizationId,
    lease: &Lease,
    sync: Sync,
    progress: Progress<'_>,
    now: Timestamp,
) -> Result<(), Fault> {
    let mut totals = sync.totals.counters;
    totals.add(progress.counters);
    sqlx::query(
        "UPDATE syncs SET counters = $3, last_pass = GREATEST(last_pass, $4), checkpoint = COALESCE($5, checkpoint), \
         lease_expires_at = $6 + lease_ttl * INTERVAL '1 microsecond', updated_at = $6 WHERE organization = $1 AND id = $2",
    )
    .bind(organization.as_str())
    .bind(lease.sync.as_str())
    .bind(json(&totals))
    .bind(number(progress.pass))
    .bind(progress.checkpoint)
    .bind(now)
    .execute(&mut *tx)
    .await?;
    jobs::count(
        tx,
        organization,
        &lease.job,
        progress.counters,
        progress.phase,
        now,
    )
    .await
}

impl Store {
    async fn load_leased(&self, organization: &OrganizationId, lease: &Lease) -> Outcome<Sync> {
        let mut connection = self.read(organization).await?;
        leased(&mut connection, organization, lease).await
    }

    async fn extend_lease(
        &self,
        tx: &mut PgConnection,
        organization: &OrganizationId,
        lease: &Lease,
        ttl: Duration,
    ) -> Outcome<()> {
        hold(tx, organization, lease).await?;
        let now = self.now(tx).await?;
        sqlx::query("UPDATE syncs SET lease_expires_at = $3 WHERE organization = $1 AND id = $2")
            .bind(organization.as_str())
            .bind(lease.sync.as_str())
            .bind(now + span(ttl))
            .execute(&mut *tx)
            .await?;
        Ok(())
    }

    async fn note_channel(
        &self,
        tx: &mut PgConnection,
        organization: &OrganizationId,
        lease: &Lease,
        channel: Option<&PushChannel>,
    ) -> Outcome<()> {
        hold(tx, organization, lease).await?;
        let now = self.now(tx).await?;
        sqlx::query(
            "UPDATE syncs SET push = $3, push_channel = $4, \
             lease_expires_at = GREATEST(lease_expires_at, $5 + lease_ttl * INTERVAL '1 microsecond') \
             WHERE organization = $1 AND id = $2",
        )
        .bind(organization.as_str())
        .bind(lease.sync.as_str())
        .bind(channel.map(json))
        .bind(channel.map(|channel| channel.channel.as_str()))
        .bind(now)
        .execute(&mut *tx)
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
        let sync = hold(tx, organization, lease).await?;
        let now = self.now(tx).await?;
        let ended = jobs::end(tx, organization, &lease.job, end, now).await?;
        let took = ended.took(now);
        let stats = match end.status {
            JobStatus::Skipped => sync.totals.stats,
            _ => sync.totals.stats.with_run(end, ended.counters, took, now),
        };
        let completed = end.status == JobStatus::Completed;
        let failed = end.status == JobStatus::Failed;
        let complete_pass = completed && end.incomplete_reason.is_none();
        let done = complete_pass && sync.mode == SyncMode::InitialOnly;
        // What was asked for meanwhile is owed its run, even by a sync that is done.
        let feed = sync.checkpoint.as_ref().filter(|_| end.saw_what_it_may());
        let feed = feed.and_then(|checkpoint| Feed::behind(checkpoint, sync.feed.as_ref(), now));
        let owed = sync.queued_job.is_some() || sync.pending_full;
        let next_run_at = match (owed, done) {
            (true, _) => Some(now),
            (false, true) => None,
            (false, false) => Some(now + span(delay)),
        };
        let rest = end.ring_rest(delay);
        sqlx::query(
            "UPDATE syncs SET lease_job = NULL, lease_worker = NULL, lease_acquired_at = NULL, lease_expires_at = NULL, \
             lease_ttl = NULL, next_run_at = CASE WHEN rung AND NOT $5 THEN LEAST($3, $14) ELSE $3 END, rung = FALSE, rings_from = $14, resume_of = $4, \
             state = CASE WHEN $5 THEN 'completed' ELSE state END, \
             paused_at = CASE WHEN $5 THEN NULL ELSE paused_at END, \
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
        .bind(now)
        .bind(&end.error)
        .bind(json(&stats))
        .bind(feed.as_ref().map(json))
        .bind(end.saw_what_it_may())
        .bind(now + span(rest))
        .execute(&mut **tx)
        .await?;
        audit::store(tx, organization, audit, now);
        Ok(())
    }
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
        in_transaction!(self, organization, tx => self.extend_lease(&mut tx, organization, lease, ttl))
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
        in_transaction!(self, organization, tx => self.commit_step(&mut tx, organization, lease, standing, commit, audit.as_ref())).map_err(Failure::into_port)
    }

    async fn mark_missing(
        &self,
        organization: &OrganizationId,
        lease: &Lease,
        standing: Standing,
        step: &MarkMissing,
    ) -> Result<Option<RowKey>, RunError> {
        in_transaction!(self, organization, tx => self.mark_unseen(&mut tx, organization, lease, standing, step))
            .map_err(Failure::into_port)
    }

    async fn mark_absent(
        &self,
        organization: &OrganizationId,
        lease: &Lease,
        standing: Standing,
        step: &MarkAbsent,
    ) -> Result<u64, RunError> {
        in_transaction!(self, organization, tx => self.mark_absent_rows(&mut tx, organization, lease, standing, step))
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
        in_transaction!(self, organization, tx => self.note_channel(&mut tx, organization, lease, channel.as_ref()))
            .map_err(Failure::into_port)
    }

    async fn survey(
        &self,
        organization: &OrganizationId,
        lease: &Lease,
        pass: u64,
        denied: &[String],
    ) -> Result<Survey, RunError> {
        self.survey_missing(organization, lease, pass, denied)
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
        in_transaction!(self, organization, tx => self.hold_missing(&mut tx, organization, lease, standing, step, &audit)).map_err(Failure::into_port)
    }

    async fn let_go(
        &self,
        organization: &OrganizationId,
        lease: &Lease,
        standing: Standing,
        step: &LetGo,
        audit: NewAuditRow,
    ) -> Result<u64, RunError> {
        in_transaction!(self, organization, tx => self.let_missing_go(&mut tx, organization, lease, standing, step, &audit)).map_err(Failure::into_port)
    }

    async fn finish(
        &self,
        organization: &OrganizationId,
        lease: &Lease,
        end: JobEnd,
        delay: Duration,
        audit: NewAuditRow,
    ) -> Result<(), RunError> {
        in_transaction!(self, organization, tx => self.finish_job(&mut tx, organization, lease, &end, delay, &audit)).map_err(Failure::into_port)
    }
}
