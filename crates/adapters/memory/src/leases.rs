//! Which syncs are due, and the leases on them.

use std::time::Duration;

use wharf_domain::Timestamp;
use wharf_domain::connection::Connection;
use wharf_domain::ids::{JobId, OrganizationId, SyncId};
use wharf_domain::job::{JobEnd, JobPhase, JobTrigger};
use wharf_domain::sync::{Lease, LeaseHolder};
use wharf_ports::{DueSync, RunError};

use crate::state::{Owned, State, StoredLease, StoredSync, end_alone, owned_mut};
use crate::syncs::waiting_job;

impl State {
    /// Since or from when each sync can be leased: when its lease expires, else when it is planned. Syncs of connections
    /// that are not active are left out.
    fn due_times(&self) -> impl Iterator<Item = (Timestamp, &SyncId)> {
        self.syncs.iter().filter_map(|(id, owned)| {
            let stored = &owned.row;
            let active = self
                .connections
                .get(&stored.sync.connection)
                .is_some_and(Connection::is_active);
            let held_until = stored.lease.as_ref().map(|lease| lease.holder.expires_at);
            let due_at = held_until.or(stored.sync.next_run_at)?;
            active.then_some((due_at, id))
        })
    }

    /// Ends the jobs whose lease has expired while their connection is not active. Their syncs wait, due at once, until it
    /// is active again.
    fn release_abandoned(&mut self, now: Timestamp) {
        for (sync, owned) in &mut self.syncs {
            let stored = &mut owned.row;
            let active = self
                .connections
                .get(&stored.sync.connection)
                .is_some_and(Connection::is_active);
            let abandoned = stored
                .lease
                .take_if(|lease| !active && lease.holder.expires_at <= now);
            let Some(lease) = abandoned else { continue };
            let end = JobEnd::interrupted("lease_expired");
            end_alone(
                &mut self.jobs,
                &mut self.audit,
                &lease.holder.job,
                sync,
                end,
                now,
            );
            stored.resume_of = Some(lease.holder.job);
            stored.sync.next_run_at = Some(now);
            stored.sync.updated_at = now;
        }
    }

    /// Leases the sync that has been due longest.
    pub(crate) fn lease_due(
        &mut self,
        worker: &str,
        ttl: Duration,
        new_job: &JobId,
        now: Timestamp,
    ) -> Option<DueSync> {
        self.release_abandoned(now);
        let (_, sync) = self
            .due_times()
            .filter(|(due_at, _)| *due_at <= now)
            .min()?;
        let sync = sync.clone();
        let owned = self.syncs.get_mut(&sync)?;
        let stored = &mut owned.row;
        let expired = stored.lease.take().map(|lease| lease.holder.job);
        if let Some(job) = &expired {
            let end = JobEnd::interrupted("lease_expired");
            end_alone(&mut self.jobs, &mut self.audit, job, &sync, end, now);
        }
        let resume_of = stored.resume_of.take();
        let job = if let Some(queued) = stored.sync.queued_job.take() {
            queued
        } else {
            let resumed_from = expired.or(resume_of);
            let trigger = if resumed_from.is_some() {
                JobTrigger::Resume
            } else {
                JobTrigger::Scheduled
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
