//! Endings: what the end of a run means for its sync.

use std::time::Duration;

use wharf_domain::audit::Action;
use wharf_domain::job::{Counters, JobEnd, JobPhase, JobStatus, JobTrigger};
use wharf_domain::run::commit::Commit;
use wharf_domain::sync::{RunStats, SyncMode, SyncState};
use wharf_ports::TriggerOutcome;

use super::{DAY, finish, rich_step};
use crate::{Harness, LONG, Run, SHORT, SOON, build};

pub async fn a_complete_pass_clears_checkpoint_and_failures_and_plans_the_next(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    finish(
        &h,
        &run,
        &run.lease,
        JobEnd::failed("listing_failed", "no answer".to_owned()),
        Duration::ZERO,
    )
    .await;
    let lease = h.lease(LONG).await;
    let run = Run { lease, ..run };
    run.commit(rich_step(&run).await).await;
    let now = h.repositories.across.now().await.unwrap();
    finish(&h, &run, &run.lease, JobEnd::complete(), DAY).await;
    let (sync, job) = (run.stored().await, run.job().await);
    assert_eq!(
        (sync.state, &sync.checkpoint, sync.lease),
        (SyncState::Active, &None, None)
    );
    assert_eq!(
        (sync.consecutive_failures, &sync.last_error, sync.last_pass),
        (0, &None, 3)
    );
    assert!(sync.last_sync_at.is_some_and(|at| at >= now));
    assert!(
        sync.next_run_at
            .is_some_and(|at| at >= now + DAY && at < now + 2 * DAY)
    );
    assert_eq!(
        (sync.totals.runs_completed, sync.totals.runs_failed),
        (1, 1)
    );
    assert_eq!(
        (job.status, job.complete, &job.incomplete_reason),
        (JobStatus::Completed, Some(true), &None)
    );
    assert_eq!((job.phase, &job.error), (JobPhase::Idle, &None));
    assert!(job.completed_at.is_some_and(|at| at >= now));
    assert_eq!(acme.audited(Action::JobFinished).await, 2);
}

pub async fn a_complete_pass_completes_a_sync_that_runs_once(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run_in_mode(SyncMode::InitialOnly).await;
    run.commit(rich_step(&run).await).await;
    finish(&h, &run, &run.lease, JobEnd::complete(), Duration::ZERO).await;
    let sync = run.stored().await;
    assert_eq!(
        (sync.state, sync.next_run_at, sync.checkpoint),
        (SyncState::Completed, None, None)
    );
    assert_eq!(h.try_lease(LONG).await, None);
}

pub async fn an_incomplete_pass_is_gone_on_with_whatever_the_mode(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run_in_mode(SyncMode::InitialOnly).await;
    let step = rich_step(&run).await;
    run.commit(step.clone()).await;
    finish(
        &h,
        &run,
        &run.lease,
        JobEnd::incomplete("over_cap"),
        Duration::ZERO,
    )
    .await;
    let (sync, job) = (run.stored().await, run.job().await);
    assert_eq!(
        (sync.state, sync.checkpoint),
        (SyncState::Active, step.checkpoint)
    );
    assert!(sync.last_sync_at.is_some() && sync.next_run_at.is_some());
    assert_eq!(
        (sync.totals.runs_completed, job.status, job.complete),
        (1, JobStatus::Completed, Some(false))
    );
    assert_eq!(job.incomplete_reason.as_deref(), Some("over_cap"));
    let next = h.lease(LONG).await;
    assert_eq!(
        acme.jobs(&run.sync.id)
            .await
            .iter()
            .find(|job| job.id == next.job)
            .unwrap()
            .trigger,
        JobTrigger::Scheduled
    );
}

pub async fn failed_runs_are_counted_in_a_row(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run_in_mode(SyncMode::InitialOnly).await;
    run.commit(rich_step(&run).await).await;
    let checkpoint = run.stored().await.checkpoint;
    let failed = |error: &str| JobEnd::failed("listing_failed", error.to_owned());
    finish(&h, &run, &run.lease, failed("first"), Duration::ZERO).await;
    finish(&h, &run, &h.lease(LONG).await, failed("second"), DAY).await;
    let (sync, job) = (run.stored().await, run.job().await);
    assert_eq!(
        (sync.consecutive_failures, sync.last_error.as_deref()),
        (2, Some("second"))
    );
    assert_eq!(
        (
            sync.totals.runs_failed,
            sync.totals.runs_completed,
            sync.last_sync_at
        ),
        (2, 0, None)
    );
    assert_eq!(
        (sync.state, sync.checkpoint),
        (SyncState::Active, checkpoint)
    );
    assert!(sync.next_run_at.is_some());
    assert_eq!(
        (job.status, job.complete, job.error.as_deref()),
        (JobStatus::Failed, Some(false), Some("first"))
    );
    assert_eq!(job.incomplete_reason.as_deref(), Some("listing_failed"));
}

pub async fn an_interrupted_run_is_gone_on_with_by_a_resume(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    let step = rich_step(&run).await;
    run.commit(step.clone()).await;
    finish(&h, &run, &run.lease, JobEnd::interrupted("shutdown"), SOON).await;
    let (sync, job) = (run.stored().await, run.job().await);
    assert_eq!(
        (job.status, job.complete),
        (JobStatus::Interrupted, Some(false))
    );
    assert_eq!(
        (
            sync.consecutive_failures,
            sync.last_sync_at,
            &sync.last_error
        ),
        (0, None, &None)
    );
    assert_eq!(
        (sync.totals.runs_completed, sync.totals.runs_failed),
        (0, 0)
    );
    assert_eq!(sync.checkpoint, step.checkpoint);
    assert_eq!(h.try_lease(LONG).await, None, "not before the delay");
    h.outlive(SOON).await;
    let resumed = h.lease(LONG).await;
    let jobs = acme.jobs(&run.sync.id).await;
    let resume = jobs.iter().find(|job| job.id == resumed.job).unwrap();
    assert_eq!(
        (resume.trigger, &resume.resumed_from),
        (JobTrigger::Resume, &Some(run.lease.job.clone()))
    );
    finish(&h, &run, &resumed, JobEnd::complete(), Duration::ZERO).await;
    let next = h.lease(LONG).await;
    let jobs = acme.jobs(&run.sync.id).await;
    let next = jobs.iter().find(|job| job.id == next.job).unwrap();
    assert_eq!(
        (next.trigger, &next.resumed_from),
        (JobTrigger::Scheduled, &None),
        "resumed once"
    );
}

pub async fn a_skipped_run_leaves_failures_and_last_sync_alone(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    finish(
        &h,
        &run,
        &run.lease,
        JobEnd::failed("listing_failed", "no answer".to_owned()),
        Duration::ZERO,
    )
    .await;
    let lease = h.lease(LONG).await;
    let run = Run { lease, ..run };
    finish(
        &h,
        &run,
        &run.lease,
        JobEnd::skipped("connection_not_active"),
        DAY,
    )
    .await;
    let (sync, job) = (run.stored().await, run.job().await);
    assert_eq!(
        (sync.consecutive_failures, sync.last_error.as_deref()),
        (1, Some("no answer"))
    );
    assert_eq!(
        (
            sync.totals.runs_completed,
            sync.totals.runs_failed,
            sync.last_sync_at
        ),
        (0, 1, None)
    );
    assert_eq!(
        (job.status, job.complete),
        (JobStatus::Skipped, Some(false))
    );
    assert_eq!(
        job.incomplete_reason.as_deref(),
        Some("connection_not_active")
    );
    assert!(sync.next_run_at.is_some());
}

pub async fn a_queued_job_is_due_at_once_when_a_run_ends(h: Harness) {
    let acme = h.tenant("acme").await;
    let (bucket, connection) = (acme.bucket("media").await, acme.connection("store").await);
    let sync = acme.sync(&bucket, &connection).await;
    let lease = h.lease(SHORT).await;
    let run = Run {
        tenant: &acme,
        bucket,
        connection,
        sync,
        lease,
    };
    h.outlive(SHORT).await;
    let (job, audit) = (h.ids.id(), h.audit(Action::SyncTriggered));
    let syncs = &h.repositories.syncs;
    let trigger = syncs
        .trigger(
            &acme.organization,
            &run.bucket.id,
            &run.sync.id,
            &job,
            false,
            audit,
        )
        .await
        .unwrap();
    assert_eq!(trigger, Some(TriggerOutcome::Queued(job.clone())));
    finish(&h, &run, &run.lease, JobEnd::complete(), DAY).await;
    assert_eq!(h.lease(LONG).await.job, job);
}

pub async fn how_runs_went_is_summed_up(h: Harness) {
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    assert_eq!(run.stored().await.totals.stats, RunStats::default());
    let counters = Counters {
        discovered: 3,
        synced: 2,
        verified: 1,
        bytes: 10,
        ..Counters::default()
    };
    run.commit(Commit {
        counters: counters.clone(),
        ..build::commit(1)
    })
    .await;
    h.pass(Duration::from_millis(20)).await;
    finish(&h, &run, &run.lease, JobEnd::complete(), Duration::ZERO).await;
    let job = run.job().await;
    let stats = run.stored().await.totals.stats;
    let took = job.completed_at.unwrap() - job.started_at.unwrap();
    let micros = u64::try_from(took.num_microseconds().unwrap()).unwrap();
    assert!(micros >= 19_000, "{micros}");
    assert_eq!(
        (stats.total_micros, stats.clean, stats.with_failures),
        (micros, 1, 0)
    );
    let last = stats.last_run.clone().unwrap();
    assert_eq!(
        (&last.counters, last.micros, Some(last.ended_at)),
        (&counters, micros, job.completed_at)
    );
    let rate = last.objects_per_minute();
    // Stored as text, a number may lose its last bit.
    let same = |one: f64, other: f64| (one - other).abs() <= one * 1e-9;
    assert!(rate > 0.0 && same(stats.peak_objects_per_minute, rate));

    let lease = h.lease(LONG).await;
    let run = Run { lease, ..run };
    let mut failed = Counters {
        discovered: 1,
        ..Counters::default()
    };
    failed.fail("net.timeout");
    run.commit(Commit {
        counters: failed.clone(),
        ..build::commit(2)
    })
    .await;
    finish(
        &h,
        &run,
        &run.lease,
        JobEnd::incomplete("over_cap"),
        Duration::ZERO,
    )
    .await;
    let stats = run.stored().await.totals.stats;
    assert_eq!((stats.clean, stats.with_failures), (1, 1));
    assert!(stats.total_micros >= micros && stats.peak_objects_per_minute >= rate * (1.0 - 1e-9));
    assert_eq!(stats.last_run.clone().unwrap().counters, failed);

    let lease = h.lease(LONG).await;
    let run = Run { lease, ..run };
    let skipped = JobEnd::skipped("connection_not_active");
    finish(&h, &run, &run.lease, skipped, Duration::ZERO).await;
    assert_eq!(
        run.stored().await.totals.stats,
        stats,
        "a run that was skipped is none"
    );
    let lease = h.lease(LONG).await;
    let run = Run { lease, ..run };
    let end = JobEnd::failed("listing_failed", "no answer".to_owned());
    finish(&h, &run, &run.lease, end, Duration::ZERO).await;
    let lease = h.lease(LONG).await;
    let run = Run { lease, ..run };
    finish(
        &h,
        &run,
        &run.lease,
        JobEnd::interrupted("shutdown"),
        Duration::ZERO,
    )
    .await;
    let stats = run.stored().await.totals.stats;
    assert_eq!((stats.clean, stats.with_failures), (1, 2));
}
