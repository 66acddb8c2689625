//! Audit rows: what changed, who did it and why. They are stored together with the change they record.

mod chain;

pub use chain::{AuditHash, ChainHead, link_bytes};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::Timestamp;
use crate::idempotency::Claim;
use crate::ids::{AuditId, Id, JobId, OrganizationId, SyncId};
use crate::job::JobEnd;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident => $text:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $text)] $variant),* }

        impl $name {
            /// The word in the database and on the wire.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }

            /// Reads the word.
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

words! {
    /// What happened.
    Action {
        /// An organization was created.
        OrganizationCreated => "organization_created",
        /// An organization's settings were changed.
        OrganizationUpdated => "organization_updated",
        /// A user was created.
        UserCreated => "user_created",
        /// A user was changed.
        UserUpdated => "user_updated",
        /// A user was removed; their keys were revoked.
        UserDeleted => "user_deleted",
        /// An API key was created.
        ApiKeyCreated => "api_key_created",
        /// An API key was revoked.
        ApiKeyRevoked => "api_key_revoked",
        /// An API key got a new secret.
        ApiKeyRotated => "api_key_rotated",
        /// What an API key allows was changed.
        ApiKeyScopeUpdated => "api_key_scope_updated",
        /// The settings of the audit trail were changed.
        AuditSettingsUpdated => "audit_settings_updated",
        /// A namespace was created.
        NamespaceCreated => "namespace_created",
        /// A namespace was changed.
        NamespaceUpdated => "namespace_updated",
        /// A namespace was deleted.
        NamespaceDeleted => "namespace_deleted",
        /// A namespace was read, where reads are audited.
        NamespaceAccessed => "namespace_accessed",
        /// A bucket was created.
        BucketCreated => "bucket_created",
        /// A bucket was changed.
        BucketUpdated => "bucket_updated",
        /// A bucket was read, where reads are audited.
        BucketAccessed => "bucket_accessed",
        /// A bucket was deleted.
        BucketDeleted => "bucket_deleted",
        /// An external id for role assumption was issued.
        ExternalIdIssued => "external_id_issued",
        /// A connection was created.
        ConnectionCreated => "storage_connection_created",
        /// A connection was changed by a person.
        ConnectionUpdated => "storage_connection_updated",
        /// A connection was archived.
        ConnectionDeleted => "storage_connection_deleted",
        /// A connection was tested: by a person, by the health watch, or by a run that found it well again.
        ConnectionTested => "storage_connection_tested",
        /// A connection's status was changed by outcomes.
        ConnectionFailed => "storage_connection_failed",
        /// A connection's credentials were used to browse, plan or explain.
        ConnectionUsed => "storage_connection_used",
        /// A connection was read, where reads are audited.
        ConnectionAccessed => "storage_connection_accessed",
        /// A connection's credentials or certificate run out soon.
        ConnectionExpiring => "storage_connection_expiring",
        /// A webhook was created.
        WebhookCreated => "webhook_created",
        /// A webhook was changed.
        WebhookUpdated => "webhook_updated",
        /// A webhook was deleted.
        WebhookDeleted => "webhook_deleted",
        /// A webhook was paused after deliveries had failed again and again.
        WebhookPaused => "webhook_paused",
        /// Events were asked to be delivered again.
        WebhookRedelivered => "webhook_redelivered",
        /// A sync was created.
        SyncCreated => "sync_created",
        /// A sync was deleted.
        SyncDeleted => "sync_deleted",
        /// A run of a sync was asked for.
        SyncTriggered => "sync_triggered",
        /// A sync was changed by a person.
        SyncUpdated => "sync_updated",
        /// A sync was paused.
        SyncPaused => "sync_paused",
        /// A paused sync was resumed.
        SyncResumed => "sync_resumed",
        /// A sync's lease was taken away by a person.
        SyncUnlocked => "sync_unlocked",
        /// Dead letters were queued again.
        DeadLettersRequeued => "dead_letters_requeued",
        /// Dead letters were marked as failed for good.
        DeadLettersMarked => "dead_letters_marked_failed",
        /// A run holds deletes back.
        DeletesHeld => "deletes_held",
        /// A person approved held deletes.
        DeletesApproved => "deletes_approved",
        /// A person discarded held deletes.
        DeletesDiscarded => "deletes_discarded",
        /// A tombstone became an object again by a person's wish.
        ObjectRestored => "object_restored",
        /// A run began: its connection's credentials are in use.
        JobStarted => "sync_job_started",
        /// A run committed objects.
        ObjectsCommitted => "objects_committed",
        /// A run ended.
        JobFinished => "sync_job_finished",
        /// An object was deleted by a person.
        ObjectDeleted => "object_deleted",
    }
}

words! {
    /// What kind of thing it happened to.
    ResourceType {
        /// An organization.
        Organization => "organization",
        /// A user.
        User => "user",
        /// An API key.
        ApiKey => "api_key",
        /// A namespace.
        Namespace => "namespace",
        /// A bucket.
        Bucket => "bucket",
        /// A connection.
        Connection => "storage_connection",
        /// A webhook.
        Webhook => "webhook",
        /// A sync.
        Sync => "sync",
        /// A job.
        Job => "sync_job",
        /// An object.
        Object => "object",
    }
}

/// Who did it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// A person or machine with an API key: user and key identifiers.
    User {
        /// The user's identifier.
        user_id: String,
        /// The key's identifier.
        key_id: String,
    },
    /// The server itself: scheduler, workers, bootstrap.
    System,
    /// An operator at the command line.
    Operator,
}

impl Actor {
    /// The word for this kind of actor in the database and on the wire.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::User { .. } => "user",
            Self::System => "system",
            Self::Operator => "operator",
        }
    }

    /// The user's identifier, or the word for the server or its operator.
    pub fn id(&self) -> &str {
        match self {
            Self::User { user_id, .. } => user_id,
            Self::System | Self::Operator => self.kind(),
        }
    }
}

/// What a request tells about itself for the audit trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Who acts.
    pub actor: Actor,
    /// Why, from the request's `X-Change-Reason`; at most 500 characters.
    pub reason: Option<String>,
    /// The peer's address.
    pub ip_address: Option<String>,
    /// The peer's `User-Agent`; at most 256 characters.
    pub user_agent: Option<String>,
    /// The claim that the request holds on its `Idempotency-Key`, if it sent one. Not part of the trail: whoever stores a row of
    /// such a request notes the effect on the claim in the same transaction.
    pub claim: Option<Claim>,
}

impl Origin {
    /// The server itself.
    pub fn system() -> Self {
        Self {
            actor: Actor::System,
            reason: None,
            ip_address: None,
            user_agent: None,
            claim: None,
        }
    }

    /// An operator at the command line.
    pub fn operator() -> Self {
        Self {
            actor: Actor::Operator,
            reason: None,
            ip_address: None,
            user_agent: None,
            claim: None,
        }
    }
}

/// An audit row before it is stored; the repository adds the time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAuditRow {
    /// The row's identifier.
    pub id: AuditId,
    /// What happened.
    pub action: Action,
    /// To what kind of thing.
    pub resource_type: ResourceType,
    /// To which one.
    pub resource_id: String,
    /// Who, why and from where.
    pub origin: Origin,
    /// What changed, as a JSON object without any secret.
    pub changes: Value,
}

impl NewAuditRow {
    /// The row of a job that ends without its worker: its lease ran out, or its connection was archived. Such an end comes
    /// once in a job's life, so the row takes its identifier from the job's, and whoever stores it needs no source of new ones.
    pub fn job_ended_alone(job: &JobId, sync: &SyncId, end: &JobEnd) -> Self {
        let id = job.as_str().replacen(JobId::PREFIX, AuditId::PREFIX, 1);
        Self {
            id: id
                .parse()
                .expect("both kinds of identifier are sixteen hex digits"),
            action: Action::JobFinished,
            resource_type: ResourceType::Job,
            resource_id: job.as_str().to_owned(),
            origin: Origin::system(),
            changes: json!({
                "sync_config_id": sync,
                "status": end.status.as_str(),
                "incomplete_reason": end.incomplete_reason,
            }),
        }
    }

    /// The same row with one more fact among its changes, which only the step that stores it knows.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        if let Some(changes) = self.changes.as_object_mut() {
            changes.insert(key.to_owned(), value.into());
        }
        self
    }
}

/// A stored audit row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRow {
    /// Whose trail it belongs to.
    pub organization: OrganizationId,
    /// When it was stored, by the database's clock.
    pub at: Timestamp,
    /// Its place in the organization's chain, and what it is linked by.
    pub link: ChainHead,
    /// What was recorded.
    pub row: NewAuditRow,
}

/// Which rows of the trail are wanted; all conditions must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// To this kind of thing.
    pub resource_type: Option<String>,
    /// To this one.
    pub resource_id: Option<String>,
    /// By this user; `system` and `operator` name the server and its operators.
    pub actor_id: Option<String>,
    /// This happened.
    pub action: Option<String>,
    /// Not before.
    pub start: Option<Timestamp>,
    /// Not after.
    pub end: Option<Timestamp>,
}

impl AuditFilter {
    /// Whether a row is wanted.
    pub fn matches(&self, row: &AuditRow) -> bool {
        fn is(wanted: Option<&String>, found: &str) -> bool {
            wanted.is_none_or(|wanted| wanted == found)
        }
        is(self.resource_type.as_ref(), row.row.resource_type.as_str())
            && is(self.resource_id.as_ref(), &row.row.resource_id)
            && is(self.actor_id.as_ref(), row.row.origin.actor.id())
            && is(self.action.as_ref(), row.row.action.as_str())
            && self.start.is_none_or(|start| row.at >= start)
            && self.end.is_none_or(|end| row.at <= end)
    }
}

/// What an organization wants of its trail.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AuditSettings {
    /// Whether reads of connections, namespaces and buckets leave rows, too.
    pub read_auditing_enabled: bool,
}
