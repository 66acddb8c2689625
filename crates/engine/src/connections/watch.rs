//! The health watch: checks connections when they are due, as their lifecycle and the operator's rhythm say.
//!
//! Checks are leased, so that replicas share them and no two check the same connection at once. They never wait at an account's
//! gate: a throttled account answers that it is, which does not count.

use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wharf_domain::audit::Origin;
use wharf_domain::check::{Check, CheckReport};
use wharf_domain::error_code::ErrorCode;
use wharf_domain::health::CheckCause;
use wharf_ports::{DueCheck, RecordError};

use super::record::EndedCheck;
use super::test::GRACE;
use crate::{Engine, EngineError};

/// Most checks that a process makes at the same time.
const AT_ONCE: usize = 8;

/// How often it looks for due checks when there were none.
const IDLE_LOOK: Duration = Duration::from_secs(1);

/// What a lease leaves for opening the credentials and for recording the outcome.
const MARGIN: Duration = Duration::from_secs(30);

/// A check that broke down is left to its lease's end.
fn told(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a check broke down");
    }
}

/// The health watch of a process.
#[derive(Debug, Clone)]
pub struct Watcher {
    engine: Engine,
}

impl Watcher {
    /// A watch on this engine's connections.
    pub fn new(engine: Engine) -> Self {
        Self { engine }
    }

    /// Leases the check that is due, makes and records it; returns whether there was one. When `stop` is cancelled in the
    /// middle, it is given back and due again.
    ///
    /// # Errors
    /// When no check could be leased because the database is away.
    pub async fn watch_once(&self, stop: &CancellationToken) -> Result<bool, EngineError> {
        let Some(due) = self.lease().await? else {
            return Ok(false);
        };
        self.check(due, stop).await;
        Ok(true)
    }

    /// Makes due checks, several at once, until `stop` is cancelled; then gives back what is under way and returns.
    pub async fn watch(&self, stop: &CancellationToken) {
        // Tasks of their own: a check in the middle of a transaction goes on while the next one is looked for.
        let mut under_way = JoinSet::new();
        let mut next_look = Instant::now();
        while !stop.is_cancelled() {
            tokio::select! {
                () = stop.cancelled() => {}
                Some(ended) = under_way.join_next() => told(ended),
                () = tokio::time::sleep_until(next_look), if under_way.len() < AT_ONCE => {
                    match self.lease().await {
                        Ok(Some(due)) => {
                            let (watcher, stop) = (self.clone(), stop.clone());
                            under_way.spawn(async move { watcher.check(due, &stop).await });
                            continue;
                        }
                        Ok(None) => {}
                        Err(error) => tracing::warn!(%error, "could not look for due checks"),
                    }
                    next_look = Instant::now() + IDLE_LOOK;
                }
            }
        }
        while let Some(ended) = under_way.join_next().await {
            told(ended);
        }
    }

    async fn lease(&self) -> Result<Option<DueCheck>, EngineError> {
        let ttl = self.engine.parts.settings.check_timeout + GRACE + MARGIN;
        Ok(self
            .engine
            .repositories()
            .across
            .lease_due_check(ttl)
            .await?)
    }

    /// What cannot be recorded is left to the lease's end, and checked again then.
    async fn check(&self, due: DueCheck, stop: &CancellationToken) {
        let connection = &due.connection;
        let begun = Instant::now();
        let Some(report) = stop.run_until_cancelled(self.report(&due)).await else {
            let checks = &self.engine.repositories().checks;
            if let Err(error) = checks.release(&due.organization, &due.lease).await {
                tracing::warn!(%error, connection = %connection.id, "could not give back a check");
            }
            return;
        };
        let ended = EndedCheck {
            connection,
            cause: CheckCause::Watch,
            lease: Some(&due.lease),
            started_at: due.now,
            took: begun.elapsed(),
            report: &report,
        };
        match self.engine.record_check(ended, &Origin::system()).await {
            Ok(transition) if transition.changed => {}
            Ok(_) => {
                metrics::counter!("wharf_checks_stale_total").increment(1);
                tracing::debug!(connection = %connection.id, "a check came too late to count");
            }
            Err(RecordError::LeaseLost) => {
                tracing::warn!(connection = %connection.id, "a check outlived its lease");
            }
            Err(RecordError::Apply(error)) => {
                tracing::warn!(%error, connection = %connection.id, "could not record a check");
            }
        }
    }

    /// What the check finds. A fault of our own is told as such, and counts for nothing.
    async fn report(&self, due: &DueCheck) -> CheckReport {
        let checked = self.engine.check_stored(&due.connection, None).await;
        checked.unwrap_or_else(|error| {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                connection = %due.connection.id,
                "a check failed by our own fault"
            );
            let code = ErrorCode::Internal;
            let check = Check::failed("credentials", code, None, code.remedy(), 0);
            CheckReport {
                checks: vec![check],
            }
        })
    }
}
