//! Namespaces.

use async_trait::async_trait;
use wharf_domain::audit::NewAuditRow;
use wharf_domain::ids::{BucketId, NamespaceId, OrganizationId};
use wharf_domain::namespace::{Namespace, NamespaceIdentifier, NewNamespace};
use wharf_domain::page::{Page, PageRequest};
use wharf_ports::{
    ChangeError, InsertError, NamespaceChange, NamespaceRepository, RemoveOutcome, RepositoryError,
};

use crate::MemoryStore;
use crate::page::page;
use crate::state::{Owned, all_owned, owned, owned_mut};

#[async_trait]
impl NamespaceRepository for MemoryStore {
    async fn insert(
        &self,
        organization: &OrganizationId,
        new: NewNamespace,
        audit: NewAuditRow,
    ) -> Result<Namespace, InsertError> {
        let (mut state, now) = self.open_for(organization, [&audit])?;
        if !state.organizations.contains_key(organization) {
            return Err(InsertError::ParentMissing);
        }
        if all_owned(&state.namespaces, organization).any(|other| other.name == new.name) {
            return Err(InsertError::NameTaken);
        }
        let row = Namespace {
            id: new.id,
            name: new.name,
            description: new.description,
            created_at: now,
        };
        let stored = Owned {
            organization: organization.clone(),
            row: row.clone(),
        };
        state.namespaces.insert(row.id.clone(), stored);
        state.record(organization, now, audit);
        Ok(row)
    }

    async fn find(
        &self,
        organization: &OrganizationId,
        identifier: &NamespaceIdentifier,
    ) -> Result<Option<Namespace>, RepositoryError> {
        let (state, _) = self.open();
        let found = match identifier {
            NamespaceIdentifier::Id(id) => owned(&state.namespaces, organization, id),
            NamespaceIdentifier::Name(name) => all_owned(&state.namespaces, organization)
                .find(|namespace| namespace.name.as_str() == name),
        };
        Ok(found.cloned())
    }

    async fn list(
        &self,
        organization: &OrganizationId,
        request: &PageRequest,
    ) -> Result<Page<Namespace>, RepositoryError> {
        let (state, _) = self.open();
        let rows = all_owned(&state.namespaces, organization);
        Ok(page(
            rows,
            |namespace| (namespace.created_at, namespace.id.as_str()),
            request,
        ))
    }
    async fn update(
        &self,
        organization: &OrganizationId,
        id: &NamespaceId,
        change: NamespaceChange,
        audit: NewAuditRow,
    ) -> Result<Namespace, ChangeError> {
        let (mut state, now) = self.open_for(organization, [&audit])?;
        let stored = owned(&state.namespaces, organization, id).ok_or(ChangeError::NotFound)?;
        let changed = Namespace {
            name: change.name.unwrap_or_else(|| stored.name.clone()),
            description: change
                .description
                .unwrap_or_else(|| stored.description.clone()),
            ..stored.clone()
        };
        if changed == *stored {
            return Ok(changed);
        }
        let mut all = all_owned(&state.namespaces, organization);
        if all.any(|other| other.id != *id && other.name == changed.name) {
            return Err(ChangeError::NameTaken);
        }
        drop(all);
        if let Some(stored) = owned_mut(&mut state.namespaces, organization, id) {
            *stored = changed.clone();
        }
        state.record(organization, now, audit);
        Ok(changed)
    }

    async fn remove(
        &self,
        organization: &OrganizationId,
        id: &NamespaceId,
        force: bool,
        audit: NewAuditRow,
    ) -> Result<RemoveOutcome, RepositoryError> {
        let (mut state, now) = self.open_for(organization, [&audit])?;
        if owned(&state.namespaces, organization, id).is_none() {
            return Ok(RemoveOutcome::NotFound);
        }
        let inside = all_owned(&state.buckets, organization).filter(|it| it.namespace == *id);
        let buckets: Vec<BucketId> = inside.map(|bucket| bucket.id.clone()).collect();
        if !buckets.is_empty() && !force {
            return Ok(RemoveOutcome::NotEmpty(buckets.len() as u64));
        }
        for bucket in &buckets {
            state.drop_bucket(bucket);
        }
        state.namespaces.remove(id);
        state.record(organization, now, audit);
        Ok(RemoveOutcome::Removed)
    }
}
