//! Who asks for something, how far they may go, and the audit rows that say so.

use serde_json::Value;
use wharf_domain::access::{Grant, Permission, Principal};
use wharf_domain::audit::{Action, NewAuditRow, Origin, ResourceType};
use wharf_domain::ids::OrganizationId;
use wharf_domain::scope::Place;
use wharf_ports::IdSource;

use crate::EngineError;

/// In whose organization somebody acts, who they are, and how far they may go.
pub trait Mandate: Send + Sync {
    /// The organization that may be touched.
    fn organization(&self) -> &OrganizationId;

    /// What the audit trail tells about it.
    fn origin(&self) -> &Origin;

    /// The grant that bounds it, and the permission that is needed of it at whatever is touched; `None` for who has no
    /// bounds.
    fn bounds(&self) -> Option<(&Grant, Permission)>;

    /// Whether the permission that is needed reaches to a thing, by its own place or one around it. `thing` is its kind and how
    /// it was named.
    ///
    /// # Errors
    /// `ScopeDenied` when it does not.
    fn may(&self, thing: (&'static str, &str), places: &[Place<'_>]) -> Result<(), EngineError> {
        match self.bounds() {
            Some((_, needed)) => self.may_to(needed, thing, places),
            None => Ok(()),
        }
    }

    /// The same for another permission than the one that the request needs.
    ///
    /// # Errors
    /// `ScopeDenied` when it does not reach there.
    fn may_to(
        &self,
        needed: Permission,
        (resource, id): (&'static str, &str),
        places: &[Place<'_>],
    ) -> Result<(), EngineError> {
        let Some((grant, _)) = self.bounds() else {
            return Ok(());
        };
        let organization = Place::as_told(ResourceType::Organization, self.organization().as_str());
        let around: Vec<Place<'_>> = places.iter().copied().chain([organization]).collect();
        if grant
            .permission_at(&around)
            .is_some_and(|permission| permission >= needed)
        {
            return Ok(());
        }
        Err(EngineError::ScopeDenied {
            resource,
            id: id.to_owned(),
        })
    }

    /// Whether it reaches to what concerns the organization as a whole.
    ///
    /// # Errors
    /// `ScopeDenied` when it does not.
    fn may_touch_organization(&self) -> Result<(), EngineError> {
        self.may(("organization", self.organization().as_str()), &[])
    }
}

/// An authenticated request: who may do what, and what goes into the audit trail about it.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Who makes the request.
    pub principal: Principal,
    /// The permission that the request needs, wherever it touches something.
    pub wants: Permission,
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

impl Mandate for Caller {
    fn organization(&self) -> &OrganizationId {
        &self.principal.organization
    }

    fn origin(&self) -> &Origin {
        &self.origin
    }

    fn bounds(&self) -> Option<(&Grant, Permission)> {
        Some((&self.principal.grant, self.wants))
    }
}

/// An operator at the command line, who works on one organization and has no bounds.
#[derive(Debug, Clone)]
pub struct Operator {
    organization: OrganizationId,
    origin: Origin,
}

impl Operator {
    /// An operator at work on this organization.
    pub fn of(organization: &OrganizationId) -> Self {
        Self {
            organization: organization.clone(),
            origin: Origin::operator(),
        }
    }
}

impl Mandate for Operator {
    fn organization(&self) -> &OrganizationId {
        &self.organization
    }

    fn origin(&self) -> &Origin {
        &self.origin
    }

    fn bounds(&self) -> Option<(&Grant, Permission)> {
        None
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
