use serde_json::json;
use wharf_domain::Timestamp;
use wharf_domain::audit::Action;
use wharf_domain::bucket::Bucket;
use wharf_domain::page::{Page, PageRequest};
use wharf_domain::sync::{Sync, SyncFilter};

use super::{missing, parsed};
use crate::{Caller, Engine, EngineError};

impl Engine {
    /// A sync of a bucket.
    pub async fn sync(
        &self,
        caller: &Caller,
        bucket: &Bucket,
        id: &str,
    ) -> Result<Sync, EngineError> {
        let found = self
            .repositories()
            .syncs
            .find(caller.organization(), &bucket.id, &parsed(id)?)
            .await?;
        found.ok_or_else(|| missing(id))
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

    /// Removes a sync with its jobs, with `if_revision` only if it has that one; the bucket's objects stay.
    pub async fn delete_sync(
        &self,
        caller: &Caller,
        bucket: &Bucket,
        id: &str,
        if_revision: Option<u64>,
    ) -> Result<(), EngineError> {
        if if_revision.is_some() {
            let revision = self.sync(caller, bucket, id).await?.revision;
            EngineError::refuse_other_revision("sync", if_revision, revision)?;
        }
        let changes = json!({"bucket_id": bucket.id.as_str()});
        let audit = self.audit_sync(caller, Action::SyncDeleted, id, changes);
        let removed = self
            .repositories()
            .syncs
            .remove(caller.organization(), &bucket.id, &parsed(id)?, audit)
            .await?;
        if removed { Ok(()) } else { Err(missing(id)) }
    }

    /// The database's clock.
    pub async fn now(&self) -> Result<Timestamp, EngineError> {
        Ok(self.repositories().across.now().await?)
    }
}
