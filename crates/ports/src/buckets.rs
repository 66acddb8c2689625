use async_trait::async_trait;
use serde_json::Value;
use wharf_domain::Metadata;
use wharf_domain::audit::NewAuditRow;
use wharf_domain::bucket::{Bucket, BucketIdentifier, BucketName, NewBucket};
use wharf_domain::ids::{BucketId, NamespaceId, OrganizationId};
use wharf_domain::page::{Page, PageRequest};

use crate::{ChangeError, InsertError, RepositoryError};

/// A change of a bucket. `None` leaves a field as it is.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct BucketChange {
    /// A new name.
    pub name: Option<BucketName>,
    /// A new description; `Some(None)` clears it.
    pub description: Option<Option<String>>,
    /// A new schema.
    pub schema: Option<Value>,
    /// New key-value pairs, replacing all.
    pub metadata: Option<Metadata>,
}

/// Buckets of a namespace.
#[async_trait]
pub trait BucketRepository: Send + Sync {
    /// Adds a bucket. `NameTaken` when the namespace has one of that name; `ParentMissing` when the namespace is not the
    /// organization's.
    async fn insert(
        &self,
        organization: &OrganizationId,
        bucket: NewBucket,
        audit: NewAuditRow,
    ) -> Result<Bucket, InsertError>;

    /// A bucket of the namespace by identifier or name, with its counts.
    async fn find(
        &self,
        organization: &OrganizationId,
        namespace: &NamespaceId,
        identifier: &BucketIdentifier,
    ) -> Result<Option<Bucket>, RepositoryError>;

    /// The namespace's buckets whose name contains `search` in any letter case, newest first, with their counts.
    async fn list(
        &self,
        organization: &OrganizationId,
        namespace: &NamespaceId,
        search: Option<&str>,
        page: &PageRequest,
    ) -> Result<Page<Bucket>, RepositoryError>;

    /// Removes a bucket with its syncs, jobs and objects. Runs at work lose their lease with it. Whether there was one.
    async fn remove(
        &self,
        organization: &OrganizationId,
        bucket: &BucketId,
        audit: NewAuditRow,
    ) -> Result<bool, RepositoryError>;

    /// Changes a bucket; its counts are part of the answer. A change that changes nothing stores nothing.
    async fn update(
        &self,
        organization: &OrganizationId,
        bucket: &BucketId,
        change: BucketChange,
        audit: NewAuditRow,
    ) -> Result<Bucket, ChangeError>;
}
