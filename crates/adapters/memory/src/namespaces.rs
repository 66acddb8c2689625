//! Namespaces.

use async_trait::async_trait;
use wharf_domain::audit::NewAuditRow;
use wharf_domain::ids::OrganizationId;
use wharf_domain::namespace::{Namespace, NamespaceIdentifier, NewNamespace};
use wharf_domain::page::{Page, PageRequest};
use wharf_ports::{InsertError, NamespaceRepository, RepositoryError};

use crate::MemoryStore;
use crate::page::page;
use crate::state::{Owned, all_owned, owned};

#[async_trait]
impl NamespaceRepository for MemoryStore {
    async fn insert(
        &self,
        organization: &OrganizationId,
        new: NewNamespace,
        audit: NewAuditRow,
    ) -> Result<Namespace, InsertError> {
        let (mut state, now) = self.open();
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
}
