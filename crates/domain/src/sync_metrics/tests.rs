use super::*;
use crate::job::{Counters, JobPhase, JobTrigger};
use crate::sync::{LeaseHolder, Pause, SyncSettings, SyncState, SyncTotals};

/// Seconds after the sync's creation.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + TimeDelta::seconds(seconds)
}

fn id<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect("a well-formed identifier")
}

pub(crate) fn sync() -> Sync {
    Sync {
        id: id("sync_0123456789abcdef"),
        bucket: id("bkt_0123456789abcdef"),
        namespace: id("ns_0123456789abcdef"),
        connection: id("conn_abcdefghijklmno"),
        mode: SyncMode::Continuous,
        settings: SyncSettings::of("media".to_owned()),
        state: SyncState::Active,
        paused: None,
        pending_full: false,
        held_deletes: None,
        next_run_at: None,
        queued_job: None,
        lease: None,
        last_pass: 0,
        checkpoint: None,
        feed: None,
        push: None,
        totals: SyncTotals::default(),
        last_sync_at: None,
        last_error: None,
        consecutive_failures: 0,
        revision: 1,
        created_by: id("usr_abcdefghijklmno"),
        created_at: at(0),
        updated_at: at(0),
    }
}

pub(crate) fn job(status: JobStatus) -> Job {
    Job {
        id: id("job_0123456789abcdef"),
        sync: id("sync_0123456789abcdef"),
        bucket: id("bkt_0123456789abcdef"),
        namespace: id("ns_0123456789abcdef"),
        status,
        trigger: JobTrigger::Scheduled,
        phase: JobPhase::Discovering,
        counters: Counters::default(),
        complete: None,
        incomplete_reason: None,
        error: None,
        resumed_from: None,
        created_at: at(0),
        started_at: Some(at(0)),
        completed_at: None,
        updated_at: at(0),
    }
}

pub(crate) fn lease(job: &Job) -> LeaseHolder {
    LeaseHolder {
        job: job.id.clone(),
        worker: "a worker".to_owned(),
        acquired_at: at(0),
        expires_at: at(30),
    }
}

fn metrics(sync: &Sync, newest: Option<&Job>, now: i64) -> SyncMetrics {
    SyncMetrics::new(sync, newest, BTreeMap::new(), at(now))
}

#[test]
fn a_sync_that_has_never_run_is_neither_late_nor_stale() {
    let metrics = metrics(&sync(), None, 1_000_000);
    assert_eq!(metrics.seconds_since_last_sync, None);
    assert_eq!(metrics.intervals_since_last_sync, None);
    assert!(!metrics.stale && !metrics.running && metrics.healthy);
    assert!(metrics.failure_rate.abs() < f64::EPSILON);
}

#[test]
fn a_continuous_sync_is_stale_after_two_intervals_but_not_within_two_minutes() {
    for (interval, last_fresh) in [(300, 600), (30, 120), (60, 120), (61, 122)] {
        let mut sync = sync();
        sync.settings.polling_interval_seconds = interval;
        sync.last_sync_at = Some(at(0));
        let fresh = metrics(&sync, None, last_fresh);
        assert_eq!(i64::try_from(fresh.stale_after_seconds), Ok(last_fresh));
        assert!(!fresh.stale && fresh.healthy, "{interval}");
        let stale = metrics(&sync, None, last_fresh + 1);
        assert!(stale.stale && !stale.healthy, "{interval}");
        sync.mode = SyncMode::InitialOnly;
        assert!(!metrics(&sync, None, last_fresh + 1).stale);
    }
    let mut sync = sync();
    sync.last_sync_at = Some(at(0));
    let late = metrics(&sync, None, 450);
    assert_eq!(late.seconds_since_last_sync, Some(450));
    assert_eq!(late.intervals_since_last_sync, Some(1.5));
    let early = metrics(&sync, None, -5);
    assert_eq!(early.seconds_since_last_sync, Some(0));
}

#[test]
fn a_run_without_progress_is_stalled_and_says_why() {
    let mut sync = sync();
    sync.settings.polling_interval_seconds = 30;
    let mut job = job(JobStatus::Running);
    assert_eq!(metrics(&sync, Some(&job), 300).stalled_reason, None);
    let lost = metrics(&sync, Some(&job), 301);
    assert!(lost.running && !lost.healthy);
    let reason = lost.stalled_reason.expect("it is stalled");
    assert!(
        reason.contains("301 seconds") && reason.contains("no sign of life"),
        "{reason}"
    );
    sync.lease = Some(lease(&job));
    let stuck = metrics(&sync, Some(&job), 301).stalled_reason;
    assert!(stuck.is_some_and(|reason| reason.contains("neither found nor copied")));
    job.started_at = None;
    let waiting = metrics(&sync, Some(&job), 301).stalled_reason;
    assert!(waiting.is_some_and(|reason| reason.contains("no worker")));
    sync.settings.polling_interval_seconds = 3600;
    assert_eq!(metrics(&sync, Some(&job), 7200).stalled_reason, None);
    job.status = JobStatus::Completed;
    let ended = metrics(&sync, Some(&job), 1_000_000);
    assert_eq!((ended.running, ended.stalled_reason), (false, None));
}

#[test]
fn a_sync_is_healthy_only_while_it_runs_without_failures() {
    let healthy = |change: fn(&mut Sync)| {
        let mut sync = sync();
        change(&mut sync);
        metrics(&sync, None, 0).healthy
    };
    assert!(healthy(|_| {}));
    assert!(!healthy(|sync| sync.consecutive_failures = 1));
    assert!(!healthy(|sync| sync.state = SyncState::ConnectionArchived));
    assert!(!healthy(|sync| sync.paused = Some(Pause {
        at: at(0),
        by: id("usr_abcdefghijklmno"),
        reason: None,
    })));
}

#[test]
fn the_failure_rate_is_of_all_that_was_discovered() {
    let mut sync = sync();
    sync.totals.counters.discovered = 8;
    sync.totals.counters.failed = 2;
    let dead_letters = BTreeMap::from([("object.locked".to_owned(), 2)]);
    let metrics = SyncMetrics::new(&sync, None, dead_letters.clone(), at(0));
    assert!((metrics.failure_rate - 0.25).abs() < f64::EPSILON);
    assert_eq!(metrics.dead_letters, dead_letters);
}
