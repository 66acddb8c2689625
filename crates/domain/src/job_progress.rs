//! How far a job is, as a person wants to know it.

use crate::Timestamp;
use crate::job::{Job, JobStatus};
use crate::sync::{Sync, per_minute};

/// How far a job is.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct JobProgress {
    /// Files that it deals with; while it runs, those of the last complete run, unless it has found more. `None` where nobody
    /// knows.
    pub total_files: Option<u64>,
    /// Files with an outcome of all, 0 to 100. `None` where the total is not known and files were counted. 100 is kept for
    /// jobs that have ended.
    pub percent: Option<f64>,
    /// Files copied per minute.
    pub files_per_minute: Option<f64>,
    /// Seconds since it last told of progress, while it runs.
    pub lag_seconds: Option<u64>,
}

/// What is left for the end.
const MOST_WHILE_RUNNING: f64 = 99.0;

impl JobProgress {
    /// Looks at a job. `expected` are the files that the last complete run of its sync found.
    pub fn new(job: &Job, sync: &Sync, expected: Option<u64>, now: Timestamp) -> Self {
        let discovered = job.counters.discovered;
        let with_outcome = discovered - job.counters.not_reached.min(discovered);
        let (total_files, percent) = match job.status {
            JobStatus::Running => {
                let done = with_outcome.max(pass_so_far(job, sync));
                let total = expected.map(|expected| expected.max(done).max(discovered));
                (total, running_percent(done, total))
            }
            JobStatus::Completed | JobStatus::Skipped if with_outcome == discovered => {
                (Some(discovered), Some(100.0))
            }
            _ => (Some(discovered), Some(percent(with_outcome, discovered))),
        };
        let until = job.completed_at.unwrap_or(job.updated_at);
        let took = job.started_at.map(|start| until - start);
        let micros = took.and_then(|took| took.num_microseconds().filter(|micros| *micros > 0));
        let running = job.status == JobStatus::Running;
        Self {
            total_files,
            percent,
            files_per_minute: micros
                .map(|micros| per_minute(job.counters.synced, micros.unsigned_abs())),
            lag_seconds: running
                .then(|| (now - job.updated_at).num_seconds().max(0).unsigned_abs()),
        }
    }
}

/// Files that the pass of a running job has dealt with, those of the jobs that it goes on from included.
fn pass_so_far(job: &Job, sync: &Sync) -> u64 {
    let at_work = sync.lease.as_ref().is_some_and(|lease| lease.job == job.id);
    let checkpoint = sync.checkpoint.as_ref().filter(|_| at_work);
    checkpoint.map_or(0, |checkpoint| checkpoint.objects_processed)
}

fn running_percent(done: u64, total: Option<u64>) -> Option<f64> {
    match total {
        _ if done == 0 => Some(0.0),
        None => None,
        Some(total) => Some(percent(done, total).min(MOST_WHILE_RUNNING)),
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a percentage for people needs no more digits"
)]
fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        return 0.0;
    }
    100.0 * part as f64 / whole as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync_metrics::tests::{at, job, sync};

    fn running(discovered: u64) -> Job {
        let mut job = job(JobStatus::Running);
        job.counters.discovered = discovered;
        job.counters.synced = discovered;
        job
    }

    #[test]
    fn a_running_job_is_measured_by_the_last_complete_run() {
        let progress = |job: &Job, expected| JobProgress::new(job, &sync(), expected, at(100));
        let begun = progress(&running(0), None);
        assert_eq!((begun.total_files, begun.percent), (None, Some(0.0)));
        let first = progress(&running(5), None);
        assert_eq!((first.total_files, first.percent), (None, None));
        let later = progress(&running(5), Some(20));
        assert_eq!((later.total_files, later.percent), (Some(20), Some(25.0)));
        let grown = progress(&running(50), Some(20));
        assert_eq!((grown.total_files, grown.percent), (Some(50), Some(99.0)));
        assert_eq!(grown.lag_seconds, Some(100));
    }

    #[test]
    fn a_resumed_job_stands_where_its_pass_stands() {
        let mut sync = sync();
        let job = running(5);
        let mut checkpoint = crate::sync::Checkpoint::start(0, String::new(), 1);
        checkpoint.objects_processed = 15;
        sync.checkpoint = Some(checkpoint);
        assert_eq!(
            JobProgress::new(&job, &sync, Some(20), at(0)).percent,
            Some(25.0),
            "another job's checkpoint says nothing"
        );
        sync.lease = Some(crate::sync_metrics::tests::lease(&job));
        assert_eq!(
            JobProgress::new(&job, &sync, Some(20), at(0)).percent,
            Some(75.0)
        );
    }

    #[test]
    fn an_ended_job_has_done_everything_but_what_it_did_not_reach() {
        let mut ended = running(10);
        ended.status = JobStatus::Completed;
        ended.completed_at = Some(at(60));
        let whole = JobProgress::new(&ended, &sync(), Some(99), at(1000));
        assert_eq!((whole.total_files, whole.percent), (Some(10), Some(100.0)));
        assert_eq!(
            (whole.files_per_minute, whole.lag_seconds),
            (Some(10.0), None)
        );
        ended.counters.synced = 5;
        ended.counters.not_reached = 5;
        let capped = JobProgress::new(&ended, &sync(), None, at(1000));
        assert_eq!(capped.percent, Some(50.0));
        let mut empty = job(JobStatus::Skipped);
        empty.started_at = None;
        let skipped = JobProgress::new(&empty, &sync(), None, at(1000));
        assert_eq!(
            (skipped.percent, skipped.files_per_minute),
            (Some(100.0), None)
        );
        let failed = JobProgress::new(&job(JobStatus::Failed), &sync(), None, at(1000));
        assert_eq!(failed.percent, Some(0.0));
    }
}
