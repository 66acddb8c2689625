//! Requests that do not mind what happened since: changes of webhooks, and buckets of requests that were overtaken.

use std::sync::Arc;

use async_trait::async_trait;
use wharf_domain::audit::NewAuditRow;
use wharf_domain::bucket::{Bucket, BucketIdentifier, NewBucket};
use wharf_domain::event::EventId;
use wharf_domain::ids::{BucketId, NamespaceId, OrganizationId, WebhookId};
use wharf_domain::page::{Page, PageRequest};
use wharf_domain::webhook::{Delivery, Settlement, Webhook, WebhookSettings};
use wharf_ports::{
    BucketChange, BucketRepository, ChangeError, InsertError, Repositories, RepositoryError,
    WebhookError, WebhookFilter, WebhookLease, WebhookRepository,
};

/// The same repositories, but a change of a webhook that was read before another change is stored over it.
pub fn without_versions_of_webhooks(repositories: Repositories) -> Repositories {
    let webhooks = Arc::new(Unversioned(repositories.webhooks.clone()));
    Repositories {
        webhooks,
        ..repositories
    }
}

/// The same repositories, but new buckets are stored without a look at the claim of their request.
pub fn without_claims_on_buckets(repositories: Repositories) -> Repositories {
    let buckets = Arc::new(Unclaimed(repositories.buckets.clone()));
    Repositories {
        buckets,
        ..repositories
    }
}

struct Unversioned(Arc<dyn WebhookRepository>);

#[async_trait]
impl WebhookRepository for Unversioned {
    async fn insert(
        &self,
        organization: &OrganizationId,
        id: WebhookId,
        settings: WebhookSettings,
        audit: NewAuditRow,
    ) -> Result<Webhook, InsertError> {
        self.0.insert(organization, id, settings, audit).await
    }

    async fn find(
        &self,
        organization: &OrganizationId,
        id: &WebhookId,
    ) -> Result<Option<Webhook>, RepositoryError> {
        self.0.find(organization, id).await
    }

    async fn list(
        &self,
        organization: &OrganizationId,
        filter: &WebhookFilter,
        page: &PageRequest,
    ) -> Result<Page<Webhook>, RepositoryError> {
        self.0.list(organization, filter, page).await
    }

    async fn replace(
        &self,
        organization: &OrganizationId,
        id: &WebhookId,
        _read_version: u64,
        settings: WebhookSettings,
        audit: NewAuditRow,
    ) -> Result<Webhook, WebhookError> {
        loop {
            let stored = self.0.find(organization, id).await?;
            let newest = stored
                .ok_or(WebhookError::NotFound)?
                .settings
                .secret_version;
            let (settings, audit) = (settings.clone(), audit.clone());
            let replaced = self.0.replace(organization, id, newest, settings, audit);
            match replaced.await {
                Err(WebhookError::Conflict) => {}
                answer => return answer,
            }
        }
    }

    async fn remove(
        &self,
        organization: &OrganizationId,
        id: &WebhookId,
        audit: NewAuditRow,
    ) -> Result<bool, RepositoryError> {
        self.0.remove(organization, id, audit).await
    }

    async fn redeliver(
        &self,
        organization: &OrganizationId,
        id: &WebhookId,
        events: &[EventId],
        audit: NewAuditRow,
    ) -> Result<bool, RepositoryError> {
        self.0.redeliver(organization, id, events, audit).await
    }

    async fn settle(
        &self,
        organization: &OrganizationId,
        lease: &WebhookLease,
        settlement: Settlement,
        paused: Option<NewAuditRow>,
    ) -> Result<bool, RepositoryError> {
        self.0.settle(organization, lease, settlement, paused).await
    }

    async fn deliveries(
        &self,
        organization: &OrganizationId,
        id: &WebhookId,
        page: &PageRequest,
    ) -> Result<Page<Delivery>, RepositoryError> {
        self.0.deliveries(organization, id, page).await
    }
}

struct Unclaimed(Arc<dyn BucketRepository>);

#[async_trait]
impl BucketRepository for Unclaimed {
    async fn insert(
        &self,
        organization: &OrganizationId,
        bucket: NewBucket,
        mut audit: NewAuditRow,
    ) -> Result<Bucket, InsertError> {
        audit.origin.claim = None;
        self.0.insert(organization, bucket, audit).await
    }

    async fn find(
        &self,
        organization: &OrganizationId,
        namespace: &NamespaceId,
        identifier: &BucketIdentifier,
    ) -> Result<Option<Bucket>, RepositoryError> {
        self.0.find(organization, namespace, identifier).await
    }

    async fn list(
        &self,
        organization: &OrganizationId,
        namespace: &NamespaceId,
        search: Option<&str>,
        page: &PageRequest,
    ) -> Result<Page<Bucket>, RepositoryError> {
        self.0.list(organization, namespace, search, page).await
    }

    async fn remove(
        &self,
        organization: &OrganizationId,
        bucket: &BucketId,
        audit: NewAuditRow,
    ) -> Result<bool, RepositoryError> {
        self.0.remove(organization, bucket, audit).await
    }

    async fn update(
        &self,
        organization: &OrganizationId,
        bucket: &BucketId,
        change: BucketChange,
        audit: NewAuditRow,
    ) -> Result<Bucket, ChangeError> {
        self.0.update(organization, bucket, change, audit).await
    }
}
