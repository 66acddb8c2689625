//! Syncs.

use std::collections::BTreeMap;
use std::mem;

use async_trait::async_trait;
use wharf_domain::Timestamp;
use wharf_domain::audit::NewAuditRow;
use wharf_domain::connection::Intent;
use wharf_domain::ids::{BucketId, JobId, OrganizationId, SyncId, UserId};
use wharf_domain::job::{Counters, Job, JobEnd, JobPhase, JobStatus, JobTrigger};
use wharf_domain::page::{Page, PageRequest};
use wharf_domain::sync::{
    NewSync, Pause, Sync, SyncFilter, SyncMode, SyncState, SyncStatus, SyncTotals,
};
use wharf_ports::{
    InsertError, RepositoryError, SyncChange, SyncRepository, TriggerOutcome, UpdateSyncError,
};

use crate::MemoryStore;
use crate::page::page;
use crate::state::{Owned, State, StoredSync, all_owned, end_alone, owned, owned_mut};

/// A job of the sync that waits for a worker.
pub(crate) fn waiting_job(id: JobId, sync: &Sync, trigger: JobTrigger, now: Timestamp) -> Job {
    Job {
        id,
        sync: sync.id.clone(),
        bucket: sync.bucket.clone(),
        namespace: sync.namespace.clone(),
        status: JobStatus::Running,
        trigger,
        phase: JobPhase::Queued,
        counters: Counters::default(),
        complete: None,
        incomplete_reason: None,
        error: None,
        resumed_from: None,
        created_at: now,
        started_at: None,
        completed_at: None,
        updated_at: now,
    }
}

fn born(new: NewSync, mode: SyncMode, now: Timestamp) -> Sync {
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

fn matches(filter: &SyncFilter, sync: &Sync) -> bool {
    filter
        .connection
        .as_ref()
        .is_none_or(|connection| *connection == sync.connection)
        && filter.status.is_none_or(|status| status == sync.status())
        && filter
            .is_active
            .is_none_or(|active| active == (sync.status() == SyncStatus::Active))
}

impl State {
    /// A sync of the bucket, to change it.
    fn sync_mut(
        &mut self,
        organization: &OrganizationId,
        bucket: &BucketId,
        sync: &SyncId,
    ) -> Option<&mut StoredSync> {
        owned_mut(&mut self.syncs, organization, sync)
            .filter(|stored| stored.sync.bucket == *bucket)
    }
}

#[async_trait]
impl SyncRepository for MemoryStore {
    async fn insert(
        &self,
        organization: &OrganizationId,
        new: NewSync,
        mode: SyncMode,
        audit: NewAuditRow,
    ) -> Result<Sync, InsertError> {
        let (mut state, now) = self.open_for(organization, [&audit])?;
        let usable = state
            .connections
            .get(&new.connection)
            .is_some_and(|connection| {
                connection.organization == *organization && connection.intent != Intent::Archived
            });
        if !usable || owned(&state.buckets, organization, &new.bucket).is_none() {
            return Err(InsertError::ParentMissing);
        }
        let first_job = new.first_job.clone();
        let sync = born(new, mode, now);
        let job = waiting_job(first_job, &sync, JobTrigger::Scheduled, now);
        state.jobs.insert(
            job.id.clone(),
            Owned {
                organization: organization.clone(),
                row: job,
            },
        );
        let row = StoredSync {
            sync: sync.clone(),
            fence: 0,
            lease: None,
            resume_of: None,
            rung: false,
            rings_from: None,
            catalogue: BTreeMap::new(),
        };
        state.syncs.insert(
            sync.id.clone(),
            Owned {
                organization: organization.clone(),
                row,
            },
        );
        state.record(organization, now, audit);
        Ok(sync)
    }

    async fn find(
        &self,
        organization: &OrganizationId,
        bucket: &BucketId,
        sync: &SyncId,
    ) -> Result<Option<Sync>, RepositoryError> {
        let (state, now) = self.open();
        let found =
            owned(&state.syncs, organization, sync).filter(|stored| stored.sync.bucket == *bucket);
        Ok(found.map(|stored| stored.seen_at(now)))
    }

    async fn list(
        &self,
        organization: &OrganizationId,
        bucket: &BucketId,
        filter: &SyncFilter,
        request: &PageRequest,
    ) -> Result<Page<Sync>, RepositoryError> {
        let (state, now) = self.open();
        let in_bucket =
            all_owned(&state.syncs, organization).filter(|stored| stored.sync.bucket == *bucket);
        let rows: Vec<_> = in_bucket.map(|stored| stored.seen_at(now)).collect();
        let rows = rows.iter().filter(|sync| matches(filter, sync));
        Ok(page(
            rows,
            |sync| (sync.created_at, sync.id.as_str()),
            request,
        ))
    }

    async fn remove(
        &self,
        organization: &OrganizationId,
        bucket: &BucketId,
        sync: &SyncId,
        audit: NewAuditRow,
    ) -> Result<bool, RepositoryError> {
        let (mut state, now) = self.open_for(organization, [&audit])?;
        if owned(&state.syncs, organization, sync)
            .is_none_or(|stored| stored.sync.bucket != *bucket)
        {
            return Ok(false);
        }
        state.drop_sync(sync);
        state.record(organization, now, audit);
        Ok(true)
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
        let (mut state, now) = self.open_for(organization, [&audit])?;
        let found = state.sync_mut(organization, bucket, sync);
        let stored = found.ok_or(UpdateSyncError::NotFound)?;
        if stored.sync.revision != revision {
            return Err(UpdateSyncError::Conflict);
        }
        stored.sync.settings = change.settings.clone();
        stored.sync.revision += 1;
        stored.sync.updated_at = now;
        let mut stopped = None;
        if change.rules_changed {
            stored.sync.checkpoint = None;
            stored.sync.feed = None;
            stored.sync.held_deletes = None;
            for row in stored.catalogue.values_mut() {
                row.left_out = None;
                row.missing_since = None;
            }
            stored.catalogue.retain(|_, row| row.object.is_some());
            stopped = stored.lease.take();
            stored.fence += u64::from(stopped.is_some());
            if stored.sync.status() == SyncStatus::Active {
                stored.due_at_once(now);
            }
        }
        let mut updated = stored.seen_at(now);
        if let Some(lease) = stopped {
            state.interrupt(sync, lease.holder.job, "rules_changed", now);
            let stored = state.sync_mut(organization, bucket, sync);
            updated = stored.ok_or(UpdateSyncError::NotFound)?.seen_at(now);
        }
        state.record(organization, now, audit);
        Ok(updated)
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
        let (mut state, now) = self.open_for(organization, [&audit])?;
        let Some(stored) = state.sync_mut(organization, bucket, sync) else {
            return Ok(None);
        };
        if stored.sync.status() != SyncStatus::Active {
            return Ok(Some(stored.seen_at(now)));
        }
        stored.sync.paused = Some(Pause {
            at: now,
            by: by.clone(),
            reason: reason.map(str::to_owned),
        });
        stored.sync.updated_at = now;
        let queued = stored.sync.queued_job.take();
        let paused = stored.seen_at(now);
        if let Some(job) = queued {
            let State { jobs, trail, .. } = &mut *state;
            end_alone(jobs, trail, &job, sync, JobEnd::skipped("sync_paused"), now);
        }
        state.record(organization, now, audit);
        Ok(Some(paused))
    }

    async fn resume(
        &self,
        organization: &OrganizationId,
        bucket: &BucketId,
        sync: &SyncId,
        audit: NewAuditRow,
    ) -> Result<Option<Sync>, RepositoryError> {
        let (mut state, now) = self.open_for(organization, [&audit])?;
        let Some(stored) = state.sync_mut(organization, bucket, sync) else {
            return Ok(None);
        };
        if stored.sync.status() != SyncStatus::Suspended {
            return Ok(Some(stored.seen_at(now)));
        }
        stored.sync.paused = None;
        stored.sync.updated_at = now;
        stored.due_at_once(now);
        let resumed = stored.seen_at(now);
        state.record(organization, now, audit);
        Ok(Some(resumed))
    }

    async fn unlock(
        &self,
        organization: &OrganizationId,
        bucket: &BucketId,
        sync: &SyncId,
        audit: NewAuditRow,
    ) -> Result<Option<bool>, RepositoryError> {
        let (mut state, now) = self.open_for(organization, [&audit])?;
        let Some(stored) = state.sync_mut(organization, bucket, sync) else {
            return Ok(None);
        };
        let Some(lease) = stored.lease.take() else {
            return Ok(Some(false));
        };
        stored.fence += 1;
        state.interrupt(sync, lease.holder.job, "unlocked", now);
        state.record(organization, now, audit);
        Ok(Some(true))
    }

    async fn approve_deletes(
        &self,
        organization: &OrganizationId,
        bucket: &BucketId,
        sync: &SyncId,
        limit: u32,
        audit: NewAuditRow,
    ) -> Result<Option<u64>, RepositoryError> {
        let (mut state, now) = self.open_for(organization, [&audit])?;
        if state.sync_mut(organization, bucket, sync).is_none() {
            return Ok(None);
        }
        let (went, objects) = state.drop_held(sync, limit);
        let buried = state.bury(organization, &objects, now);
        if went > 0 {
            let row = audit.with("deleted", buried.len());
            state
                .trail
                .record_objects(organization, now, row, bucket, buried);
        }
        Ok(Some(went))
    }

    async fn discard_deletes(
        &self,
        organization: &OrganizationId,
        bucket: &BucketId,
        sync: &SyncId,
        limit: u32,
        audit: NewAuditRow,
    ) -> Result<Option<u64>, RepositoryError> {
        let (mut state, now) = self.open_for(organization, [&audit])?;
        if state.sync_mut(organization, bucket, sync).is_none() {
            return Ok(None);
        }
        let (went, _) = state.drop_held(sync, limit);
        if went > 0 {
            state.record(organization, now, audit.with("discarded", went));
        }
        Ok(Some(went))
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
        let (mut state, now) = self.open_for(organization, [&audit])?;
        let stored = state.sync_mut(organization, bucket, sync);
        // Where the connection was archived after the caller had looked, a job queued now would wait for ever.
        let Some(stored) = stored.filter(|it| it.sync.state != SyncState::ConnectionArchived)
        else {
            return Ok(None);
        };
        if stored.sync.paused.is_some() {
            return Ok(Some(TriggerOutcome::Paused));
        }
        let at_work = stored.seen_at(now).lease.map(|holder| holder.job);
        if let Some(busy) = at_work.or_else(|| stored.sync.queued_job.clone()) {
            if full && !mem::replace(&mut stored.sync.pending_full, true) {
                stored.sync.updated_at = now;
                state.record(organization, now, audit);
            }
            return Ok(Some(if full {
                TriggerOutcome::PendingFull(busy)
            } else {
                TriggerOutcome::AlreadyRunning(busy)
            }));
        }
        stored.due_at_once(now);
        let sync = &mut stored.sync;
        sync.queued_job = Some(job.clone());
        sync.updated_at = now;
        if full {
            sync.checkpoint = None;
            sync.feed = None;
        }
        let row = waiting_job(job.clone(), sync, JobTrigger::Manual, now);
        state.jobs.insert(
            job.clone(),
            Owned {
                organization: organization.clone(),
                row,
            },
        );
        state.record(organization, now, audit);
        Ok(Some(TriggerOutcome::Queued(job.clone())))
    }
}
