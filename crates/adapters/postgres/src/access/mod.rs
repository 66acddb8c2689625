//! Organizations, their users and their users' API keys.

use async_trait::async_trait;
use wharf_domain::access::{
    ApiKey, Email, Grant, Organization, OrganizationProfile, User, UserProfile,
};
use wharf_domain::audit::NewAuditRow;
use wharf_domain::ids::{ApiKeyId, OrganizationId, UserId};
use wharf_ports::{
    AccessError, AccessRepository, ApiKeyChange, InsertError, NewApiKey, NewSecret, NewUser,
    RepositoryError,
};

use crate::error::Failure;
use crate::store::{Store, in_transaction};

mod api_keys;
mod organization;
mod users;

pub(crate) use api_keys::{insert_key, read_grant, read_hash};
pub(crate) use organization::{insert_organization, organization_columns, read_organization};
pub(crate) use users::insert_user;

#[async_trait]
impl AccessRepository for Store {
    async fn organization(
        &self,
        organization: &OrganizationId,
    ) -> Result<Option<Organization>, RepositoryError> {
        Ok(self.find_organization(organization).await?)
    }

    async fn update_organization(
        &self,
        organization: &OrganizationId,
        read: &OrganizationProfile,
        profile: OrganizationProfile,
        audit: NewAuditRow,
    ) -> Result<Organization, AccessError> {
        in_transaction!(self, organization, tx => self.change_organization(&mut tx, organization, read, profile.clone(), &audit)).map_err(Failure::into_port)
    }

    async fn insert_user(
        &self,
        organization: &OrganizationId,
        user: NewUser,
        audit: NewAuditRow,
    ) -> Result<User, InsertError> {
        in_transaction!(self, organization, tx => self.add_user(&mut tx, organization, user.clone(), &audit))
            .map_err(Failure::into_port)
    }

    async fn find_user(
        &self,
        organization: &OrganizationId,
        email: &Email,
    ) -> Result<Option<User>, RepositoryError> {
        Ok(self.user_at(organization, email).await?)
    }

    async fn list_users(
        &self,
        organization: &OrganizationId,
    ) -> Result<Vec<User>, RepositoryError> {
        Ok(self.users(organization).await?)
    }

    async fn update_user(
        &self,
        organization: &OrganizationId,
        user: &UserId,
        read: &UserProfile,
        profile: UserProfile,
        audit: NewAuditRow,
    ) -> Result<User, AccessError> {
        in_transaction!(self, organization, tx => self.change_user(&mut tx, organization, user, read, profile.clone(), &audit)).map_err(Failure::into_port)
    }

    async fn remove_user(
        &self,
        organization: &OrganizationId,
        user: &UserId,
        audit: NewAuditRow,
    ) -> Result<(), AccessError> {
        in_transaction!(self, organization, tx => self.take_user_away(&mut tx, organization, user, &audit)).map_err(Failure::into_port)
    }

    async fn insert_api_key(
        &self,
        organization: &OrganizationId,
        key: NewApiKey,
        audit: NewAuditRow,
    ) -> Result<ApiKey, InsertError> {
        in_transaction!(self, organization, tx => self.add_key(&mut tx, organization, key.clone(), &audit))
            .map_err(Failure::into_port)
    }

    async fn list_api_keys(
        &self,
        organization: &OrganizationId,
        user: &UserId,
    ) -> Result<Vec<ApiKey>, RepositoryError> {
        Ok(self.keys_of(organization, user).await?)
    }

    async fn update_api_key(
        &self,
        organization: &OrganizationId,
        key: &ApiKeyId,
        read: &Grant,
        change: ApiKeyChange,
        audit: NewAuditRow,
    ) -> Result<ApiKey, AccessError> {
        in_transaction!(self, organization, tx => self.change_key(&mut tx, organization, key, read, change.clone(), &audit)).map_err(Failure::into_port)
    }

    async fn rotate_api_key(
        &self,
        organization: &OrganizationId,
        key: &ApiKeyId,
        read: &Grant,
        secret: NewSecret,
        audit: NewAuditRow,
    ) -> Result<ApiKey, AccessError> {
        in_transaction!(self, organization, tx => self.rotate_key(&mut tx, organization, key, read, secret.clone(), &audit)).map_err(Failure::into_port)
    }

    async fn note_key_used(
        &self,
        organization: &OrganizationId,
        key: &ApiKeyId,
    ) -> Result<(), RepositoryError> {
        Ok(in_transaction!(self, organization, tx => self.note_use(&mut tx, organization, key))?)
    }

    async fn revoke_api_key(
        &self,
        organization: &OrganizationId,
        key: &ApiKeyId,
        audit: NewAuditRow,
    ) -> Result<Option<ApiKey>, RepositoryError> {
        Ok(
            in_transaction!(self, organization, tx => self.revoke_key(&mut tx, organization, key, &audit))?,
        )
    }
}
