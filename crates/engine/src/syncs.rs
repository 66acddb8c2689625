//! Syncs and their jobs.

use serde_json::json;
use wharf_domain::audit::{Action, ResourceType};
use wharf_domain::bucket::Bucket;
use wharf_domain::check::CheckReport;
use wharf_domain::connection::{Connection, ConnectionIdentifier, PublicStatus};
use wharf_domain::error_code::Counting;
use wharf_domain::ids::{ConnectionId, JobId};
use wharf_domain::input::InvalidInput;
use wharf_domain::job::{Job, JobStatus};
use wharf_domain::page::{Page, PageRequest};
use wharf_domain::sync::{NewSync, Sync, SyncFilter, SyncMode, SyncSettings, SyncState};
use wharf_ports::TriggerOutcome;

use crate::error::insert_failed;
use crate::{Caller, Engine, EngineError};

/// A sync as a request describes it.
#[derive(Debug, Clone)]
pub struct CreateSync {
    /// The connection to read through.
    pub connection: ConnectionId,
    /// Whether it runs once or goes on.
    pub mode: SyncMode,
    /// What and how to copy.
    pub settings: SyncSettings,
}

/// A sync that was added.
#[derive(Debug)]
pub struct CreatedSync {
    /// The sync.
    pub sync: Sync,
    /// What the test of its source path found; `None` while the connection is not in use.
    pub report: Option<CheckReport>,
}

/// What became of the wish for a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Triggered {
    /// The job that runs or will run.
    pub job: JobId,
    /// Whether it was there before.
    pub already_running: bool,
}

impl Engine {
    /// Adds a sync; its first run starts at once. While the connection is in use, the source path is tested first: what stays
    /// wrong until a person acts refuses the sync, what may change by itself is only told.
    pub async fn create_sync(
        &self,
        caller: &Caller,
        bucket: &Bucket,
        new: CreateSync,
    ) -> Result<CreatedSync, EngineError> {
        let connection = self.connection_of_sync(caller, &new.connection).await?;
        let provider = connection.provider();
        if !self.parts.providers.supports(provider) {
            let message = format!(
                "this server has no adapter for {} connections",
                provider.as_str()
            );
            return Err(InvalidInput::one("connection_id", "adapter_missing", message).into());
        }
        self.parts
            .providers
            .vet_source_path(provider, &new.settings.source_path)?;
        let report = if connection.is_active() {
            let path = Some(new.settings.source_path.as_str());
            Some(self.check_stored(&connection, path).await?)
        } else {
            None
        };
        if let Some(report) = report
            .as_ref()
            .filter(|report| report.counting() == Some(Counting::Definite))
        {
            return Err(EngineError::ConnectionTestFailed(report.clone()));
        }
        let row = NewSync {
            id: self.ids().id(),
            bucket: bucket.id.clone(),
            namespace: bucket.namespace.clone(),
            connection: connection.id,
            settings: new.settings,
            created_by: caller.principal.user.clone(),
            first_job: self.ids().id(),
        };
        let changes = json!({
            "bucket_id": bucket.id.as_str(),
            "connection_id": row.connection.as_str(),
            "source_path": row.settings.source_path,
            "sync_mode": new.mode.as_str(),
        });
        let audit = caller.audit(
            self.ids(),
            Action::SyncCreated,
            (ResourceType::Sync, row.id.as_str()),
            changes,
        );
        let inserted = self
            .repositories()
            .syncs
            .insert(caller.organization(), row, new.mode, audit)
            .await;
        let sync = inserted.map_err(|error| {
            let missing = || EngineError::not_found("bucket", bucket.id.as_str());
            insert_failed(error, missing(), missing())
        })?;
        self.work_arrived.notify_one();
        Ok(CreatedSync { sync, report })
    }

    /// A sync of a bucket.
    pub async fn sync(
        &self,
        caller: &Caller,
        bucket: &Bucket,
        id: &str,
    ) -> Result<Sync, EngineError> {
        let missing = || EngineError::not_found("sync", id);
        let parsed = id.parse().map_err(|_| missing())?;
        let found = self
            .repositories()
            .syncs
            .find(caller.organization(), &bucket.id, &parsed)
            .await?;
        found.ok_or_else(missing)
    }

    /// The bucket's syncs, newest first.
    pub async fn list_syncs(
        &self,
        caller: &Caller,
        bucket: &Bucket,
        filter: &SyncFilter,
        page: &PageRequest,
    ) -> Result<Page<Sync>, EngineError> {
        Ok(self
            .repositories()
            .syncs
            .list(caller.organization(), &bucket.id, filter, page)
            .await?)
    }

    /// Removes a sync with its jobs; the bucket's objects stay.
    pub async fn delete_sync(
        &self,
        caller: &Caller,
        bucket: &Bucket,
        id: &str,
    ) -> Result<(), EngineError> {
        let missing = || EngineError::not_found("sync", id);
        let parsed = id.parse().map_err(|_| missing())?;
        let changes = json!({"bucket_id": bucket.id.as_str()});
        let audit = caller.audit(
            self.ids(),
            Action::SyncDeleted,
            (ResourceType::Sync, id),
            changes,
        );
        let removed = self
            .repositories()
            .syncs
            .remove(caller.organization(), &bucket.id, &parsed, audit)
            .await?;
        if removed { Ok(()) } else { Err(missing()) }
    }

    /// Starts a run now, unless one is at work or queued. With `full`, a run goes over the whole source from its start.
    pub async fn trigger_sync(
        &self,
        caller: &Caller,
        bucket: &Bucket,
        id: &str,
        full: bool,
    ) -> Result<Triggered, EngineError> {
        let sync = self.sync(caller, bucket, id).await?;
        if sync.state == SyncState::ConnectionArchived {
            let message = "The sync's connection is archived, so it will never run again.";
            return Err(EngineError::conflict("connection_archived", message));
        }
        let connection = self.connection_of_sync(caller, &sync.connection).await?;
        if let Some(reason) = connection.status_reason() {
            let status = connection.status();
            let way_back = match status {
                PublicStatus::Failed => "a test that passes brings it back",
                _ => "set its status to ACTIVE to bring it back",
            };
            let message = format!(
                "The connection is {status} ({}): {way_back}.",
                reason.as_str()
            );
            return Err(EngineError::conflict("connection_inactive", message));
        }
        let job: JobId = self.ids().id();
        let changes = json!({"sync_job_id": job.as_str(), "full_sync": full});
        let audit = caller.audit(
            self.ids(),
            Action::SyncTriggered,
            (ResourceType::Sync, id),
            changes,
        );
        let outcome = self
            .repositories()
            .syncs
            .trigger(
                caller.organization(),
                &bucket.id,
                &sync.id,
                &job,
                full,
                audit,
            )
            .await?
            .ok_or_else(|| EngineError::not_found("sync", id))?;
        self.work_arrived.notify_one();
        Ok(match outcome {
            TriggerOutcome::Queued(job) => Triggered {
                job,
                already_running: false,
            },
            TriggerOutcome::AlreadyRunning(job) => Triggered {
                job,
                already_running: true,
            },
        })
    }

    /// A job of a sync.
    pub async fn job(&self, caller: &Caller, sync: &Sync, id: &str) -> Result<Job, EngineError> {
        let missing = || EngineError::not_found("sync job", id);
        let parsed = id.parse().map_err(|_| missing())?;
        let found = self
            .repositories()
            .jobs
            .find(caller.organization(), &sync.id, &parsed)
            .await?;
        found.ok_or_else(missing)
    }

    /// The sync's jobs, newest first.
    pub async fn list_jobs(
        &self,
        caller: &Caller,
        sync: &Sync,
        status: Option<JobStatus>,
        page: &PageRequest,
    ) -> Result<Page<Job>, EngineError> {
        Ok(self
            .repositories()
            .jobs
            .list(caller.organization(), &sync.id, status, page)
            .await?)
    }

    async fn connection_of_sync(
        &self,
        caller: &Caller,
        id: &ConnectionId,
    ) -> Result<Connection, EngineError> {
        let identifier = ConnectionIdentifier::Id(id.clone());
        let found = self
            .repositories()
            .connections
            .find(caller.organization(), &identifier)
            .await?;
        let connection = found.ok_or_else(|| EngineError::not_found("connection", id.as_str()))?;
        if connection.sealed.is_none() {
            let message = "The connection is archived; create a new one.";
            return Err(EngineError::conflict("connection_archived", message));
        }
        Ok(connection)
    }
}
