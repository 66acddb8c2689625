//! Pausing: what a person stops, lets run again, and takes away from a worker.

use std::time::Duration;

use wharf_domain::audit::Action;
use wharf_domain::connection::Event;
use wharf_domain::job::{JobEnd, JobStatus, JobTrigger};
use wharf_domain::sync::{Pause, Sync, SyncMode, SyncState, SyncStatus};
use wharf_ports::{RunError, TriggerOutcome};

use super::{pause, resume, trigger, unlock};
use crate::{Harness, LONG, Run, SHORT, Tenant};

const DAY: Duration = Duration::from_hours(24);

async fn finish(h: &Harness, run: &Run<'_>, end: JobEnd, delay: Duration) {
    let audit = h.audit(Action::JobFinished);
    let runs = &h.repositories.runs;
    runs.finish(&run.tenant.organization, &run.lease, end, delay, audit)
        .await
        .unwrap();
}

/// A sync of the same identifier where it is not: elsewhere, and one that never was.
async fn strangers(h: &Harness, tenant: &Tenant<'_>, sync: &Sync) -> [Sync; 2] {
    let elsewhere = Sync {
        bucket: tenant.bucket("elsewhere").await.id,
        ..sync.clone()
    };
    let unknown = Sync {
        id: h.ids.id(),
        ..sync.clone()
    };
    [elsewhere, unknown]
}

pub async fn a_paused_sync_does_not_start(h: Harness) {
    let acme = h.tenant("acme").await;
    let sync = acme
        .sync(&acme.bucket("media").await, &acme.connection("store").await)
        .await;
    let queued = sync.queued_job.clone().unwrap();
    h.moment().await;
    let paused = pause(&h, &acme, &sync).await.unwrap();
    let expected = Pause {
        at: paused.updated_at,
        by: acme.admin.clone(),
        reason: Some("maintenance 'til %".to_owned()),
    };
    assert_eq!(paused.paused, Some(expected));
    assert!(paused.updated_at > sync.updated_at);
    assert_eq!(
        (paused.status(), paused.state, paused.revision),
        (SyncStatus::Suspended, SyncState::Active, sync.revision)
    );
    assert_eq!(acme.stored_sync(&sync).await, paused);
    assert_eq!(h.try_lease(LONG).await, None);

    assert_eq!(paused.queued_job, None);
    let job = acme.jobs(&sync.id).await.remove(0);
    assert_eq!(
        (&job.id, job.status, job.incomplete_reason.as_deref()),
        (&queued, JobStatus::Skipped, Some("sync_paused"))
    );
    assert!(job.completed_at.is_some() && job.started_at.is_none());
    assert_eq!(
        acme.audited_ends(&queued).await,
        [("skipped".to_owned(), "sync_paused".to_owned())]
    );
    assert_eq!(acme.audited(Action::SyncPaused).await, 1);
}

pub async fn a_sync_is_paused_once(h: Harness) {
    let acme = h.tenant("acme").await;
    let (bucket, gone) = (acme.bucket("more").await, acme.connection("gone").await);
    let run = acme.run_in_mode(SyncMode::InitialOnly).await;
    finish(&h, &run, JobEnd::complete(), DAY).await;
    let archived = acme.sync(&acme.bucket("archive").await, &gone).await;
    acme.apply(&gone, vec![Event::Archive]).await;
    let twice = acme.sync(&bucket, &run.connection).await;
    pause(&h, &acme, &twice).await;
    h.moment().await;
    for sync in [&run.sync, &archived, &twice] {
        let before = acme.stored_sync(sync).await;
        assert_eq!(pause(&h, &acme, sync).await, Some(before.clone()));
        assert_eq!(acme.stored_sync(sync).await, before);
    }
    assert_eq!(acme.audited(Action::SyncPaused).await, 1);
}

pub async fn a_run_at_work_ends_in_its_own_time(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    let paused = pause(&h, &acme, &run.sync).await.unwrap();
    assert_eq!(
        paused.lease.map(|holder| holder.job),
        Some(run.lease.job.clone())
    );
    run.publish(1, &["media/a"], "1").await;
    finish(&h, &run, JobEnd::complete(), Duration::ZERO).await;
    assert_eq!(run.job().await.status, JobStatus::Completed);
    assert_eq!(run.stored().await.status(), SyncStatus::Suspended);
    assert_eq!(h.try_lease(LONG).await, None, "and none follows");
}

pub async fn a_sync_that_completes_is_paused_no_more(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run_in_mode(SyncMode::InitialOnly).await;
    pause(&h, &acme, &run.sync).await;
    finish(&h, &run, JobEnd::complete(), DAY).await;
    let stored = run.stored().await;
    assert_eq!(
        (stored.status(), stored.paused, stored.next_run_at),
        (SyncStatus::Completed, None, None)
    );
}

pub async fn a_resumed_sync_runs_at_once(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    finish(&h, &run, JobEnd::complete(), DAY).await;
    pause(&h, &acme, &run.sync).await;
    let before = run.stored().await;
    h.moment().await;
    let resumed = resume(&h, &acme, &run.sync).await.unwrap();
    assert_eq!(
        (resumed.status(), &resumed.paused, resumed.revision),
        (SyncStatus::Active, &None, before.revision)
    );
    assert!(resumed.updated_at > before.updated_at);
    assert_eq!(run.stored().await, resumed);
    let again = resume(&h, &acme, &run.sync).await;
    assert_eq!(again.as_ref(), Some(&resumed), "it is not paused");
    assert_eq!(acme.audited(Action::SyncResumed).await, 1);
    let lease = h.lease(LONG).await;
    assert_eq!(lease.sync, run.sync.id);
    let jobs = acme.jobs(&run.sync.id).await;
    let job = jobs.iter().find(|job| job.id == lease.job).unwrap();
    assert_eq!(job.trigger, JobTrigger::Scheduled);
}

pub async fn an_unlocked_sync_goes_on_with_a_resume_at_once(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    h.moment().await;
    assert_eq!(unlock(&h, &acme, &run.sync).await, Some(true));
    let runs = &h.repositories.runs;
    let refused = runs.load(&acme.organization, &run.lease).await;
    assert!(matches!(refused, Err(RunError::LeaseLost)), "{refused:?}");
    let stored = run.stored().await;
    assert_eq!((stored.lease, stored.revision), (None, run.sync.revision));
    let job = run.job().await;
    assert_eq!(
        (job.status, job.complete, job.incomplete_reason.as_deref()),
        (JobStatus::Interrupted, Some(false), Some("unlocked"))
    );
    assert_eq!(
        acme.audited_ends(&run.lease.job).await,
        [("interrupted".to_owned(), "unlocked".to_owned())]
    );
    assert_eq!(unlock(&h, &acme, &run.sync).await, Some(false));
    assert_eq!(acme.audited(Action::SyncUnlocked).await, 1);

    let next = h.lease(LONG).await;
    assert_eq!(next.sync, run.sync.id);
    assert!(
        next.fence > run.lease.fence + 1,
        "taking the lease away counts as one"
    );
    let jobs = acme.jobs(&run.sync.id).await;
    let resume = jobs.iter().find(|job| job.id == next.job).unwrap();
    assert_eq!(
        (resume.trigger, &resume.resumed_from),
        (JobTrigger::Resume, &Some(run.lease.job.clone()))
    );
}

pub async fn an_expired_lease_is_unlocked_too(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run_for(SHORT).await;
    h.outlive(SHORT).await;
    assert_eq!(unlock(&h, &acme, &run.sync).await, Some(true));
    assert_eq!(run.job().await.status, JobStatus::Interrupted);
    let runs = &h.repositories.runs;
    let refused = runs.extend(&acme.organization, &run.lease, LONG).await;
    assert!(matches!(refused, Err(RunError::LeaseLost)), "{refused:?}");
}

pub async fn a_paused_sync_that_is_unlocked_stays_paused(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    pause(&h, &acme, &run.sync).await;
    assert_eq!(unlock(&h, &acme, &run.sync).await, Some(true));
    assert_eq!(h.try_lease(LONG).await, None);
    resume(&h, &acme, &run.sync).await;
    let next = h.lease(LONG).await;
    let jobs = acme.jobs(&run.sync.id).await;
    let job = jobs.iter().find(|job| job.id == next.job).unwrap();
    assert_eq!(job.resumed_from, Some(run.lease.job.clone()));
}

pub async fn a_paused_sync_is_not_triggered(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    pause(&h, &acme, &run.sync).await;
    let before = run.stored().await;
    for full in [false, true] {
        let outcome = trigger(&h, &acme, &run.sync, full).await;
        assert_eq!(outcome, Some(TriggerOutcome::Paused));
    }
    assert_eq!(run.stored().await, before);
    assert_eq!(acme.jobs(&run.sync.id).await.len(), 1);
    assert_eq!(acme.audited(Action::SyncTriggered).await, 0);
}

pub async fn another_organization_or_bucket_stops_and_frees_nothing(h: Harness) {
    let (acme, other) = (h.tenant("acme").await, h.tenant("other").await);
    let run = acme.run().await;
    let [elsewhere, unknown] = strangers(&h, &acme, &run.sync).await;
    let before = run.stored().await;
    for (tenant, sync) in [(&other, &run.sync), (&acme, &elsewhere), (&acme, &unknown)] {
        assert_eq!(pause(&h, tenant, sync).await, None);
        assert_eq!(resume(&h, tenant, sync).await, None);
        assert_eq!(unlock(&h, tenant, sync).await, None);
    }
    assert_eq!(run.stored().await, before);
    pause(&h, &acme, &run.sync).await;
    let before = run.stored().await;
    for (tenant, sync) in [(&other, &run.sync), (&acme, &elsewhere), (&acme, &unknown)] {
        assert_eq!(resume(&h, tenant, sync).await, None);
    }
    assert_eq!(run.stored().await, before);
    let actions = [
        Action::SyncPaused,
        Action::SyncResumed,
        Action::SyncUnlocked,
    ];
    for action in actions {
        let expected = usize::from(action == Action::SyncPaused);
        assert_eq!(acme.audited(action).await, expected);
        assert_eq!(other.audited(action).await, 0);
    }
}
