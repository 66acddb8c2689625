//! Buckets.

use async_trait::async_trait;
use wharf_domain::audit::NewAuditRow;
use wharf_domain::bucket::{Bucket, BucketIdentifier, NewBucket};
use wharf_domain::ids::{BucketId, NamespaceId, OrganizationId, SyncId};
use wharf_domain::page::{Page, PageRequest};
use wharf_ports::{BucketRepository, InsertError, RepositoryError};

use crate::MemoryStore;
use crate::page::page;
use crate::state::{Owned, State, all_owned, owned};

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
}

#[async_trait]
impl BucketRepository for MemoryStore {
    async fn insert(
        &self,
        organization: &OrganizationId,
        new: NewBucket,
        audit: NewAuditRow,
    ) -> Result<Bucket, InsertError> {
        let (mut state, now) = self.open();
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
        let (mut state, now) = self.open();
        if owned(&state.buckets, organization, bucket).is_none() {
            return Ok(false);
        }
        let syncs =
            all_owned(&state.syncs, organization).filter(|stored| stored.sync.bucket == *bucket);
        let syncs: Vec<SyncId> = syncs.map(|stored| stored.sync.id.clone()).collect();
        for sync in &syncs {
            state.drop_sync(sync);
        }
        state
            .objects
            .retain(|_, object| object.row.bucket != *bucket);
        state.sources.retain(|(of, _), _| of != bucket);
        state.buckets.remove(bucket);
        state.record(organization, now, audit);
        Ok(true)
    }
}
