use async_trait::async_trait;
use wharf_domain::Timestamp;
use wharf_domain::access::{ApiKey, ApiKeyHash, Email, Organization, Permission, Role, User};
use wharf_domain::audit::NewAuditRow;
use wharf_domain::ids::{ApiKeyId, NamespaceId, OrganizationId, UserId};

use crate::{InsertError, RepositoryError};

/// An organization with its first user and the namespace `default`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewOrganization {
    /// Its identifier.
    pub id: OrganizationId,
    /// Its name, unique on this server.
    pub name: String,
    /// Its first user, an admin.
    pub admin: NewUser,
    /// The identifier of its namespace `default`.
    pub default_namespace: NamespaceId,
}

/// A user before it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewUser {
    /// Its identifier.
    pub id: UserId,
    /// Its address, unique within the organization.
    pub email: Email,
    /// What the user is to the organization.
    pub role: Role,
}

/// An API key before it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewApiKey {
    /// The row's identifier.
    pub id: ApiKeyId,
    /// Whose key it is.
    pub user: UserId,
    /// Unique among the user's keys that are not revoked.
    pub name: String,
    /// The key's first ten characters.
    pub prefix: String,
    /// The stored form of the key.
    pub hash: ApiKeyHash,
    /// What it allows.
    pub permission: Permission,
    /// When it stops working.
    pub expires_at: Option<Timestamp>,
}

/// Organizations' users and API keys.
#[async_trait]
pub trait AccessRepository: Send + Sync {
    /// The organization itself.
    async fn organization(
        &self,
        organization: &OrganizationId,
    ) -> Result<Option<Organization>, RepositoryError>;

    /// Adds a user. `NameTaken` when the address is; `ParentMissing` when the organization is unknown.
    async fn insert_user(
        &self,
        organization: &OrganizationId,
        user: NewUser,
        audit: NewAuditRow,
    ) -> Result<User, InsertError>;

    /// A user by address.
    async fn find_user(
        &self,
        organization: &OrganizationId,
        email: &Email,
    ) -> Result<Option<User>, RepositoryError>;

    /// All users of the organization, oldest first.
    async fn list_users(&self, organization: &OrganizationId)
    -> Result<Vec<User>, RepositoryError>;

    /// Adds an API key. `NameTaken` when the user has a key of that name that is not revoked, or when the key's hash is
    /// known; `ParentMissing` when the user is not the organization's.
    async fn insert_api_key(
        &self,
        organization: &OrganizationId,
        key: NewApiKey,
        audit: NewAuditRow,
    ) -> Result<ApiKey, InsertError>;

    /// All keys of a user, oldest first, revoked ones included.
    async fn list_api_keys(
        &self,
        organization: &OrganizationId,
        user: &UserId,
    ) -> Result<Vec<ApiKey>, RepositoryError>;

    /// Revokes a key for good. `None` when there is no such key; a key that is revoked already stays as it is, without
    /// another audit row.
    async fn revoke_api_key(
        &self,
        organization: &OrganizationId,
        key: &ApiKeyId,
        audit: NewAuditRow,
    ) -> Result<Option<ApiKey>, RepositoryError>;
}
