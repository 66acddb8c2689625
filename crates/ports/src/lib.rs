//! The traits through which Wharf meets the outside: one per subject, held as `Arc<dyn _>`.
//!
//! Rules that hold for every repository port here:
//! - Every method takes the organization and touches nothing of another one. What must look across organizations
//!   stands in [`AcrossOrganizations`] alone.
//! - Every method is atomic by itself: it happens wholly or not at all, whenever the process ends.
//! - Look-ups return `Option`; an identifier of another organization is `None`, as an unknown one is.
//! - Times are stamped by the database's clock. Stored times have microsecond precision.
//! - Audit rows go in with the change that they record, in the same transaction. A call that changes nothing stores none.
//! - [`RepositoryError::Unavailable`] means that the call may be tried again; whether it took effect is unknown only
//!   where the method says so.
//!
//! This crate knows the model and nothing else: no SQL, no HTTP, no runtime.
#![warn(missing_docs)]

mod access;
mod across_organizations;
mod audit;
mod blobs;
mod buckets;
mod catalogue;
mod checks;
mod clock;
mod connections;
mod consent;
mod dead_letters;
mod error;
mod events;
mod external_ids;
mod idempotency;
mod ids;
mod jobs;
mod keys;
mod lone_session;
mod namespaces;
mod objects;
mod provider;
mod repositories;
mod runs;
mod sessions;
mod syncs;
mod webhook_sender;
mod webhooks;

pub use access::{
    AccessError, AccessRepository, ApiKeyChange, NewApiKey, NewOrganization, NewSecret, NewUser,
};
pub use across_organizations::{
    AcrossOrganizations, Credential, DueCheck, DueStream, DueSync, DueWebhook,
};
pub use audit::{AuditPage, AuditRepository, AuditSeal, ChainedRow};
pub use blobs::{BlobError, BlobPlace, BlobStore, StoredBlob};
pub use buckets::{BucketChange, BucketRepository};
pub use catalogue::CatalogueRepository;
pub use checks::{CheckLease, CheckRepository, RecordError};
pub use clock::Clock;
pub use connections::{ApplyError, ConnectionRepository};
pub use consent::{
    ConsentAnswer, ConsentClient, ConsentError, ConsentFlow, ConsentRepository, MOST_CONSENTS,
    StoredConsent,
};
pub use dead_letters::DeadLetterRepository;
pub use error::{InsertError, RepositoryError, Source};
pub use events::{EventRepository, EventStream, PublishError};
pub use external_ids::ExternalIdRepository;
pub use idempotency::IdempotencyRepository;
pub use ids::IdSource;
pub use jobs::JobRepository;
pub use keys::{
    KeyContext, KeyRing, KeyRingError, OrganizationKey, OrganizationKeyRepository, WrappedKey,
};
pub use lone_session::LoneSession;
pub use namespaces::{ChangeError, NamespaceChange, NamespaceRepository, RemoveOutcome};
pub use objects::{ObjectRepository, RestoreOutcome};
pub use provider::{
    Browse, Browsed, ByteStream, CheckRequest, FetchWish, Fetched, ListingPage, Located, Looked,
    OpenProvider, ProviderError, ProviderFactory, Retry, StorageProvider, WatchRequest, Watching,
};
pub use repositories::Repositories;
pub use runs::{RunError, RunRepository};
pub use sessions::{
    AccessToken, RIGHT, RefreshRight, SessionError, SessionRepository, Sessions, StoredSession,
    StoredToken, Taken, TokenWish,
};
pub use syncs::{SyncChange, SyncRepository, TriggerOutcome, UpdateSyncError};
pub use webhook_sender::{SendError, WebhookRequest, WebhookSender};
pub use webhooks::{WebhookError, WebhookFilter, WebhookLease, WebhookRepository};
