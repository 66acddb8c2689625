//! What a worker does with the sync it has leased.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use wharf_domain::Timestamp;
use wharf_domain::audit::NewAuditRow;
use wharf_domain::bucket::Bucket;
use wharf_domain::connection::Connection;
use wharf_domain::ids::{ObjectId, OrganizationId};
use wharf_domain::job::{Counters, Job, JobEnd, JobStatus};
use wharf_domain::object::{DeletedBy, Object, SourceId};
use wharf_domain::plan::Known;
use wharf_domain::sync::{Lease, Sync, SyncMode, SyncState};
use wharf_ports::{Commit, LetGo, Put, RunError, RunRepository};

use crate::MemoryStore;
use crate::state::{Owned, State, StoredSync, end_job, owned_mut};
use crate::store::stored_time;

impl State {
    /// Refuses unless the connection of a leased sync is what it was when the run started.
    fn unchanged(&self, sync: &Sync, epoch: u64, credential_version: u64) -> Result<(), RunError> {
        let same = |connection: &&Connection| {
            (connection.epoch, connection.credential_version) == (epoch, credential_version)
        };
        let found = self.connections.get(&sync.connection).filter(same);
        found.map(drop).ok_or(RunError::ConnectionChanged)
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

fn told(object: &Object) -> Known {
    Known {
        object: object.source.object.clone(),
        id: object.id.clone(),
        version: object.facts.version.clone(),
        blob: object.content.blob.clone(),
        deleted: object.deleted.map(|(_, by)| by),
    }
}

/// Whether the bucket's object still is what the copy was planned on.
fn is_as_planned(put: &Put, current: Option<&Object>) -> bool {
    let planned_on = put
        .replaces
        .as_ref()
        .map(|known| (&known.blob, known.deleted));
    planned_on == current.map(|object| (&object.content.blob, object.deleted.map(|(_, by)| by)))
}

/// The counters of a step of which these puts are passed over: they count as found, not as copied.
fn without(passed_over: &[Put], mut counters: Counters) -> Counters {
    for put in passed_over {
        counters.bytes = counters.bytes.saturating_sub(put.content.size_bytes);
        if let Some(synced) = counters.synced.checked_sub(1) {
            counters.synced = synced;
            counters.verified += 1;
        }
    }
    counters
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
        Ok(known.map(told).collect())
    }

    async fn commit(
        &self,
        organization: &OrganizationId,
        lease: &Lease,
        commit: Commit,
    ) -> Result<(), RunError> {
        let (mut state, now) = self.open();
        let sync = state.leased(organization, lease)?.seen_at(now);
        state.unchanged(&sync, commit.epoch, commit.credential_version)?;

        // A source that is put twice in one step is published once, as the last put has it.
        let puts: BTreeMap<SourceId, Put> = commit
            .puts
            .into_iter()
            .map(|put| (put.source.clone(), put))
            .collect();
        let (published, passed_over): (Vec<Put>, Vec<Put>) = puts
            .into_values()
            .partition(|put| is_as_planned(put, state.known_object(&sync, &put.source)));
        let found = passed_over
            .iter()
            .map(|put| &put.source)
            .chain(&commit.seen)
            .filter_map(|source| state.known_object(&sync, source));
        let mut held: Vec<ObjectId> = found.map(|object| object.id.clone()).collect();
        let arrived = published.len();
        for put in published {
            held.push(state.publish(organization, &sync, put, now));
        }
        let counters = without(&passed_over, commit.counters);
        state.count(organization, lease, &counters, now);

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
            && arrived > 0
        {
            bucket.last_upload_at = Some(now);
        }
        match commit.audit {
            Some(row) if passed_over.is_empty() => state.record(organization, now, row),
            Some(row) if arrived > 0 => {
                let row = row.clone().with("passed_over", passed_over.len() as u64);
                state.record(organization, now, row);
            }
            _ => {}
        }
        Ok(())
    }

    async fn let_go(
        &self,
        organization: &OrganizationId,
        lease: &Lease,
        step: LetGo,
    ) -> Result<u64, RunError> {
        let (mut state, now) = self.open();
        let sync = state.leased(organization, lease)?.seen_at(now);
        state.unchanged(&sync, step.epoch, step.credential_version)?;
        let stored = state.leased(organization, lease)?;
        let limit = usize::try_from(step.limit).unwrap_or(usize::MAX);
        let unseen = stored
            .catalogue
            .iter()
            .filter(|(_, seen_in)| **seen_in < step.pass);
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
            state.record(organization, now, step.audit.with("deleted", deleted));
        }
        Ok(unseen.len() as u64)
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
