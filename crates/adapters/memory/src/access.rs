//! Users and API keys.

use async_trait::async_trait;
use wharf_domain::Timestamp;
use wharf_domain::access::{ApiKey, Email, Grant, Organization, User};
use wharf_domain::audit::NewAuditRow;
use wharf_domain::ids::{ApiKeyId, OrganizationId, UserId};
use wharf_ports::{AccessRepository, InsertError, NewApiKey, NewUser, RepositoryError};

use crate::MemoryStore;
use crate::state::{Owned, State, all_owned, owned, owned_mut};
use crate::store::stored_time;

impl State {
    /// Adds a user; who calls has checked that it may be added.
    pub(crate) fn add_user(
        &mut self,
        organization: &OrganizationId,
        new: NewUser,
        now: Timestamp,
    ) -> User {
        let user = User {
            id: new.id,
            email: new.email,
            profile: new.profile,
            created_at: now,
            updated_at: now,
        };
        self.users.insert(
            user.id.clone(),
            Owned {
                organization: organization.clone(),
                row: user.clone(),
            },
        );
        user
    }

    /// Adds an API key; who calls has checked that it may be added.
    pub(crate) fn add_api_key(
        &mut self,
        organization: &OrganizationId,
        new: NewApiKey,
        now: Timestamp,
    ) -> ApiKey {
        let key = ApiKey {
            id: new.id,
            user_id: new.user,
            name: new.name,
            description: new.description,
            prefix: new.prefix,
            hash: new.hash,
            grant: Grant {
                expires_at: new.grant.expires_at.map(stored_time),
                ..new.grant
            },
            principal_id: new.principal_id,
            created_by: new.created_by,
            created_at: now,
            last_used_at: None,
            revoked_at: None,
            revoked_by: None,
        };
        self.api_keys.insert(
            key.id.clone(),
            Owned {
                organization: organization.clone(),
                row: key.clone(),
            },
        );
        key
    }
}

#[async_trait]
impl AccessRepository for MemoryStore {
    async fn organization(
        &self,
        organization: &OrganizationId,
    ) -> Result<Option<Organization>, RepositoryError> {
        Ok(self.open().0.organizations.get(organization).cloned())
    }

    async fn insert_user(
        &self,
        organization: &OrganizationId,
        user: NewUser,
        audit: NewAuditRow,
    ) -> Result<User, InsertError> {
        let (mut state, now) = self.open();
        if !state.organizations.contains_key(organization) {
            return Err(InsertError::ParentMissing);
        }
        if all_owned(&state.users, organization).any(|other| other.email == user.email) {
            return Err(InsertError::NameTaken);
        }
        let user = state.add_user(organization, user, now);
        state.record(organization, now, audit);
        Ok(user)
    }

    async fn find_user(
        &self,
        organization: &OrganizationId,
        email: &Email,
    ) -> Result<Option<User>, RepositoryError> {
        let (state, _) = self.open();
        Ok(all_owned(&state.users, organization)
            .find(|user| user.email == *email)
            .cloned())
    }

    async fn list_users(
        &self,
        organization: &OrganizationId,
    ) -> Result<Vec<User>, RepositoryError> {
        let (state, _) = self.open();
        let mut users: Vec<_> = all_owned(&state.users, organization).cloned().collect();
        users.sort_by_key(|user| user.created_at);
        Ok(users)
    }

    async fn insert_api_key(
        &self,
        organization: &OrganizationId,
        key: NewApiKey,
        audit: NewAuditRow,
    ) -> Result<ApiKey, InsertError> {
        let (mut state, now) = self.open();
        if owned(&state.users, organization, &key.user).is_none() {
            return Err(InsertError::ParentMissing);
        }
        let clashes = |other: &ApiKey| {
            let same_name = other.user_id == key.user && other.name == key.name;
            other.hash == key.hash || (same_name && other.revoked_at.is_none())
        };
        if state.api_keys.values().any(|other| clashes(&other.row)) {
            return Err(InsertError::NameTaken);
        }
        let key = state.add_api_key(organization, key, now);
        state.record(organization, now, audit);
        Ok(key)
    }

    async fn list_api_keys(
        &self,
        organization: &OrganizationId,
        user: &UserId,
    ) -> Result<Vec<ApiKey>, RepositoryError> {
        let (state, _) = self.open();
        let of_user =
            all_owned(&state.api_keys, organization).filter(|stored| stored.user_id == *user);
        let mut keys: Vec<_> = of_user.cloned().collect();
        keys.sort_by_key(|key| key.created_at);
        Ok(keys)
    }

    async fn revoke_api_key(
        &self,
        organization: &OrganizationId,
        key: &ApiKeyId,
        audit: NewAuditRow,
    ) -> Result<Option<ApiKey>, RepositoryError> {
        let (mut state, now) = self.open();
        let Some(stored) = owned_mut(&mut state.api_keys, organization, key) else {
            return Ok(None);
        };
        let newly = stored.revoked_at.is_none();
        stored.revoked_at.get_or_insert(now);
        let key = stored.clone();
        if newly {
            state.record(organization, now, audit);
        }
        Ok(Some(key))
    }
}
