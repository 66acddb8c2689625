use std::time::Duration;

use async_trait::async_trait;
use wharf_domain::Timestamp;
use wharf_domain::access::{ApiKeyHash, Organization, Principal, Role};
use wharf_domain::audit::NewAuditRow;
use wharf_domain::connection::Connection;
use wharf_domain::event::{Event, EventCursor, EventId, OutboxEntry};
use wharf_domain::ids::{AuditId, JobId, OrganizationId};
use wharf_domain::object::BlobKey;
use wharf_domain::sync::Lease;
use wharf_domain::webhook::Webhook;

use crate::{
    CheckLease, InsertError, NewApiKey, NewOrganization, RepositoryError, StoredConsent,
    WebhookLease,
};

/// What an API key stands for, and whether it may be used now by the database's clock.
#[derive(Debug, Clone, PartialEq)]
pub struct Credential {
    /// Who makes the request.
    pub principal: Principal,
    /// What the user is to the organization now; whoever authenticates lowers the grant to it.
    pub role: Role,
    /// The stored form of the key, to be compared with what was asked for.
    pub hash: ApiKeyHash,
    /// Neither revoked nor expired.
    pub valid: bool,
}

/// A sync that a worker has just leased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueSync {
    /// Whose sync it is.
    pub organization: OrganizationId,
    /// The right to run it.
    pub lease: Lease,
}

/// A connection that is to be checked now.
#[derive(Debug, Clone, PartialEq)]
pub struct DueCheck {
    /// Whose it is.
    pub organization: OrganizationId,
    /// The connection as it is stored.
    pub connection: Connection,
    /// The right to check it.
    pub lease: CheckLease,
    /// The database's clock.
    pub now: Timestamp,
}

/// A webhook that has events to be told of.
#[derive(Debug, Clone, PartialEq)]
pub struct DueWebhook {
    /// The webhook as it is stored.
    pub webhook: Webhook,
    /// The right to deliver to it.
    pub lease: WebhookLease,
    /// What happened behind its cursor, oldest first, whether it wants to be told or not; at most as many as were asked for.
    pub entries: Vec<OutboxEntry>,
    /// Events that a person wants delivered once more, and that the outbox still has.
    pub redeliveries: Vec<Event>,
    /// Events that a person wants delivered once more, and that are gone from the outbox.
    pub lost: Vec<EventId>,
    /// The database's clock.
    pub now: Timestamp,
}

/// An organization with events for the stream.
#[derive(Debug, Clone, PartialEq)]
pub struct DueStream {
    /// Whose they are.
    pub organization: OrganizationId,
    /// Grows with every lease of that organization's stream.
    pub fence: u64,
    /// What happened since, oldest first.
    pub entries: Vec<OutboxEntry>,
    /// Events of the first entry that are published already.
    pub cursor: EventCursor,
    /// Whether entries were removed since the last lease that had not been published.
    pub missed: bool,
}

/// The few questions that cannot be asked within one organization.
#[async_trait]
pub trait AcrossOrganizations: Send + Sync {
    /// Creates the very first organization with an admin key, if the database holds none. Returns whether it did; of
    /// several callers at once exactly one does.
    async fn bootstrap(
        &self,
        organization: NewOrganization,
        key: NewApiKey,
        audit: NewAuditRow,
    ) -> Result<bool, RepositoryError>;

    /// Creates a further organization with its admin user and namespace `default`. `NameTaken` when the name is.
    async fn insert_organization(
        &self,
        organization: NewOrganization,
        audit: NewAuditRow,
    ) -> Result<Organization, InsertError>;

    /// All organizations, oldest first.
    async fn list_organizations(&self) -> Result<Vec<Organization>, RepositoryError>;

    /// The key with this hash, if there is one. It is valid if it is neither revoked nor expired, and its user neither suspended nor
    /// removed.
    async fn find_api_key(&self, hash: &ApiKeyHash) -> Result<Option<Credential>, RepositoryError>;

    /// Leases a sync that is due, or one whose lease has expired: its connection is active, it is not paused, its
    /// `next_run_at` has come (an expired lease counts as due), and nobody holds it. The fence grows by one. Of those, one of
    /// the organization with the fewest leases that have not expired comes first, and among equals the one that has been due
    /// longest, so that nobody's many syncs keep another's few waiting.
    ///
    /// A full run that was asked for meanwhile begins: the checkpoint of an incomplete pass and the feed's place are dropped, `pending_full` ends, and
    /// a new job's trigger is `manual`. It is a resume of nothing.
    ///
    /// The run is the sync's queued job if it has one, else a new job `new_job` (trigger `scheduled`). Where the lease of
    /// a job had expired, that job becomes `interrupted` in the same step (`incomplete_reason` `lease_expired`) and the
    /// new job is a `resume` of it, unless a queued job takes over. The job's `started_at` is set, its phase is
    /// `discovering`.
    ///
    /// A job whose lease has expired while its connection is not active, or its sync paused, becomes `interrupted` too (`lease_expired`), its
    /// sync is released and not leased: the next lease, once the connection is active again, is a `resume`.
    ///
    /// Each job that ends so leaves its audit row ([`NewAuditRow::job_ended_alone`]).
    ///
    /// The start leaves an audit row, too (`JobStarted` by the system, under the identifier `new_audit`, of the job; its changes tell
    /// `sync_config_id`, `bucket_id`, `connection_id` and `trigger`).
    ///
    /// Of several callers at once, no two lease the same sync. When nothing is due: `None`.
    async fn lease_due_sync(
        &self,
        worker: &str,
        ttl: Duration,
        new_job: &JobId,
        new_audit: &AuditId,
    ) -> Result<Option<DueSync>, RepositoryError>;

    /// Leases the check of a connection that is active or failing, whose `next_check_at` has come, and that nobody holds; the one that
    /// has been due longest. Of several callers at once, no two lease the same one.
    async fn lease_due_check(&self, ttl: Duration) -> Result<Option<DueCheck>, RepositoryError>;

    /// Leases a webhook that is active, whose pause is over, that nobody holds, and behind whose cursor its organization's order goes
    /// on; or one with redeliveries asked for, which wait for no pause but their own: without entries while it is not active or its
    /// pause goes on, and then its attempts and that pause stay as they are. One of the organization with the fewest that are held
    /// comes first, and among equals the one that has waited longest, with at most `limit` entries.
    ///
    /// If entries were removed that it had not been told of, its cursor goes past them, its attempts begin again, and its health says
    /// so (`missed_events_at` is `now`); it is leased then even if no entries are left.
    async fn lease_due_webhook(
        &self,
        ttl: Duration,
        limit: u32,
    ) -> Result<Option<DueWebhook>, RepositoryError>;

    /// Leases the stream of an organization whose order goes on behind what was published, whose pause is over, and that nobody holds,
    /// with at most `limit` entries. Without entries there, what was passed over counts as published. If entries were removed that were
    /// not published, it is leased, too, past them.
    async fn lease_due_stream(
        &self,
        ttl: Duration,
        limit: u32,
    ) -> Result<Option<DueStream>, RepositoryError>;

    /// Notes how far an organization's stream is published and ends its lease; it is due again after `pause`. Whether the lease was
    /// still held: if not, nothing is stored.
    async fn settle_stream(
        &self,
        due: &DueStream,
        cursor: EventCursor,
        pause: Duration,
    ) -> Result<bool, RepositoryError>;

    /// Takes the consent with this state out, if it has not expired: of several callers at once, one gets it. Expired ones are
    /// removed, whosever they are.
    async fn take_consent(
        &self,
        state_sha256: &str,
    ) -> Result<Option<StoredConsent>, RepositoryError>;

    /// A provider calls the channel of a sync: if the word is right, the sync is due at once, but not before [`RING_REST`](wharf_domain::job::RING_REST) after its last
    /// run; one that a worker holds is due again that long after its run. The pause after a run that failed or was throttled stays
    /// as long as it is. Paused and stopped ones stay as they are. Whether there is such a channel that has not
    /// expired, with that word.
    async fn ring_channel(
        &self,
        channel: &str,
        token_sha256: &str,
    ) -> Result<bool, RepositoryError>;

    /// Whether there is such a channel that has not expired, with that word. Changes nothing.
    async fn knows_channel(
        &self,
        channel: &str,
        token_sha256: &str,
    ) -> Result<bool, RepositoryError>;

    /// Removes outbox entries and deliveries older than `keep`, checks older than [`HISTORY`](wharf_domain::health::HISTORY) and
    /// claims of requests older than a day. At most `limit` of each; returns how many in all.
    async fn prune_history(&self, keep: Duration, limit: u32) -> Result<u64, RepositoryError>;

    /// Purges tombstones whose undo window has passed: the bytes of those that a person deleted are let go of (the row stays,
    /// so that the file is not copied again), those that vanished at the source go altogether, with the rows of catalogues that
    /// point at them. At most `limit`, those first that were deleted first; returns how many. Their blobs are referenced no
    /// longer.
    async fn purge_tombstones(&self, undo: Duration, limit: u32) -> Result<u64, RepositoryError>;

    /// Closes exhausted dead letters whose last try is [`DISPOSAL`](wharf_domain::dead_letter::DISPOSAL) ago and whose sync does
    /// not run any more: it is paused, completed, or its connection archived. At most `limit`; returns how many.
    async fn dispose_dead_letters(&self, limit: u32) -> Result<u64, RepositoryError>;

    /// Which of these blobs some object that is not purged, live or tombstone, points at.
    async fn referenced_blobs(&self, keys: &[BlobKey]) -> Result<Vec<BlobKey>, RepositoryError>;

    /// The database's clock.
    async fn now(&self) -> Result<Timestamp, RepositoryError>;
}
