use std::fmt;
use std::sync::Arc;

use crate::{
    AccessRepository, AcrossOrganizations, AuditRepository, BucketRepository, CatalogueRepository,
    CheckRepository, ConnectionRepository, ConsentRepository, DeadLetterRepository,
    EventRepository, ExternalIdRepository, IdempotencyRepository, JobRepository,
    NamespaceRepository, ObjectRepository, OrganizationKeyRepository, RunRepository,
    SessionRepository, SyncRepository, WebhookRepository,
};

/// All repositories of one database, as an adapter opens them.
#[derive(Clone)]
pub struct Repositories {
    /// Users and API keys.
    pub access: Arc<dyn AccessRepository>,
    /// What looks across organizations.
    pub across: Arc<dyn AcrossOrganizations>,
    /// The audit trail.
    pub audit: Arc<dyn AuditRepository>,
    /// Buckets.
    pub buckets: Arc<dyn BucketRepository>,
    /// What syncs know of their sources.
    pub catalogue: Arc<dyn CatalogueRepository>,
    /// Histories of checks.
    pub checks: Arc<dyn CheckRepository>,
    /// Connections.
    pub connections: Arc<dyn ConnectionRepository>,
    /// Dead letters.
    pub dead_letters: Arc<dyn DeadLetterRepository>,
    /// Events.
    pub events: Arc<dyn EventRepository>,
    /// Issued external ids.
    pub external_ids: Arc<dyn ExternalIdRepository>,
    /// Claims of requests.
    pub idempotency: Arc<dyn IdempotencyRepository>,
    /// Jobs.
    pub jobs: Arc<dyn JobRepository>,
    /// Organization keys.
    pub keys: Arc<dyn OrganizationKeyRepository>,
    /// Namespaces.
    pub namespaces: Arc<dyn NamespaceRepository>,
    /// Consents under way.
    pub consents: Arc<dyn ConsentRepository>,
    /// Objects.
    pub objects: Arc<dyn ObjectRepository>,
    /// Writes of runs.
    pub runs: Arc<dyn RunRepository>,
    /// Access tokens of connections.
    pub sessions: Arc<dyn SessionRepository>,
    /// Syncs.
    pub syncs: Arc<dyn SyncRepository>,
    /// Webhooks.
    pub webhooks: Arc<dyn WebhookRepository>,
}

impl fmt::Debug for Repositories {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Repositories")
    }
}
