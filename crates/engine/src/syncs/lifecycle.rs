//! Whether and when a sync runs: paused, resumed, run now, freed from a worker that is gone.

use serde_json::json;
use wharf_domain::audit::Action;
use wharf_domain::bucket::Bucket;
use wharf_domain::ids::JobId;
use wharf_domain::sync::{Sync, SyncState};
use wharf_ports::TriggerOutcome;

use super::{connection_archived, connection_inactive, missing, parsed};
use crate::{Caller, Engine, EngineError};

/// Whether a person wants a sync to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunWish {
    /// No run starts any more.
    Pause,
    /// Runs start again.
    Run,
}

impl RunWish {
    /// The sync, if such a wish makes sense for one in its state.
    pub(super) fn of(self, sync: Sync) -> Result<Sync, EngineError> {
        let message = match (sync.state, self) {
            (SyncState::Active, _) => return Ok(sync),
            (SyncState::ConnectionArchived, _) => return Err(connection_archived()),
            (SyncState::Completed, Self::Pause) => {
                "The sync has had its one complete pass and does not run by itself: there is nothing to pause."
            }
            (SyncState::Completed, Self::Run) => {
                "The sync has had its one complete pass and is not paused; trigger it to run it again."
            }
        };
        Err(EngineError::conflict("sync_completed", message))
    }
}

/// What became of the wish for a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Triggered {
    /// The job that runs or will run.
    pub job: JobId,
    /// Whether it was there before.
    pub already_running: bool,
    /// Whether a run over the whole source follows it.
    pub pending_full: bool,
}

impl Engine {
    /// Pauses a sync for the reason that the request gives: a run at work ends in its own time, and no other one starts.
    pub async fn pause_sync(
        &self,
        caller: &Caller,
        bucket: &Bucket,
        id: &str,
    ) -> Result<Sync, EngineError> {
        let sync = parsed(id)?;
        let reason = caller.origin.reason.as_deref();
        let audit = self.audit_sync(caller, Action::SyncPaused, id, json!({}));
        let user = &caller.principal.user;
        let paused = self
            .repositories()
            .syncs
            .pause(
                caller.organization(),
                &bucket.id,
                &sync,
                user,
                reason,
                audit,
            )
            .await?
            .ok_or_else(|| missing(id))?;
        RunWish::Pause.of(paused)
    }

    /// Lets a paused sync run again, at once, from where it stopped.
    pub async fn resume_sync(
        &self,
        caller: &Caller,
        bucket: &Bucket,
        id: &str,
    ) -> Result<Sync, EngineError> {
        let sync = parsed(id)?;
        let audit = self.audit_sync(caller, Action::SyncResumed, id, json!({}));
        let resumed = self
            .repositories()
            .syncs
            .resume(caller.organization(), &bucket.id, &sync, audit)
            .await?
            .ok_or_else(|| missing(id))?;
        let resumed = RunWish::Run.of(resumed)?;
        self.work_arrived.notify_one();
        Ok(resumed)
    }

    /// Starts a run now, unless one is at work or queued. With `full`, a run goes over the whole source from its start; while
    /// one is at work, it follows that one.
    pub async fn trigger_sync(
        &self,
        caller: &Caller,
        bucket: &Bucket,
        id: &str,
        full: bool,
    ) -> Result<Triggered, EngineError> {
        let sync = self.sync(caller, bucket, id).await?;
        if sync.state == SyncState::ConnectionArchived {
            return Err(connection_archived());
        }
        let connection = self.connection_of_sync(caller, &sync.connection).await?;
        if let Some(inactive) = connection_inactive(&connection) {
            return Err(inactive);
        }
        let job: JobId = self.ids().id();
        let changes = json!({"sync_job_id": job.as_str(), "full_sync": full});
        let audit = self.audit_sync(caller, Action::SyncTriggered, id, changes);
        let outcome = self
            .repositories()
            .syncs
            .trigger(
                caller.organization(),
                &bucket.id,
                &sync.id,
                &job,
                full,
                audit,
            )
            .await?
            .ok_or_else(|| missing(id))?;
        let (job, already_running, pending_full) = match outcome {
            TriggerOutcome::Queued(job) => (job, false, false),
            TriggerOutcome::AlreadyRunning(job) => (job, true, false),
            TriggerOutcome::PendingFull(job) => (job, true, true),
            TriggerOutcome::Paused => {
                let message = "The sync is paused; resume it first, which runs it at once.";
                return Err(EngineError::conflict("sync_paused", message));
            }
        };
        self.work_arrived.notify_one();
        Ok(Triggered {
            job,
            already_running,
            pending_full,
        })
    }

    /// Takes the run away from whoever holds it, alive or not; another worker goes on with it at once. Whether somebody did.
    pub async fn unlock_sync(
        &self,
        caller: &Caller,
        bucket: &Bucket,
        id: &str,
    ) -> Result<bool, EngineError> {
        let sync = parsed(id)?;
        let audit = self.audit_sync(caller, Action::SyncUnlocked, id, json!({}));
        let unlocked = self
            .repositories()
            .syncs
            .unlock(caller.organization(), &bucket.id, &sync, audit)
            .await?
            .ok_or_else(|| missing(id))?;
        if unlocked {
            self.work_arrived.notify_one();
        }
        Ok(unlocked)
    }
}
