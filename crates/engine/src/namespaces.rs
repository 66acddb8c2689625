//! Namespaces.

use serde_json::json;
use wharf_domain::audit::{Action, ResourceType};
use wharf_domain::namespace::{Namespace, NamespaceIdentifier, NamespaceName, NewNamespace};
use wharf_domain::page::{Page, PageRequest};

use crate::error::insert_failed;
use crate::{Caller, Engine, EngineError};

impl Engine {
    /// Adds a namespace.
    pub async fn create_namespace(
        &self,
        caller: &Caller,
        name: NamespaceName,
        description: Option<String>,
    ) -> Result<Namespace, EngineError> {
        let new = NewNamespace {
            id: self.ids().id(),
            name,
            description,
        };
        let resource = (ResourceType::Namespace, new.id.as_str());
        let changes = json!({"namespace_name": new.name.as_str()});
        let audit = caller.audit(self.ids(), Action::NamespaceCreated, resource, changes);
        let inserted = self
            .repositories()
            .namespaces
            .insert(caller.organization(), new, audit)
            .await;
        inserted.map_err(|error| {
            let taken =
                EngineError::conflict("namespace_name_taken", "A namespace of this name exists.");
            insert_failed(
                error,
                taken,
                EngineError::not_found("organization", caller.organization().as_str()),
            )
        })
    }

    /// A namespace by identifier or name.
    pub async fn namespace(
        &self,
        caller: &Caller,
        identifier: &str,
    ) -> Result<Namespace, EngineError> {
        let parsed = NamespaceIdentifier::parse(identifier);
        let found = self
            .repositories()
            .namespaces
            .find(caller.organization(), &parsed)
            .await?;
        found.ok_or_else(|| EngineError::not_found("namespace", identifier))
    }

    /// The organization's namespaces, newest first.
    pub async fn list_namespaces(
        &self,
        caller: &Caller,
        page: &PageRequest,
    ) -> Result<Page<Namespace>, EngineError> {
        Ok(self
            .repositories()
            .namespaces
            .list(caller.organization(), page)
            .await?)
    }
}
