use async_trait::async_trait;
use wharf_domain::audit::NewAuditRow;
use wharf_domain::ids::OrganizationId;
use wharf_domain::namespace::{Namespace, NamespaceIdentifier, NewNamespace};
use wharf_domain::page::{Page, PageRequest};

use crate::{InsertError, RepositoryError};

/// Namespaces of an organization.
#[async_trait]
pub trait NamespaceRepository: Send + Sync {
    /// Adds a namespace. `NameTaken` when the name is; `ParentMissing` when the organization is unknown.
    async fn insert(
        &self,
        organization: &OrganizationId,
        namespace: NewNamespace,
        audit: NewAuditRow,
    ) -> Result<Namespace, InsertError>;

    /// A namespace by identifier or name.
    async fn find(
        &self,
        organization: &OrganizationId,
        identifier: &NamespaceIdentifier,
    ) -> Result<Option<Namespace>, RepositoryError>;

    /// The organization's namespaces, newest first.
    async fn list(
        &self,
        organization: &OrganizationId,
        page: &PageRequest,
    ) -> Result<Page<Namespace>, RepositoryError>;
}
