//! Who asks for something, and the audit rows that say so.

use serde_json::Value;
use wharf_domain::access::Principal;
use wharf_domain::audit::{Action, NewAuditRow, Origin, ResourceType};
use wharf_domain::ids::OrganizationId;
use wharf_ports::IdSource;

/// An authenticated request: who may do what, and what goes into the audit trail about it.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Who makes the request.
    pub principal: Principal,
    /// What the audit trail tells about it.
    pub origin: Origin,
}

impl Caller {
    /// The organization that the request may touch.
    pub fn organization(&self) -> &OrganizationId {
        &self.principal.organization
    }

    pub(crate) fn audit(
        &self,
        ids: &dyn IdSource,
        action: Action,
        resource: (ResourceType, impl Into<String>),
        changes: Value,
    ) -> NewAuditRow {
        audit_row(ids, &self.origin, action, resource, changes)
    }
}

/// An audit row for something that `origin` does.
pub(crate) fn audit_row(
    ids: &dyn IdSource,
    origin: &Origin,
    action: Action,
    (resource_type, resource_id): (ResourceType, impl Into<String>),
    changes: Value,
) -> NewAuditRow {
    NewAuditRow {
        id: ids.id(),
        action,
        resource_type,
        resource_id: resource_id.into(),
        origin: origin.clone(),
        changes,
    }
}
