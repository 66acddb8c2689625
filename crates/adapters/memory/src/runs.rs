//! What a worker does with the sync it has leased.

use std::mem;
use std::time::Duration;

use async_trait::async_trait;
use wharf_domain::Timestamp;
use wharf_domain::audit::NewAuditRow;
use wharf_domain::bucket::Bucket;
use wharf_domain::connection::Connection;
use wharf_domain::ids::OrganizationId;
use wharf_domain::job::{Counters, Job, JobEnd, JobStatus};
use wharf_domain::run::commit::{Commit, Standing};
use wharf_domain::run::deletes::{Hold, LetGo, MarkAbsent, MarkMissing, RowKey, Survey};
use wharf_domain::run::feed::MissingRow;
use wharf_domain::sync::{Feed, Lease, PushChannel, Sync, SyncMode, SyncState};
use wharf_ports::{RunError, RunRepository};

use crate::MemoryStore;
use crate::deletes::{mark_absent, mark_missing};
use crate::state::{State, StoredSync, at_most, end_job, owned_mut};
use crate::store::stored_time;

impl State {
    /// The sync of a lease whose connection still is what it was when the run started.
    fn standing(
        &mut self,
        organization: &OrganizationId,
        lease: &Lease,
        standing: Standing,
        now: Timestamp,
    ) -> Result<Sync, RunError> {
        let sync = self.leased(organization, lease)?.seen_at(now);
        let same = |connection: &&Connection| {
            connection.epoch == standing.epoch
                && connection.credential_version == standing.credential_version
        };
        let found = self.connections.get(&sync.connection).filter(same);
        found.map(|_| sync).ok_or(RunError::ConnectionChanged)
    }

    /// Adds to the counters of a leased sync and its job, and extends the lease.
    fn count(
        &mut self,
        organization: &OrganizationId,
        lease: &Lease,
        counters: &Counters,
        now: Timestamp,
    ) {
        if let Ok(stored) = self.leased(organization, lease) {
            stored.sync.totals.counters.add(counters);
            stored.extend_lease(now);
        }
        if let Some(job) = owned_mut(&mut self.jobs, organization, &lease.job) {
            job.counters.add(counters);
            job.updated_at = now;
        }
    }
}

/// What the end of a run means for its sync.
fn wind_up(stored: &mut StoredSync, lease: &Lease, end: &JobEnd, delay: Duration, now: Timestamp) {
    stored.lease = None;
    let rung = mem::take(&mut stored.rung);
    let rings_from = now + end.ring_rest(delay);
    stored.rings_from = Some(rings_from);
    let sync = &mut stored.sync;
    sync.updated_at = now;
    let complete = end.status == JobStatus::Completed && end.incomplete_reason.is_none();
    match end.status {
        JobStatus::Completed => {
            sync.consecutive_failures = 0;
            sync.last_error = None;
            sync.last_sync_at = Some(now);
            sync.totals.runs_completed += 1;
        }
        JobStatus::Failed => {
            sync.consecutive_failures += 1;
            sync.last_error.clone_from(&end.error);
            sync.totals.runs_failed += 1;
        }
        JobStatus::Interrupted => stored.resume_of = Some(lease.job.clone()),
        JobStatus::Skipped | JobStatus::Running => {}
    }
    if end.saw_what_it_may() {
        let before = sync.feed.take();
        let checkpoint = sync.checkpoint.as_ref();
        sync.feed = checkpoint.and_then(|it| Feed::behind(it, before.as_ref(), now));
    }
    if complete {
        sync.checkpoint = None;
    }
    let over = complete && sync.mode == SyncMode::InitialOnly;
    if over {
        sync.state = SyncState::Completed;
        sync.paused = None;
    }
    // What was asked for meanwhile is owed its run, even on a sync that has just completed.
    let owed = sync.queued_job.is_some() || sync.pending_full;
    sync.next_run_at = match owed {
        true => Some(now),
        false if over => None,
        false if rung => Some((now + delay).min(rings_from)),
        false => Some(now + delay),
    };
}

#[async_trait]
impl RunRepository for MemoryStore {
    async fn load(&self, organization: &OrganizationId, lease: &Lease) -> Result<Sync, RunError> {
        let (mut state, now) = self.open();
        Ok(state.leased(organization, lease)?.seen_at(now))
    }

    async fn extend(
        &self,
        organization: &OrganizationId,
        lease: &Lease,
        ttl: Duration,
    ) -> Result<(), RunError> {
        let (mut state, now) = self.open();
        if let Some(held) = &mut state.leased(organization, lease)?.lease {
            held.holder.expires_at = now + ttl;
        }
        Ok(())
    }

    async fn commit(
        &self,
        organization: &OrganizationId,
        lease: &Lease,
        standing: Standing,
        commit: &Commit,
        audit: Option<NewAuditRow>,
    ) -> Result<(), RunError> {
        let (mut state, now) = self.open_for(organization, &audit)?;
        let sync = state.standing(organization, lease, standing, now)?;
        let published = state.publish(organization, &sync, &lease.job, commit, now);
        state.count(organization, lease, &published.counters, now);

        let stored = &mut state.leased(organization, lease)?.sync;
        stored.last_pass = stored.last_pass.max(commit.pass);
        if let Some(checkpoint) = &commit.checkpoint {
            stored.last_pass = stored.last_pass.max(checkpoint.pass);
            stored.checkpoint = Some(checkpoint.clone());
        }
        if let Some(job) = owned_mut::<_, Job>(&mut state.jobs, organization, &lease.job) {
            job.phase = commit.phase;
        }
        if published.arrived.is_empty() {
            return Ok(());
        }
        if let Some(bucket) = owned_mut::<_, Bucket>(&mut state.buckets, organization, &sync.bucket)
        {
            bucket.last_upload_at = Some(now);
        }
        if let Some(row) = audit {
            let row = match published.passed_over {
                0 => row,
                some => row.with("passed_over", some),
            };
            let bucket = &sync.bucket;
            state
                .trail
                .record_objects(organization, now, row, bucket, published.arrived);
        }
        Ok(())
    }

    async fn mark_missing(
        &self,
        organization: &OrganizationId,
        lease: &Lease,
        standing: Standing,
        step: &MarkMissing,
    ) -> Result<Option<RowKey>, RunError> {
        let (mut state, now) = self.open();
        state.standing(organization, lease, standing, now)?;
        let stored = state.leased(organization, lease)?;
        stored.extend_lease(now);
        Ok(mark_missing(&mut stored.catalogue, step))
    }

    async fn mark_absent(
        &self,
        organization: &OrganizationId,
        lease: &Lease,
        standing: Standing,
        step: &MarkAbsent,
    ) -> Result<u64, RunError> {
        let (mut state, now) = self.open();
        state.standing(organization, lease, standing, now)?;
        let stored = state.leased(organization, lease)?;
        stored.extend_lease(now);
        Ok(mark_absent(&mut stored.catalogue, step))
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
        let (mut state, _) = self.open();
        let rows = &state.leased(organization, lease)?.catalogue;
        let missing = rows.iter().filter(|(key, row)| {
            key.authority == authority
                && after.is_none_or(|after| key.object.as_str() > after)
                && row.missing_pass == Some(pass)
                && row.seen_pass != pass
                && row.object.is_some()
                && !row.hidden
        });
        let missing = missing.map(|(key, row)| MissingRow {
            object: key.object.clone(),
            lineage: row.lineage.clone(),
        });
        Ok(missing.take(at_most(limit)).collect())
    }

    async fn keep_channel(
        &self,
        organization: &OrganizationId,
        lease: &Lease,
        channel: Option<PushChannel>,
    ) -> Result<(), RunError> {
        let (mut state, now) = self.open();
        let stored = state.leased(organization, lease)?;
        stored.extend_lease(now);
        stored.sync.push = channel.map(|channel| PushChannel {
            expires_at: stored_time(channel.expires_at),
            ..channel
        });
        Ok(())
    }

    async fn survey(
        &self,
        organization: &OrganizationId,
        lease: &Lease,
        pass: u64,
        denied: &[String],
    ) -> Result<Survey, RunError> {
        let (mut state, _) = self.open();
        state.leased(organization, lease)?;
        Ok(state.survey(&lease.sync, pass, denied))
    }

    async fn hold(
        &self,
        organization: &OrganizationId,
        lease: &Lease,
        standing: Standing,
        step: &Hold,
        audit: NewAuditRow,
    ) -> Result<u64, RunError> {
        let (mut state, now) = self.open_for(organization, [&audit])?;
        state.standing(organization, lease, standing, now)?;
        let held = state.mark_held(&lease.sync, step);
        let counters = Counters {
            held,
            ..Counters::default()
        };
        state.count(organization, lease, &counters, now);
        if held < u64::from(step.limit)
            && let Some(waiting) = state.tell_held(&lease.sync, step.pass, &step.reason, now)
        {
            state.record(organization, now, audit.with("held", waiting));
        }
        Ok(held)
    }

    async fn let_go(
        &self,
        organization: &OrganizationId,
        lease: &Lease,
        standing: Standing,
        step: &LetGo,
        audit: NewAuditRow,
    ) -> Result<u64, RunError> {
        let (mut state, now) = self.open_for(organization, [&audit])?;
        let sync = state.standing(organization, lease, standing, now)?;
        let (went, buried) = state.let_missing_go(organization, &lease.sync, step, now);
        let counters = Counters {
            deleted: buried.len() as u64,
            ..Counters::default()
        };
        state.count(organization, lease, &counters, now);
        if !buried.is_empty() {
            let row = audit.with("deleted", buried.len());
            state
                .trail
                .record_objects(organization, now, row, &sync.bucket, buried);
        }
        Ok(went)
    }

    async fn finish(
        &self,
        organization: &OrganizationId,
        lease: &Lease,
        end: JobEnd,
        delay: Duration,
        audit: NewAuditRow,
    ) -> Result<(), RunError> {
        let (mut state, now) = self.open_for(organization, [&audit])?;
        let job = state.jobs.get(&lease.job).map(|job| job.row.clone());
        let stored = state.leased(organization, lease)?;
        if let Some(job) = job.filter(|_| end.status != JobStatus::Skipped) {
            let took = now - job.started_at.unwrap_or(now);
            let took = took.to_std().unwrap_or_default();
            let so_far = mem::take(&mut stored.sync.totals.stats);
            stored.sync.totals.stats = so_far.with_run(&end, job.counters, took, now);
        }
        wind_up(stored, lease, &end, delay, now);
        if let Some(job) = owned_mut(&mut state.jobs, organization, &lease.job) {
            end_job(job, end, now);
        }
        state.record(organization, now, audit);
        Ok(())
    }
}
