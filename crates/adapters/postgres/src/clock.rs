//! The server's clock, and the stored form of time spans.

use std::time::Duration;

use sqlx::PgConnection;
use wharf_domain::Timestamp;

use crate::error::Fault;

/// The time now, not that of the transaction's start: a transaction may have waited for a lock.
pub(crate) async fn now(connection: &mut PgConnection) -> Result<Timestamp, Fault> {
    Ok(sqlx::query_scalar("SELECT clock_timestamp()")
        .fetch_one(connection)
        .await?)
}

pub(crate) const DAY: Duration = Duration::from_hours(24);

/// A time span that can be added to any time of now; whatever exceeds ten years is ten years.
pub(crate) fn span(duration: Duration) -> Duration {
    const LONGEST: Duration = Duration::from_hours(10 * 366 * 24);
    duration.min(LONGEST)
}

/// The stored form of a span.
pub(crate) fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}
