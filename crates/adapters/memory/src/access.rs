//! Users and API keys.

use std::time::Duration;

use async_trait::async_trait;
use wharf_domain::Timestamp;
use wharf_domain::access::{
    ApiKey, Email, Grant, Organization, OrganizationProfile, User, UserProfile,
};
use wharf_domain::audit::NewAuditRow;
use wharf_domain::ids::{ApiKeyId, OrganizationId, UserId};
use wharf_ports::{
    AccessError, AccessRepository, ApiKeyChange, InsertError, NewApiKey, NewSecret, NewUser,
    RepositoryError,
};

use crate::MemoryStore;
use crate::state::{Owned, State, all_owned, owned, owned_mut};
use crate::store::stored_time;

/// How exactly the last use of a key is noted.
const A_MINUTE: Duration = Duration::from_mins(1);

/// The grant as it is stored.
fn stored_grant(grant: Grant) -> Grant {
    Grant {
        expires_at: grant.expires_at.map(stored_time),
        ..grant
    }
}

/// Revokes a key; who does is the row's actor.
fn revoke(key: &mut ApiKey, row: &NewAuditRow, now: Timestamp) {
    key.revoked_at = Some(now);
    key.revoked_by = Some(row.origin.actor.id().to_owned());
}

impl State {
    /// Whether the organization has an active admin beside this user.
    fn has_admin_beside(&self, organization: &OrganizationId, id: &UserId) -> bool {
        all_owned(&self.users, organization)
            .any(|user| user.id != *id && user.profile.is_active_admin())
    }

    /// A key that is not revoked.
    fn live_key(&self, organization: &OrganizationId, id: &ApiKeyId) -> Option<&ApiKey> {
        owned(&self.api_keys, organization, id).filter(|key| key.revoked_at.is_none())
    }

    /// Stores a key in place of what it was.
    fn replace_key(&mut self, organization: &OrganizationId, key: &ApiKey) {
        if let Some(stored) = owned_mut(&mut self.api_keys, organization, &key.id) {
            *stored = key.clone();
        }
    }

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
            grant: stored_grant(new.grant),
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

    async fn update_organization(
        &self,
        organization: &OrganizationId,
        read: &OrganizationProfile,
        profile: OrganizationProfile,
        audit: NewAuditRow,
    ) -> Result<Organization, AccessError> {
        let (mut state, now) = self.open_for(organization, [&audit])?;
        let mut others = state.organizations.values();
        if others.any(|other| other.id != *organization && other.profile.name == profile.name) {
            return Err(AccessError::NameTaken);
        }
        let stored = state.organizations.get_mut(organization);
        let stored = stored.ok_or(AccessError::NotFound)?;
        if stored.profile == profile {
            return Ok(stored.clone());
        }
        if stored.profile != *read {
            return Err(AccessError::Conflict);
        }
        stored.profile = profile;
        stored.updated_at = now;
        let changed = stored.clone();
        state.record(organization, now, audit);
        Ok(changed)
    }

    async fn insert_user(
        &self,
        organization: &OrganizationId,
        user: NewUser,
        audit: NewAuditRow,
    ) -> Result<User, InsertError> {
        let (mut state, now) = self.open_for(organization, [&audit])?;
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

    async fn update_user(
        &self,
        organization: &OrganizationId,
        user: &UserId,
        read: &UserProfile,
        profile: UserProfile,
        audit: NewAuditRow,
    ) -> Result<User, AccessError> {
        let (mut state, now) = self.open_for(organization, [&audit])?;
        let stored = owned(&state.users, organization, user).ok_or(AccessError::NotFound)?;
        if stored.profile == profile {
            return Ok(stored.clone());
        }
        if stored.profile != *read {
            return Err(AccessError::Conflict);
        }
        let steps_down = stored.profile.is_active_admin() && !profile.is_active_admin();
        if steps_down && !state.has_admin_beside(organization, user) {
            return Err(AccessError::LastAdmin);
        }
        let stored = owned_mut(&mut state.users, organization, user);
        let stored = stored.ok_or(AccessError::NotFound)?;
        stored.profile = profile;
        stored.updated_at = now;
        let changed = stored.clone();
        state.record(organization, now, audit);
        Ok(changed)
    }

    async fn remove_user(
        &self,
        organization: &OrganizationId,
        user: &UserId,
        audit: NewAuditRow,
    ) -> Result<(), AccessError> {
        let (mut state, now) = self.open_for(organization, [&audit])?;
        let stored = owned(&state.users, organization, user).ok_or(AccessError::NotFound)?;
        if stored.profile.is_active_admin() && !state.has_admin_beside(organization, user) {
            return Err(AccessError::LastAdmin);
        }
        state.users.remove(user);
        for key in state.api_keys.values_mut().map(|owned| &mut owned.row) {
            if key.user_id == *user && key.revoked_at.is_none() {
                revoke(key, &audit, now);
            }
        }
        state.record(organization, now, audit);
        Ok(())
    }

    async fn insert_api_key(
        &self,
        organization: &OrganizationId,
        key: NewApiKey,
        audit: NewAuditRow,
    ) -> Result<ApiKey, InsertError> {
        let (mut state, now) = self.open_for(organization, [&audit])?;
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

    async fn update_api_key(
        &self,
        organization: &OrganizationId,
        key: &ApiKeyId,
        read: &Grant,
        change: ApiKeyChange,
        audit: NewAuditRow,
    ) -> Result<ApiKey, AccessError> {
        let (mut state, now) = self.open_for(organization, [&audit])?;
        let stored = state.live_key(organization, key);
        let stored = stored.ok_or(AccessError::NotFound)?;
        let changed = ApiKey {
            name: change.name.unwrap_or_else(|| stored.name.clone()),
            description: change
                .description
                .unwrap_or_else(|| stored.description.clone()),
            grant: change
                .grant
                .map_or_else(|| stored.grant.clone(), stored_grant),
            ..stored.clone()
        };
        if changed == *stored {
            return Ok(changed);
        }
        if stored.grant != *read {
            return Err(AccessError::Conflict);
        }
        let clashes = |other: &ApiKey| {
            other.id != *key
                && other.user_id == changed.user_id
                && other.name == changed.name
                && other.revoked_at.is_none()
        };
        if all_owned(&state.api_keys, organization).any(clashes) {
            return Err(AccessError::NameTaken);
        }
        state.replace_key(organization, &changed);
        state.record(organization, now, audit);
        Ok(changed)
    }

    async fn rotate_api_key(
        &self,
        organization: &OrganizationId,
        key: &ApiKeyId,
        read: &Grant,
        secret: NewSecret,
        audit: NewAuditRow,
    ) -> Result<ApiKey, AccessError> {
        let (mut state, now) = self.open_for(organization, [&audit])?;
        let stored = state.live_key(organization, key);
        let stored = stored.ok_or(AccessError::NotFound)?;
        if stored.grant != *read {
            return Err(AccessError::Conflict);
        }
        let rotated = ApiKey {
            prefix: secret.prefix,
            hash: secret.hash,
            ..stored.clone()
        };
        state.replace_key(organization, &rotated);
        state.record(organization, now, audit);
        Ok(rotated)
    }

    async fn note_key_used(
        &self,
        organization: &OrganizationId,
        key: &ApiKeyId,
    ) -> Result<(), RepositoryError> {
        let (mut state, now) = self.open();
        let is_old = |key: &&mut ApiKey| key.last_used_at.is_none_or(|at| at + A_MINUTE <= now);
        if let Some(key) = owned_mut(&mut state.api_keys, organization, key).filter(is_old) {
            key.last_used_at = Some(now);
        }
        Ok(())
    }

    async fn revoke_api_key(
        &self,
        organization: &OrganizationId,
        key: &ApiKeyId,
        audit: NewAuditRow,
    ) -> Result<Option<ApiKey>, RepositoryError> {
        let (mut state, now) = self.open_for(organization, [&audit])?;
        let Some(stored) = owned_mut(&mut state.api_keys, organization, key) else {
            return Ok(None);
        };
        if stored.revoked_at.is_some() {
            return Ok(Some(stored.clone()));
        }
        revoke(stored, &audit, now);
        let key = stored.clone();
        state.record(organization, now, audit);
        Ok(Some(key))
    }
}
