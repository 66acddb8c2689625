use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use wharf_domain::job::Counters;
use wharf_domain::sync::{LastRun, SyncTotals};

/// Sums over all runs, and what the last one did.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SyncStatsModel)]
pub(crate) struct SyncStats {
    total_objects_discovered: u64,
    total_objects_synced: u64,
    total_objects_verified: u64,
    total_objects_skipped: u64,
    total_objects_failed: u64,
    total_bytes_synced: u64,
    total_duration_seconds: f64,
    /// Runs that completed and in which nothing failed.
    total_runs_completed: u64,
    /// Runs that failed, or in which something did.
    total_runs_failed: u64,
    peak_objects_per_min: f64,
    last_run_objects_discovered: u64,
    last_run_objects_synced: u64,
    last_run_objects_verified: u64,
    last_run_objects_skipped: u64,
    last_run_objects_failed: u64,
    last_run_bytes_synced: u64,
    last_run_duration_seconds: f64,
    last_run_throughput_objects_per_min: f64,
    last_run_throughput_mbps: f64,
    last_run_avg_object_size_bytes: u64,
    #[serde(serialize_with = "crate::time::rfc3339_or_null")]
    last_run_at: Option<DateTime<Utc>>,
    /// When they last changed: with the end of the last run.
    #[serde(serialize_with = "crate::time::rfc3339_or_null")]
    updated_at: Option<DateTime<Utc>>,
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a duration for people needs no more digits"
)]
fn seconds(micros: u64) -> f64 {
    micros as f64 / 1_000_000.0
}

/// Megabytes per second: bytes per microsecond.
#[expect(
    clippy::cast_precision_loss,
    reason = "a rate for people needs no more digits"
)]
fn megabytes_per_second(run: &LastRun) -> f64 {
    if run.micros == 0 {
        return 0.0;
    }
    run.counters.bytes as f64 / run.micros as f64
}

impl SyncStats {
    /// `None` before a run has ended.
    pub(super) fn of(totals: &SyncTotals) -> Option<Self> {
        let SyncTotals {
            counters, stats, ..
        } = totals;
        let last = stats.last_run.as_ref();
        if last.is_none() && totals.runs_completed + totals.runs_failed == 0 {
            return None;
        }
        let none = Counters::default();
        let last_counters = last.map_or(&none, |run| &run.counters);
        Some(Self {
            total_objects_discovered: counters.discovered,
            total_objects_synced: counters.synced,
            total_objects_verified: counters.verified,
            total_objects_skipped: counters.skipped,
            total_objects_failed: counters.failed,
            total_bytes_synced: counters.bytes,
            total_duration_seconds: seconds(stats.total_micros),
            total_runs_completed: stats.clean,
            total_runs_failed: stats.with_failures,
            peak_objects_per_min: stats.peak_objects_per_minute,
            last_run_objects_discovered: last_counters.discovered,
            last_run_objects_synced: last_counters.synced,
            last_run_objects_verified: last_counters.verified,
            last_run_objects_skipped: last_counters.skipped,
            last_run_objects_failed: last_counters.failed,
            last_run_bytes_synced: last_counters.bytes,
            last_run_duration_seconds: last.map_or(0.0, |run| seconds(run.micros)),
            last_run_throughput_objects_per_min: last.map_or(0.0, LastRun::objects_per_minute),
            last_run_throughput_mbps: last.map_or(0.0, megabytes_per_second),
            last_run_avg_object_size_bytes: last_counters
                .bytes
                .checked_div(last_counters.synced)
                .unwrap_or(0),
            last_run_at: last.map(|run| run.ended_at),
            updated_at: last.map(|run| run.ended_at),
        })
    }
}
