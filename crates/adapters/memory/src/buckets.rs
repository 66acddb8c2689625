//! Buckets.

use async_trait::async_trait;
use wharf_domain::audit::NewAuditRow;
use wharf_domain::bucket::{Bucket, BucketIdentifier, NewBucket};
use wharf_domain::ids::{BucketId, NamespaceId, OrganizationId, SyncId};
use wharf_domain::page::{Page, PageRequest};
use wharf_ports::{BucketChange, BucketRepository, ChangeError, InsertError, RepositoryError};

use crate::MemoryStore;
use crate::page::page;
use crate::state::{Owned, State, all_owned, owned, owned_mut};

impl State {
    /// The bucket with its counts.
    fn counted(&self, bucket: &Bucket) -> Bucket {
        let objects = self.objects.values().map(|owned| &owned.row);
        let live = objects.filter(|object| object.bucket == bucket.id && object.deleted.is_none());
        let (object_count, total_size_bytes) = live.fold((0, 0), |(count, bytes), object| {
            (count + 1, bytes + object.content.size_bytes)
        });
        Bucket {
            object_count,
            total_size_bytes,
            ..bucket.clone()
        }
    }

    /// Removes a bucket with its syncs, jobs and objects.
    pub(crate) fn drop_bucket(&mut self, id: &BucketId) {
        let stored = self.syncs.values().map(|owned| &owned.row.sync);
        let syncs: Vec<SyncId> = stored
            .filter(|sync| sync.bucket == *id)
            .map(|sync| sync.id.clone())
            .collect();
        for sync in &syncs {
            self.drop_sync(sync);
        }
        self.objects.retain(|_, object| object.row.bucket != *id);
        self.sources.retain(|(bucket, _), _| bucket != id);
        self.buckets.remove(id);
    }
}

#[async_trait]
impl BucketRepository for MemoryStore {
    async fn insert(
        &self,
        organization: &OrganizationId,
        new: NewBucket,
        audit: NewAuditRow,
    ) -> Result<Bucket, InsertError> {
        let (mut state, now) = self.open_for(organization, [&audit])?;
        if owned(&state.namespaces, organization, &new.namespace).is_none() {
            return Err(InsertError::ParentMissing);
        }
        let mut siblings = all_owned(&state.buckets, organization)
            .filter(|bucket| bucket.namespace == new.namespace);
        if siblings.any(|bucket| bucket.name == new.name) {
            return Err(InsertError::NameTaken);
        }
        drop(siblings);
        let row = Bucket {
            id: new.id,
            namespace: new.namespace,
            name: new.name,
            description: new.description,
            schema: new.schema,
            metadata: new.metadata,
            object_count: 0,
            total_size_bytes: 0,
            last_upload_at: None,
            created_at: now,
            updated_at: now,
        };
        state.buckets.insert(
            row.id.clone(),
            Owned {
                organization: organization.clone(),
                row: row.clone(),
            },
        );
        state.record(organization, now, audit);
        Ok(row)
    }

    async fn find(
        &self,
        organization: &OrganizationId,
        namespace: &NamespaceId,
        identifier: &BucketIdentifier,
    ) -> Result<Option<Bucket>, RepositoryError> {
        let (state, _) = self.open();
        let wanted = |bucket: &&Bucket| match identifier {
            BucketIdentifier::Id(id) => bucket.id == *id,
            BucketIdentifier::Name(name) => bucket.name.as_str() == name,
        };
        let mut inside =
            all_owned(&state.buckets, organization).filter(|bucket| bucket.namespace == *namespace);
        Ok(inside.find(wanted).map(|bucket| state.counted(bucket)))
    }

    async fn list(
        &self,
        organization: &OrganizationId,
        namespace: &NamespaceId,
        search: Option<&str>,
        request: &PageRequest,
    ) -> Result<Page<Bucket>, RepositoryError> {
        let (state, _) = self.open();
        let search = search.unwrap_or_default().to_lowercase();
        let rows = all_owned(&state.buckets, organization).filter(|bucket| {
            bucket.namespace == *namespace && bucket.name.as_str().to_lowercase().contains(&search)
        });
        let found = page(
            rows,
            |bucket| (bucket.created_at, bucket.id.as_str()),
            request,
        );
        Ok(found.map(|bucket| state.counted(&bucket)))
    }

    async fn remove(
        &self,
        organization: &OrganizationId,
        bucket: &BucketId,
        audit: NewAuditRow,
    ) -> Result<bool, RepositoryError> {
        let (mut state, now) = self.open_for(organization, [&audit])?;
        if owned(&state.buckets, organization, bucket).is_none() {
            return Ok(false);
        }
        state.drop_bucket(bucket);
        state.record(organization, now, audit);
        Ok(true)
    }
    async fn update(
        &self,
        organization: &OrganizationId,
        id: &BucketId,
        change: BucketChange,
        audit: NewAuditRow,
    ) -> Result<Bucket, ChangeError> {
        let (mut state, now) = self.open_for(organization, [&audit])?;
        let stored = owned(&state.buckets, organization, id).ok_or(ChangeError::NotFound)?;
        let mut changed = stored.clone();
        if let Some(name) = change.name {
            changed.name = name;
        }
        if let Some(description) = change.description {
            changed.description = description;
        }
        if let Some(schema) = change.schema {
            changed.schema = schema;
        }
        if let Some(metadata) = change.metadata {
            changed.metadata = metadata;
        }
        if changed == *stored {
            return Ok(state.counted(&changed));
        }
        let clashes = |other: &Bucket| {
            other.id != *id && other.namespace == changed.namespace && other.name == changed.name
        };
        if all_owned(&state.buckets, organization).any(clashes) {
            return Err(ChangeError::NameTaken);
        }
        changed.updated_at = now;
        if let Some(stored) = owned_mut(&mut state.buckets, organization, id) {
            *stored = changed.clone();
        }
        state.record(organization, now, audit);
        Ok(state.counted(&changed))
    }
}
