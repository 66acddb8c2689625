use std::collections::BTreeMap;

use async_trait::async_trait;
use wharf_domain::audit::NewAuditRow;
use wharf_domain::dead_letter::{DeadLetter, DeadLetterFilter};
use wharf_domain::ids::{JobId, OrganizationId, SyncId};
use wharf_domain::page::{Page, PageRequest};

use crate::RepositoryError;

/// Dead letters of a sync. Only open ones, neither resolved nor disposed of, are listed, counted and changed.
#[async_trait]
pub trait DeadLetterRepository: Send + Sync {
    /// The sync's open dead letters that match, newest first (by `first_seen_at`, then identifier).
    async fn list(
        &self,
        organization: &OrganizationId,
        sync: &SyncId,
        filter: &DeadLetterFilter,
        page: &PageRequest,
    ) -> Result<Page<DeadLetter>, RepositoryError>;

    /// The open dead letter of a source object.
    async fn find_by_source(
        &self,
        organization: &OrganizationId,
        sync: &SyncId,
        source_object: &str,
    ) -> Result<Option<DeadLetter>, RepositoryError>;

    /// Open ones that a run may try: not exhausted, or an exhausted one whose
    /// [`HEALING_PAUSE`](wharf_domain::dead_letter::HEALING_PAUSE) is over by the database's clock; none that failed in `job` itself.
    /// Those first whose last try is longest ago; at most `limit`.
    async fn due(
        &self,
        organization: &OrganizationId,
        sync: &SyncId,
        job: &JobId,
        limit: u32,
    ) -> Result<Vec<DeadLetter>, RepositoryError>;

    /// How many exhausted ones there are, by error code.
    async fn count_exhausted(
        &self,
        organization: &OrganizationId,
        sync: &SyncId,
    ) -> Result<BTreeMap<String, u64>, RepositoryError>;

    /// Gives exhausted ones with these error codes (`None`: any) their tries back: `tries` 0, not exhausted, `requeued_at`
    /// now. Returns how many; the audit row (with the number as `requeued` in its changes) is stored if there are any.
    async fn requeue(
        &self,
        organization: &OrganizationId,
        sync: &SyncId,
        error_types: Option<&[String]>,
        audit: NewAuditRow,
    ) -> Result<u64, RepositoryError>;

    /// Makes those that are not exhausted and have one of these error codes exhausted. Returns how many; the audit row (with
    /// the number as `marked` in its changes) is stored if there are any.
    async fn mark_exhausted(
        &self,
        organization: &OrganizationId,
        sync: &SyncId,
        error_types: &[String],
        audit: NewAuditRow,
    ) -> Result<u64, RepositoryError>;
}
