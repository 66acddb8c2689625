//! One attempt at a sync: from the fresh lease to its release, with the lease kept alive meanwhile.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wharf_domain::Timestamp;
use wharf_domain::audit::{Action, Origin, ResourceType};
use wharf_domain::connection::{
    AttemptOutcome, AttemptResult, Connection, ConnectionIdentifier, Event, Health,
};
use wharf_domain::error_code::ErrorCode;
use wharf_domain::ids::OrganizationId;
use wharf_domain::job::{JobEnd, JobStatus};
use wharf_domain::sync::{Lease, Sync};
use wharf_ports::{ProviderError, Retry, RunError};

use super::pass::{Pass, PassEnd};
use super::stop::{Stop, concerns_connection};
use crate::caller::audit_row;
use crate::connections::CredentialsError;
use crate::{Engine, EngineError};

/// The longest that a provider's wish to be left alone postpones the next run.
const LONGEST_DELAY: Duration = Duration::from_hours(1);

/// The first wait after a run that failed for a reason that may pass.
const SOONEST: Duration = Duration::from_mins(1);

/// A worker at work shows that it lives at least this often.
const LONGEST_SILENCE: Duration = Duration::from_secs(10);

/// The connection as it was when the attempt started, and when that was by the database's clock.
struct UsedConnection {
    row: Connection,
    started_at: Timestamp,
}

/// How soon a sync runs again.
#[derive(Clone, Copy)]
struct Pace {
    polling: Duration,
    failures: u32,
}

impl Pace {
    fn of(sync: &Sync) -> Self {
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

pub(super) struct Attempt<'a> {
    engine: &'a Engine,
    organization: OrganizationId,
    lease: Lease,
}

impl<'a> Attempt<'a> {
    pub(super) fn new(engine: &'a Engine, organization: OrganizationId, lease: Lease) -> Self {
        Self {
            engine,
            organization,
            lease,
        }
    }

    /// Runs the sync and releases it. What goes wrong is told by the job; if even that cannot be stored, the lease runs
    /// out and another worker goes on.
    pub(super) async fn carry_through(self, stop: &CancellationToken) {
        let started = Instant::now();
        tokio::select! {
            biased;
            () = stop.cancelled() => {
                self.release(JobEnd::interrupted("shutdown"), Duration::ZERO).await;
            }
            () = self.keep_lease() => {
                tracing::warn!(sync = %self.lease.sync, job = %self.lease.job, "lost the lease; the run stops");
            }
            () = self.run() => {}
        }
        metrics::histogram!("wharf_job_seconds").record(started.elapsed().as_secs_f64());
    }

    /// Extends the lease at a third of its time; returns when it is lost, or when two thirds have passed without an
    /// extension, since then another worker may soon be at work.
    async fn keep_lease(&self) {
        let ttl = self.engine.parts.settings.lease_ttl;
        let mut confirmed = Instant::now();
        loop {
            tokio::time::sleep(LONGEST_SILENCE.min(ttl / 6)).await;
            self.engine.beat.beat();
            if confirmed.elapsed() < ttl / 3 {
                continue;
            }
            let asked = Instant::now();
            let deadline = confirmed + ttl * 2 / 3;
            let extension =
                self.engine
                    .repositories()
                    .runs
                    .extend(&self.organization, &self.lease, ttl);
            match tokio::time::timeout_at(deadline, extension).await {
                Ok(Ok(())) => confirmed = asked,
                Ok(Err(RunError::LeaseLost)) | Err(_) => return,
                Ok(Err(error)) => {
                    tracing::warn!(%error, sync = %self.lease.sync, "could not extend the lease");
                    if Instant::now() >= deadline {
                        return;
                    }
                }
            }
        }
    }

    async fn run(&self) {
        let sync = match self
            .engine
            .repositories()
            .runs
            .load(&self.organization, &self.lease)
            .await
        {
            Ok(sync) => sync,
            Err(error) => return self.give_up(&error),
        };
        let pace = Pace::of(&sync);
        let connection = match self.connection(&sync).await {
            Ok(Some(connection)) => connection,
            Ok(None) => {
                return self
                    .release(JobEnd::skipped("connection_inactive"), pace.polling)
                    .await;
            }
            Err(error) => return self.end_with(&Stop::Ours(error), pace, None).await,
        };
        match self.pass(sync, &connection.row).await {
            // The connection hears of it before the lease is released: if the process ends in between, the run is made
            // again and tells again.
            Ok(PassEnd { incomplete }) => {
                self.tell_connection(&connection, AttemptResult::Success { used: true })
                    .await;
                let end = incomplete.map_or_else(JobEnd::complete, JobEnd::incomplete);
                self.release(end, pace.polling).await;
            }
            Err(stop) => self.end_with(&stop, pace, Some(&connection)).await,
        }
    }

    async fn connection(&self, sync: &Sync) -> Result<Option<UsedConnection>, EngineError> {
        let repositories = self.engine.repositories();
        let started_at = repositories.across.now().await?;
        let identifier = ConnectionIdentifier::Id(sync.connection.clone());
        let found = repositories
            .connections
            .find(&self.organization, &identifier)
            .await?;
        let active = found.filter(Connection::is_active);
        Ok(active.map(|row| UsedConnection { row, started_at }))
    }

    async fn pass(&self, sync: Sync, connection: &Connection) -> Result<PassEnd, Stop> {
        let credentials = self
            .engine
            .open_credentials(connection)
            .await
            .map_err(|error| match error {
                CredentialsError::Engine(error) => Stop::Ours(error),
                error => Stop::Provider(ProviderError::permanent(error.code(), error.remedy())),
            })?;
        let provider = self
            .engine
            .parts
            .providers
            .open(&connection.id, &connection.config, credentials)
            .map_err(Stop::Provider)?;
        Pass::new(
            self.engine,
            &self.organization,
            &self.lease,
            sync,
            connection,
            provider,
        )
        .run()
        .await
    }

    async fn end_with(&self, stop: &Stop, pace: Pace, connection: Option<&UsedConnection>) {
        match stop {
            Stop::LeaseLost => self.give_up(&RunError::LeaseLost),
            Stop::ConnectionChanged => {
                self.release(JobEnd::interrupted("connection_changed"), pace.polling)
                    .await;
            }
            Stop::Ours(error) => {
                tracing::error!(error = error as &dyn std::error::Error, sync = %self.lease.sync, "a run failed by our own fault");
                self.release(
                    JobEnd::failed("internal", format!("{error}.")),
                    pace.again(),
                )
                .await;
            }
            Stop::Provider(error) => {
                tracing::info!(code = %error.code, sync = %self.lease.sync, job = %self.lease.job, "a run failed at the provider");
                let message: String = format!("{}: {}", error.code, error.message)
                    .chars()
                    .take(1000)
                    .collect();
                let delay = match error.retry {
                    Retry::Later { after } => pace
                        .again()
                        .max(after.unwrap_or_default())
                        .min(LONGEST_DELAY),
                    Retry::Never | Retry::Restart => pace.polling,
                };
                let end = if error.code == ErrorCode::QuotaRateLimited {
                    JobEnd {
                        error: Some(message.clone()),
                        ..JobEnd::incomplete(error.code.as_str())
                    }
                } else {
                    JobEnd::failed(error.code.as_str(), message.clone())
                };
                if let Some(connection) = connection.filter(|_| concerns_connection(error.code)) {
                    self.tell_connection(
                        connection,
                        AttemptResult::Failure {
                            code: error.code,
                            message,
                        },
                    )
                    .await;
                }
                self.release(end, delay).await;
            }
        }
    }

    fn give_up(&self, error: &RunError) {
        tracing::warn!(%error, sync = %self.lease.sync, job = %self.lease.job, "a run stops without releasing its lease");
    }

    /// Ends the job and releases the lease.
    async fn release(&self, end: JobEnd, delay: Duration) {
        let label = match end.status {
            JobStatus::Completed if end.incomplete_reason.is_none() => "complete",
            status => status.as_str(),
        };
        metrics::counter!("wharf_jobs_total", "end" => label).increment(1);
        let changes = json!({
            "sync_config_id": self.lease.sync.as_str(),
            "status": end.status.as_str(),
            "incomplete_reason": end.incomplete_reason,
        });
        let resource = (ResourceType::Job, self.lease.job.as_str());
        let audit = audit_row(
            self.engine.ids(),
            &Origin::system(),
            Action::JobFinished,
            resource,
            changes,
        );
        let finished = self
            .engine
            .repositories()
            .runs
            .finish(&self.organization, &self.lease, end, delay, audit)
            .await;
        if let Err(error) = finished {
            self.give_up(&error);
        }
    }

    /// Applies the attempt's outcome to the connection. A late or stale one changes nothing.
    async fn tell_connection(&self, used: &UsedConnection, result: AttemptResult) {
        let UsedConnection {
            row: connection,
            started_at,
        } = used;
        let failure = match &result {
            AttemptResult::Failure { code, .. } => Some(code.as_str()),
            AttemptResult::Success { .. } => None,
        };
        let heals = failure.is_none() && connection.health != Health::Healthy;
        let audit = (failure.is_some() || heals).then(|| {
            let action = if heals {
                Action::ConnectionUpdated
            } else {
                Action::ConnectionFailed
            };
            let changes = json!({
                "sync_job_id": self.lease.job.as_str(),
                "success": heals,
                "error_code": failure,
            });
            let resource = (ResourceType::Connection, connection.id.as_str());
            audit_row(
                self.engine.ids(),
                &Origin::system(),
                action,
                resource,
                changes,
            )
        });
        let outcome = AttemptOutcome {
            epoch: connection.epoch,
            credential_version: connection.credential_version,
            started_at: *started_at,
            result,
        };
        let applied = self
            .engine
            .repositories()
            .connections
            .apply(
                &self.organization,
                &connection.id,
                None,
                vec![Event::Outcome(outcome)],
                audit.into_iter().collect(),
            )
            .await;
        if let Err(error) = applied {
            tracing::warn!(%error, connection = %connection.id, "could not store the outcome of a run");
        }
    }
}
