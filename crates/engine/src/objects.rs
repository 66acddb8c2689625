//! Objects of a bucket, and their bytes.

use std::fmt;

use serde_json::json;
use wharf_domain::audit::{Action, ResourceType};
use wharf_domain::bucket::Bucket;
use wharf_domain::object::{Object, ObjectFilter};
use wharf_domain::page::{Page, PageRequest};
use wharf_ports::{BlobError, ByteStream, RestoreOutcome};

use crate::{Caller, Engine, EngineError};

/// Some or all bytes of an object.
pub struct ObjectContent {
    /// The object.
    pub object: Object,
    /// The bytes that were asked for.
    pub bytes: ByteStream,
}

impl fmt::Debug for ObjectContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectContent")
            .field("object", &self.object.id)
            .finish_non_exhaustive()
    }
}

impl Engine {
    /// An object of a bucket; a tombstone only if it may be one.
    pub async fn object(
        &self,
        caller: &Caller,
        bucket: &Bucket,
        id: &str,
        include_deleted: bool,
    ) -> Result<Object, EngineError> {
        let missing = || EngineError::not_found("object", id);
        let parsed = id.parse().map_err(|_| missing())?;
        let found = self
            .repositories()
            .objects
            .find(caller.organization(), &bucket.id, &parsed)
            .await?;
        found
            .filter(|object| include_deleted || object.deleted.is_none())
            .ok_or_else(missing)
    }

    /// The bucket's objects, newest first.
    pub async fn list_objects(
        &self,
        caller: &Caller,
        bucket: &Bucket,
        filter: &ObjectFilter,
        page: &PageRequest,
    ) -> Result<Page<Object>, EngineError> {
        Ok(self
            .repositories()
            .objects
            .list(caller.organization(), &bucket.id, filter, page)
            .await?)
    }

    /// Makes an object a tombstone. It stays one until its source changes.
    pub async fn delete_object(
        &self,
        caller: &Caller,
        bucket: &Bucket,
        id: &str,
    ) -> Result<(), EngineError> {
        let missing = || EngineError::not_found("object", id);
        let parsed = id.parse().map_err(|_| missing())?;
        let changes = json!({"bucket_id": bucket.id.as_str()});
        let audit = caller.audit(
            self.ids(),
            Action::ObjectDeleted,
            (ResourceType::Object, id),
            changes,
        );
        let removed = self
            .repositories()
            .objects
            .remove(caller.organization(), &bucket.id, &parsed, audit)
            .await?;
        if removed { Ok(()) } else { Err(missing()) }
    }

    /// Makes a tombstone a live object again; one that is live stays as it is. Its bytes must still be there.
    pub async fn restore_object(
        &self,
        caller: &Caller,
        bucket: &Bucket,
        id: &str,
    ) -> Result<Object, EngineError> {
        let missing = || EngineError::not_found("object", id);
        let parsed = id.parse().map_err(|_| missing())?;
        let changes = json!({"bucket_id": bucket.id.as_str()});
        let resource = (ResourceType::Object, id);
        let audit = caller.audit(self.ids(), Action::ObjectRestored, resource, changes);
        let outcome = self
            .repositories()
            .objects
            .restore(caller.organization(), &bucket.id, &parsed, audit)
            .await?
            .ok_or_else(missing)?;
        match outcome {
            RestoreOutcome::Restored(object) => Ok(*object),
            RestoreOutcome::NotDeleted => self.object(caller, bucket, id, false).await,
            RestoreOutcome::Purged => Err(EngineError::conflict(
                "object_purged",
                "The object's undo window has passed, and its bytes are gone. A sync copies the file again when it changes at the source.",
            )),
        }
    }

    /// Up to `length` bytes of an object from `offset` on. Tombstones have no content.
    pub async fn object_content(
        &self,
        object: Object,
        offset: u64,
        length: u64,
    ) -> Result<ObjectContent, EngineError> {
        let missing = EngineError::not_found("object", object.id.as_str());
        if object.deleted.is_some() {
            return Err(missing);
        }
        match self
            .parts
            .blobs
            .open(&object.content.blob, offset, length)
            .await
        {
            Ok(bytes) => Ok(ObjectContent { object, bytes }),
            Err(BlobError::Unavailable(source)) => Err(EngineError::Unavailable {
                what: "the blob store",
                source: Some(source),
            }),
            // The object was replaced or removed, and its blob swept, since it was read.
            Err(BlobError::NotFound) => Err(missing),
            Err(error) => Err(error.into()),
        }
    }
}
