use async_trait::async_trait;
use wharf_domain::audit::NewAuditRow;
use wharf_domain::ids::{ExternalId, OrganizationId};

use crate::RepositoryError;

/// The external ids that were issued to organizations for role assumption.
#[async_trait]
pub trait ExternalIdRepository: Send + Sync {
    /// The organization's external ids, oldest first.
    async fn issued(
        &self,
        organization: &OrganizationId,
    ) -> Result<Vec<ExternalId>, RepositoryError>;

    /// Issues the organization's first external id, unless it has one, and returns its oldest one: of two callers at the same
    /// moment, both get the same. The audit row is stored only with an id. `None` when the organization is unknown.
    async fn issue_first(
        &self,
        organization: &OrganizationId,
        id: ExternalId,
        audit: NewAuditRow,
    ) -> Result<Option<ExternalId>, RepositoryError>;
}
