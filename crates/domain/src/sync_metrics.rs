//! How a sync is doing, in one look: how old its last success is, whether its run is stuck, what could not be copied.
//!
//! Pure: the caller brings the time, which is the database's.

use std::collections::BTreeMap;

use chrono::TimeDelta;

use crate::Timestamp;
use crate::job::{Job, JobStatus};
use crate::sync::{Sync, SyncMode, SyncStatus};

/// Polling intervals after which a continuous sync counts as stale.
const INTERVALS: i64 = 2;
/// Seconds before which no sync counts as stale.
const STALE_LEAST: i64 = 120;
/// Seconds before which no run counts as stalled.
const STALLED_LEAST: i64 = 300;

/// How a sync is doing.
#[derive(Debug, Clone, PartialEq)]
pub struct SyncMetrics {
    /// Age of the last success; `None` when there was none.
    pub seconds_since_last_sync: Option<u64>,
    /// The same in polling intervals.
    pub intervals_since_last_sync: Option<f64>,
    /// From which age on a continuous sync counts as stale.
    pub stale_after_seconds: u64,
    /// Whether it is older.
    pub stale: bool,
    /// Whether a run is at work or waits for a worker.
    pub running: bool,
    /// Why that run counts as stalled, if it does.
    pub stalled_reason: Option<String>,
    /// Failed files of all discovered ones, 0 to 1.
    pub failure_rate: f64,
    /// Files that are left alone after their last try, by error code.
    pub dead_letters: BTreeMap<String, u64>,
    /// Active, not paused, no failed run since the last success, neither stale nor stalled.
    pub healthy: bool,
}

impl SyncMetrics {
    /// Looks at a sync with its newest job and its exhausted dead letters.
    pub fn new(
        sync: &Sync,
        newest: Option<&Job>,
        dead_letters: BTreeMap<String, u64>,
        now: Timestamp,
    ) -> Self {
        let interval = i64::from(sync.settings.polling_interval_seconds);
        let stale_after = (INTERVALS * interval).max(STALE_LEAST);
        let age = sync.last_sync_at.map(|at| seconds(now - at));
        let stale = sync.mode == SyncMode::Continuous && age.is_some_and(|age| age > stale_after);
        let running = newest.filter(|job| job.status == JobStatus::Running);
        let stalled_reason =
            running.and_then(|job| stalled(sync, job, stale_after.max(STALLED_LEAST), now));
        let counters = &sync.totals.counters;
        Self {
            seconds_since_last_sync: age.map(i64::unsigned_abs),
            intervals_since_last_sync: age
                .map(|age| ratio(age.unsigned_abs(), interval.unsigned_abs())),
            stale_after_seconds: stale_after.unsigned_abs(),
            stale,
            running: running.is_some(),
            healthy: sync.status() == SyncStatus::Active
                && sync.consecutive_failures == 0
                && !stale
                && stalled_reason.is_none(),
            stalled_reason,
            failure_rate: ratio(counters.failed, counters.discovered),
            dead_letters,
        }
    }
}

/// Whole seconds that have passed; none where clocks disagree.
fn seconds(age: TimeDelta) -> i64 {
    age.num_seconds().max(0)
}

/// Zero where there is nothing to divide by.
#[expect(
    clippy::cast_precision_loss,
    reason = "a ratio for people needs no more digits"
)]
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        return 0.0;
    }
    part as f64 / whole as f64
}

fn stalled(sync: &Sync, job: &Job, limit: i64, now: Timestamp) -> Option<String> {
    let silence = seconds(now - job.updated_at);
    if silence <= limit {
        return None;
    }
    let reason = if job.started_at.is_none() {
        "no worker has taken the run"
    } else if sync.lease.is_none() {
        "the worker of the run gave no sign of life, and no other one has taken over"
    } else {
        "the run has neither found nor copied a file"
    };
    Some(format!("For {silence} seconds {reason}."))
}

#[cfg(test)]
pub(crate) mod tests;
