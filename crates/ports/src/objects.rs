use async_trait::async_trait;
use wharf_domain::audit::NewAuditRow;
use wharf_domain::ids::{BucketId, ObjectId, OrganizationId};
use wharf_domain::object::{Object, ObjectFilter, SourceId};
use wharf_domain::page::{Page, PageRequest};

use crate::RepositoryError;

/// What became of the wish to have an object back.
#[derive(Debug, Clone, PartialEq)]
pub enum RestoreOutcome {
    /// It is live again.
    Restored(Box<Object>),
    /// It was live.
    NotDeleted,
    /// Its undo window has passed, and its bytes are gone.
    Purged,
}

/// Objects of a bucket.
#[async_trait]
pub trait ObjectRepository: Send + Sync {
    /// An object of the bucket, tombstones included.
    async fn find(
        &self,
        organization: &OrganizationId,
        bucket: &BucketId,
        object: &ObjectId,
    ) -> Result<Option<Object>, RepositoryError>;

    /// The object of a source, tombstones included.
    async fn find_by_source(
        &self,
        organization: &OrganizationId,
        bucket: &BucketId,
        source: &SourceId,
    ) -> Result<Option<Object>, RepositoryError>;

    /// The bucket's objects that match, newest first.
    async fn list(
        &self,
        organization: &OrganizationId,
        bucket: &BucketId,
        filter: &ObjectFilter,
        page: &PageRequest,
    ) -> Result<Page<Object>, RepositoryError>;

    /// Makes an object a tombstone by a person's wish. Whether there was a live one.
    async fn remove(
        &self,
        organization: &OrganizationId,
        bucket: &BucketId,
        object: &ObjectId,
        audit: NewAuditRow,
    ) -> Result<bool, RepositoryError>;

    /// Makes a tombstone a live object again, as long as its bytes are there. `None` when there is no such object.
    async fn restore(
        &self,
        organization: &OrganizationId,
        bucket: &BucketId,
        object: &ObjectId,
        audit: NewAuditRow,
    ) -> Result<Option<RestoreOutcome>, RepositoryError>;
}
