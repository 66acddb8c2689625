//! How a run ends: what its job says, when the sync runs again, and what the connection hears.

use std::time::Duration;

use crate::connection::AttemptResult;
use crate::error_code::ErrorCode;
use crate::job::JobEnd;
use crate::sync::Sync;

use super::trouble::{Retry, Trouble, concerns_connection};

/// Why a run ends before it has seen the whole source when it has dealt with as many files as it may.
pub const OVER_CAP: &str = "max_objects_per_run";

/// Why a run has not seen the whole source when a part of it may not be listed.
pub const SCOPE_DENIED: &str = "scope_denied";

/// The longest that a provider's wish to be left alone postpones the next run.
const LONGEST_DELAY: Duration = Duration::from_hours(1);

/// The first wait after a run that failed for a reason that may pass.
const SOONEST: Duration = Duration::from_mins(1);

/// How soon a sync runs again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Its polling interval.
    pub polling: Duration,
    /// Failed runs in a row.
    pub failures: u32,
}

impl Pace {
    /// The pace of a stored sync.
    pub fn of(sync: &Sync) -> Self {
        Self {
            polling: Duration::from_secs(u64::from(sync.settings.polling_interval_seconds)),
            failures: sync.consecutive_failures,
        }
    }

    /// After what may pass by itself: soon at first, later with every failure in a row, never later than usual.
    fn again(self) -> Duration {
        (SOONEST * 2u32.saturating_pow(self.failures.min(10))).min(self.polling)
    }
}

/// The end of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// What the job says.
    pub end: JobEnd,
    /// When the sync runs again, unless it has completed.
    pub delay: Duration,
    /// What the connection hears; nothing when the run says nothing about it.
    pub outcome: Option<AttemptResult>,
}

impl Ending {
    /// The connection is not one that may be used.
    pub fn inactive(pace: Pace) -> Self {
        Self::silent(JobEnd::skipped("connection_inactive"), pace.polling)
    }

    /// The process stops.
    pub fn shutdown() -> Self {
        Self::silent(JobEnd::interrupted("shutdown"), Duration::ZERO)
    }

    /// The connection is not what it was when the run started: as soon as it may be used, the run goes on through what it is
    /// now.
    pub fn connection_changed() -> Self {
        Self::silent(JobEnd::interrupted("connection_changed"), Duration::ZERO)
    }

    /// Our own database, blob store or key ring failed.
    pub fn ours(message: &str, pace: Pace) -> Self {
        Self::silent(
            JobEnd::failed("internal", format!("{message}.")),
            pace.again(),
        )
    }

    /// The provider failed in a way that concerns the whole run.
    pub fn trouble(trouble: &Trouble, pace: Pace) -> Self {
        let code = trouble.code;
        let message = trouble.text();
        let end = if code == ErrorCode::QuotaRateLimited {
            JobEnd {
                error: Some(message.clone()),
                ..JobEnd::incomplete(code.as_str())
            }
        } else {
            JobEnd::failed(code.as_str(), message.clone())
        };
        let delay = match trouble.retry {
            Retry::Later { after } => pace
                .again()
                .max(after.unwrap_or_default())
                .min(LONGEST_DELAY),
            Retry::Never | Retry::Restart => pace.polling,
        };
        Self {
            end,
            delay,
            outcome: concerns_connection(code).then_some(AttemptResult::Failure { code, message }),
        }
    }

    /// The whole source was seen.
    pub(super) fn complete(pace: Pace) -> Self {
        Self::worked(JobEnd::complete(), pace)
    }

    /// The run ended in good order before the whole source was seen.
    pub(super) fn incomplete(reason: &'static str, pace: Pace) -> Self {
        Self::worked(JobEnd::incomplete(reason), pace)
    }

    fn worked(end: JobEnd, pace: Pace) -> Self {
        Self {
            end,
            delay: pace.polling,
            outcome: Some(AttemptResult::Success { used: true }),
        }
    }

    fn silent(end: JobEnd, delay: Duration) -> Self {
        Self {
            end,
            delay,
            outcome: None,
        }
    }
}
