use std::time::Duration;

use async_trait::async_trait;
use wharf_domain::Timestamp;
use wharf_domain::access::{ApiKeyHash, Organization, Principal};
use wharf_domain::audit::NewAuditRow;
use wharf_domain::ids::{JobId, OrganizationId};
use wharf_domain::object::BlobKey;
use wharf_domain::sync::Lease;

use crate::{InsertError, NewApiKey, NewOrganization, RepositoryError};

/// What an API key stands for, and whether it may be used now by the database's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// Who makes the request.
    pub principal: Principal,
    /// Neither revoked nor expired.
    pub valid: bool,
}

/// A sync that a worker has just leased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueSync {
    /// Whose sync it is.
    pub organization: OrganizationId,
    /// The right to run it.
    pub lease: Lease,
}

/// The few questions that cannot be asked within one organization.
#[async_trait]
pub trait AcrossOrganizations: Send + Sync {
    /// Creates the very first organization with an admin key, if the database holds none. Returns whether it did; of
    /// several callers at once exactly one does.
    async fn bootstrap(
        &self,
        organization: NewOrganization,
        key: NewApiKey,
        audit: NewAuditRow,
    ) -> Result<bool, RepositoryError>;

    /// Creates a further organization with its admin user and namespace `default`. `NameTaken` when the name is.
    async fn insert_organization(
        &self,
        organization: NewOrganization,
        audit: NewAuditRow,
    ) -> Result<Organization, InsertError>;

    /// All organizations, oldest first.
    async fn list_organizations(&self) -> Result<Vec<Organization>, RepositoryError>;

    /// The key with this hash, if there is one.
    async fn find_api_key(&self, hash: &ApiKeyHash) -> Result<Option<Credential>, RepositoryError>;

    /// Leases a sync that is due, or one whose lease has expired: its connection is active, it is not paused, its
    /// `next_run_at` has come (an expired lease counts as due), and nobody holds it. The fence grows by one. Of those, one of
    /// the organization with the fewest leases that have not expired comes first, and among equals the one that has been due
    /// longest, so that nobody's many syncs keep another's few waiting.
    ///
    /// A full run that was asked for meanwhile begins: the checkpoint of an incomplete pass is dropped, `pending_full` ends, and
    /// a new job's trigger is `manual`. It is a resume of nothing.
    ///
    /// The run is the sync's queued job if it has one, else a new job `new_job` (trigger `scheduled`). Where the lease of
    /// a job had expired, that job becomes `interrupted` in the same step (`incomplete_reason` `lease_expired`) and the
    /// new job is a `resume` of it, unless a queued job takes over. The job's `started_at` is set, its phase is
    /// `discovering`.
    ///
    /// A job whose lease has expired while its connection is not active, or its sync paused, becomes `interrupted` too (`lease_expired`), its
    /// sync is released and not leased: the next lease, once the connection is active again, is a `resume`.
    ///
    /// Each job that ends so leaves its audit row ([`NewAuditRow::job_ended_alone`]).
    ///
    /// Of several callers at once, no two lease the same sync. When nothing is due: `None`.
    async fn lease_due_sync(
        &self,
        worker: &str,
        ttl: Duration,
        new_job: &JobId,
    ) -> Result<Option<DueSync>, RepositoryError>;

    /// Purges tombstones whose undo window has passed: the bytes of those that a person deleted are let go of (the row stays,
    /// so that the file is not copied again), those that vanished at the source go altogether, with the rows of catalogues that
    /// point at them. At most `limit`, those first that were deleted first; returns how many. Their blobs are referenced no
    /// longer.
    async fn purge_tombstones(&self, undo: Duration, limit: u32) -> Result<u64, RepositoryError>;

    /// Closes exhausted dead letters whose last try is [`DISPOSAL`](wharf_domain::dead_letter::DISPOSAL) ago and whose sync does
    /// not run any more: it is paused, completed, or its connection archived. At most `limit`; returns how many.
    async fn dispose_dead_letters(&self, limit: u32) -> Result<u64, RepositoryError>;

    /// Which of these blobs some object that is not purged, live or tombstone, points at.
    async fn referenced_blobs(&self, keys: &[BlobKey]) -> Result<Vec<BlobKey>, RepositoryError>;

    /// The database's clock.
    async fn now(&self) -> Result<Timestamp, RepositoryError>;
}
