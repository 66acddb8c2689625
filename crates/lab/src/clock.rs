//! The time the lab goes by.

use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, Duration, NaiveDateTime, Utc};

/// How far the time of a request may be from the server's.
pub(crate) const MOST_SKEW: Duration = Duration::minutes(15);

/// The clock requests are judged by and answers are dated with: that of the machine, or wrong by so
/// many seconds.
#[derive(Debug, Default)]
pub(crate) struct ServerClock {
    offset: AtomicI64,
}

impl ServerClock {
    pub(crate) fn set_offset(&self, seconds: i64) {
        self.offset.store(seconds, Ordering::Relaxed);
    }

    pub(crate) fn advance(&self, seconds: i64) {
        self.offset.fetch_add(seconds, Ordering::Relaxed);
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        let offset = self.offset.load(Ordering::Relaxed);
        Duration::try_seconds(offset)
            .and_then(|offset| now().checked_add_signed(offset))
            .unwrap_or_else(now)
    }

    /// Whether a request of this time is too old or too new for this clock.
    pub(crate) fn refuses(&self, time: DateTime<Utc>) -> bool {
        (self.now() - time).abs() > MOST_SKEW
    }
}

/// So much later; the last moment there is where that is beyond it.
pub(crate) fn later(time: DateTime<Utc>, by: Duration) -> DateTime<Utc> {
    time.checked_add_signed(by)
        .unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// A time as signatures write it.
pub(crate) fn of_signature(time: &str) -> Option<DateTime<Utc>> {
    NaiveDateTime::parse_from_str(time, "%Y%m%dT%H%M%SZ")
        .ok()
        .map(|time| time.and_utc())
}

/// A time as HTTP headers write it.
pub(crate) fn http_date(time: DateTime<Utc>) -> String {
    time.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

#[expect(
    clippy::disallowed_methods,
    reason = "a provider dates what it is given and ends sessions by its own clock"
)]
pub(crate) fn now() -> DateTime<Utc> {
    Utc::now()
}
