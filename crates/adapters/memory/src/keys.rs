//! Wrapped organization keys.

use async_trait::async_trait;
use wharf_domain::ids::OrganizationId;
use wharf_ports::{OrganizationKey, OrganizationKeyRepository, RepositoryError};

use crate::MemoryStore;

#[async_trait]
impl OrganizationKeyRepository for MemoryStore {
    async fn newest(
        &self,
        organization: &OrganizationId,
    ) -> Result<Option<OrganizationKey>, RepositoryError> {
        let (state, _) = self.open();
        let newest = state
            .keys
            .get(organization)
            .and_then(|versions| versions.last_key_value());
        Ok(newest.map(|(_, key)| key.clone()))
    }

    async fn find(
        &self,
        organization: &OrganizationId,
        version: u32,
    ) -> Result<Option<OrganizationKey>, RepositoryError> {
        let (state, _) = self.open();
        Ok(state
            .keys
            .get(organization)
            .and_then(|versions| versions.get(&version))
            .cloned())
    }

    async fn insert_if_absent(
        &self,
        organization: &OrganizationId,
        key: OrganizationKey,
    ) -> Result<Option<OrganizationKey>, RepositoryError> {
        let (mut state, _) = self.open();
        if !state.organizations.contains_key(organization) {
            return Ok(None);
        }
        let versions = state.keys.entry(organization.clone()).or_default();
        Ok(Some(versions.entry(key.version).or_insert(key).clone()))
    }
}
