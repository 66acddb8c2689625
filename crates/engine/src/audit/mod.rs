//! The audit trail: read, exported, set up and verified.

mod verify;

use std::collections::HashMap;

use serde_json::json;
use wharf_domain::access::Email;
use wharf_domain::audit::{Action, Actor, AuditFilter, AuditRow, AuditSettings, ResourceType};
use wharf_domain::ids::OrganizationId;
use wharf_ports::AuditPage;

use crate::caller::audit_row;
use crate::{Caller, Engine, EngineError, Mandate};

pub use verify::{AuditVerdict, ChainFault, ChainFaultKind};

/// Who stands behind the identifiers in audit rows, as far as they are still there.
#[derive(Debug, Clone, Default)]
pub struct Actors {
    users: HashMap<String, Person>,
    keys: HashMap<String, String>,
}

#[derive(Debug, Clone)]
struct Person {
    name: String,
    email: Email,
}

impl Actors {
    /// The name of a row's actor.
    pub fn name(&self, actor: &Actor) -> Option<&str> {
        Some(self.user(actor)?.name.as_str())
    }

    /// The e-mail address of a row's actor.
    pub fn email(&self, actor: &Actor) -> Option<&str> {
        Some(self.user(actor)?.email.as_str())
    }

    /// The name of the key that a row's actor used.
    pub fn key_name(&self, actor: &Actor) -> Option<&str> {
        match actor {
            Actor::User { key_id, .. } => self.keys.get(key_id).map(String::as_str),
            Actor::System | Actor::Operator => None,
        }
    }

    fn user(&self, actor: &Actor) -> Option<&Person> {
        match actor {
            Actor::User { user_id, .. } => self.users.get(user_id),
            Actor::System | Actor::Operator => None,
        }
    }
}

impl Engine {
    /// The rows of the trail that match, newest first.
    pub async fn list_audit(
        &self,
        by: &dyn Mandate,
        filter: &AuditFilter,
        skip: u64,
        limit: u32,
    ) -> Result<AuditPage, EngineError> {
        by.may_touch_organization()?;
        let audit = &self.repositories().audit;
        Ok(audit.list(by.organization(), filter, skip, limit).await?)
    }

    /// The rows of the trail that match and stand before a place in the chain, newest first.
    pub async fn audit_before(
        &self,
        by: &dyn Mandate,
        filter: &AuditFilter,
        position: Option<u64>,
        limit: u32,
    ) -> Result<Vec<AuditRow>, EngineError> {
        by.may_touch_organization()?;
        let audit = &self.repositories().audit;
        Ok(audit
            .before(by.organization(), filter, position, limit)
            .await?)
    }

    /// One row of the trail.
    pub async fn audit_row(&self, by: &dyn Mandate, id: &str) -> Result<AuditRow, EngineError> {
        by.may_touch_organization()?;
        let missing = || EngineError::not_found("audit row", id);
        let parsed = id.parse().map_err(|_| missing())?;
        let audit = &self.repositories().audit;
        let found = audit.find(by.organization(), &parsed).await?;
        found.ok_or_else(missing)
    }

    /// Who the users and keys are that the organization's rows name.
    pub async fn audit_actors(&self, by: &dyn Mandate) -> Result<Actors, EngineError> {
        by.may_touch_organization()?;
        let access = &self.repositories().access;
        let mut actors = Actors::default();
        for user in access.list_users(by.organization()).await? {
            for key in access.list_api_keys(by.organization(), &user.id).await? {
                actors.keys.insert(key.id.to_string(), key.name);
            }
            let person = Person {
                name: user.profile.name,
                email: user.email,
            };
            actors.users.insert(user.id.to_string(), person);
        }
        Ok(actors)
    }

    /// What the organization wants of its trail.
    pub async fn audit_settings(&self, by: &dyn Mandate) -> Result<AuditSettings, EngineError> {
        by.may_touch_organization()?;
        let audit = &self.repositories().audit;
        Ok(audit.settings(by.organization()).await?)
    }

    /// Changes that. What changes nothing leaves no trace.
    pub async fn update_audit_settings(
        &self,
        by: &dyn Mandate,
        read_auditing_enabled: Option<bool>,
    ) -> Result<AuditSettings, EngineError> {
        let before = self.audit_settings(by).await?;
        let settings = AuditSettings {
            read_auditing_enabled: read_auditing_enabled.unwrap_or(before.read_auditing_enabled),
        };
        if settings == before {
            return Ok(settings);
        }
        let changes = json!({"read_auditing_enabled": settings.read_auditing_enabled});
        let resource = (ResourceType::Organization, by.organization().as_str());
        let action = Action::AuditSettingsUpdated;
        let row = audit_row(self.ids(), by.origin(), action, resource, changes);
        let audit = &self.repositories().audit;
        audit
            .change_settings(by.organization(), settings, row)
            .await?;
        Ok(settings)
    }

    /// Leaves a row for a thing that is about to be shown to a caller, where the organization wants that.
    pub(crate) async fn note_read(
        &self,
        caller: &Caller,
        action: Action,
        resource: (ResourceType, &str),
    ) -> Result<(), EngineError> {
        let organization: &OrganizationId = caller.organization();
        let audit = &self.repositories().audit;
        if audit.settings(organization).await?.read_auditing_enabled {
            let row = caller.audit(self.ids(), action, resource, json!({}));
            audit.record(organization, row).await?;
        }
        Ok(())
    }
}
