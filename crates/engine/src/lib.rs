//! The use cases of Wharf: connect, check, sync, and what stands around them.
//!
//! The engine talks to the outside through ports only. It knows no SQL, no HTTP and no provider's SDK; what is invalid in
//! a request's form never reaches it.

mod access;
mod account;
mod audit;
mod browse;
mod buckets;
mod caller;
mod connections;
mod consent;
mod error;
mod events;
mod explain;
mod gate;
mod health;
mod idempotency;
mod namespaces;
mod objects;
mod plan;
mod push;
mod ring;
mod run;
mod sessions;
mod setup;
mod sweep;
mod syncs;
mod terms;
mod webhooks;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use wharf_domain::connection::Connection;
use wharf_domain::health::Rhythm;
use wharf_domain::provider::{Credentials, EndpointUrl};
use wharf_domain::run::deletes::DeleteThreshold;
use wharf_envelope::Envelope;
use wharf_ports::{
    AuditSeal, BlobStore, Clock, IdSource, KeyRing, LoneSession, ProviderFactory, Repositories,
};

use access::KeyUses;
use gate::Gates;
use sessions::StoredSessions;

pub use access::{
    BOOTSTRAP_KEY_NAME, CreateApiKey, CreateUser, IssuedApiKey, UpdateApiKey, UpdateOrganization,
    UpdateUser, UserFilter, key_fingerprint, new_api_key,
};
pub use audit::{Actors, AuditVerdict, ChainFault, ChainFaultKind};
pub use caller::{Caller, Mandate, Operator};
pub use connections::{
    CheckHistory, ConfigFields, CreateConnection, TestedConnection, UpdateConnection, Watcher,
};
pub use consent::{
    BeginConsent, BegunConsent, ConsentAnswered, ConsentClientFields, ConsentGoal, Visitor,
};
pub use error::EngineError;
pub use events::{Dispatcher, EventFilter, EventOrder, EventPage, Publisher};
pub use health::{ComponentHealth, SchedulerBeat};
pub use idempotency::RepeatableRequest;
pub use objects::ObjectContent;
pub use run::Worker;
pub use setup::{Setup, SetupWish};
pub use sweep::Swept;
pub use syncs::{CreateSync, CreatedSync, MeasuredSync, RunWish, Triggered, UpdateSync};
pub use webhooks::{MOST_REDELIVERIES, WebhookWish};

/// What the operator decides about the engine's work.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How long a test of a connection may take.
    pub check_timeout: Duration,
    /// How often connections are checked by themselves.
    pub rhythm: Rhythm,
    /// For how long a worker leases a sync; renewed at a third of it.
    pub lease_ttl: Duration,
    /// Above which share and which number of a sync's objects deletes wait for a second look.
    pub delete_threshold: DeleteThreshold,
    /// How often at least the whole source is listed, where a feed of changes tells of the rest.
    pub full_pass_interval: Duration,
    /// Where people and providers reach this server, if they do.
    pub public_url: Option<EndpointUrl>,
    /// For how long a tombstone keeps its bytes, so that it can be restored.
    pub undo_window: Duration,
    /// For how long events and the log of deliveries are kept.
    pub event_retention: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            check_timeout: Duration::from_secs(10),
            rhythm: Rhythm {
                interval: Duration::from_mins(5),
                probe_backoff: Duration::from_mins(15),
            },
            lease_ttl: Duration::from_secs(30),
            delete_threshold: DeleteThreshold::default(),
            full_pass_interval: Duration::from_hours(24),
            public_url: None,
            undo_window: Duration::from_hours(7 * 24),
            event_retention: Duration::from_hours(7 * 24),
        }
    }
}

/// Everything that the engine works with.
#[derive(Clone)]
pub struct Parts {
    /// The database.
    pub repositories: Repositories,
    /// The key-encryption keys.
    pub key_ring: Arc<dyn KeyRing>,
    /// What links audit rows, the same as the database was opened with.
    pub audit_seal: Arc<dyn AuditSeal>,
    /// Storage providers.
    pub providers: Arc<dyn ProviderFactory>,
    /// Where bytes go.
    pub blobs: Arc<dyn BlobStore>,
    /// The time, for what no database stamps.
    pub clock: Arc<dyn Clock>,
    /// Identifiers and randomness.
    pub ids: Arc<dyn IdSource>,
    /// The operator's settings.
    pub settings: Settings,
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// The use cases, on one set of ports. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    parts: Parts,
    envelope: Arc<Envelope>,
    /// Rung when a run was asked for, so that idle workers need not wait for their next look.
    work_arrived: Arc<Notify>,
    beat: Arc<SchedulerBeat>,
    key_uses: Arc<KeyUses>,
    /// How much is asked of each account at a time, by whatever of this process.
    gates: Arc<Gates>,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("parts", &self.parts)
            .finish_non_exhaustive()
    }
}

impl Engine {
    /// An engine on these ports.
    pub fn new(parts: Parts) -> Self {
        let envelope = Envelope::new(
            parts.key_ring.clone(),
            parts.repositories.keys.clone(),
            parts.ids.clone(),
        );
        let gates = Gates::new(parts.ids.clone());
        Self {
            parts,
            envelope: Arc::new(envelope),
            work_arrived: Arc::new(Notify::new()),
            beat: Arc::new(SchedulerBeat::default()),
            key_uses: Arc::new(KeyUses::default()),
            gates: Arc::new(gates),
        }
    }

    fn stored_sessions(
        &self,
        connection: &Connection,
        credentials: &Credentials,
    ) -> Arc<StoredSessions> {
        Arc::new(StoredSessions::new(self.clone(), connection, credentials))
    }

    fn lone_session(&self) -> Arc<LoneSession> {
        Arc::new(LoneSession::new(self.parts.clock.clone()))
    }

    fn repositories(&self) -> &Repositories {
        &self.parts.repositories
    }

    fn ids(&self) -> &dyn IdSource {
        &*self.parts.ids
    }
}
