//! How the check of a stored connection ends: in the history, and in what it does to the connection, as one step.

use std::time::Duration;

use serde_json::json;
use wharf_domain::Timestamp;
use wharf_domain::audit::{Action, Origin, ResourceType};
use wharf_domain::check::CheckReport;
use wharf_domain::connection::{AttemptOutcome, AttemptResult, Connection, Event, Transition};
use wharf_domain::error_code::Counting;
use wharf_domain::health::{CheckCause, NewCheckRecord};
use wharf_ports::{CheckLease, RecordError};

use crate::Engine;
use crate::caller::audit_row;

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
    /// What it means for the connection. The next check is planned from the failures that were known when it began; if a run
    /// failed meanwhile, the pause is one step too short, once.
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
        let failures = connection.health.consecutive_failures().saturating_add(1);
        let rhythm = &engine.parts.settings.rhythm;
        let credentials = connection.credential_type;
        Event::Checked {
            outcome: AttemptOutcome {
                epoch: connection.epoch,
                credential_version: connection.credential_version,
                started_at,
                result,
            },
            next: rhythm.after(failure, credentials, failures, engine.chance()),
            expires_at: report.expires_at(),
        }
    }
}

impl Engine {
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
