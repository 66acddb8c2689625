//! The audit trail.

use async_trait::async_trait;
use wharf_domain::audit::{AuditRow, NewAuditRow};
use wharf_domain::ids::OrganizationId;
use wharf_domain::page::{Page, PageRequest};
use wharf_ports::{AuditRepository, RepositoryError};

use crate::MemoryStore;
use crate::page::page;

#[async_trait]
impl AuditRepository for MemoryStore {
    async fn record(
        &self,
        organization: &OrganizationId,
        row: NewAuditRow,
    ) -> Result<(), RepositoryError> {
        let (mut state, now) = self.open();
        state.record(organization, now, row);
        Ok(())
    }

    async fn list(
        &self,
        organization: &OrganizationId,
        request: &PageRequest,
    ) -> Result<Page<AuditRow>, RepositoryError> {
        let (state, _) = self.open();
        let rows = state
            .audit
            .iter()
            .filter(|stored| stored.organization == *organization);
        Ok(page(
            rows,
            |stored| (stored.at, stored.row.id.as_str()),
            request,
        ))
    }
}
