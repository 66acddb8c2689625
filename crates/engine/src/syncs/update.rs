use serde_json::json;
use wharf_domain::audit::Action;
use wharf_domain::bucket::Bucket;
use wharf_domain::sync::{Sync, SyncState};
use wharf_domain::sync_edit::SyncEdit;
use wharf_ports::{SyncChange, UpdateSyncError};

use super::{RunWish, connection_archived, missing, refuse_foreign_sources};
use crate::{Caller, Engine, EngineError};

/// How often a change is tried again when somebody else changes the sync at the same moment.
const ATTEMPTS: usize = 3;

/// A change of a sync as a request describes it.
#[derive(Debug, Clone, Default)]
pub struct UpdateSync {
    /// The revision that it is meant for; any, if none.
    pub if_revision: Option<u64>,
    /// What is to be different.
    pub edits: Vec<SyncEdit>,
    /// Whether it is to run; `None` leaves that as it is.
    pub wish: Option<RunWish>,
}

impl Engine {
    /// Changes a sync's settings, and whether it runs, if it has the wanted revision. What it lists is tested first if that changes, as for a new sync. What
    /// changes nothing leaves no trace.
    pub async fn update_sync(
        &self,
        caller: &Caller,
        bucket: &Bucket,
        id: &str,
        update: UpdateSync,
    ) -> Result<Sync, EngineError> {
        if let Some(wish) = update.wish {
            wish.of(self.sync(caller, bucket, id).await?)?;
        }
        let sync = self.edit_sync(caller, bucket, id, &update).await?;
        match update.wish {
            None => Ok(sync),
            Some(RunWish::Pause) => self.pause_sync(caller, bucket, id).await,
            Some(RunWish::Run) => self.resume_sync(caller, bucket, id).await,
        }
    }

    async fn edit_sync(
        &self,
        caller: &Caller,
        bucket: &Bucket,
        id: &str,
        update: &UpdateSync,
    ) -> Result<Sync, EngineError> {
        let mut attempt = 1;
        loop {
            let sync = self.sync(caller, bucket, id).await?;
            EngineError::refuse_other_revision("sync", update.if_revision, sync.revision)?;
            match self.try_edit(caller, bucket, sync, &update.edits).await? {
                Ok(sync) => return Ok(sync),
                Err(UpdateSyncError::Conflict) if attempt < ATTEMPTS => attempt += 1,
                Err(UpdateSyncError::Conflict) => {
                    let message = "The sync was changed by somebody else at the same time; read it again and repeat the change.";
                    return Err(EngineError::conflict("revision_conflict", message));
                }
                Err(UpdateSyncError::NotFound) => return Err(missing(id)),
                Err(UpdateSyncError::Repository(error)) => return Err(error.into()),
            }
        }
    }

    async fn try_edit(
        &self,
        caller: &Caller,
        bucket: &Bucket,
        sync: Sync,
        edits: &[SyncEdit],
    ) -> Result<Result<Sync, UpdateSyncError>, EngineError> {
        let mut settings = sync.settings.clone();
        let fields: Vec<&str> = edits
            .iter()
            .filter(|edit| settings.edit((*edit).clone()))
            .map(SyncEdit::field)
            .collect();
        if fields.is_empty() {
            return Ok(Ok(sync));
        }
        if sync.state == SyncState::ConnectionArchived {
            return Err(connection_archived());
        }
        let remapped = settings.schema_mapping != sync.settings.schema_mapping;
        let rescoped = settings.prefix() != sync.settings.prefix();
        if remapped || rescoped {
            let connection = self.connection_of_sync(caller, &sync.connection).await?;
            refuse_foreign_sources(&settings, connection.provider())?;
            if rescoped {
                self.test_scope(caller, &connection, &settings).await?;
            }
        }
        let rules_changed = !settings.same_rules(&sync.settings);
        let changes = json!({"changed": fields});
        let audit = self.audit_sync(caller, Action::SyncUpdated, sync.id.as_str(), changes);
        let change = SyncChange {
            settings,
            rules_changed,
        };
        let updated = self
            .repositories()
            .syncs
            .update(
                caller.organization(),
                &bucket.id,
                &sync.id,
                sync.revision,
                &change,
                audit,
            )
            .await;
        if rules_changed && updated.is_ok() {
            self.work_arrived.notify_one();
        }
        Ok(updated)
    }
}
