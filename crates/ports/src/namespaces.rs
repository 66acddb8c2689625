use async_trait::async_trait;
use thiserror::Error;
use wharf_domain::audit::NewAuditRow;
use wharf_domain::ids::{NamespaceId, OrganizationId};
use wharf_domain::namespace::{Namespace, NamespaceIdentifier, NamespaceName, NewNamespace};
use wharf_domain::page::{Page, PageRequest};

use crate::{InsertError, RepositoryError};

/// A change of a namespace. `None` leaves a field as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NamespaceChange {
    /// A new name.
    pub name: Option<NamespaceName>,
    /// A new description; `Some(None)` clears it.
    pub description: Option<Option<String>>,
}

/// Why a namespace or bucket could not be changed. Nothing was stored.
#[derive(Debug, Error)]
pub enum ChangeError {
    /// There is no such thing.
    #[error("there is no such row")]
    NotFound,
    /// The name is taken.
    #[error("the name is taken")]
    NameTaken,
    /// The repository could not answer.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
}

/// What became of the wish to remove a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemoveOutcome {
    /// It is gone.
    Removed,
    /// There was none.
    NotFound,
    /// It holds this many buckets and stays.
    NotEmpty(u64),
}

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

    /// Changes a namespace. A change that changes nothing stores nothing.
    async fn update(
        &self,
        organization: &OrganizationId,
        namespace: &NamespaceId,
        change: NamespaceChange,
        audit: NewAuditRow,
    ) -> Result<Namespace, ChangeError>;

    /// Removes a namespace; with `force`, its buckets with all that they hold, too.
    async fn remove(
        &self,
        organization: &OrganizationId,
        namespace: &NamespaceId,
        force: bool,
        audit: NewAuditRow,
    ) -> Result<RemoveOutcome, RepositoryError>;
}
