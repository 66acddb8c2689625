//! Objects.

use async_trait::async_trait;
use wharf_domain::audit::NewAuditRow;
use wharf_domain::event::{ObjectChange, ObjectFate};
use wharf_domain::ids::{BucketId, ObjectId, OrganizationId};
use wharf_domain::object::{DeletedBy, Object, ObjectFilter, SourceId};
use wharf_domain::page::{Page, PageRequest};
use wharf_ports::{ObjectRepository, RepositoryError, RestoreOutcome};

use crate::MemoryStore;
use crate::page::page;
use crate::state::{all_owned, owned, owned_mut};

/// What is told of an object to which that happened.
pub(crate) fn change(object: &Object, fate: ObjectFate) -> ObjectChange {
    ObjectChange {
        object_id: object.id.clone(),
        fate,
        source_path: object.facts.path.clone(),
        size_bytes: object.content.size_bytes,
    }
}

#[async_trait]
impl ObjectRepository for MemoryStore {
    async fn find(
        &self,
        organization: &OrganizationId,
        bucket: &BucketId,
        object: &ObjectId,
    ) -> Result<Option<Object>, RepositoryError> {
        let (state, _) = self.open();
        Ok(owned(&state.objects, organization, object)
            .filter(|object| object.bucket == *bucket)
            .cloned())
    }

    async fn find_by_source(
        &self,
        organization: &OrganizationId,
        bucket: &BucketId,
        source: &SourceId,
    ) -> Result<Option<Object>, RepositoryError> {
        let (state, _) = self.open();
        let found = state.sources.get(&(bucket.clone(), source.clone()));
        Ok(found
            .and_then(|id| owned(&state.objects, organization, id))
            .cloned())
    }

    async fn list(
        &self,
        organization: &OrganizationId,
        bucket: &BucketId,
        filter: &ObjectFilter,
        request: &PageRequest,
    ) -> Result<Page<Object>, RepositoryError> {
        let (state, _) = self.open();
        let matches = |object: &&Object| {
            object.bucket == *bucket
                && (filter.include_deleted || object.deleted.is_none())
                && filter
                    .search
                    .as_ref()
                    .is_none_or(|search| object.facts.path.contains(search))
        };
        let rows = all_owned(&state.objects, organization).filter(matches);
        Ok(page(
            rows,
            |object| (object.created_at, object.id.as_str()),
            request,
        ))
    }

    async fn remove(
        &self,
        organization: &OrganizationId,
        bucket: &BucketId,
        object: &ObjectId,
        audit: NewAuditRow,
    ) -> Result<bool, RepositoryError> {
        let (mut state, now) = self.open_for(organization, [&audit])?;
        let live = owned_mut(&mut state.objects, organization, object)
            .filter(|object| object.bucket == *bucket && object.deleted.is_none());
        let Some(object) = live else { return Ok(false) };
        object.deleted = Some((now, DeletedBy::Person));
        object.updated_at = now;
        let gone = vec![change(object, ObjectFate::Deleted)];
        state
            .trail
            .record_objects(organization, now, audit, bucket, gone);
        Ok(true)
    }

    async fn restore(
        &self,
        organization: &OrganizationId,
        bucket: &BucketId,
        object: &ObjectId,
        audit: NewAuditRow,
    ) -> Result<Option<RestoreOutcome>, RepositoryError> {
        let (mut state, now) = self.open_for(organization, [&audit])?;
        let found = owned_mut(&mut state.objects, organization, object)
            .filter(|object| object.bucket == *bucket);
        let Some(object) = found else { return Ok(None) };
        if object.deleted.is_none() {
            return Ok(Some(RestoreOutcome::NotDeleted));
        }
        if object.purged {
            return Ok(Some(RestoreOutcome::Purged));
        }
        object.deleted = None;
        object.updated_at = now;
        let restored = Box::new(object.clone());
        let back = vec![change(object, ObjectFate::Restored)];
        state
            .trail
            .record_objects(organization, now, audit, bucket, back);
        Ok(Some(RestoreOutcome::Restored(restored)))
    }
}
