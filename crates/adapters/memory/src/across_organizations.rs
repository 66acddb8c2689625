//! What looks across organizations.

use std::collections::HashSet;
use std::time::Duration;

use async_trait::async_trait;
use wharf_domain::Timestamp;
use wharf_domain::access::{
    ApiKeyHash, Organization, OrganizationProfile, Principal, Role, UserStatus,
};
use wharf_domain::audit::NewAuditRow;
use wharf_domain::event::EventCursor;
use wharf_domain::ids::{AuditId, JobId};
use wharf_domain::namespace::{DEFAULT_NAMESPACE, Namespace, NamespaceName};
use wharf_domain::object::BlobKey;
use wharf_ports::{
    AcrossOrganizations, Credential, DueCheck, DueStream, DueSync, DueWebhook, InsertError,
    NewApiKey, NewOrganization, RepositoryError, StoredConsent,
};

use crate::MemoryStore;
use crate::state::{Owned, State, at_most};

impl State {
    /// Adds an organization with its admin and namespace; who calls has checked that the name is free.
    fn add_organization(
        &mut self,
        new: NewOrganization,
        audit: NewAuditRow,
        now: Timestamp,
    ) -> Organization {
        let organization = Organization {
            id: new.id,
            profile: OrganizationProfile {
                name: new.name,
                ..OrganizationProfile::default()
            },
            created_at: now,
            updated_at: now,
        };
        self.organizations
            .insert(organization.id.clone(), organization.clone());
        self.add_user(&organization.id, new.admin, now);
        let namespace = Namespace {
            id: new.default_namespace,
            name: NamespaceName::parse(DEFAULT_NAMESPACE).expect("the default name is a good one"),
            description: None,
            created_at: now,
        };
        let row = Owned {
            organization: organization.id.clone(),
            row: namespace,
        };
        self.namespaces.insert(row.row.id.clone(), row);
        self.record(&organization.id, now, audit);
        organization
    }
}

#[async_trait]
impl AcrossOrganizations for MemoryStore {
    async fn bootstrap(
        &self,
        organization: NewOrganization,
        key: NewApiKey,
        audit: NewAuditRow,
    ) -> Result<bool, RepositoryError> {
        let (mut state, now) = self.open();
        if !state.organizations.is_empty() {
            return Ok(false);
        }
        let organization = state.add_organization(organization, audit, now);
        state.add_api_key(&organization.id, key, now);
        Ok(true)
    }

    async fn insert_organization(
        &self,
        organization: NewOrganization,
        audit: NewAuditRow,
    ) -> Result<Organization, InsertError> {
        let (mut state, now) = self.open();
        if state
            .organizations
            .values()
            .any(|other| other.profile.name == organization.name)
        {
            return Err(InsertError::NameTaken);
        }
        Ok(state.add_organization(organization, audit, now))
    }

    async fn list_organizations(&self) -> Result<Vec<Organization>, RepositoryError> {
        let (state, _) = self.open();
        let mut organizations: Vec<_> = state.organizations.values().cloned().collect();
        organizations.sort_by_key(|organization| organization.created_at);
        Ok(organizations)
    }

    async fn find_api_key(&self, hash: &ApiKeyHash) -> Result<Option<Credential>, RepositoryError> {
        let (state, now) = self.open();
        let found = state
            .api_keys
            .values()
            .find(|owned| owned.row.hash == *hash);
        Ok(found.map(|owned| {
            let key = &owned.row;
            let principal = Principal {
                organization: owned.organization.clone(),
                user: key.user_id.clone(),
                key: key.id.clone(),
                grant: key.grant.clone(),
                rate_limits: state
                    .organizations
                    .get(&owned.organization)
                    .map(|organization| organization.profile.rate_limits)
                    .unwrap_or_default(),
            };
            let user = state.users.get(&key.user_id).map(|user| &user.row.profile);
            let acts = user.is_some_and(|user| user.status != UserStatus::Suspended);
            let expired = key
                .grant
                .expires_at
                .is_some_and(|expires_at| expires_at <= now);
            Credential {
                principal,
                role: user.map_or(Role::Viewer, |user| user.role),
                hash: key.hash.clone(),
                valid: key.revoked_at.is_none() && !expired && acts,
            }
        }))
    }

    async fn lease_due_sync(
        &self,
        worker: &str,
        ttl: Duration,
        new_job: &JobId,
        new_audit: &AuditId,
    ) -> Result<Option<DueSync>, RepositoryError> {
        let (mut state, now) = self.open();
        Ok(state.lease_due(worker, ttl, new_job, new_audit, now))
    }

    async fn lease_due_check(&self, ttl: Duration) -> Result<Option<DueCheck>, RepositoryError> {
        let (mut state, now) = self.open();
        Ok(state.lease_check(ttl, now))
    }

    async fn lease_due_webhook(
        &self,
        ttl: Duration,
        limit: u32,
    ) -> Result<Option<DueWebhook>, RepositoryError> {
        let (mut state, now) = self.open();
        Ok(state.lease_webhook(ttl, limit, now))
    }

    async fn lease_due_stream(
        &self,
        ttl: Duration,
        limit: u32,
    ) -> Result<Option<DueStream>, RepositoryError> {
        let (mut state, now) = self.open();
        Ok(state.lease_stream(ttl, limit, now))
    }

    async fn settle_stream(
        &self,
        due: &DueStream,
        cursor: EventCursor,
        pause: Duration,
    ) -> Result<bool, RepositoryError> {
        let (mut state, now) = self.open();
        Ok(state.settle_stream(due, cursor, pause, now))
    }

    async fn take_consent(
        &self,
        state_sha256: &str,
    ) -> Result<Option<StoredConsent>, RepositoryError> {
        let (mut state, now) = self.open();
        state.consents.retain(|_, it| it.expires_at > now);
        Ok(state.consents.remove(state_sha256))
    }

    async fn ring_channel(
        &self,
        channel: &str,
        token_sha256: &str,
    ) -> Result<bool, RepositoryError> {
        let (mut state, now) = self.open();
        Ok(state.ring(channel, token_sha256, now))
    }

    async fn knows_channel(
        &self,
        channel: &str,
        token_sha256: &str,
    ) -> Result<bool, RepositoryError> {
        let (mut state, now) = self.open();
        Ok(state.channel_of(channel, token_sha256, now).is_some())
    }

    async fn prune_history(&self, keep: Duration, limit: u32) -> Result<u64, RepositoryError> {
        let (mut state, now) = self.open();
        Ok(state.prune_history(keep, at_most(limit), now))
    }

    async fn purge_tombstones(&self, undo: Duration, limit: u32) -> Result<u64, RepositoryError> {
        let (mut state, now) = self.open();
        Ok(state.purge(undo, at_most(limit), now))
    }

    async fn dispose_dead_letters(&self, limit: u32) -> Result<u64, RepositoryError> {
        let (mut state, now) = self.open();
        Ok(state.dispose_dead_letters(at_most(limit), now))
    }

    async fn referenced_blobs(&self, keys: &[BlobKey]) -> Result<Vec<BlobKey>, RepositoryError> {
        let (state, _) = self.open();
        let referenced: HashSet<_> = state
            .objects
            .values()
            .filter(|owned| !owned.row.purged)
            .map(|owned| &owned.row.content.blob)
            .collect();
        Ok(keys
            .iter()
            .filter(|key| referenced.contains(key))
            .cloned()
            .collect())
    }

    async fn now(&self) -> Result<Timestamp, RepositoryError> {
        Ok(self.open().1)
    }
}
