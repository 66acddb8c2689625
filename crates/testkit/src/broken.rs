//! Repositories and providers that break one promise each, to show that the suites notice.

mod histories;
pub mod provider;
mod requests;
mod sessions;

pub use histories::{with_repeated_events, without_leases_of_checks};
pub use requests::{without_claims_on_buckets, without_versions_of_webhooks};
pub use sessions::{with_two_rights, without_credential_versions};

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
use wharf_domain::event::EventCursor;
use wharf_domain::ids::{AuditId, ConnectionId, JobId, OrganizationId, SyncId};
use wharf_domain::job::JobEnd;
use wharf_domain::object::BlobKey;
use wharf_domain::page::{Page, PageRequest};
use wharf_domain::run::catalogue::{Recall, Recalled, Span};
use wharf_domain::run::commit::{Commit, Standing};
use wharf_domain::run::deletes::{Hold, LetGo, MarkAbsent, MarkMissing, RowKey, Survey};
use wharf_domain::run::feed::MissingRow;
use wharf_domain::sync::{Lease, PushChannel, Sync};
use wharf_ports::{
    AcrossOrganizations, ApplyError, CatalogueRepository, ConnectionRepository, Credential,
    DueCheck, DueStream, DueSync, DueWebhook, InsertError, NewApiKey, NewOrganization,
    Repositories, RepositoryError, RunError, RunRepository, StoredConsent,
};

/// The same repositories, but a commit is published under the newest lease of its sync, whatever lease it carries: a
/// worker that was taken over goes on writing.
pub fn without_fences(repositories: Repositories) -> Repositories {
    let newest: Arc<Mutex<HashMap<SyncId, Lease>>> = Arc::default();
    let across = Arc::new(Watched {
        across: repositories.across.clone(),
        newest: newest.clone(),
    });
    let runs = Arc::new(Bent {
        runs: repositories.runs.clone(),
        lease: Box::new(move |lease| {
            let newest = newest.lock().unwrap_or_else(PoisonError::into_inner);
            newest.get(&lease.sync).unwrap_or(lease).clone()
        }),
        let_go: LetGo::clone,
    });
    Repositories {
        across,
        runs,
        ..repositories
    }
}

/// The same repositories, but deletes that only one pass has found missing are let go of with those that two agree on.
pub fn without_second_looks(repositories: Repositories) -> Repositories {
    let runs = Arc::new(Bent {
        runs: repositories.runs.clone(),
        lease: Box::new(Lease::clone),
        let_go: |step| LetGo {
            only_agreed: false,
            ..step.clone()
        },
    });
    Repositories {
        runs,
        ..repositories
    }
}

/// The same repositories, but a page of a listing is compared with all that the catalogue has, not with its own stretch.
pub fn without_stretches(repositories: Repositories) -> Repositories {
    let catalogue = Arc::new(Boundless(repositories.catalogue.clone()));
    Repositories {
        catalogue,
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

/// Takes note of the newest lease of every sync.
struct Watched {
    across: Arc<dyn AcrossOrganizations>,
    newest: Arc<Mutex<HashMap<SyncId, Lease>>>,
}

#[async_trait]
impl AcrossOrganizations for Watched {
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

    async fn knows_channel(
        &self,
        channel: &str,
        token_sha256: &str,
    ) -> Result<bool, RepositoryError> {
        self.across.knows_channel(channel, token_sha256).await
    }

    async fn find_api_key(&self, hash: &ApiKeyHash) -> Result<Option<Credential>, RepositoryError> {
        self.across.find_api_key(hash).await
    }

    async fn lease_due_sync(
        &self,
        worker: &str,
        ttl: Duration,
        new_job: &JobId,
        new_audit: &AuditId,
    ) -> Result<Option<DueSync>, RepositoryError> {
        let due = self
            .across
            .lease_due_sync(worker, ttl, new_job, new_audit)
            .await?;
        if let Some(due) = &due {
            let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
            newest.insert(due.lease.sync.clone(), due.lease.clone());
        }
        Ok(due)
    }

    async fn lease_due_check(&self, ttl: Duration) -> Result<Option<DueCheck>, RepositoryError> {
        self.across.lease_due_check(ttl).await
    }

    async fn lease_due_webhook(
        &self,
        ttl: Duration,
        limit: u32,
    ) -> Result<Option<DueWebhook>, RepositoryError> {
        self.across.lease_due_webhook(ttl, limit).await
    }

    async fn lease_due_stream(
        &self,
        ttl: Duration,
        limit: u32,
    ) -> Result<Option<DueStream>, RepositoryError> {
        self.across.lease_due_stream(ttl, limit).await
    }

    async fn settle_stream(
        &self,
        due: &DueStream,
        cursor: EventCursor,
        pause: Duration,
    ) -> Result<bool, RepositoryError> {
        self.across.settle_stream(due, cursor, pause).await
    }

    async fn take_consent(
        &self,
        state_sha256: &str,
    ) -> Result<Option<StoredConsent>, RepositoryError> {
        self.across.take_consent(state_sha256).await
    }

    async fn ring_channel(
        &self,
        channel: &str,
        token_sha256: &str,
    ) -> Result<bool, RepositoryError> {
        self.across.ring_channel(channel, token_sha256).await
    }

    async fn prune_history(&self, keep: Duration, limit: u32) -> Result<u64, RepositoryError> {
        self.across.prune_history(keep, limit).await
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

/// Runs of which some step is bent before it is taken.
struct Bent {
    runs: Arc<dyn RunRepository>,
    /// The lease that a commit is published under.
    lease: Box<dyn Fn(&Lease) -> Lease + Send + std::marker::Sync>,
    /// What is let go of.
    let_go: fn(&LetGo) -> LetGo,
}

#[async_trait]
impl RunRepository for Bent {
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
        let lease = (self.lease)(lease);
        self.runs
            .commit(organization, &lease, standing, commit, audit)
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

    async fn mark_absent(
        &self,
        organization: &OrganizationId,
        lease: &Lease,
        standing: Standing,
        step: &MarkAbsent,
    ) -> Result<u64, RunError> {
        self.runs
            .mark_absent(organization, lease, standing, step)
            .await
    }

    async fn missing_rows(
        &self,
        organization: &OrganizationId,
        lease: &Lease,
        pass: u64,
        authority: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<MissingRow>, RunError> {
        self.runs
            .missing_rows(organization, lease, pass, authority, after, limit)
            .await
    }

    async fn keep_channel(
        &self,
        organization: &OrganizationId,
        lease: &Lease,
        channel: Option<PushChannel>,
    ) -> Result<(), RunError> {
        self.runs.keep_channel(organization, lease, channel).await
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
        let step = (self.let_go)(step);
        self.runs
            .let_go(organization, lease, standing, &step, audit)
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

struct Boundless(Arc<dyn CatalogueRepository>);

#[async_trait]
impl CatalogueRepository for Boundless {
    async fn recall(
        &self,
        organization: &OrganizationId,
        sync: &SyncId,
        pass: u64,
        recall: &Recall,
    ) -> Result<Recalled, RepositoryError> {
        let everything = Span {
            after: None,
            through: None,
        };
        let boundless = Recall {
            span: recall.span.as_ref().map(|_| everything),
            ..recall.clone()
        };
        self.0.recall(organization, sync, pass, &boundless).await
    }
}
