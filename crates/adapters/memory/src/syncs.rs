//! Syncs.

use std::collections::BTreeMap;

use async_trait::async_trait;
use wharf_domain::Timestamp;
use wharf_domain::audit::NewAuditRow;
use wharf_domain::connection::Intent;
use wharf_domain::ids::{BucketId, JobId, OrganizationId, SyncId};
use wharf_domain::job::{Counters, Job, JobPhase, JobStatus, JobTrigger};
use wharf_domain::page::{Page, PageRequest};
use wharf_domain::sync::{NewSync, Sync, SyncFilter, SyncMode, SyncState, SyncTotals};
use wharf_ports::{InsertError, RepositoryError, SyncRepository, TriggerOutcome};

use crate::MemoryStore;
use crate::page::page;
use crate::state::{Owned, StoredSync, all_owned, owned, owned_mut};

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
        && filter.state.is_none_or(|state| state == sync.state)
        && filter
            .is_active
            .is_none_or(|active| active == (sync.state == SyncState::Active))
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
        let (mut state, now) = self.open();
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
        let (mut state, now) = self.open();
        if owned(&state.syncs, organization, sync)
            .is_none_or(|stored| stored.sync.bucket != *bucket)
        {
            return Ok(false);
        }
        state.drop_sync(sync);
        state.record(organization, now, audit);
        Ok(true)
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
        let (mut state, now) = self.open();
        let found = owned_mut(&mut state.syncs, organization, sync)
            .filter(|stored| stored.sync.bucket == *bucket);
        let Some(stored) = found else { return Ok(None) };
        let at_work = stored.seen_at(now).lease.map(|holder| holder.job);
        if let Some(busy) = at_work.or_else(|| stored.sync.queued_job.clone()) {
            return Ok(Some(TriggerOutcome::AlreadyRunning(busy)));
        }
        let sync = &mut stored.sync;
        sync.queued_job = Some(job.clone());
        sync.next_run_at = Some(sync.next_run_at.map_or(now, |planned| planned.min(now)));
        sync.updated_at = now;
        if full {
            sync.checkpoint = None;
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
