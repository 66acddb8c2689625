use async_trait::async_trait;
use thiserror::Error;
use wharf_domain::event::{Event, OutboxEntry};
use wharf_domain::ids::{AuditId, OrganizationId};

use crate::{RepositoryError, Source};

/// An organization's events, as long as the outbox keeps them. Whoever stores an audit row that announces something
/// ([`wharf_domain::event::announce`]) stores the entry in the same transaction.
#[async_trait]
pub trait EventRepository: Send + Sync {
    /// The entries behind this place, oldest first; at most `limit`.
    async fn after(
        &self,
        organization: &OrganizationId,
        position: u64,
        limit: u32,
    ) -> Result<Vec<OutboxEntry>, RepositoryError>;

    /// The entries before this place, newest first; at most `limit`. Without a place: the newest.
    async fn before(
        &self,
        organization: &OrganizationId,
        position: Option<u64>,
        limit: u32,
    ) -> Result<Vec<OutboxEntry>, RepositoryError>;

    /// The entry that follows from this audit row.
    async fn find(
        &self,
        organization: &OrganizationId,
        audit: &AuditId,
    ) -> Result<Option<OutboxEntry>, RepositoryError>;
}

/// Why an event could not be published.
#[derive(Debug, Error)]
#[error("the event stream did not take the event")]
pub struct PublishError(#[source] pub Source);

/// A stream that takes every event of every organization, such as NATS `JetStream`.
#[async_trait]
pub trait EventStream: Send + Sync {
    /// Publishes these events, in order; when it returns, the stream has stored them all. Repetitions are told by the events'
    /// identifiers.
    async fn publish(&self, events: &[Event]) -> Result<(), PublishError>;
}
