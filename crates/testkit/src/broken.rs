//! Repositories and providers that break one promise each, to show that the suites notice.

pub mod provider;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use wharf_domain::Timestamp;
use wharf_domain::access::{ApiKeyHash, Organization};
use wharf_domain::audit::NewAuditRow;
use wharf_domain::connection::{
    Connection, ConnectionFilter, ConnectionIdentifier, Event, NewConnection, Transition,
};
use wharf_domain::ids::{ConnectionId, JobId, OrganizationId, SyncId};
use wharf_domain::job::JobEnd;
use wharf_domain::object::BlobKey;
use wharf_domain::page::{Page, PageRequest};
use wharf_domain::run::commit::{Commit, Standing};
use wharf_domain::run::deletes::{Hold, LetGo, MarkMissing, RowKey, Survey};
use wharf_domain::sync::{Lease, Sync};
use wharf_ports::{
    AcrossOrganizations, ApplyError, ConnectionRepository, Credential, DueSync, InsertError,
    NewApiKey, NewOrganization, Repositories, RepositoryError, RunError, RunRepository,
};

/// The same repositories, but a commit is published under the newest lease of its sync, whatever lease it carries: a
/// worker that was taken over goes on writing.
pub fn without_fences(repositories: Repositories) -> Repositories {
    let unfenced = Arc::new(Unfenced {
        across: repositories.across.clone(),
        runs: repositories.runs.clone(),
        newest: Mutex::default(),
    });
    Repositories {
        across: unfenced.clone(),
        runs: unfenced,
        ..repositories
    }
}

/// The same repositories, but a change of a connection that was read before another change is stored over it.
pub fn without_revisions(repositories: Repositories) -> Repositories {
    let connections = Arc::new(Unrevised(repositories.connections.clone()));
    Repositories {
        connections,
        ..repositories
    }
}

struct Unfenced {
    across: Arc<dyn AcrossOrganizations>,
    runs: Arc<dyn RunRepository>,
    newest: Mutex<HashMap<SyncId, Lease>>,
}

impl Unfenced {
    /// The newest lease of that sync.
    fn newest(&self, lease: &Lease) -> Lease {
        let newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        newest.get(&lease.sync).unwrap_or(lease).clone()
    }
}

#[async_trait]
impl AcrossOrganizations for Unfenced {
    async fn bootstrap(
        &self,
        organization: NewOrganization,
        key: NewApiKey,
        audit: NewAuditRow,
    ) -> Result<bool, RepositoryError> {
        self.across.bootstrap(organization, key, audit).await
    }

    async fn insert_organization(
        &self,
        organization: NewOrganization,
        audit: NewAuditRow,
    ) -> Result<Organization, InsertError> {
        self.across.insert_organization(organization, audit).await
    }

    async fn list_organizations(&self) -> Result<Vec<Organization>, RepositoryError> {
        self.across.list_organizations().await
    }

    async fn find_api_key(&self, hash: &ApiKeyHash) -> Result<Option<Credential>, RepositoryError> {
        self.across.find_api_key(hash).await
    }

    async fn lease_due_sync(
        &self,
        worker: &str,
        ttl: Duration,
        new_job: &JobId,
    ) -> Result<Option<DueSync>, RepositoryError> {
        let due = self.across.lease_due_sync(worker, ttl, new_job).await?;
        if let Some(due) = &due {
            let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
            newest.insert(due.lease.sync.clone(), due.lease.clone());
        }
        Ok(due)
    }

    async fn purge_tombstones(&self, undo: Duration, limit: u32) -> Result<u64, RepositoryError> {
        self.across.purge_tombstones(undo, limit).await
    }

    async fn dispose_dead_letters(&self, limit: u32) -> Result<u64, RepositoryError> {
        self.across.dispose_dead_letters(limit).await
    }

    async fn referenced_blobs(&self, keys: &[BlobKey]) -> Result<Vec<BlobKey>, RepositoryError> {
        self.across.referenced_blobs(keys).await
    }

    async fn now(&self) -> Result<Timestamp, RepositoryError> {
        self.across.now().await
    }
}

#[async_trait]
impl RunRepository for Unfenced {
    async fn load(&self, organization: &OrganizationId, lease: &Lease) -> Result<Sync, RunError> {
        self.runs.load(organization, lease).await
    }

    async fn extend(
        &self,
        organization: &OrganizationId,
        lease: &Lease,
        ttl: Duration,
    ) -> Result<(), RunError> {
        self.runs.extend(organization, lease, ttl).await
    }

    async fn commit(
        &self,
        organization: &OrganizationId,
        lease: &Lease,
        standing: Standing,
        commit: &Commit,
        audit: Option<NewAuditRow>,
    ) -> Result<(), RunError> {
        let newest = self.newest(lease);
        self.runs
            .commit(organization, &newest, standing, commit, audit)
            .await
    }

    async fn mark_missing(
        &self,
        organization: &OrganizationId,
        lease: &Lease,
        standing: Standing,
        step: &MarkMissing,
    ) -> Result<Option<RowKey>, RunError> {
        self.runs
            .mark_missing(organization, lease, standing, step)
            .await
    }

    async fn survey(
        &self,
        organization: &OrganizationId,
        lease: &Lease,
        pass: u64,
        denied: &[String],
    ) -> Result<Survey, RunError> {
        self.runs.survey(organization, lease, pass, denied).await
    }

    async fn hold(
        &self,
        organization: &OrganizationId,
        lease: &Lease,
        standing: Standing,
        step: &Hold,
        audit: NewAuditRow,
    ) -> Result<u64, RunError> {
        self.runs
            .hold(organization, lease, standing, step, audit)
            .await
    }

    async fn let_go(
        &self,
        organization: &OrganizationId,
        lease: &Lease,
        standing: Standing,
        step: &LetGo,
        audit: NewAuditRow,
    ) -> Result<u64, RunError> {
        self.runs
            .let_go(organization, lease, standing, step, audit)
            .await
    }

    async fn finish(
        &self,
        organization: &OrganizationId,
        lease: &Lease,
        end: JobEnd,
        delay: Duration,
        audit: NewAuditRow,
    ) -> Result<(), RunError> {
        self.runs
            .finish(organization, lease, end, delay, audit)
            .await
    }
}

struct Unrevised(Arc<dyn ConnectionRepository>);

#[async_trait]
impl ConnectionRepository for Unrevised {
    async fn insert(
        &self,
        connection: NewConnection,
        audit: NewAuditRow,
    ) -> Result<Connection, InsertError> {
        self.0.insert(connection, audit).await
    }

    async fn find(
        &self,
        organization: &OrganizationId,
        identifier: &ConnectionIdentifier,
    ) -> Result<Option<Connection>, RepositoryError> {
        self.0.find(organization, identifier).await
    }

    async fn list(
        &self,
        organization: &OrganizationId,
        filter: &ConnectionFilter,
        page: &PageRequest,
    ) -> Result<Page<Connection>, RepositoryError> {
        self.0.list(organization, filter, page).await
    }

    async fn apply(
        &self,
        organization: &OrganizationId,
        id: &ConnectionId,
        _if_revision: Option<u64>,
        events: Vec<Event>,
        audit: Vec<NewAuditRow>,
    ) -> Result<Transition, ApplyError> {
        self.0.apply(organization, id, None, events, audit).await
    }
}
