//! How the check of a stored connection ends: in the history, and in what it does to the connection, as one step.

use std::time::Duration;

use serde_json::json;
use wharf_domain::Timestamp;
use wharf_domain::audit::{Action, Origin, ResourceType};
use wharf_domain::check::CheckReport;
use wharf_domain::connection::{AttemptOutcome, AttemptResult, Connection, Event, Transition};
use wharf_domain::error_code::{Counting, ErrorCode};
use wharf_domain::health::{CheckCause, NewCheckRecord};
use wharf_domain::ids::ConnectionId;
use wharf_ports::{CheckLease, RecordError};

use crate::caller::audit_row;
use crate::{Caller, Engine, EngineError};

/// A check that has come to its end.
pub(super) struct EndedCheck<'a> {
    /// The connection as it was when the check began.
    pub(super) connection: &'a Connection,
    pub(super) cause: CheckCause,
    pub(super) lease: Option<&'a CheckLease>,
    /// By the database's clock.
    pub(super) started_at: Timestamp,
    pub(super) took: Duration,
    pub(super) report: &'a CheckReport,
}

impl EndedCheck<'_> {
    /// What it means for the connection.
    fn event(&self, report: &CheckReport, engine: &Engine) -> Event {
        let failure = report.error_code();
        let result = match failure {
            None => AttemptResult::Success { used: false },
            Some(code) => AttemptResult::Failure {
                code,
                message: report.message(),
            },
        };
        let Self {
            connection,
            started_at,
            ..
        } = *self;
        Event::Checked {
            outcome: AttemptOutcome {
                epoch: connection.epoch,
                credential_version: connection.credential_version,
                started_at,
                result,
            },
            next: engine.next_check(connection, failure),
            expires_at: report.expires_at(),
        }
    }
}

impl Engine {
    /// When a connection is checked again after it was used or checked, with that failure. Counts from the failures that were known
    /// when that began; if something else failed meanwhile, the pause is one step too short, once.
    pub(crate) fn next_check(
        &self,
        connection: &Connection,
        failure: Option<ErrorCode>,
    ) -> Option<Duration> {
        let failures = connection.health.consecutive_failures().saturating_add(1);
        let rhythm = &self.parts.settings.rhythm;
        rhythm.after(failure, connection.credential_type, failures, self.chance())
    }

    /// Leaves a row of a test whose failure kept a change from being saved: it may have used stored secrets.
    pub(crate) async fn tell_of_unsaved(
        &self,
        caller: &Caller,
        connection: &ConnectionId,
        report: &CheckReport,
    ) -> Result<(), EngineError> {
        let resource = (ResourceType::Connection, connection.as_str());
        let changes = json!({"success": false, "error_code": report.error_code(), "saved": false});
        let row = caller.audit(self.ids(), Action::ConnectionTested, resource, changes);
        let audit = &self.repositories().audit;
        Ok(audit.record(caller.organization(), row).await?)
    }

    /// Records a check. What is wrong with a source path alone is no matter of the connection, and not in its history.
    pub(super) async fn record_check(
        &self,
        ended: EndedCheck<'_>,
        origin: &Origin,
    ) -> Result<Transition, RecordError> {
        let connection = ended.connection;
        let report = ended.report.of_connection();
        let event = ended.event(&report, self);
        let result = match report.counting() {
            None => "passed",
            Some(Counting::Uncounted) => "undecided",
            Some(Counting::Definite | Counting::Transient) => "failed",
        };
        metrics::counter!("wharf_checks_total", "cause" => ended.cause.as_str(), "result" => result)
            .increment(1);
        let row = |action, changes| {
            let resource = (ResourceType::Connection, connection.id.as_str());
            audit_row(self.ids(), origin, action, resource, changes)
        };
        let tested = json!({
            "success": ended.report.success(),
            "error_code": ended.report.error_code(),
        });
        let expiring = json!({"name": connection.name.as_str()});
        let check = NewCheckRecord {
            id: self.ids().id(),
            cause: ended.cause,
            started_at: ended.started_at,
            ms: u64::try_from(ended.took.as_millis()).unwrap_or(u64::MAX),
            report,
        };
        let transition = self
            .repositories()
            .checks
            .record(
                &connection.organization,
                &connection.id,
                ended.lease,
                check,
                event,
                row(Action::ConnectionTested, tested),
                row(Action::ConnectionExpiring, expiring),
            )
            .await?;
        if let Some((from, to)) = transition.status_change {
            tracing::info!(connection = %connection.id, %from, %to, "a check changed a connection's status");
        }
        Ok(transition)
    }
}
