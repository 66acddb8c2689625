//! Organizations.

use serde_json::{Map, Value, json};
use wharf_domain::Metadata;
use wharf_domain::access::{
    Email, Grant, Organization, OrganizationProfile, Permission, Role, User, UserProfile,
    UserStatus,
};
use wharf_domain::audit::{Action, Origin, ResourceType};
use wharf_domain::input::InvalidInput;
use wharf_domain::rate_limit::RateLimits;
use wharf_domain::secret::SecretString;
use wharf_ports::{NewOrganization, NewUser};

use super::api_keys::{BOOTSTRAP_KEY_NAME, CreateApiKey};
use super::{change_failed, retried};
use crate::caller::audit_row;
use crate::error::insert_failed;
use crate::{Engine, EngineError, Mandate};

/// A change of an organization as a request describes it. `None` leaves a field as it is.
#[derive(Debug, Clone, Default)]
pub struct UpdateOrganization {
    /// A new name.
    pub name: Option<String>,
    /// Where its logo is; empty clears it.
    pub logo_url: Option<String>,
    /// Where bills would go; `Some(None)` clears it.
    pub billing_email: Option<Option<Email>>,
    /// Where notifications would go; `Some(None)` clears it.
    pub notifications_email: Option<Option<Email>>,
    /// New key-value pairs, replacing all.
    pub metadata: Option<Metadata>,
    /// Its own limits, replacing all.
    pub rate_limits: Option<RateLimits>,
}

impl Engine {
    /// On an empty database: creates the first organization with its admin, the admin's key and the namespace
    /// `default`. Returns whether it did.
    pub async fn bootstrap(&self, admin_key: &SecretString) -> Result<bool, EngineError> {
        let ids = self.ids();
        let email = Email::parse("admin@wharf.local").map_err(InvalidInput::from)?;
        let organization = self.new_organization("default", email);
        let key = CreateApiKey::named(BOOTSTRAP_KEY_NAME, Grant::of(Permission::Admin));
        let origin = Origin::system();
        let key = self
            .new_key_row(&organization.admin.id, admin_key, key, &origin)
            .await?;
        let resource = (ResourceType::Organization, organization.id.as_str());
        let changes = json!({"name": organization.name, "admin": organization.admin.email.as_str(), "key": key.name});
        let audit = audit_row(ids, &origin, Action::OrganizationCreated, resource, changes);
        Ok(self
            .repositories()
            .across
            .bootstrap(organization, key, audit)
            .await?)
    }

    /// Adds an organization with its admin user and the namespace `default`. Only operators do.
    pub async fn create_organization(
        &self,
        name: &str,
        admin: Email,
    ) -> Result<(Organization, User), EngineError> {
        let name = organization_name(name)?;
        let new = self.new_organization(&name, admin);
        let id = new.id.clone();
        let email = new.admin.email.clone();
        let changes = json!({"name": new.name, "admin": email.as_str()});
        let audit = audit_row(
            self.ids(),
            &Origin::operator(),
            Action::OrganizationCreated,
            (ResourceType::Organization, id.as_str()),
            changes,
        );
        let organization = self
            .repositories()
            .across
            .insert_organization(new, audit)
            .await
            .map_err(|error| {
                let missing = EngineError::not_found("organization", name);
                insert_failed(error, organization_name_taken(), missing)
            })?;
        let admin = self
            .repositories()
            .access
            .find_user(&id, &email)
            .await?
            .ok_or_else(|| EngineError::not_found("user", email.as_str()))?;
        Ok((organization, admin))
    }

    /// All organizations, oldest first.
    pub async fn list_organizations(&self) -> Result<Vec<Organization>, EngineError> {
        Ok(self.repositories().across.list_organizations().await?)
    }

    /// The organization that somebody acts in.
    pub async fn organization(&self, by: &dyn Mandate) -> Result<Organization, EngineError> {
        by.may_touch_organization()?;
        let id = by.organization();
        let found = self.repositories().access.organization(id).await?;
        found.ok_or_else(|| EngineError::not_found("organization", id.as_str()))
    }

    /// Changes the organization that somebody acts in. What changes nothing leaves no trace.
    pub async fn update_organization(
        &self,
        by: &dyn Mandate,
        update: UpdateOrganization,
    ) -> Result<Organization, EngineError> {
        retried!(self.change_organization(by, update.clone()))
    }

    async fn change_organization(
        &self,
        by: &dyn Mandate,
        update: UpdateOrganization,
    ) -> Result<Organization, EngineError> {
        let organization = self.organization(by).await?;
        let before = organization.profile.clone();
        let profile = changed_profile(before.clone(), update)?;
        if profile == before {
            return Ok(organization);
        }
        let audit = audit_row(
            self.ids(),
            by.origin(),
            Action::OrganizationUpdated,
            (ResourceType::Organization, organization.id.as_str()),
            profile_changes(&before, &profile),
        );
        self.repositories()
            .access
            .update_organization(&organization.id, &before, profile, audit)
            .await
            .map_err(|error| {
                let missing = EngineError::not_found("organization", organization.id.as_str());
                change_failed(error, missing, organization_name_taken())
            })
    }

    fn new_organization(&self, name: &str, admin: Email) -> NewOrganization {
        let ids = self.ids();
        NewOrganization {
            id: ids.id(),
            name: name.to_owned(),
            admin: NewUser {
                id: ids.id(),
                profile: UserProfile {
                    name: admin.as_str().chars().take(100).collect(),
                    avatar_url: None,
                    role: Role::Admin,
                    status: UserStatus::Active,
                    metadata: Metadata::new(),
                },
                email: admin,
            },
            default_namespace: ids.id(),
        }
    }
}

fn organization_name(name: &str) -> Result<String, InvalidInput> {
    let name = name.trim();
    if !(1..=100).contains(&name.chars().count()) || name.chars().any(char::is_control) {
        let message = "must have 1 to 100 characters and no control characters";
        return Err(InvalidInput::one(
            "organization_name",
            "string_length",
            message,
        ));
    }
    Ok(name.to_owned())
}

fn organization_name_taken() -> EngineError {
    EngineError::conflict(
        "organization_name_taken",
        "Another organization has this name.",
    )
}

fn changed_profile(
    mut profile: OrganizationProfile,
    update: UpdateOrganization,
) -> Result<OrganizationProfile, InvalidInput> {
    if let Some(name) = update.name {
        profile.name = organization_name(&name)?;
    }
    if let Some(logo_url) = update.logo_url {
        profile.logo_url = (!logo_url.is_empty()).then_some(logo_url);
    }
    profile.billing_email = match update.billing_email {
        Some(email) => email.map(|email| email.as_str().to_owned()),
        None => profile.billing_email,
    };
    profile.notifications_email = match update.notifications_email {
        Some(email) => email.map(|email| email.as_str().to_owned()),
        None => profile.notifications_email,
    };
    profile.metadata = update.metadata.unwrap_or(profile.metadata);
    profile.rate_limits = update.rate_limits.unwrap_or(profile.rate_limits);
    Ok(profile)
}

fn profile_changes(before: &OrganizationProfile, after: &OrganizationProfile) -> Value {
    let mut changes = Map::new();
    if before.name != after.name {
        let names = json!({"from": before.name, "to": after.name});
        changes.insert("organization_name".to_owned(), names);
    }
    if before.rate_limits != after.rate_limits {
        let limits = json!({"from": before.rate_limits, "to": after.rate_limits});
        changes.insert("rate_limits".to_owned(), limits);
    }
    let named = [
        ("logo_url", before.logo_url != after.logo_url),
        ("billing_email", before.billing_email != after.billing_email),
        (
            "notifications_email",
            before.notifications_email != after.notifications_email,
        ),
        ("metadata", before.metadata != after.metadata),
    ];
    for (field, _) in named.into_iter().filter(|(_, changed)| *changed) {
        changes.insert(field.to_owned(), json!("changed"));
    }
    Value::Object(changes)
}
