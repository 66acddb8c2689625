//! Issued external ids.

use async_trait::async_trait;
use wharf_domain::audit::NewAuditRow;
use wharf_domain::ids::{ExternalId, OrganizationId};
use wharf_ports::{ExternalIdRepository, RepositoryError};

use crate::MemoryStore;

#[async_trait]
impl ExternalIdRepository for MemoryStore {
    async fn issued(
        &self,
        organization: &OrganizationId,
    ) -> Result<Vec<ExternalId>, RepositoryError> {
        let (state, _) = self.open();
        Ok(state
            .external_ids
            .get(organization)
            .cloned()
            .unwrap_or_default())
    }

    async fn issue_first(
        &self,
        organization: &OrganizationId,
        id: ExternalId,
        audit: NewAuditRow,
    ) -> Result<Option<ExternalId>, RepositoryError> {
        let (mut state, now) = self.open_for(organization, [&audit])?;
        if !state.organizations.contains_key(organization) {
            return Ok(None);
        }
        let issued = state.external_ids.entry(organization.clone()).or_default();
        if let Some(oldest) = issued.first() {
            return Ok(Some(oldest.clone()));
        }
        issued.push(id.clone());
        state.record(organization, now, audit);
        Ok(Some(id))
    }
}
