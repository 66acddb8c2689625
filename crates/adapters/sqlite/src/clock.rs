//! The database's clock, and the stored form of its times.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use sqlx::SqliteConnection;
use wharf_domain::Timestamp;

use crate::error::Fault;

/// `SQLite`'s clock ticks in milliseconds. Every reading is later than the one before by at least a microsecond, so that
/// rows of the same millisecond keep the order of their writing.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    last: AtomicI64,
}

/// The clock as an expression, for statements that read it beside something else.
macro_rules! reading {
    () => {
        "CAST(ROUND(unixepoch('subsec') * 1000) AS INTEGER) * 1000"
    };
}
pub(crate) use reading;

/// How far the system's clock may step back and still be smoothed over; beyond that it is followed.
const SMOOTHED: i64 = 1_000_000;

impl Clock {
    pub(crate) async fn now(&self, connection: &mut SqliteConnection) -> Result<Timestamp, Fault> {
        let read: i64 = sqlx::query_scalar(concat!("SELECT ", reading!()))
            .fetch_one(connection)
            .await?;
        self.settle(read)
    }

    /// The instant that a [`reading`] stands for.
    pub(crate) fn settle(&self, read: i64) -> Result<Timestamp, Fault> {
        let after = |last: i64| {
            if last.saturating_sub(read) > SMOOTHED {
                read
            } else {
                read.max(last.saturating_add(1))
            }
        };
        let last = self
            .last
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |last| Some(after(last)));
        let now = after(last.unwrap_or_else(|last| last));
        Timestamp::from_timestamp_micros(now)
            .ok_or_else(|| Fault::Corrupt("the clock is out of range".into()))
    }
}

pub(crate) const DAY: Duration = Duration::from_hours(24);

/// The stored form of an instant.
pub(crate) fn micros(at: Timestamp) -> i64 {
    at.timestamp_micros()
}

/// The stored form of an instant that may be missing.
pub(crate) fn micros_of(at: Option<Timestamp>) -> Option<i64> {
    at.map(micros)
}

/// The stored form of a time span; whatever exceeds ten years is ten years.
pub(crate) fn span(duration: Duration) -> i64 {
    const LONGEST: i64 = 10 * 366 * 24 * 60 * 60 * 1_000_000;
    i64::try_from(duration.as_micros()).map_or(LONGEST, |span| span.min(LONGEST))
}
