//! The audit trail.

use async_trait::async_trait;
use wharf_domain::audit::{AuditFilter, NewAuditRow};
use wharf_domain::ids::OrganizationId;
use wharf_ports::{AuditPage, AuditRepository, RepositoryError};

use crate::MemoryStore;

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
        filter: &AuditFilter,
        skip: u64,
        limit: u32,
    ) -> Result<AuditPage, RepositoryError> {
        let (state, _) = self.open();
        let matching: Vec<_> = state
            .audit
            .iter()
            .rev()
            .filter(|stored| stored.organization == *organization && filter.matches(stored))
            .collect();
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        Ok(AuditPage {
            total: matching.len() as u64,
            rows: matching
                .into_iter()
                .skip(skip)
                .take(limit as usize)
                .cloned()
                .collect(),
        })
    }
}
