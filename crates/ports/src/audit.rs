use async_trait::async_trait;
use wharf_domain::audit::{
    AuditFilter, AuditHash, AuditRow, AuditSettings, ChainHead, NewAuditRow,
};
use wharf_domain::ids::{AuditId, OrganizationId};

use crate::RepositoryError;

/// Links audit rows under a key that the database does not hold. Never fails: whoever opens a database has the key at hand.
pub trait AuditSeal: Send + Sync {
    /// A keyed hash of these bytes ([`wharf_domain::audit::link_bytes`]), the same after every rotation of the key ring's wrapping
    /// keys.
    fn link(&self, bytes: &[u8]) -> AuditHash;
}

/// A page of the trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditPage {
    /// The rows, newest first.
    pub rows: Vec<AuditRow>,
    /// How many match, before paging.
    pub total: u64,
}

/// A row as the chain has it, for verification: nothing in it is taken for granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainedRow {
    /// The identifier that it carries, as text.
    pub id: String,
    /// Its place and link, as stored.
    pub link: ChainHead,
    /// The row; `None` if it does not read as one.
    pub row: Option<AuditRow>,
}

/// The audit trail. Changes bring their rows along themselves; this is for what changes nothing, and for reading.
///
/// Whoever stores a row links it to the organization's chain in the same transaction: its place is one more than the place of the row
/// before it, without gaps, in the order of the commits.
#[async_trait]
pub trait AuditRepository: Send + Sync {
    /// Stores a row for an event that changed nothing else, such as a test of a connection.
    async fn record(
        &self,
        organization: &OrganizationId,
        row: NewAuditRow,
    ) -> Result<(), RepositoryError>;

    /// One row.
    async fn find(
        &self,
        organization: &OrganizationId,
        id: &AuditId,
    ) -> Result<Option<AuditRow>, RepositoryError>;

    /// The organization's rows that match, newest first (by their place in the chain), after skipping `skip`; at most `limit`.
    async fn list(
        &self,
        organization: &OrganizationId,
        filter: &AuditFilter,
        skip: u64,
        limit: u32,
    ) -> Result<AuditPage, RepositoryError>;

    /// The rows that match and stand before this place in the chain, newest first; at most `limit`. Without a place: the newest.
    async fn before(
        &self,
        organization: &OrganizationId,
        filter: &AuditFilter,
        position: Option<u64>,
        limit: u32,
    ) -> Result<Vec<AuditRow>, RepositoryError>;

    /// What the organization wants of its trail.
    async fn settings(
        &self,
        organization: &OrganizationId,
    ) -> Result<AuditSettings, RepositoryError>;

    /// Changes that.
    async fn change_settings(
        &self,
        organization: &OrganizationId,
        settings: AuditSettings,
        audit: NewAuditRow,
    ) -> Result<(), RepositoryError>;

    /// The head of the organization's chain, as stored.
    async fn head(&self, organization: &OrganizationId) -> Result<ChainHead, RepositoryError>;

    /// The rows of the chain behind this place, oldest first by their stored places; at most `limit`. From the start (`after` 0)
    /// also rows that stand before the first place or at none, where Wharf writes none: they come first, as at place 0.
    async fn chain(
        &self,
        organization: &OrganizationId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<ChainedRow>, RepositoryError>;
}
