use async_trait::async_trait;
use thiserror::Error;
use wharf_domain::audit::NewAuditRow;
use wharf_domain::connection::{
    Connection, ConnectionFilter, ConnectionIdentifier, Event, NewConnection, Transition,
    TransitionError,
};
use wharf_domain::ids::{ConnectionId, OrganizationId};
use wharf_domain::page::{Page, PageRequest};

use crate::{InsertError, RepositoryError};

/// Why an event could not be applied.
#[derive(Debug, Error)]
pub enum ApplyError {
    /// There is no such connection.
    #[error("there is no such connection")]
    NotFound,
    /// The connection was changed since it was read.
    #[error("the connection was changed meanwhile")]
    RevisionConflict,
    /// The new name is taken.
    #[error("the name is taken")]
    NameTaken,
    /// The state does not allow it.
    #[error(transparent)]
    Transition(#[from] TransitionError),
    /// The repository could not answer.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
}

/// Connections of an organization.
#[async_trait]
pub trait ConnectionRepository: Send + Sync {
    /// Adds a connection. `NameTaken` when one that is not archived has the name; `ParentMissing` when the organization
    /// is unknown.
    async fn insert(
        &self,
        connection: NewConnection,
        audit: NewAuditRow,
    ) -> Result<Connection, InsertError>;

    /// A connection by identifier or name. A name finds the one that is not archived; archived ones are found by
    /// identifier only.
    async fn find(
        &self,
        organization: &OrganizationId,
        identifier: &ConnectionIdentifier,
    ) -> Result<Option<Connection>, RepositoryError>;

    /// The organization's connections that match, newest first, archived ones included.
    async fn list(
        &self,
        organization: &OrganizationId,
        filter: &ConnectionFilter,
        page: &PageRequest,
    ) -> Result<Page<Connection>, RepositoryError>;

    /// Applies events, in order and as one step, to the connection as it is stored now ([`Connection::apply`] under a
    /// row lock), and stores the result with the audit rows if anything changed, each row telling the status
    /// before and after ([`Transition::told_in`]); if nothing changed, nothing is stored.
    ///
    /// With `if_revision`, the stored revision must be that one, else `RevisionConflict`. When the connection becomes
    /// archived, its sealed credentials are gone from the row and its syncs stop (state `connection_archived`, nothing
    /// planned, leases void, jobs at work `interrupted` and queued ones `skipped`, each with its
    /// audit row) in the same transaction. Once a suspension or archiving has returned,
    /// no run commits through the old epoch.
    ///
    /// The returned transition tells the first status and the last as `status_change`.
    async fn apply(
        &self,
        organization: &OrganizationId,
        id: &ConnectionId,
        if_revision: Option<u64>,
        events: Vec<Event>,
        audit: Vec<NewAuditRow>,
    ) -> Result<Transition, ApplyError>;
}
