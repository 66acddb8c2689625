//! API keys: who a key stands for, and how the first ones come to be.

use serde_json::json;
use wharf_domain::Metadata;
use wharf_domain::access::{
    ApiKey, ApiKeyHash, Email, Grant, Organization, Permission, Principal, Role, User, UserProfile,
    UserStatus,
};
use wharf_domain::audit::{Action, Origin, ResourceType};
use wharf_domain::ids::{Alphabet, ApiKeyId, OrganizationId, UserId};
use wharf_domain::input::InvalidInput;
use wharf_domain::secret::SecretString;
use wharf_ports::{IdSource, InsertError, NewApiKey, NewOrganization, NewUser};

use crate::caller::audit_row;
use crate::error::insert_failed;
use crate::{Engine, EngineError};

/// The name of the key that the first start creates.
pub const BOOTSTRAP_KEY_NAME: &str = "admin-key";

/// A key that was just issued; the only time that it can be read.
#[derive(Debug)]
pub struct IssuedApiKey {
    /// The stored row.
    pub key: ApiKey,
    /// The key itself.
    pub secret: SecretString,
}

/// What a new API key should be.
#[derive(Debug, Clone)]
pub struct ApiKeyGrant {
    /// 1 to 100 characters.
    pub name: String,
    /// What it allows.
    pub grant: Grant,
}

/// A fresh API key: `sk_` and 256 random bits.
pub fn new_api_key(ids: &dyn IdSource) -> SecretString {
    SecretString::new(format!("sk_{}", ids.token(Alphabet::Alphanumeric, 43)))
}

impl Engine {
    /// Who an API key stands for.
    ///
    /// # Errors
    /// `Unauthenticated` for a key that is unknown, expired or revoked.
    pub async fn authenticate(&self, api_key: &str) -> Result<Principal, EngineError> {
        let hash = ApiKeyHash(self.parts.key_ring.hash_api_key(api_key.as_bytes()).await?);
        match self.repositories().across.find_api_key(&hash).await? {
            Some(credential) if credential.valid => Ok(credential.principal),
            _ => Err(EngineError::Unauthenticated),
        }
    }

    /// On an empty database: creates the first organization with its admin, the admin's key and the namespace
    /// `default`. Returns whether it did.
    pub async fn bootstrap(&self, admin_key: &SecretString) -> Result<bool, EngineError> {
        let ids = self.ids();
        let email = Email::parse("admin@wharf.local").map_err(InvalidInput::from)?;
        let organization = self.new_organization("default", email);
        let grant = ApiKeyGrant {
            name: BOOTSTRAP_KEY_NAME.to_owned(),
            grant: Grant::of(Permission::Admin),
        };
        let key = self
            .new_key_row(&organization.admin.id, admin_key, grant)
            .await?;
        let resource = (ResourceType::Organization, organization.id.as_str());
        let changes = json!({"name": organization.name, "admin": organization.admin.email.as_str(), "key": key.name});
        let audit = audit_row(
            ids,
            &Origin::system(),
            Action::OrganizationCreated,
            resource,
            changes,
        );
        Ok(self
            .repositories()
            .across
            .bootstrap(organization, key, audit)
            .await?)
    }

    /// Adds an organization with its admin user and the namespace `default`.
    pub async fn create_organization(
        &self,
        name: &str,
        admin: Email,
    ) -> Result<(Organization, User), EngineError> {
        let name = name.trim();
        if !(1..=100).contains(&name.chars().count()) || name.chars().any(char::is_control) {
            let message = "must have 1 to 100 characters and no control characters";
            return Err(InvalidInput::one("name", "string_length", message).into());
        }
        let new = self.new_organization(name, admin);
        let id = new.id.clone();
        let email = new.admin.email.clone();
        let changes = json!({"name": new.name, "admin": email.as_str()});
        let resource = (ResourceType::Organization, id.as_str());
        let audit = audit_row(
            self.ids(),
            &Origin::operator(),
            Action::OrganizationCreated,
            resource,
            changes,
        );
        let organization = self
            .repositories()
            .across
            .insert_organization(new, audit)
            .await
            .map_err(|error| {
                let taken = EngineError::conflict(
                    "organization_name_taken",
                    "Another organization has this name.",
                );
                insert_failed(error, taken, EngineError::not_found("organization", name))
            })?;
        let admin = self.user(&id, &email).await?;
        Ok((organization, admin))
    }

    /// All organizations, oldest first.
    pub async fn list_organizations(&self) -> Result<Vec<Organization>, EngineError> {
        Ok(self.repositories().across.list_organizations().await?)
    }

    /// Adds a user to an organization.
    pub async fn create_user(
        &self,
        organization: &OrganizationId,
        email: Email,
        role: Role,
    ) -> Result<User, EngineError> {
        let new = NewUser {
            id: self.ids().id(),
            profile: UserProfile {
                name: email.as_str().to_owned(),
                avatar_url: None,
                role,
                status: UserStatus::Active,
                metadata: Metadata::new(),
            },
            email,
        };
        let changes = json!({"email": new.email.as_str(), "role": role.as_str()});
        let resource = (ResourceType::User, new.id.as_str());
        let audit = audit_row(
            self.ids(),
            &Origin::operator(),
            Action::UserCreated,
            resource,
            changes,
        );
        self.repositories()
            .access
            .insert_user(organization, new, audit)
            .await
            .map_err(|error| {
                let taken = EngineError::conflict(
                    "user_exists",
                    "The organization has a user with this e-mail address.",
                );
                insert_failed(
                    error,
                    taken,
                    EngineError::not_found("organization", organization.as_str()),
                )
            })
    }

    /// All users of an organization.
    pub async fn list_users(
        &self,
        organization: &OrganizationId,
    ) -> Result<Vec<User>, EngineError> {
        Ok(self.repositories().access.list_users(organization).await?)
    }

    /// Issues an API key for a user. The permission may not exceed what the user's role allows.
    pub async fn create_api_key(
        &self,
        organization: &OrganizationId,
        email: &Email,
        grant: ApiKeyGrant,
    ) -> Result<IssuedApiKey, EngineError> {
        if !(1..=100).contains(&grant.name.chars().count()) {
            return Err(InvalidInput::one(
                "name",
                "string_length",
                "must have 1 to 100 characters",
            )
            .into());
        }
        let user = self.user(organization, email).await?;
        if grant.grant.permission() > user.profile.role.ceiling() {
            let message = format!(
                "a user with the role {} may hold keys up to {}",
                user.profile.role.as_str(),
                user.profile.role.ceiling()
            );
            return Err(InvalidInput::one("permission", "role_ceiling", message).into());
        }
        let secret = new_api_key(self.ids());
        let new = self.new_key_row(&user.id, &secret, grant).await?;
        let changes = json!({"name": new.name, "user": email.as_str(), "permission": new.grant.permission().as_str()});
        let resource = (ResourceType::ApiKey, new.id.as_str());
        let audit = audit_row(
            self.ids(),
            &Origin::operator(),
            Action::ApiKeyCreated,
            resource,
            changes,
        );
        let inserted = self
            .repositories()
            .access
            .insert_api_key(organization, new, audit)
            .await;
        let key = inserted.map_err(|error: InsertError| {
            let taken = EngineError::conflict(
                "api_key_name_taken",
                "The user has an API key of this name.",
            );
            insert_failed(error, taken, EngineError::not_found("user", email.as_str()))
        })?;
        Ok(IssuedApiKey { key, secret })
    }

    /// All API keys of a user.
    pub async fn list_api_keys(
        &self,
        organization: &OrganizationId,
        email: &Email,
    ) -> Result<Vec<ApiKey>, EngineError> {
        let user = self.user(organization, email).await?;
        Ok(self
            .repositories()
            .access
            .list_api_keys(organization, &user.id)
            .await?)
    }

    /// Revokes an API key for good.
    pub async fn revoke_api_key(
        &self,
        organization: &OrganizationId,
        key: &ApiKeyId,
    ) -> Result<ApiKey, EngineError> {
        let resource = (ResourceType::ApiKey, key.as_str());
        let audit = audit_row(
            self.ids(),
            &Origin::operator(),
            Action::ApiKeyRevoked,
            resource,
            json!({}),
        );
        let revoked = self
            .repositories()
            .access
            .revoke_api_key(organization, key, audit)
            .await?;
        revoked.ok_or_else(|| EngineError::not_found("API key", key.as_str()))
    }

    async fn user(
        &self,
        organization: &OrganizationId,
        email: &Email,
    ) -> Result<User, EngineError> {
        let user = self
            .repositories()
            .access
            .find_user(organization, email)
            .await?;
        user.ok_or_else(|| EngineError::not_found("user", email.as_str()))
    }

    fn new_organization(&self, name: &str, admin: Email) -> NewOrganization {
        let ids = self.ids();
        NewOrganization {
            id: ids.id(),
            name: name.to_owned(),
            admin: NewUser {
                id: ids.id(),
                profile: UserProfile {
                    name: admin.as_str().to_owned(),
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

    async fn new_key_row(
        &self,
        user: &UserId,
        secret: &SecretString,
        grant: ApiKeyGrant,
    ) -> Result<NewApiKey, EngineError> {
        let hash = self
            .parts
            .key_ring
            .hash_api_key(secret.expose().as_bytes())
            .await?;
        Ok(NewApiKey {
            id: self.ids().id(),
            user: user.clone(),
            name: grant.name,
            prefix: secret.expose().chars().take(10).collect(),
            description: String::new(),
            hash: ApiKeyHash(hash),
            grant: grant.grant,
            principal_id: None,
            created_by: "operator".to_owned(),
        })
    }
}
