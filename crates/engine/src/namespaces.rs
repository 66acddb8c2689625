//! Namespaces.

use serde_json::{Map, Value, json};
use wharf_domain::audit::{Action, ResourceType};
use wharf_domain::namespace::{
    DEFAULT_NAMESPACE, Namespace, NamespaceIdentifier, NamespaceName, NewNamespace,
};
use wharf_domain::page::{Page, PageRequest};
use wharf_domain::scope::Place;
use wharf_ports::{ChangeError, NamespaceChange, RemoveOutcome};

use crate::error::insert_failed;
use crate::{Caller, Engine, EngineError, Mandate};

/// The place of a namespace.
pub(crate) fn place(namespace: &Namespace) -> Place<'_> {
    let id = namespace.id.as_str();
    Place::named(ResourceType::Namespace, id, namespace.name.as_str())
}

fn missing(identifier: &str) -> EngineError {
    EngineError::not_found("namespace", identifier)
}

fn name_taken() -> EngineError {
    EngineError::conflict("namespace_name_taken", "A namespace of this name exists.")
}

/// Refuses to take away what a request without `X-Namespace` means.
fn refuse_default(namespace: &Namespace) -> Result<(), EngineError> {
    if namespace.name.as_str() == DEFAULT_NAMESPACE {
        let message = "The namespace default is what requests without X-Namespace mean: it cannot be renamed or deleted.";
        return Err(EngineError::conflict("namespace_is_default", message));
    }
    Ok(())
}

impl Engine {
    /// Adds a namespace.
    pub async fn create_namespace(
        &self,
        caller: &Caller,
        name: NamespaceName,
        description: Option<String>,
    ) -> Result<Namespace, EngineError> {
        let told = Place::as_told(ResourceType::Namespace, name.as_str());
        caller.may(("namespace", name.as_str()), &[told])?;
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
            let parent = EngineError::not_found("organization", caller.organization().as_str());
            insert_failed(error, name_taken(), parent)
        })
    }

    /// A namespace by identifier or name.
    pub async fn namespace(
        &self,
        caller: &Caller,
        identifier: &str,
    ) -> Result<Namespace, EngineError> {
        let told = ("namespace", identifier);
        if let Some(namespace) = self.find_namespace(caller, identifier).await? {
            return caller.may(told, &[place(&namespace)]).map(|()| namespace);
        }
        let place = Place::as_told(ResourceType::Namespace, identifier);
        caller.may(told, &[place])?;
        Err(missing(identifier))
    }

    /// A namespace that a request only steps into, on its way to a bucket: what it finds there is checked against the key's scopes
    /// by itself.
    pub async fn enter_namespace(
        &self,
        caller: &Caller,
        identifier: &str,
    ) -> Result<Namespace, EngineError> {
        let found = self.find_namespace(caller, identifier).await?;
        found.ok_or_else(|| missing(identifier))
    }

    async fn find_namespace(
        &self,
        caller: &Caller,
        identifier: &str,
    ) -> Result<Option<Namespace>, EngineError> {
        let parsed = NamespaceIdentifier::parse(identifier);
        let namespaces = &self.repositories().namespaces;
        Ok(namespaces.find(caller.organization(), &parsed).await?)
    }

    /// A namespace that is shown to a caller, which the trail may want to know.
    pub async fn read_namespace(
        &self,
        caller: &Caller,
        identifier: &str,
    ) -> Result<Namespace, EngineError> {
        let namespace = self.namespace(caller, identifier).await?;
        let resource = (ResourceType::Namespace, namespace.id.as_str());
        self.note_read(caller, Action::NamespaceAccessed, resource)
            .await?;
        Ok(namespace)
    }

    /// The organization's namespaces, newest first.
    pub async fn list_namespaces(
        &self,
        caller: &Caller,
        page: &PageRequest,
    ) -> Result<Page<Namespace>, EngineError> {
        caller.may(("namespace", "*"), &[Place::all(ResourceType::Namespace)])?;
        Ok(self
            .repositories()
            .namespaces
            .list(caller.organization(), page)
            .await?)
    }

    /// Changes a namespace. What changes nothing leaves no trace.
    pub async fn update_namespace(
        &self,
        caller: &Caller,
        identifier: &str,
        change: NamespaceChange,
    ) -> Result<Namespace, EngineError> {
        let namespace = self.namespace(caller, identifier).await?;
        let change = NamespaceChange {
            name: change.name.filter(|name| *name != namespace.name),
            description: change
                .description
                .filter(|text| *text != namespace.description),
        };
        if change == NamespaceChange::default() {
            return Ok(namespace);
        }
        let mut changes = Map::new();
        if let Some(name) = &change.name {
            refuse_default(&namespace)?;
            let names = json!({"from": namespace.name.as_str(), "to": name.as_str()});
            changes.insert("namespace_name".to_owned(), names);
        }
        if change.description.is_some() {
            changes.insert("description".to_owned(), json!("changed"));
        }
        let resource = (ResourceType::Namespace, namespace.id.as_str());
        let changes = Value::Object(changes);
        let audit = caller.audit(self.ids(), Action::NamespaceUpdated, resource, changes);
        self.repositories()
            .namespaces
            .update(caller.organization(), &namespace.id, change, audit)
            .await
            .map_err(|error| match error {
                ChangeError::NotFound => missing(identifier),
                ChangeError::NameTaken => name_taken(),
                ChangeError::Repository(error) => error.into(),
            })
    }

    /// Removes a namespace that is empty; with `force`, one with buckets and all that they hold.
    pub async fn delete_namespace(
        &self,
        caller: &Caller,
        identifier: &str,
        force: bool,
    ) -> Result<Namespace, EngineError> {
        let namespace = self.namespace(caller, identifier).await?;
        refuse_default(&namespace)?;
        let resource = (ResourceType::Namespace, namespace.id.as_str());
        let page = PageRequest::first(PageRequest::MAX_LIMIT);
        let buckets = &self.repositories().buckets;
        let held = buckets.list(caller.organization(), &namespace.id, None, &page);
        let mut holdings = Vec::new();
        for bucket in held.await?.items.iter().filter(|_| force) {
            holdings.push(self.holdings(caller, bucket).await?);
        }
        let changes = json!({
            "namespace_name": namespace.name.as_str(),
            "force": force,
            "buckets": holdings,
        });
        let audit = caller.audit(self.ids(), Action::NamespaceDeleted, resource, changes);
        let outcome = self
            .repositories()
            .namespaces
            .remove(caller.organization(), &namespace.id, force, audit)
            .await?;
        match outcome {
            RemoveOutcome::Removed => Ok(namespace),
            RemoveOutcome::NotFound => Err(missing(identifier)),
            RemoveOutcome::NotEmpty(buckets) => {
                let message = format!(
                    "The namespace holds {buckets} bucket(s); delete them first, or delete the namespace with force=true, which \
                     deletes them with their syncs and objects."
                );
                Err(EngineError::conflict("namespace_not_empty", message))
            }
        }
    }
}
