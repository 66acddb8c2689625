//! Which syncs are due, and the leases on them.

use std::collections::HashMap;
use std::mem;
use std::time::Duration;

use serde_json::json;
use wharf_domain::Timestamp;
use wharf_domain::audit::{Action, NewAuditRow, Origin, ResourceType};
use wharf_domain::connection::Connection;
use wharf_domain::ids::{AuditId, JobId, OrganizationId, SyncId};
use wharf_domain::job::{Job, JobEnd, JobPhase, JobTrigger};
use wharf_domain::sync::{Lease, LeaseHolder, Sync, SyncStatus};
use wharf_ports::{DueSync, RunError};

use crate::state::{Owned, State, StoredLease, StoredSync, end_alone, owned_mut};
use crate::syncs::waiting_job;

/// What the trail tells of a run that begins.
fn started(id: AuditId, job: &Job, sync: &Sync) -> NewAuditRow {
    NewAuditRow {
        id,
        action: Action::JobStarted,
        resource_type: ResourceType::Job,
        resource_id: job.id.to_string(),
        origin: Origin::system(),
        changes: json!({
            "sync_config_id": sync.id,
            "bucket_id": sync.bucket,
            "connection_id": sync.connection,
            "trigger": job.trigger.as_str(),
        }),
    }
}

impl State {
    /// Whether runs of the sync may start: its connection is active, and nobody has paused it.
    fn may_run(&self, sync: &Sync) -> bool {
        let connection = self.connections.get(&sync.connection);
        sync.paused.is_none() && connection.is_some_and(Connection::is_active)
    }

    /// Since when each sync that may run has been due: since its lease expired, else since the time that was planned.
    fn due(&self, now: Timestamp) -> impl Iterator<Item = (Timestamp, &SyncId)> {
        self.syncs.iter().filter_map(move |(id, owned)| {
            let stored = &owned.row;
            let held_until = stored.lease.as_ref().map(|lease| lease.holder.expires_at);
            let due_at = held_until.or(stored.sync.next_run_at)?;
            (due_at <= now && self.may_run(&stored.sync)).then_some((due_at, id))
        })
    }

    /// The sync whose turn it is: one of the organization with the fewest runs at work, there the one due longest.
    fn next(&self, now: Timestamp) -> Option<SyncId> {
        let mut at_work: HashMap<&OrganizationId, u64> = HashMap::new();
        for owned in self.syncs.values() {
            if owned.row.seen_at(now).lease.is_some() {
                *at_work.entry(&owned.organization).or_default() += 1;
            }
        }
        let turn = |(due_at, id): &(Timestamp, &SyncId)| {
            let organization = self.syncs.get(*id).map(|owned| &owned.organization);
            let busy = organization.and_then(|organization| at_work.get(organization));
            (busy.copied().unwrap_or_default(), *due_at, (*id).clone())
        };
        self.due(now).min_by_key(turn).map(|(_, id)| id.clone())
    }

    /// Ends the jobs whose lease has expired while their sync may not run. Their syncs wait, due at once, until it may
    /// again.
    fn release_abandoned(&mut self, now: Timestamp) {
        let barred: Vec<SyncId> = self
            .syncs
            .iter()
            .filter(|(_, owned)| !self.may_run(&owned.row.sync))
            .map(|(id, _)| id.clone())
            .collect();
        for sync in &barred {
            let expired = |lease: &mut StoredLease| lease.holder.expires_at <= now;
            let stored = self.syncs.get_mut(sync).map(|owned| &mut owned.row);
            let Some(stored) = stored else { continue };
            if let Some(lease) = stored.lease.take_if(expired) {
                self.interrupt(sync, lease.holder.job, "lease_expired", now);
            }
        }
    }

    /// Ends the job of a sync whose lease was taken away. The sync is due at once, and goes on by a resume.
    pub(crate) fn interrupt(&mut self, sync: &SyncId, job: JobId, reason: &str, now: Timestamp) {
        let end = JobEnd::interrupted(reason);
        end_alone(&mut self.jobs, &mut self.trail, &job, sync, end, now);
        if let Some(owned) = self.syncs.get_mut(sync) {
            let stored = &mut owned.row;
            stored.resume_of = Some(job);
            stored.sync.next_run_at = Some(now);
            stored.sync.updated_at = now;
        }
    }

    /// Leases the sync whose turn it is.
    pub(crate) fn lease_due(
        &mut self,
        worker: &str,
        ttl: Duration,
        new_job: &JobId,
        new_audit: &AuditId,
        now: Timestamp,
    ) -> Option<DueSync> {
        self.release_abandoned(now);
        let sync = self.next(now)?;
        let owned = self.syncs.get_mut(&sync)?;
        let stored = &mut owned.row;
        let expired = stored.lease.take().map(|lease| lease.holder.job);
        if let Some(job) = &expired {
            let end = JobEnd::interrupted("lease_expired");
            end_alone(&mut self.jobs, &mut self.trail, job, &sync, end, now);
        }
        let resume_of = stored.resume_of.take();
        let anew = mem::take(&mut stored.sync.pending_full);
        if anew {
            stored.sync.checkpoint = None;
            stored.sync.feed = None;
        }
        stored.rung = false;
        let job = if let Some(queued) = stored.sync.queued_job.take() {
            queued
        } else {
            // A run over the whole source goes on from nothing.
            let resumed_from = expired.or(resume_of).filter(|_| !anew);
            let trigger = match &resumed_from {
                _ if anew => JobTrigger::Manual,
                Some(_) => JobTrigger::Resume,
                None => JobTrigger::Scheduled,
            };
            let mut row = waiting_job(new_job.clone(), &stored.sync, trigger, now);
            row.resumed_from = resumed_from;
            self.jobs.insert(
                new_job.clone(),
                Owned {
                    organization: owned.organization.clone(),
                    row,
                },
            );
            new_job.clone()
        };
        if let Some(job) = self.jobs.get_mut(&job) {
            job.row.phase = JobPhase::Discovering;
            job.row.started_at = Some(now);
            job.row.updated_at = now;
            let row = started(new_audit.clone(), &job.row, &stored.sync);
            self.trail.record(&owned.organization, now, row);
        }
        stored.fence += 1;
        let holder = LeaseHolder {
            job: job.clone(),
            worker: worker.to_owned(),
            acquired_at: now,
            expires_at: now + ttl,
        };
        stored.lease = Some(StoredLease { holder, ttl });
        let lease = Lease {
            sync,
            job,
            fence: stored.fence,
        };
        Some(DueSync {
            organization: owned.organization.clone(),
            lease,
        })
    }

    /// Makes the sync of a channel due, if the word is right. Whether there is such a channel.
    pub(crate) fn ring(&mut self, channel: &str, token_sha256: &str, now: Timestamp) -> bool {
        let Some(stored) = self.channel_of(channel, token_sha256, now) else {
            return false;
        };
        if stored.sync.status() == SyncStatus::Active {
            stored.rung = stored.lease.is_some();
            stored.due_at(stored.rings_from.map_or(now, |from| from.max(now)));
        }
        true
    }

    /// The sync of a channel that has this word and has not expired.
    pub(crate) fn channel_of(
        &mut self,
        channel: &str,
        token_sha256: &str,
        now: Timestamp,
    ) -> Option<&mut StoredSync> {
        let has_it = |stored: &&mut StoredSync| {
            stored.sync.push.as_ref().is_some_and(|push| {
                push.channel == channel
                    && push.token_sha256 == token_sha256
                    && push.expires_at > now
            })
        };
        let mut syncs = self.syncs.values_mut().map(|owned| &mut owned.row);
        syncs.find(has_it)
    }

    /// The sync of a lease that is still its job's, expired or not.
    pub(crate) fn leased(
        &mut self,
        organization: &OrganizationId,
        lease: &Lease,
    ) -> Result<&mut StoredSync, RunError> {
        let held = |stored: &&mut StoredSync| {
            let by_job = stored
                .lease
                .as_ref()
                .is_some_and(|current| current.holder.job == lease.job);
            by_job && stored.fence == lease.fence
        };
        owned_mut(&mut self.syncs, organization, &lease.sync)
            .filter(held)
            .ok_or(RunError::LeaseLost)
    }
}

impl StoredSync {
    /// What every write of a run does: the lease goes on for as long as it was given, never for less than it has left.
    pub(crate) fn extend_lease(&mut self, now: Timestamp) {
        if let Some(lease) = &mut self.lease {
            lease.holder.expires_at = lease.holder.expires_at.max(now + lease.ttl);
        }
    }
}
