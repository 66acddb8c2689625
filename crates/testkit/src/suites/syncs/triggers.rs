//! Triggers: wishes for a run now.

use std::time::Duration;

use wharf_domain::audit::Action;
use wharf_domain::job::{JobEnd, JobPhase, JobStatus, JobTrigger};
use wharf_domain::run::commit::Commit;
use wharf_domain::sync::{Sync, SyncMode, SyncState};
use wharf_ports::TriggerOutcome;

use super::trigger;
use crate::{Harness, LONG, Run, SHORT, build};

const DAY: Duration = Duration::from_hours(24);

pub async fn a_trigger_queues_one_job_and_makes_the_sync_due(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    let at_work = trigger(&h, &acme, &run.sync, false).await;
    assert_eq!(
        at_work,
        Some(TriggerOutcome::AlreadyRunning(run.lease.job.clone())),
        "a job is at work"
    );
    let audit = h.audit(Action::JobFinished);
    h.repositories
        .runs
        .finish(
            &acme.organization,
            &run.lease,
            JobEnd::complete(),
            DAY,
            audit,
        )
        .await
        .unwrap();
    assert_eq!(h.try_lease(LONG).await, None, "not due for a day");

    h.moment().await;
    let Some(TriggerOutcome::Queued(job)) = trigger(&h, &acme, &run.sync, false).await else {
        panic!("nothing is at work or queued");
    };
    let queued = acme.jobs(&run.sync.id).await.remove(0);
    assert_eq!(
        (&queued.id, queued.trigger, queued.phase),
        (&job, JobTrigger::Manual, JobPhase::Queued)
    );
    assert_eq!(
        acme.stored_sync(&run.sync).await.queued_job,
        Some(job.clone())
    );
    let queued = Some(TriggerOutcome::AlreadyRunning(job.clone()));
    assert_eq!(trigger(&h, &acme, &run.sync, false).await, queued);
    assert!(!acme.stored_sync(&run.sync).await.pending_full);
    assert_eq!(
        acme.audited(Action::SyncTriggered).await,
        1,
        "wishes that changed nothing bring no audit row"
    );
    for _ in 0..2 {
        let wished = trigger(&h, &acme, &run.sync, true).await;
        assert_eq!(wished, Some(TriggerOutcome::PendingFull(job.clone())));
        let waiting = acme.stored_sync(&run.sync).await;
        assert!(waiting.pending_full, "the queued job goes over all of it");
    }
    assert_eq!(h.lease(LONG).await.job, job);
    let leased = acme.stored_sync(&run.sync).await;
    assert_eq!((leased.queued_job, leased.pending_full), (None, false));
    assert_eq!(acme.audited(Action::SyncTriggered).await, 2);
}

pub async fn a_trigger_runs_a_completed_sync_once_more(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run_in_mode(SyncMode::InitialOnly).await;
    let finish = async |lease| {
        let audit = h.audit(Action::JobFinished);
        let delay = Duration::ZERO;
        h.repositories
            .runs
            .finish(&acme.organization, lease, JobEnd::complete(), delay, audit)
            .await
            .unwrap();
    };
    finish(&run.lease).await;
    assert_eq!(h.try_lease(LONG).await, None, "nothing is planned");
    assert!(matches!(
        trigger(&h, &acme, &run.sync, true).await,
        Some(TriggerOutcome::Queued(_))
    ));
    finish(&h.lease(LONG).await).await;
    let stored = run.stored().await;
    assert_eq!(
        (
            stored.state,
            stored.next_run_at,
            stored.totals.runs_completed
        ),
        (SyncState::Completed, None, 2)
    );
}

pub async fn a_trigger_counts_an_expired_lease_as_nobody_at_work(h: Harness) {
    let acme = h.tenant("acme").await;
    let sync = acme
        .sync(&acme.bucket("media").await, &acme.connection("store").await)
        .await;
    let lease = h.lease(SHORT).await;
    h.outlive(SHORT).await;
    assert_eq!(
        acme.stored_sync(&sync).await.lease,
        None,
        "an expired lease is nobody's"
    );
    let Some(TriggerOutcome::Queued(job)) = trigger(&h, &acme, &sync, false).await else {
        panic!("the lease has expired");
    };
    assert_ne!(job, lease.job);
}

pub async fn a_full_trigger_drops_the_progress_of_an_incomplete_pass(h: Harness) {
    let acme = h.tenant("acme").await;
    for full in [false, true] {
        let bucket = acme.bucket(if full { "full" } else { "plain" }).await;
        let connection = acme.connection(if full { "full" } else { "plain" }).await;
        let run = acme.run_into(&bucket, &connection).await;
        let checkpoint = build::checkpoint(1);
        let step = run.step(1, &["media/a"], "1").await;
        run.commit(Commit {
            checkpoint: Some(checkpoint.clone()),
            ..step
        })
        .await;
        let (end, audit) = (JobEnd::incomplete("over_cap"), h.audit(Action::JobFinished));
        h.repositories
            .runs
            .finish(&acme.organization, &run.lease, end, DAY, audit)
            .await
            .unwrap();
        trigger(&h, &acme, &run.sync, full).await;
        let kept = (!full).then_some(checkpoint);
        let stored = run.stored().await;
        assert_eq!(
            (stored.checkpoint, stored.last_pass),
            (kept, 1),
            "full: {full}"
        );
        h.lease(LONG).await;
    }
}

pub async fn a_trigger_of_another_organization_or_bucket_finds_nothing(h: Harness) {
    let (acme, other) = (h.tenant("acme").await, h.tenant("other").await);
    let sync = acme
        .sync(&acme.bucket("media").await, &acme.connection("store").await)
        .await;
    let elsewhere = Sync {
        bucket: acme.bucket("elsewhere").await.id,
        ..sync.clone()
    };
    assert_eq!(trigger(&h, &other, &sync, true).await, None);
    assert_eq!(trigger(&h, &acme, &elsewhere, true).await, None);
    assert_eq!(acme.jobs(&sync.id).await.len(), 1);
    assert_eq!(
        acme.audited(Action::SyncTriggered).await + other.audited(Action::SyncTriggered).await,
        0
    );
}

/// A run whose pass is not complete.
async fn begin(run: &Run<'_>) {
    let step = run.step(1, &["media/a"], "1").await;
    run.commit(Commit {
        checkpoint: Some(build::checkpoint(1)),
        ..step
    })
    .await;
}

pub async fn a_full_run_that_is_asked_for_meanwhile_begins_with_the_next_lease(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    begin(&run).await;
    let job = &run.lease.job;
    for _ in ["first", "again"] {
        let outcome = trigger(&h, &acme, &run.sync, true).await;
        assert_eq!(outcome, Some(TriggerOutcome::PendingFull(job.clone())));
        let stored = run.stored().await;
        assert!(stored.pending_full && stored.checkpoint.is_some());
        assert_eq!(
            acme.audited(Action::SyncTriggered).await,
            1,
            "the second wish changes nothing"
        );
    }
    let plain = trigger(&h, &acme, &run.sync, false).await;
    assert_eq!(plain, Some(TriggerOutcome::AlreadyRunning(job.clone())));
    assert_eq!(acme.jobs(&run.sync.id).await.len(), 1, "no job is queued");

    let audit = h.audit(Action::JobFinished);
    let end = JobEnd::incomplete("over_cap");
    let runs = &h.repositories.runs;
    runs.finish(&acme.organization, &run.lease, end, DAY, audit)
        .await
        .unwrap();
    let next = h.lease(LONG).await;
    let stored = run.stored().await;
    assert_eq!(
        (stored.pending_full, stored.checkpoint, stored.last_pass),
        (false, None, 1)
    );
    let jobs = acme.jobs(&run.sync.id).await;
    let job = jobs.iter().find(|job| job.id == next.job).unwrap();
    assert_eq!(
        (job.trigger, &job.resumed_from),
        (JobTrigger::Manual, &None)
    );
}

pub async fn a_full_run_of_a_sync_that_runs_once_is_owed_to_it(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run_in_mode(SyncMode::InitialOnly).await;
    begin(&run).await;
    trigger(&h, &acme, &run.sync, true).await;
    let audit = h.audit(Action::JobFinished);
    let runs = &h.repositories.runs;
    let end = JobEnd::complete();
    runs.finish(&acme.organization, &run.lease, end, DAY, audit)
        .await
        .unwrap();
    assert_eq!(run.stored().await.state, SyncState::Completed);
    let next = h.lease(LONG).await;
    assert_eq!(next.sync, run.sync.id);
    let audit = h.audit(Action::JobFinished);
    let end = JobEnd::complete();
    runs.finish(&acme.organization, &next, end, DAY, audit)
        .await
        .unwrap();
    assert_eq!(run.stored().await.next_run_at, None, "once");
}

pub async fn a_full_run_that_was_asked_for_resumes_nothing(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    begin(&run).await;
    let outcome = trigger(&h, &acme, &run.sync, true).await;
    assert_eq!(
        outcome,
        Some(TriggerOutcome::PendingFull(run.lease.job.clone()))
    );
    let runs = &h.repositories.runs;
    runs.extend(&acme.organization, &run.lease, SHORT)
        .await
        .unwrap();
    h.outlive(SHORT).await;
    let next = h.lease(LONG).await;
    let jobs = acme.jobs(&run.sync.id).await;
    let job = jobs.iter().find(|job| job.id == next.job).unwrap();
    assert_eq!(
        (job.trigger, &job.resumed_from),
        (JobTrigger::Manual, &None)
    );
    assert_eq!(run.job().await.status, JobStatus::Interrupted);
    assert_eq!(run.stored().await.checkpoint, None);
}

pub async fn a_full_trigger_forgets_where_the_feed_stands(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    run.list_all(1, "seven").await;
    let feed = run.stored().await.feed;
    assert!(feed.is_some());
    trigger(&h, &acme, &run.sync, false).await;
    assert_eq!(
        run.stored().await.feed,
        feed,
        "a plain run goes on from there"
    );
    let run = Run {
        lease: h.lease(LONG).await,
        ..run
    };
    assert_eq!(run.stored().await.feed, feed);
    run.list_all(2, "eight").await;
    assert!(run.stored().await.feed.is_some());
    trigger(&h, &acme, &run.sync, true).await;
    assert_eq!(run.stored().await.feed, None);
}

pub async fn a_full_run_that_is_asked_for_meanwhile_forgets_where_the_feed_stands(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    run.list_all(1, "seven").await;
    trigger(&h, &acme, &run.sync, false).await;
    let run = Run {
        lease: h.lease(LONG).await,
        ..run
    };
    trigger(&h, &acme, &run.sync, true).await;
    assert!(run.stored().await.feed.is_some(), "the run at work has it");
    run.list_all(2, "eight").await;
    h.lease(LONG).await;
    assert_eq!(run.stored().await.feed, None);
}
