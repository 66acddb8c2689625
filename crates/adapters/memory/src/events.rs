//! The outbox.

use async_trait::async_trait;
use wharf_domain::event::OutboxEntry;
use wharf_domain::ids::{AuditId, OrganizationId};
use wharf_ports::{EventRepository, RepositoryError};

use crate::MemoryStore;
use crate::state::at_most;

#[async_trait]
impl EventRepository for MemoryStore {
    async fn after(
        &self,
        organization: &OrganizationId,
        position: u64,
        limit: u32,
    ) -> Result<Vec<OutboxEntry>, RepositoryError> {
        let (state, _) = self.open();
        let entries = state.trail.entries_from(organization, 0);
        let behind = entries.filter(|entry| entry.head.position > position);
        Ok(behind.take(at_most(limit)).cloned().collect())
    }

    async fn before(
        &self,
        organization: &OrganizationId,
        position: Option<u64>,
        limit: u32,
    ) -> Result<Vec<OutboxEntry>, RepositoryError> {
        let (state, _) = self.open();
        let entries = state.trail.entries_from(organization, 0).rev();
        let before =
            entries.filter(|entry| position.is_none_or(|place| entry.head.position < place));
        Ok(before.take(at_most(limit)).cloned().collect())
    }

    async fn find(
        &self,
        organization: &OrganizationId,
        audit: &AuditId,
    ) -> Result<Option<OutboxEntry>, RepositoryError> {
        let (state, _) = self.open();
        let mut entries = state.trail.entries_from(organization, 0);
        Ok(entries.find(|entry| entry.audit == *audit).cloned())
    }
}
