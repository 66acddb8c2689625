use async_trait::async_trait;
use wharf_domain::audit::{AuditRow, NewAuditRow};
use wharf_domain::ids::OrganizationId;
use wharf_domain::page::{Page, PageRequest};

use crate::RepositoryError;

/// The audit trail. Changes bring their rows along themselves; this is for what changes nothing, and for reading.
#[async_trait]
pub trait AuditRepository: Send + Sync {
    /// Stores a row for an event that changed nothing else, such as a test of a connection.
    async fn record(
        &self,
        organization: &OrganizationId,
        row: NewAuditRow,
    ) -> Result<(), RepositoryError>;

    /// The organization's rows, newest first.
    async fn list(
        &self,
        organization: &OrganizationId,
        page: &PageRequest,
    ) -> Result<Page<AuditRow>, RepositoryError>;
}
