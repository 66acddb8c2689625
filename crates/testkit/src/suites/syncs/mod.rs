//! What [`SyncRepository`](wharf_ports::SyncRepository) promises.

mod changes;
mod held_deletes;
mod pausing;
mod stored;
mod triggers;

pub use changes::*;
pub use held_deletes::*;
pub use pausing::*;
pub use stored::*;
pub use triggers::*;

use wharf_domain::audit::Action;
use wharf_domain::ids::JobId;
use wharf_domain::sync::Sync;
use wharf_ports::TriggerOutcome;

use crate::{Harness, Tenant};

/// Asks for a run.
async fn trigger(
    h: &Harness,
    tenant: &Tenant<'_>,
    sync: &Sync,
    full: bool,
) -> Option<TriggerOutcome> {
    let job: JobId = h.ids.id();
    let audit = h.audit(Action::SyncTriggered);
    let syncs = &h.repositories.syncs;
    let outcome = syncs
        .trigger(
            &tenant.organization,
            &sync.bucket,
            &sync.id,
            &job,
            full,
            audit,
        )
        .await
        .unwrap();
    if let Some(TriggerOutcome::Queued(queued)) = &outcome {
        assert_eq!(
            queued, &job,
            "the job that was asked for is the one that is queued"
        );
    }
    outcome
}

/// Pauses a sync, for a reason.
async fn pause(h: &Harness, tenant: &Tenant<'_>, sync: &Sync) -> Option<Sync> {
    let (by, reason) = (&tenant.admin, Some("maintenance 'til %"));
    let audit = h.audit(Action::SyncPaused);
    let syncs = &h.repositories.syncs;
    let organization = &tenant.organization;
    let paused = syncs.pause(organization, &sync.bucket, &sync.id, by, reason, audit);
    paused.await.unwrap()
}

async fn resume(h: &Harness, tenant: &Tenant<'_>, sync: &Sync) -> Option<Sync> {
    let audit = h.audit(Action::SyncResumed);
    let syncs = &h.repositories.syncs;
    let resumed = syncs.resume(&tenant.organization, &sync.bucket, &sync.id, audit);
    resumed.await.unwrap()
}

async fn unlock(h: &Harness, tenant: &Tenant<'_>, sync: &Sync) -> Option<bool> {
    let audit = h.audit(Action::SyncUnlocked);
    let syncs = &h.repositories.syncs;
    let unlocked = syncs.unlock(&tenant.organization, &sync.bucket, &sync.id, audit);
    unlocked.await.unwrap()
}
