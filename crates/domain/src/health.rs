//! The health watch: when a connection is checked next, and what its history says of its availability.

use std::time::Duration;

use crate::Timestamp;
use crate::check::CheckReport;
use crate::connection::PublicStatus;
use crate::error_code::{Counting, ErrorCode};
use crate::ids::{CheckId, ConnectionId};
use crate::provider::CredentialType;

/// The longest pause between checks of a failing connection.
pub const LONGEST_BACKOFF: Duration = Duration::from_hours(6);

/// How long checks stay in the history.
pub const HISTORY: Duration = Duration::from_hours(30 * 24);

/// The operator's rhythm of checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rhythm {
    /// Between checks of a connection that works.
    pub interval: Duration,
    /// After the first counted failure; doubles with each further one, up to [`LONGEST_BACKOFF`].
    pub probe_backoff: Duration,
}

impl Rhythm {
    /// When a connection that works, or that was just brought back, is checked again. `chance` is a random number from 0 to 1: the
    /// pause is shortened by up to a tenth, so that connections that were created together drift apart.
    pub fn ordinary(&self, chance: f64) -> Duration {
        jittered(self.interval, chance)
    }

    /// When a connection is checked again after a check or a run; `None` for not before a person acts, because another sign-in could
    /// lock the account. `failures` are the counted ones in a row, this one included; that enough of them stop all checks is the
    /// lifecycle's matter.
    pub fn after(
        &self,
        failure: Option<ErrorCode>,
        credentials: CredentialType,
        failures: u32,
        chance: f64,
    ) -> Option<Duration> {
        match failure {
            None => Some(self.ordinary(chance)),
            Some(code) if code.counting() == Counting::Uncounted => Some(self.ordinary(chance)),
            Some(code) if can_lock_the_account(code, credentials) => None,
            Some(_) => {
                let doubled = 2_u32.saturating_pow(failures.saturating_sub(1));
                let pause = self.probe_backoff.saturating_mul(doubled);
                Some(jittered(pause.min(LONGEST_BACKOFF), chance))
            }
        }
    }
}

/// Whether another sign-in with what was just refused could lock the account: a password, tried again and again, does.
pub(crate) fn can_lock_the_account(code: ErrorCode, credentials: CredentialType) -> bool {
    credentials == CredentialType::UsernamePassword
        && matches!(
            code,
            ErrorCode::AuthInvalidCredentials
                | ErrorCode::AuthExpired
                | ErrorCode::AuthAccountDisabled
        )
}

fn jittered(pause: Duration, chance: f64) -> Duration {
    pause.mul_f64(1.0 - 0.1 * chance.clamp(0.0, 1.0))
}

/// Who asked for a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckCause {
    /// The health watch.
    Watch,
    /// A person.
    Person,
}

impl CheckCause {
    /// The word in the database and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Watch => "watch",
            Self::Person => "person",
        }
    }

    /// Reads the word.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Watch, Self::Person]
            .into_iter()
            .find(|cause| cause.as_str() == text)
    }
}

/// A check before it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCheckRecord {
    /// Its identifier.
    pub id: CheckId,
    /// Who asked for it.
    pub cause: CheckCause,
    /// When it began, by the database's clock.
    pub started_at: Timestamp,
    /// How long it took, in milliseconds.
    pub ms: u64,
    /// What it found.
    pub report: CheckReport,
}

/// A check in a connection's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckRecord {
    /// What was stored.
    pub check: NewCheckRecord,
    /// Which connection was checked.
    pub connection: ConnectionId,
    /// When it was stored; the history's order.
    pub at: Timestamp,
    /// The connection's status afterwards.
    pub status: PublicStatus,
}

/// How the checks of one stretch of time went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Availability {
    /// Checks that passed.
    pub passed: u64,
    /// Checks that failed and counted.
    pub failed: u64,
    /// Checks that could not tell: throttled, the provider's or our own faults.
    pub undecided: u64,
}

impl Availability {
    /// Passed of those that could tell, 0 to 1; `None` without any.
    pub fn share(&self) -> Option<f64> {
        let decided = self.passed + self.failed;
        #[expect(clippy::cast_precision_loss, reason = "a share of counts")]
        (decided > 0).then(|| self.passed as f64 / decided as f64)
    }
}

/// What a connection's history amounts to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AvailabilitySummary {
    /// The last 24 hours.
    pub day: Availability,
    /// The last 7 days.
    pub week: Availability,
    /// The last 30 days.
    pub month: Availability,
    /// When a check last passed.
    pub last_passed_at: Option<Timestamp>,
    /// When a check last failed and counted.
    pub last_failed_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const RHYTHM: Rhythm = Rhythm {
        interval: Duration::from_mins(5),
        probe_backoff: Duration::from_mins(15),
    };

    #[test]
    fn failures_back_off_and_double_up_to_a_limit() {
        let after = |failures| {
            RHYTHM.after(
                Some(ErrorCode::NetworkTimeout),
                CredentialType::AccessKey,
                failures,
                0.0,
            )
        };
        let minutes: Vec<Option<u64>> = (1..=6)
            .map(|n| after(n).map(|pause| pause.as_secs() / 60))
            .collect();
        assert_eq!(minutes, [15, 30, 60, 120, 240, 360].map(Some));
    }

    #[test]
    fn a_refused_password_is_not_tried_again() {
        let refused = Some(ErrorCode::AuthInvalidCredentials);
        let password = CredentialType::UsernamePassword;
        assert_eq!(RHYTHM.after(refused, password, 1, 0.5), None);
        assert!(
            RHYTHM
                .after(refused, CredentialType::KeyPair, 1, 0.5)
                .is_some()
        );
        assert!(
            RHYTHM
                .after(Some(ErrorCode::NetworkDns), password, 1, 0.5)
                .is_some()
        );
    }

    #[test]
    fn what_does_not_count_keeps_the_ordinary_rhythm_and_jitter_only_shortens() {
        let throttled = Some(ErrorCode::QuotaRateLimited);
        let longest = RHYTHM.after(throttled, CredentialType::AccessKey, 0, 0.0);
        assert_eq!(longest, Some(RHYTHM.interval));
        assert_eq!(RHYTHM.ordinary(1.0), Duration::from_secs(270));
    }
}
