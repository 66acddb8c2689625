use async_trait::async_trait;
use thiserror::Error;
use wharf_domain::audit::NewAuditRow;
use wharf_domain::connection::{Event, Transition};
use wharf_domain::health::{AvailabilitySummary, CheckRecord, NewCheckRecord};
use wharf_domain::ids::{ConnectionId, OrganizationId};
use wharf_domain::page::{Page, PageRequest};

use crate::{ApplyError, RepositoryError};

/// The right to check a connection, until it expires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckLease {
    /// Which connection.
    pub connection: ConnectionId,
    /// Grows with every lease of that connection.
    pub fence: u64,
}

/// Why a check could not be recorded. Nothing was stored.
#[derive(Debug, Error)]
pub enum RecordError {
    /// The lease is somebody else's by now.
    #[error("the lease of the check was lost")]
    LeaseLost,
    /// As with any event.
    #[error(transparent)]
    Apply(#[from] ApplyError),
}

impl From<RepositoryError> for RecordError {
    fn from(error: RepositoryError) -> Self {
        Self::Apply(error.into())
    }
}

/// The history of a connection's checks.
#[async_trait]
pub trait CheckRepository: Send + Sync {
    /// Adds a check to the history and applies its event to the connection as it is stored now, as one step: a write that compares
    /// what it decided on (epoch, credential version, counter) and sets, or nothing. A stale outcome changes nothing of the
    /// connection and is in the history all the same.
    ///
    /// `tested` is stored always, telling the status before and after ([`Transition::told_in`]); `expiring` only when the transition
    /// has something to warn about, which it then tells as `expires_at`. With a lease, the lease ends.
    #[expect(
        clippy::too_many_arguments,
        reason = "what one step stores together; none of it is optional"
    )]
    async fn record(
        &self,
        organization: &OrganizationId,
        connection: &ConnectionId,
        lease: Option<&CheckLease>,
        check: NewCheckRecord,
        event: Event,
        tested: NewAuditRow,
        expiring: NewAuditRow,
    ) -> Result<Transition, RecordError>;

    /// Ends a lease without a check, such as at a shutdown; the connection is due again.
    async fn release(
        &self,
        organization: &OrganizationId,
        lease: &CheckLease,
    ) -> Result<(), RepositoryError>;

    /// The connection's checks, newest first.
    async fn list(
        &self,
        organization: &OrganizationId,
        connection: &ConnectionId,
        page: &PageRequest,
    ) -> Result<Page<CheckRecord>, RepositoryError>;

    /// What they amount to, as of now by the database's clock.
    async fn availability(
        &self,
        organization: &OrganizationId,
        connection: &ConnectionId,
    ) -> Result<AvailabilitySummary, RepositoryError>;
}
