//! The connection's lifecycle on two axes: intent, which only people change, and health, which only outcomes change.
//! The public status is one pure function of both.

use std::fmt;
use std::time::Duration;

use thiserror::Error;

use super::{Connection, ConnectionName, SealedCredentials};
use crate::audit::NewAuditRow;
use crate::error_code::{Counting, ErrorCode};
use crate::health::can_lock_the_account;
use crate::provider::{CredentialType, ProviderConfig};
use crate::{Metadata, Timestamp};

/// How many counted failures in a row stop all further attempts.
pub const TRIP_AFTER: u32 = 5;

/// How long before credentials or a certificate run out that is warned about.
pub const EXPIRY_NOTICE: Duration = Duration::from_hours(14 * 24);

/// What people want of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Intent {
    /// It should work.
    Enabled,
    /// It should rest; its credentials are kept.
    Suspended,
    /// It is retired for good; its credentials are shredded.
    Archived,
}

impl Intent {
    /// The word in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::Suspended => "suspended",
            Self::Archived => "archived",
        }
    }

    /// Reads the word.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Enabled, Self::Suspended, Self::Archived]
            .into_iter()
            .find(|intent| intent.as_str() == text)
    }
}

/// How attempts to use a connection went lately.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Health {
    /// The last counted attempt succeeded, or there was none.
    Healthy,
    /// One to four counted failures in a row.
    Failing {
        /// How many, 1 to 4.
        consecutive_failures: u32,
        /// Whether one of them was definite: credentials, permission or configuration.
        definite: bool,
    },
    /// Five or more counted failures in a row: nothing is tried any more until a person acts.
    Tripped {
        /// How many, at least 5.
        consecutive_failures: u32,
    },
}

impl Health {
    /// Counted failures since the last success.
    pub fn consecutive_failures(self) -> u32 {
        match self {
            Self::Healthy => 0,
            Self::Failing {
                consecutive_failures,
                ..
            }
            | Self::Tripped {
                consecutive_failures,
            } => consecutive_failures,
        }
    }

    /// Whether a definite failure is among them. Meaningless once tripped, then `false`.
    pub fn definite(self) -> bool {
        matches!(self, Self::Failing { definite: true, .. })
    }

    /// The health that the two stored facts stand for.
    pub fn from_stored(consecutive_failures: u32, definite: bool) -> Self {
        match consecutive_failures {
            0 => Self::Healthy,
            n if n < TRIP_AFTER => Self::Failing {
                consecutive_failures: n,
                definite,
            },
            n => Self::Tripped {
                consecutive_failures: n,
            },
        }
    }

    fn after_failure(self, definite: bool) -> Self {
        Self::from_stored(self.consecutive_failures() + 1, self.definite() || definite)
    }
}

/// The status that the outside sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PublicStatus {
    /// Ready for use.
    Active,
    /// Stopped by a person or by five failures in a row.
    Suspended,
    /// Failing for a definite reason.
    Failed,
    /// Retired.
    Archived,
}

impl PublicStatus {
    /// Every status.
    pub const ALL: [Self; 4] = [Self::Active, Self::Suspended, Self::Failed, Self::Archived];

    /// The word on the wire, always upper case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Suspended => "SUSPENDED",
            Self::Failed => "FAILED",
            Self::Archived => "ARCHIVED",
        }
    }

    /// Reads the word in any letter case.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|status| status.as_str().eq_ignore_ascii_case(text))
    }
}

impl fmt::Display for PublicStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a connection is not active.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StatusReason {
    /// A person archived it.
    Archived,
    /// A person suspended it.
    UserSuspended,
    /// Five counted failures in a row.
    ConsecutiveFailures,
    /// A definite failure since the last success.
    HealthCheckFailed,
}

impl StatusReason {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Archived => "archived",
            Self::UserSuspended => "user_suspended",
            Self::ConsecutiveFailures => "consecutive_failures",
            Self::HealthCheckFailed => "health_check_failed",
        }
    }
}

/// The public status of a connection with this intent and health.
pub fn public_status(intent: Intent, health: Health) -> PublicStatus {
    match status_reason(intent, health) {
        None => PublicStatus::Active,
        Some(StatusReason::Archived) => PublicStatus::Archived,
        Some(StatusReason::UserSuspended | StatusReason::ConsecutiveFailures) => {
            PublicStatus::Suspended
        }
        Some(StatusReason::HealthCheckFailed) => PublicStatus::Failed,
    }
}

pub(super) fn status_reason(intent: Intent, health: Health) -> Option<StatusReason> {
    match (intent, health) {
        (Intent::Archived, _) => Some(StatusReason::Archived),
        (Intent::Suspended, _) => Some(StatusReason::UserSuspended),
        (Intent::Enabled, Health::Tripped { .. }) => Some(StatusReason::ConsecutiveFailures),
        (Intent::Enabled, Health::Failing { definite: true, .. }) => {
            Some(StatusReason::HealthCheckFailed)
        }
        (
            Intent::Enabled,
            Health::Failing {
                definite: false, ..
            }
            | Health::Healthy,
        ) => None,
    }
}

/// What one attempt to use a connection amounted to, however many objects were in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptOutcome {
    /// The connection's epoch when the attempt started.
    pub epoch: u64,
    /// The connection's credential version when the attempt started.
    pub credential_version: u64,
    /// When the attempt started, by the database's clock. Attempts that fail side by side, such as those of several syncs
    /// in one outage, count as one.
    pub started_at: Timestamp,
    /// How it went.
    pub result: AttemptResult,
}

/// How an attempt went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttemptResult {
    /// It worked.
    Success {
        /// Whether files were listed or copied, which counts as a use; a mere check does not.
        used: bool,
    },
    /// It failed.
    Failure {
        /// Why; decides whether it counts.
        code: ErrorCode,
        /// The message for `last_error`, in our own words.
        message: String,
    },
}

/// A change of a connection's settings by a person. `None` leaves a field as it is.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Edit {
    /// A new name.
    pub name: Option<ConnectionName>,
    /// A new description; `Some(None)` clears it.
    pub description: Option<Option<String>>,
    /// New key-value pairs, replacing all.
    pub metadata: Option<Metadata>,
    /// A new permission to write.
    pub write_enabled: Option<bool>,
    /// A new configuration with its sealed credentials.
    pub config: Option<(ProviderConfig, CredentialType, SealedCredentials)>,
    /// Whether the new configuration passed a test; an untested one leaves the health alone.
    pub tested: bool,
}

/// Everything that can happen to a stored connection.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// An attempt by a worker ended.
    Outcome {
        /// How it went.
        outcome: AttemptOutcome,
        /// When to check again: at the latest, if it worked; instead of what was planned, if it failed and that counts. `None` as
        /// for a check.
        next: Option<Duration>,
    },
    /// A check ended: by the health watch, or asked for by a person.
    Checked {
        /// How it went.
        outcome: AttemptOutcome,
        /// When to check again; `None` for not before a person acts. A stale outcome plans nothing, and neither does a failure
        /// where a person had to act already.
        next: Option<Duration>,
        /// When credentials or certificate run out, as far as the check could tell. One that failed may not have come as far as
        /// that, so that what was known before stays.
        expires_at: Option<Timestamp>,
    },
    /// The next check is planned, after a person brought the connection back or changed it.
    PlanCheck {
        /// From now.
        after: Duration,
    },
    /// A person suspends it.
    Suspend,
    /// A person reactivates it.
    Activate {
        /// Whether it passed a test just now.
        tested: bool,
    },
    /// A person changes its settings.
    Edit(Box<Edit>),
    /// A person archives it.
    Archive,
}

/// What an event did.
#[derive(Debug, Clone, PartialEq)]
pub struct Transition {
    /// The connection afterwards.
    pub connection: Connection,
    /// Whether anything changed at all; if not, there is nothing to store.
    pub changed: bool,
    /// The status before and after, when it changed.
    pub status_change: Option<(PublicStatus, PublicStatus)>,
    /// When credentials or certificate run out, when that is to be warned about now: once, [`EXPIRY_NOTICE`] before.
    pub expiring: Option<Timestamp>,
}

impl Transition {
    /// The audit row of this transition, telling the status before and after where it changed.
    #[must_use]
    pub fn told_in(&self, row: NewAuditRow) -> NewAuditRow {
        match self.status_change {
            Some((from, to)) => {
                let change = serde_json::json!({"from": from.as_str(), "to": to.as_str()});
                row.with("status", change)
            }
            None => row,
        }
    }
}

/// An event that the connection's state does not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TransitionError {
    /// Archived is for good.
    #[error("the connection is archived and can only be read")]
    Archived,
    /// A tripped connection comes back only after a test that passed.
    #[error(
        "the connection was stopped after repeated failures and must pass a test before it is active again"
    )]
    TestRequired,
}

impl Connection {
    /// What `event` makes of this connection at `now`.
    ///
    /// # Errors
    /// [`TransitionError`] when a person asks for what the state does not allow. Outcomes never fail: one that is stale
    /// or comes too late changes nothing.
    pub fn apply(self, event: Event, now: Timestamp) -> Result<Transition, TransitionError> {
        let before = self.clone();
        let archived = self.intent == Intent::Archived;
        let mut expiring = None;
        let mut after = self;
        match event {
            Event::Outcome { .. } | Event::Checked { .. } | Event::Archive if archived => {}
            _ if archived => return Err(TransitionError::Archived),
            Event::Outcome { outcome, next } => {
                let passed = matches!(outcome.result, AttemptResult::Success { .. });
                let failures = after.health.consecutive_failures();
                if after.count(outcome, now) {
                    let planned = after.next_check_at;
                    let next = next.map(|delay| now + delay);
                    if passed {
                        after.next_check_at = planned.into_iter().chain(next).min();
                    } else if after.health.consecutive_failures() > failures {
                        after.next_check_at = planned.and(next);
                    }
                }
            }
            Event::Checked {
                outcome,
                next,
                expires_at,
            } => {
                let passed = matches!(outcome.result, AttemptResult::Success { .. });
                if after.count(outcome, now) {
                    // Where none was planned, another sign-in could lock the account, unless this one worked.
                    if passed || after.next_check_at.is_some() {
                        after.next_check_at = next.map(|delay| now + delay);
                    }
                    if passed {
                        after.expect_expiry(expires_at);
                    }
                    expiring = after.warn_of_expiry(now);
                }
            }
            Event::PlanCheck { after: delay } => after.next_check_at = Some(now + delay),
            Event::Suspend => after.intent = Intent::Suspended,
            Event::Activate { tested } => after.activate(tested)?,
            Event::Edit(edit) => after.edit(*edit),
            Event::Archive => {
                after.intent = Intent::Archived;
                after.sealed = None;
            }
        }
        if after.intent != Intent::Enabled || matches!(after.health, Health::Tripped { .. }) {
            after.next_check_at = None;
        }
        Ok(after.stamp(&before, expiring, now))
    }

    /// What events in order make of this connection, as one step; the first that is refused refuses all. The transition tells the
    /// first status and the last.
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    pub fn apply_all(
        self,
        events: Vec<Event>,
        now: Timestamp,
    ) -> Result<Transition, TransitionError> {
        let first = self.status();
        let mut whole = Transition {
            connection: self,
            changed: false,
            status_change: None,
            expiring: None,
        };
        for event in events {
            let step = whole.connection.apply(event, now)?;
            whole.connection = step.connection;
            whole.changed |= step.changed;
            whole.expiring = step.expiring.or(whole.expiring);
        }
        let last = whole.connection.status();
        whole.status_change = (first != last).then_some((first, last));
        Ok(whole)
    }

    /// Notes when credentials or certificate run out; another time than before is warned about anew.
    fn expect_expiry(&mut self, expires_at: Option<Timestamp>) {
        if self.expires_at != expires_at {
            self.expires_at = expires_at;
            self.expiry_warned = false;
        }
    }

    /// When they run out, if that is to be warned about now. Only checks warn: they are what is recorded with a warning.
    fn warn_of_expiry(&mut self, now: Timestamp) -> Option<Timestamp> {
        let near = |at: &Timestamp| *at <= now + EXPIRY_NOTICE;
        let expiring = self.expires_at.filter(near);
        if self.expiry_warned || expiring.is_none() {
            return None;
        }
        self.expiry_warned = true;
        expiring
    }

    /// Takes an outcome into account, unless it is stale, or the connection rests: neither a suspended nor a tripped
    /// one changes before a person acts. Whether it was taken into account.
    fn count(&mut self, outcome: AttemptOutcome, now: Timestamp) -> bool {
        let stale =
            outcome.epoch != self.epoch || outcome.credential_version != self.credential_version;
        if stale || self.intent != Intent::Enabled || matches!(self.health, Health::Tripped { .. })
        {
            return false;
        }
        match outcome.result {
            AttemptResult::Success { used } => {
                if used {
                    self.last_used_at = Some(now);
                }
                self.health = Health::Healthy;
                self.last_error = None;
            }
            AttemptResult::Failure { code, message } => {
                if can_lock_the_account(code, self.credential_type) {
                    self.next_check_at = None;
                }
                let counting = code.counting();
                let side_by_side = self
                    .last_failure_at
                    .is_some_and(|last| outcome.started_at < last);
                if counting != Counting::Uncounted && side_by_side {
                    return true;
                }
                self.last_error = Some(message.chars().take(1000).collect());
                if counting != Counting::Uncounted {
                    self.last_failure_at = Some(now);
                    self.health = self.health.after_failure(counting == Counting::Definite);
                }
            }
        }
        true
    }

    fn activate(&mut self, tested: bool) -> Result<(), TransitionError> {
        if tested {
            self.health = Health::Healthy;
            self.last_error = None;
        } else if matches!(self.health, Health::Tripped { .. }) {
            return Err(TransitionError::TestRequired);
        }
        self.intent = Intent::Enabled;
        Ok(())
    }

    fn edit(&mut self, edit: Edit) {
        if let Some(name) = edit.name {
            self.name = name;
        }
        if let Some(description) = edit.description {
            self.description = description;
        }
        if let Some(metadata) = edit.metadata {
            self.metadata = metadata;
        }
        if let Some(write_enabled) = edit.write_enabled {
            self.write_enabled = write_enabled;
        }
        if let Some((config, credential_type, sealed)) = edit.config {
            self.config = config;
            self.credential_type = credential_type;
            self.sealed = Some(sealed);
            self.credential_version += 1;
            self.expect_expiry(None);
            if edit.tested {
                self.health = Health::Healthy;
                self.last_error = None;
            }
        }
    }

    fn stamp(mut self, before: &Self, expiring: Option<Timestamp>, now: Timestamp) -> Transition {
        let changed = self != *before;
        let (old, new) = (before.status(), self.status());
        let status_change = (old != new).then_some((old, new));
        if changed {
            self.updated_at = now;
        }
        if status_change.is_some() {
            self.epoch += 1;
            self.status_changed_at = now;
        }
        if status_change.is_some() || self.person_fields_differ(before) {
            self.revision += 1;
        }
        Transition {
            connection: self,
            changed,
            status_change,
            expiring,
        }
    }

    fn person_fields_differ(&self, before: &Self) -> bool {
        self.name != before.name
            || self.description != before.description
            || self.metadata != before.metadata
            || self.write_enabled != before.write_enabled
            || self.credential_version != before.credential_version
            || self.intent != before.intent
    }
}
