use async_trait::async_trait;
use thiserror::Error;
use wharf_domain::access::{
    ApiKey, ApiKeyHash, Email, Grant, Organization, OrganizationProfile, User, UserProfile,
};
use wharf_domain::audit::NewAuditRow;
use wharf_domain::ids::{ApiKeyId, NamespaceId, OrganizationId, UserId};

use crate::{InsertError, RepositoryError};

/// An organization with its first user and the namespace `default`.
#[derive(Debug, Clone, PartialEq)]
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
#[derive(Debug, Clone, PartialEq)]
pub struct NewUser {
    /// Its identifier.
    pub id: UserId,
    /// Its address, unique within the organization.
    pub email: Email,
    /// The rest.
    pub profile: UserProfile,
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
    /// What it is for.
    pub description: String,
    /// The key's first ten characters.
    pub prefix: String,
    /// The stored form of the key.
    pub hash: ApiKeyHash,
    /// What it allows.
    pub grant: Grant,
    /// An end user that it stands for.
    pub principal_id: Option<String>,
    /// Who creates it.
    pub created_by: String,
}

/// A change of an API key. `None` leaves a field as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ApiKeyChange {
    /// A new name.
    pub name: Option<String>,
    /// A new description.
    pub description: Option<String>,
    /// A new grant, whole.
    pub grant: Option<Grant>,
}

/// The new secret of an API key in its stored form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSecret {
    /// The key's first ten characters.
    pub prefix: String,
    /// The stored form.
    pub hash: ApiKeyHash,
}

/// Why a user or a key could not be changed. Nothing was stored.
#[derive(Debug, Error)]
pub enum AccessError {
    /// There is no such user, or no such key that is not revoked.
    #[error("there is no such row")]
    NotFound,
    /// The name is taken.
    #[error("the name is taken")]
    NameTaken,
    /// It would leave the organization without an active admin.
    #[error("the organization would be left without an active admin")]
    LastAdmin,
    /// What is stored is not what was read: somebody else changed it in between.
    #[error("the row was changed in between")]
    Conflict,
    /// The repository could not answer.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
}

/// Organizations' users and API keys.
#[async_trait]
pub trait AccessRepository: Send + Sync {
    /// The organization itself.
    async fn organization(
        &self,
        organization: &OrganizationId,
    ) -> Result<Option<Organization>, RepositoryError>;

    /// Changes the organization's profile, whole. `Conflict` unless what is stored still is what was `read`; `NameTaken` when another organization has the name; `NotFound` when there is no
    /// such organization.
    async fn update_organization(
        &self,
        organization: &OrganizationId,
        read: &OrganizationProfile,
        profile: OrganizationProfile,
        audit: NewAuditRow,
    ) -> Result<Organization, AccessError>;

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

    /// Changes a user's profile, whole. `Conflict` unless what is stored still is what was `read`; `LastAdmin` when no active admin would remain.
    async fn update_user(
        &self,
        organization: &OrganizationId,
        user: &UserId,
        read: &UserProfile,
        profile: UserProfile,
        audit: NewAuditRow,
    ) -> Result<User, AccessError>;

    /// Removes a user for good, and revokes their keys; the address is free again, what they made stays. `LastAdmin` when no
    /// active admin would remain.
    async fn remove_user(
        &self,
        organization: &OrganizationId,
        user: &UserId,
        audit: NewAuditRow,
    ) -> Result<(), AccessError>;

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

    /// Changes a key that is not revoked. `Conflict` unless its grant still is what was `read`; `NameTaken` when another key of the user that is not revoked has the name.
    async fn update_api_key(
        &self,
        organization: &OrganizationId,
        key: &ApiKeyId,
        read: &Grant,
        change: ApiKeyChange,
        audit: NewAuditRow,
    ) -> Result<ApiKey, AccessError>;

    /// Gives a key that is not revoked another secret; the old one stops working in the same moment. `Conflict` unless its grant
    /// still is what was `read`.
    async fn rotate_api_key(
        &self,
        organization: &OrganizationId,
        key: &ApiKeyId,
        read: &Grant,
        secret: NewSecret,
        audit: NewAuditRow,
    ) -> Result<ApiKey, AccessError>;

    /// Notes that a key was used now, by the database's clock, unless that was noted within the last minute.
    async fn note_key_used(
        &self,
        organization: &OrganizationId,
        key: &ApiKeyId,
    ) -> Result<(), RepositoryError>;

    /// Revokes a key for good; who did it is the audit row's actor. `None` when there is no such key; a key that is revoked already stays as it is, without
    /// another audit row.
    async fn revoke_api_key(
        &self,
        organization: &OrganizationId,
        key: &ApiKeyId,
        audit: NewAuditRow,
    ) -> Result<Option<ApiKey>, RepositoryError>;
}
