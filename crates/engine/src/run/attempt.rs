//! One attempt at a sync: from the fresh lease to its release, with the lease kept alive meanwhile.

use std::sync::Arc;
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
use wharf_domain::job::JobStatus;
use wharf_domain::mapping::{Mapper, SchemaMapping};
use wharf_domain::run::commit::Standing;
use wharf_domain::run::ending::{Ending, Pace};
use wharf_domain::run::machine::RunContext;
use wharf_domain::run::trouble::Trouble;
use wharf_domain::sync::{Lease, Sync, SyncMode};
use wharf_ports::{FetchWish, OpenProvider, RunError};

use super::copies::Copies;
use super::drive::Drive;
use super::fetch::Copier;
use crate::account::AccountError;
use crate::caller::audit_row;
use crate::push::Watched;
use crate::{Engine, EngineError};

/// A worker at work shows that it lives at least this often.
const LONGEST_SILENCE: Duration = Duration::from_secs(10);

/// The connection as it was when the attempt started, and when that was by the database's clock.
struct UsedConnection {
    row: Connection,
    started_at: Timestamp,
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
            () = self.keep_lease() => {
                tracing::warn!(sync = %self.lease.sync, job = %self.lease.job, "lost the lease; the run stops");
            }
            () = Box::pin(self.run(stop)) => {}
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

    async fn run(&self, stop: &CancellationToken) {
        let runs = &self.engine.repositories().runs;
        let sync = match runs.load(&self.organization, &self.lease).await {
            Ok(sync) => sync,
            Err(error) => return self.give_up(&error),
        };
        let pace = Pace::of(&sync);
        let connection = match self.connection(&sync).await {
            Ok(Some(connection)) => connection,
            Ok(None) => return self.release(&Ending::inactive(pace)).await,
            Err(error) => {
                let ending = Ending::ours(&super::logged(&error), pace);
                return self.release(&ending).await;
            }
        };
        let Some(ending) = self.pass(sync, &connection, pace, stop).await else {
            return self.give_up(&RunError::LeaseLost);
        };
        // The connection hears of it before the lease is released: if the process ends in between, the run is made again
        // and tells again.
        if let Some(outcome) = &ending.outcome {
            self.tell_connection(&connection, outcome.clone()).await;
        }
        self.release(&ending).await;
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

    /// The pass over the source, or what kept it from beginning.
    async fn pass(
        &self,
        sync: Sync,
        used: &UsedConnection,
        pace: Pace,
        stop: &CancellationToken,
    ) -> Option<Ending> {
        let connection = &used.row;
        let provider = match self.open(connection, pace).await {
            Ok(provider) => provider,
            Err(ending) => return Some(ending),
        };
        let Sync {
            settings,
            checkpoint,
            mode,
            last_pass,
            feed,
            push,
            bucket,
            ..
        } = sync;
        // What a feed tells is not all that happens: from time to time the whole source is listed.
        let interval = self.engine.parts.settings.full_pass_interval;
        let feed = feed.filter(|feed| used.started_at < feed.listed_at + interval);
        let provider_type = connection.provider();
        let factory = &self.engine.parts.providers;
        let scope = factory.scope(
            provider_type,
            &settings.source_path,
            &settings.pushed_down(),
        );
        let scope = match scope {
            Ok(scope) => scope,
            Err(invalid) => {
                let trouble = Trouble::permanent(ErrorCode::ConfigInvalid, invalid.to_string());
                return Some(Ending::trouble(&trouble, pace));
            }
        };
        let terms = self
            .engine
            .terms(&self.lease.sync, &settings, provider_type);
        let mapping = settings.schema_mapping.as_ref();
        let wants_tags = mapping.is_some_and(SchemaMapping::needs_tags);
        let copier = Copier {
            engine: self.engine.clone(),
            organization: self.organization.clone(),
            bucket,
            provider_type,
            provider: provider.clone(),
            scope: scope.clone(),
            mapper: mapping.map(Mapper::new).map(Arc::new),
            wish: FetchWish {
                tags: wants_tags || terms.rules.needs_tags(),
            },
            terms: terms.clone(),
        };
        let context = RunContext {
            terms,
            mode,
            provider: provider_type,
            authority: provider.authority(),
            scope: scope.clone(),
            credential_version: connection.credential_version,
            max_objects: settings.max_objects_per_run,
            threshold: self.engine.parts.settings.delete_threshold,
            pace,
            last_pass,
            feed,
        };
        let at_once = usize::try_from(settings.sync_concurrency).unwrap_or(1);
        let drive = Drive {
            engine: self.engine,
            organization: &self.organization,
            lease: &self.lease,
            standing: Standing {
                epoch: connection.epoch,
                credential_version: connection.credential_version,
            },
            provider: provider.clone(),
            scope: scope.clone(),
            copies: Copies::new(copier, at_once),
            shutdown: stop,
            committed: Instant::now(),
        };
        let ending = drive.run(context, checkpoint).await?;
        if ending.end.saw_what_it_may() && mode == SyncMode::Continuous {
            let watched = Watched {
                organization: &self.organization,
                lease: &self.lease,
                account: &provider,
                scope: &scope,
                credential_version: connection.credential_version,
            };
            self.engine.keep_watching(watched, push).await;
        }
        Some(ending)
    }

    /// Opens the connection's account, or tells how the run ends.
    async fn open(&self, connection: &Connection, pace: Pace) -> Result<OpenProvider, Ending> {
        let opened = self.engine.open_account(connection).await;
        opened.map_err(|error| match error {
            AccountError::Ours(error) => Ending::ours(&super::logged(&error), pace),
            AccountError::Provider(error) => Ending::trouble(&error.into(), pace),
        })
    }

    fn give_up(&self, error: &RunError) {
        tracing::warn!(%error, sync = %self.lease.sync, job = %self.lease.job, "a run stops without releasing its lease");
    }

    /// Ends the job and releases the lease.
    async fn release(&self, ending: &Ending) {
        let Ending { end, delay, .. } = ending;
        if let Some(error) = &end.error {
            tracing::info!(error, sync = %self.lease.sync, job = %self.lease.job, "a run ended early");
        }
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
            .finish(&self.organization, &self.lease, end.clone(), *delay, audit)
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
        let code = match &result {
            AttemptResult::Failure { code, .. } => Some(*code),
            AttemptResult::Success { .. } => None,
        };
        let failure = code.map(ErrorCode::as_str);
        let heals = failure.is_none() && connection.health != Health::Healthy;
        let audit = (failure.is_some() || heals).then(|| {
            let action = if heals {
                Action::ConnectionTested
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
        let next = self.engine.next_check(connection, code);
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
                vec![Event::Outcome { outcome, next }],
                audit.into_iter().collect(),
            )
            .await;
        if let Err(error) = applied {
            tracing::warn!(%error, connection = %connection.id, "could not store the outcome of a run");
        }
    }
}
