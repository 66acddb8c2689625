use serde_json::json;
use wharf_domain::audit::Action;
use wharf_domain::bucket::Bucket;
use wharf_domain::check::CheckReport;
use wharf_domain::ids::ConnectionId;
use wharf_domain::sync::{NewSync, Sync, SyncMode, SyncSettings};

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
    /// What the test of what it lists found; `None` while the connection is not in use.
    pub report: Option<CheckReport>,
}

impl Engine {
    /// Adds a sync; its first run starts at once. While the connection is in use, what it lists is tested first: what stays
    /// wrong until a person acts refuses the sync, what may change by itself is only told.
    pub async fn create_sync(
        &self,
        caller: &Caller,
        bucket: &Bucket,
        new: CreateSync,
    ) -> Result<CreatedSync, EngineError> {
        let connection = self.connection_of_new_sync(caller, &new.connection).await?;
        self.vet_new(connection.provider(), &new.settings)?;
        let report = self.test_scope(caller, &connection, &new.settings).await?;
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
        let audit = self.audit_sync(caller, Action::SyncCreated, row.id.as_str(), changes);
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
}
