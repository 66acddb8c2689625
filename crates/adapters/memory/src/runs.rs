//! What a worker does with the sync it has leased.

use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use wharf_domain::Timestamp;
use wharf_domain::audit::NewAuditRow;
use wharf_domain::bucket::Bucket;
use wharf_domain::connection::Connection;
use wharf_domain::ids::{ObjectId, OrganizationId};
use wharf_domain::job::{Counters, Job, JobEnd, JobStatus};
use wharf_domain::object::{DeletedBy, Object, SourceId};
use wharf_domain::plan::Known;
use wharf_domain::sync::{Lease, Sync, SyncMode, SyncState};
use wharf_ports::{Commit, Put, RunError, RunRepository};

use crate::MemoryStore;
use crate::state::{Owned, State, StoredSync, end_job, owned_mut};
use crate::store::stored_time;

impl State {
    /// The connection of a leased sync.
    fn connection_of(&self, sync: &Sync) -> Result<&Connection, RunError> {
        self.connections
            .get(&sync.connection)
            .ok_or(RunError::ConnectionChanged)
    }

    fn known_object(&self, sync: &Sync, source: &SourceId) -> Option<&Object> {
        let id = self.sources.get(&(sync.bucket.clone(), source.clone()))?;
        self.objects.get(id).map(|owned| &owned.row)
    }

    /// Inserts or replaces an object by its source identity.
    fn publish(
        &mut self,
        organization: &OrganizationId,
        sync: &Sync,
        put: Put,
        now: Timestamp,
    ) -> ObjectId {
        let known = self.known_object(sync, &put.source);
        let (id, created_at) = known.map_or((put.new_id, now), |object| {
            (object.id.clone(), object.created_at)
        });
        let mut facts = put.facts;
        facts.modified_at = facts.modified_at.map(stored_time);
        let row = Object {
            id: id.clone(),
            bucket: sync.bucket.clone(),
            namespace: sync.namespace.clone(),
            source: put.source,
            facts,
            content: put.content,
            deleted: None,
            created_at,
            updated_at: now,
        };
        self.sources
            .insert((sync.bucket.clone(), row.source.clone()), id.clone());
        self.objects.insert(
            id.clone(),
            Owned {
                organization: organization.clone(),
                row,
            },
        );
        id
    }

    /// Makes a tombstone of an object that no sync holds on to and that is none yet. Whether it did.
    fn bury(&mut self, organization: &OrganizationId, id: &ObjectId, now: Timestamp) -> bool {
        if self
            .syncs
            .values()
            .any(|owned| owned.row.catalogue.contains_key(id))
        {
            return false;
        }
        let live = owned_mut(&mut self.objects, organization, id)
            .filter(|object| object.deleted.is_none());
        let Some(object) = live else { return false };
        object.deleted = Some((now, DeletedBy::Source));
        object.updated_at = now;
        true
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
    if complete {
        sync.checkpoint = None;
    }
    let over = complete && sync.mode == SyncMode::InitialOnly;
    if over {
        sync.state = SyncState::Completed;
    }
    // A job that was queued meanwhile is owed its run, even on a sync that has just completed.
    sync.next_run_at = match sync.queued_job {
        Some(_) => Some(now),
        None if over => None,
        None => Some(now + delay),
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

    async fn known(
        &self,
        organization: &OrganizationId,
        lease: &Lease,
        sources: &[SourceId],
    ) -> Result<Vec<Known>, RunError> {
        let (mut state, now) = self.open();
        let sync = state.leased(organization, lease)?.seen_at(now);
        let known = sources
            .iter()
            .filter_map(|source| state.known_object(&sync, source));
        let told = known.map(|object| Known {
            object: object.source.object.clone(),
            id: object.id.clone(),
            version: object.facts.version.clone(),
            deleted: object.deleted.map(|(_, by)| by),
        });
        Ok(told.collect())
    }

    async fn commit(
        &self,
        organization: &OrganizationId,
        lease: &Lease,
        commit: Commit,
    ) -> Result<(), RunError> {
        let (mut state, now) = self.open();
        let sync = state.leased(organization, lease)?.seen_at(now);
        let connection = state.connection_of(&sync)?;
        if (connection.epoch, connection.credential_version)
            != (commit.epoch, commit.credential_version)
        {
            return Err(RunError::ConnectionChanged);
        }

        let arrived = !commit.puts.is_empty();
        let mut held: Vec<ObjectId> = Vec::with_capacity(commit.puts.len() + commit.seen.len());
        for put in commit.puts {
            held.push(state.publish(organization, &sync, put, now));
        }
        held.extend(
            commit
                .seen
                .iter()
                .filter_map(|source| state.known_object(&sync, source))
                .map(|seen| seen.id.clone()),
        );
        state.count(organization, lease, &commit.counters, now);

        let stored = state.leased(organization, lease)?;
        stored
            .catalogue
            .extend(held.into_iter().map(|id| (id, commit.pass)));
        stored.sync.last_pass = stored.sync.last_pass.max(commit.pass);
        if let Some(checkpoint) = commit.checkpoint {
            stored.sync.last_pass = stored.sync.last_pass.max(checkpoint.pass);
            stored.sync.checkpoint = Some(checkpoint);
        }
        if let Some(job) = owned_mut::<_, Job>(&mut state.jobs, organization, &lease.job) {
            job.phase = commit.phase;
        }
        if let Some(bucket) = owned_mut::<_, Bucket>(&mut state.buckets, organization, &sync.bucket)
            && arrived
        {
            bucket.last_upload_at = Some(now);
        }
        if let Some(row) = commit.audit {
            state.record(organization, now, row);
        }
        Ok(())
    }

    async fn let_go(
        &self,
        organization: &OrganizationId,
        lease: &Lease,
        epoch: u64,
        pass: u64,
        limit: u32,
        mut audit: NewAuditRow,
    ) -> Result<u64, RunError> {
        let (mut state, now) = self.open();
        let sync = state.leased(organization, lease)?.seen_at(now);
        if state.connection_of(&sync)?.epoch != epoch {
            return Err(RunError::ConnectionChanged);
        }
        let stored = state.leased(organization, lease)?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let unseen = stored
            .catalogue
            .iter()
            .filter(|(_, seen_in)| **seen_in < pass);
        let unseen: Vec<ObjectId> = unseen.take(limit).map(|(id, _)| id.clone()).collect();
        stored.catalogue.retain(|id, _| !unseen.contains(id));

        let mut deleted = 0_u64;
        for id in &unseen {
            deleted += u64::from(state.bury(organization, id, now));
        }
        state.count(
            organization,
            lease,
            &Counters {
                deleted,
                ..Counters::default()
            },
            now,
        );
        if deleted > 0 {
            if let Value::Object(changes) = &mut audit.changes {
                changes.insert("deleted".to_owned(), deleted.into());
            }
            state.record(organization, now, audit);
        }
        Ok(unseen.len() as u64)
    }

    async fn restart_pass(
        &self,
        organization: &OrganizationId,
        lease: &Lease,
    ) -> Result<(), RunError> {
        let (mut state, now) = self.open();
        let stored = state.leased(organization, lease)?;
        stored.sync.checkpoint = None;
        stored.extend_lease(now);
        Ok(())
    }

    async fn finish(
        &self,
        organization: &OrganizationId,
        lease: &Lease,
        end: JobEnd,
        delay: Duration,
        audit: NewAuditRow,
    ) -> Result<(), RunError> {
        let (mut state, now) = self.open();
        wind_up(state.leased(organization, lease)?, lease, &end, delay, now);
        if let Some(job) = owned_mut(&mut state.jobs, organization, &lease.job) {
            end_job(job, end, now);
        }
        state.record(organization, now, audit);
        Ok(())
    }
}
