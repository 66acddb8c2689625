//! Tests of connections: of new ones before they are saved, of stored ones when a person asks.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::timeout;
use wharf_domain::check::{Check, CheckReport};
use wharf_domain::connection::Connection;
use wharf_domain::error_code::{Counting, ErrorCode};
use wharf_domain::health::CheckCause;
use wharf_domain::ids::ConnectionId;
use wharf_domain::provider::{Credentials, ProviderConfig};
use wharf_ports::{CheckRequest, OpenProvider, Sessions};

use super::CredentialsError;
use super::record::EndedCheck;
use crate::error::record_failed;
use crate::{Caller, Engine, EngineError};

/// What a test of a stored connection found out.
#[derive(Debug)]
pub struct TestedConnection {
    /// The connection after the test.
    pub connection: Connection,
    /// The checks.
    pub report: CheckReport,
}

/// What is tested: an account, as a connection's or as one that is about to be.
pub(super) struct Trial<'a> {
    pub(super) connection: &'a ConnectionId,
    pub(super) config: &'a ProviderConfig,
    pub(super) credentials: Credentials,
    /// What keeps the access token.
    pub(super) sessions: Arc<dyn Sessions>,
    /// What a sync reads or would read.
    pub(super) source_path: Option<&'a str>,
}

/// How long a check may overrun its time before it is given up for dead.
pub(super) const GRACE: Duration = Duration::from_secs(1);

/// Opens an account, which dials nothing; or tells why none can be made of its parts. What a test asks does not wait at the
/// account's gate, but the gate hears of throttling.
fn open(engine: &Engine, trial: Trial<'_>) -> Result<OpenProvider, CheckReport> {
    let Trial {
        connection,
        config,
        credentials,
        sessions,
        ..
    } = trial;
    let opened = engine
        .parts
        .providers
        .open(connection, config, credentials, sessions)
        .map(|account| engine.gates.guard(config.provider(), connection, account));
    opened.map_err(|error| CheckReport {
        checks: vec![Check::failed(
            "configuration",
            error.code,
            None,
            error.message,
            0,
        )],
    })
}

/// Refuses, without a test, what stays wrong until a person acts.
pub(super) fn refuse_unusable(engine: &Engine, trial: Trial<'_>) -> Result<(), EngineError> {
    match open(engine, trial) {
        Err(report) if report.counting() == Some(Counting::Definite) => Err(refusal(report)),
        _ => Ok(()),
    }
}

/// Opens an account and checks it, within the operator's time.
async fn run_check(engine: &Engine, trial: Trial<'_>) -> CheckReport {
    let source_path = trial.source_path;
    let provider = match open(engine, trial) {
        Ok(provider) => provider,
        Err(report) => return report,
    };
    let limit = engine.parts.settings.check_timeout;
    let request = CheckRequest {
        source_path,
        budget: limit,
    };
    let started = Instant::now();
    let checked = timeout(limit + GRACE, provider.check(request)).await;
    checked.unwrap_or_else(|_| {
        let ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let remedy = format!(
            "The provider did not answer within {} s. {}",
            limit.as_secs(),
            ErrorCode::NetworkTimeout.remedy()
        );
        let check = Check::failed("connection", ErrorCode::NetworkTimeout, None, remedy, ms);
        CheckReport {
            checks: vec![Check::passed("configuration", 0), check],
        }
    })
}

/// How a failed test before saving is answered: as a mistake in the request, unless the cause lies elsewhere.
fn refusal(report: CheckReport) -> EngineError {
    match (report.counting(), report.error_code()) {
        // Asking again does not help before somebody acts, although none of these counts against a connection.
        (
            _,
            Some(
                ErrorCode::EgressRefused | ErrorCode::AdapterMissing | ErrorCode::ResourceNotFound,
            ),
        ) => EngineError::ConnectionTestFailed(report),
        (Some(Counting::Uncounted), _) => EngineError::ConnectionTestUnavailable(report),
        _ => EngineError::ConnectionTestFailed(report),
    }
}

impl Engine {
    /// Tests a stored connection for a person. The test always reports; the outcome counts for the connection's health
    /// unless the connection is tripped or suspended. With a source path, what a sync of it would need is tested, too; what
    /// is wrong with the path alone does not count.
    pub async fn test_connection(
        &self,
        caller: &Caller,
        identifier: &str,
        source_path: Option<&str>,
    ) -> Result<TestedConnection, EngineError> {
        let connection = self.connection(caller, identifier).await?;
        if let Some(source_path) = source_path {
            let providers = &self.parts.providers;
            providers.vet_source_path(connection.provider(), source_path)?;
        }
        if connection.sealed.is_none() {
            return Err(wharf_domain::connection::TransitionError::Archived.into());
        }
        let started_at = self.repositories().across.now().await?;
        let begun = Instant::now();
        let report = self.check_stored(&connection, source_path).await?;
        let ended = EndedCheck {
            connection: &connection,
            cause: CheckCause::Person,
            lease: None,
            started_at,
            took: begun.elapsed(),
            report: &report,
        };
        let recorded = self.record_check(ended, &caller.origin).await;
        let transition = recorded.map_err(|error| record_failed(error, identifier))?;
        Ok(TestedConnection {
            connection: transition.connection,
            report,
        })
    }

    pub(crate) async fn check_stored(
        &self,
        connection: &Connection,
        source_path: Option<&str>,
    ) -> Result<CheckReport, EngineError> {
        let failed = |name: &str, code: ErrorCode, remedy: &str| {
            Ok(CheckReport {
                checks: vec![Check::failed(name, code, None, remedy, 0)],
            })
        };
        let provider = connection.provider();
        if !self.parts.providers.supports(provider) {
            let remedy = format!(
                "This server has no adapter for {} connections, so nothing was tested.",
                provider.as_str()
            );
            return failed("adapter", ErrorCode::AdapterMissing, &remedy);
        }
        match self.open_credentials(connection).await {
            Ok(credentials) => {
                let trial = Trial {
                    connection: &connection.id,
                    config: &connection.config,
                    sessions: self.stored_sessions(connection, &credentials),
                    credentials,
                    source_path,
                };
                Ok(run_check(self, trial).await)
            }
            Err(CredentialsError::Engine(error)) => Err(error),
            Err(error) => failed("credentials", error.code(), error.remedy()),
        }
    }

    /// Tests what a change would make of a connection, with credentials that may not be stored yet.
    pub(super) async fn check_before_saving(&self, trial: Trial<'_>) -> Result<(), EngineError> {
        let report = run_check(self, trial).await;
        if report.success() {
            Ok(())
        } else {
            Err(refusal(report))
        }
    }
}
