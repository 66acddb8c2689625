//! One organization on an engine of its own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use wharf_domain::access::{Email, Grant, Permission, Principal};
use wharf_domain::audit::{Action, Actor, AuditFilter, NewAuditRow, Origin};
use wharf_domain::bucket::{Bucket, BucketName};
use wharf_domain::connection::{Connection, ConnectionName};
use wharf_domain::filter::FileFilters;
use wharf_domain::health::Rhythm;
use wharf_domain::job::Job;
use wharf_domain::object::{Object, ObjectFilter};
use wharf_domain::page::PageRequest;
use wharf_domain::provider::{EndpointUrl, Provider, parse_new};
use wharf_domain::rate_limit::RateLimits;
use wharf_domain::sync::{Sync, SyncMode, SyncSettings};
use wharf_domain::sync_edit::SyncEdit;
use wharf_engine::{
    Caller, CreateApiKey, CreateConnection, CreateSync, Engine, Operator, Parts, Settings,
    UpdateSync, Worker,
};
use wharf_keys::FileKeyRing;
use wharf_memory::{MemoryBlobs, MemoryStore};
use wharf_ports::{Clock, ProviderFactory, Repositories};
use wharf_testkit::provider::{FakeProviderFactory, FakeSource};
use wharf_testkit::{FakeClock, SeededIds, TestSeal, build};

/// Worlds differ in their identifiers.
static SEED: AtomicU64 = AtomicU64::new(7);

pub(crate) const LEASE: Duration = Duration::from_secs(30);

pub(crate) struct World {
    pub(crate) engine: Engine,
    pub(crate) caller: Caller,
    pub(crate) bucket: Bucket,
    pub(crate) source: FakeSource,
    pub(crate) clock: Arc<FakeClock>,
    pub(crate) repositories: Repositories,
    parts: Parts,
    folder: tempfile::TempDir,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::on(|repositories| repositories).await
    }

    /// A world whose engine sees the repositories through `wrap`.
    pub(crate) async fn on(wrap: impl FnOnce(Repositories) -> Repositories) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(FakeClock::new());
        let ids = Arc::new(SeededIds::new(SEED.fetch_add(1, Ordering::Relaxed)));
        let repositories =
            wrap(MemoryStore::with_seal(clock.clone(), Arc::new(TestSeal)).repositories());
        let source = FakeSource::new();
        let ring =
            FileKeyRing::create(folder.path().join("ring.json"), &*ids, clock.now()).unwrap();
        let parts = Parts {
            repositories: repositories.clone(),
            key_ring: Arc::new(ring),
            audit_seal: Arc::new(TestSeal),
            providers: Arc::new(FakeProviderFactory::new(source.clone())),
            blobs: Arc::new(MemoryBlobs::new(clock.clone())),
            clock: clock.clone(),
            ids,
            settings: Settings {
                lease_ttl: LEASE,
                ..Settings::default()
            },
        };
        let engine = Engine::new(parts.clone());
        let caller = sign_up(&engine, "acme").await;
        let namespace = engine.namespace(&caller, "default").await.unwrap();
        let name = BucketName::parse("media").unwrap();
        let bucket = engine
            .create_bucket(
                &caller,
                &namespace,
                name,
                None,
                json!({"properties": {}}),
                serde_json::Map::new(),
            )
            .await
            .unwrap();
        Self {
            engine,
            caller,
            bucket,
            source,
            clock,
            repositories,
            parts,
            folder,
        }
    }

    /// An engine on the same database that opens other providers.
    pub(crate) fn engine_with(&self, providers: Arc<dyn ProviderFactory>) -> Engine {
        Engine::new(Parts {
            providers,
            ..self.parts.clone()
        })
    }

    /// An engine on the same database with other parts.
    pub(crate) fn engine_of(&self, change: impl FnOnce(&mut Parts)) -> Engine {
        let mut parts = self.parts.clone();
        change(&mut parts);
        Engine::new(parts)
    }

    /// The same, where browsers reach it at an address.
    pub(crate) fn engine_at(
        &self,
        public_url: EndpointUrl,
        providers: Arc<dyn ProviderFactory>,
    ) -> Engine {
        let mut parts = self.parts.clone();
        parts.providers = providers;
        parts.settings.public_url = Some(public_url);
        Engine::new(parts)
    }

    /// An engine on the same database that checks connections in another rhythm.
    pub(crate) fn engine_in(&self, rhythm: Rhythm) -> Engine {
        let mut parts = self.parts.clone();
        parts.settings.rhythm = rhythm;
        Engine::new(parts)
    }

    /// An engine on the same database whose key ring opens nothing in it.
    pub(crate) fn engine_with_another_ring(&self) -> Engine {
        let path = self.folder.path().join("another.json");
        let ring = FileKeyRing::create(path, &*self.parts.ids, self.clock.now()).unwrap();
        Engine::new(Parts {
            key_ring: Arc::new(ring),
            ..self.parts.clone()
        })
    }

    /// Sweeps the other world's blobs by what this world's database knows.
    pub(crate) async fn sweeping(&self, other: &Self) -> u64 {
        let parts = Parts {
            blobs: other.parts.blobs.clone(),
            ..self.parts.clone()
        };
        Engine::new(parts).sweep_blobs().await.unwrap()
    }

    pub(crate) async fn connect(&self, name: &str) -> Connection {
        self.engine
            .create_connection(&self.caller, new_connection(name, true))
            .await
            .unwrap()
    }

    pub(crate) async fn connect_tigris(&self, name: &str) -> Connection {
        let config = json!({
            "credentials": {"type": "access_key", "access_key_id": "tid_example", "secret_access_key": "tsec_example"},
        });
        let new = CreateConnection {
            provider_config: parse_new(Provider::Tigris, fields(config), "provider_config")
                .unwrap(),
            ..new_connection(name, true)
        };
        let created = self.engine.create_connection(&self.caller, new).await;
        created.unwrap()
    }

    /// A person changes a sync's settings.
    pub(crate) async fn edit(&self, sync: &Sync, edits: Vec<SyncEdit>) -> Sync {
        let update = UpdateSync {
            edits,
            ..UpdateSync::default()
        };
        let updated = self
            .engine
            .update_sync(&self.caller, &self.bucket, sync.id.as_str(), update)
            .await;
        updated.unwrap()
    }

    pub(crate) async fn sync(&self, connection: &Connection, mode: SyncMode) -> Sync {
        self.sync_with(connection, mode, build::sync_settings())
            .await
    }

    pub(crate) async fn sync_with(
        &self,
        connection: &Connection,
        mode: SyncMode,
        settings: SyncSettings,
    ) -> Sync {
        let new = CreateSync {
            connection: connection.id.clone(),
            mode,
            settings,
        };
        self.engine
            .create_sync(&self.caller, &self.bucket, new)
            .await
            .unwrap()
            .sync
    }

    /// Runs what is due; whether there was anything.
    pub(crate) async fn run(&self) -> bool {
        let worker = Worker::new(self.engine.clone(), "worker");
        worker.run_once(&CancellationToken::new()).await.unwrap()
    }

    /// Lets the polling interval pass and runs what is due then.
    pub(crate) async fn next_run(&self) -> bool {
        self.clock.advance(Duration::from_secs(301));
        self.run().await
    }

    pub(crate) async fn stored(&self, sync: &Sync) -> Sync {
        self.engine
            .sync(&self.caller, &self.bucket, sync.id.as_str())
            .await
            .unwrap()
    }

    /// The sync's jobs, oldest first. In each of them every file is accounted for.
    pub(crate) async fn jobs(&self, sync: &Sync) -> Vec<Job> {
        let mut jobs = self
            .engine
            .list_jobs(&self.caller, sync, None, &PageRequest::first(1000))
            .await
            .unwrap()
            .items;
        jobs.reverse();
        for job in &jobs {
            assert!(job.counters.conserved(), "{:?}", job.counters);
        }
        jobs
    }

    pub(crate) async fn last_job(&self, sync: &Sync) -> Job {
        self.jobs(sync).await.pop().expect("there is a job")
    }

    pub(crate) async fn connection(&self, connection: &Connection) -> Connection {
        self.engine
            .connection(&self.caller, connection.id.as_str())
            .await
            .unwrap()
    }

    pub(crate) async fn objects(&self, include_deleted: bool) -> Vec<Object> {
        let filter = ObjectFilter {
            search: None,
            include_deleted,
        };
        let page = PageRequest::first(1000);
        self.engine
            .list_objects(&self.caller, &self.bucket, &filter, &page)
            .await
            .unwrap()
            .items
    }

    /// The bytes of every live object, by source object; panics if a source object is there twice.
    pub(crate) async fn contents(&self) -> BTreeMap<String, Bytes> {
        let mut contents = BTreeMap::new();
        for object in self.objects(false).await {
            let name = object.source.object.clone();
            let content = self
                .engine
                .object_content(object, 0, u64::MAX)
                .await
                .unwrap();
            let parts: Vec<Bytes> = content.bytes.try_collect().await.unwrap();
            assert!(
                contents
                    .insert(name.clone(), parts.concat().into())
                    .is_none(),
                "{name} is there twice"
            );
        }
        contents
    }

    pub(crate) async fn audited(&self, action: Action) -> Vec<NewAuditRow> {
        let rows = self
            .repositories
            .audit
            .list(self.caller.organization(), &AuditFilter::default(), 0, 1000)
            .await
            .unwrap();
        rows.rows
            .into_iter()
            .map(|stored| stored.row)
            .filter(|row| row.action == action)
            .collect()
    }
}

/// A new organization and its admin.
pub(crate) async fn sign_up(engine: &Engine, name: &str) -> Caller {
    let email = Email::parse("admin@example.com").unwrap();
    let (organization, admin) = engine
        .create_organization(name, email.clone())
        .await
        .unwrap();
    let operator = Operator::of(&organization.id);
    let new = CreateApiKey::named("key", Grant::of(Permission::Admin));
    let issued = engine
        .create_api_key(&operator, email.as_str(), new)
        .await
        .unwrap();
    let principal = engine.authenticate(issued.secret.expose()).await.unwrap();
    assert_eq!(
        principal,
        Principal {
            organization: organization.id,
            user: admin.id,
            key: issued.key.id,
            grant: Grant::of(Permission::Admin),
            rate_limits: RateLimits::default(),
        }
    );
    let actor = Actor::User {
        user_id: principal.user.to_string(),
        key_id: principal.key.to_string(),
    };
    Caller {
        principal,
        wants: Permission::Admin,
        origin: Origin {
            actor,
            reason: None,
            ip_address: None,
            user_agent: None,
            claim: None,
        },
    }
}

pub(crate) fn s3_config(secret: &str) -> Value {
    json!({
        "endpoint_url": "https://store.example.com",
        "credentials": {"type": "access_key", "access_key_id": "AKIAEXAMPLE", "secret_access_key": secret},
    })
}

pub(crate) fn fields(value: Value) -> serde_json::Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => panic!("an object"),
    }
}

pub(crate) fn new_connection(name: &str, test_before_save: bool) -> CreateConnection {
    CreateConnection {
        name: ConnectionName::parse(name).unwrap(),
        description: None,
        provider_config: parse_new(
            Provider::S3,
            fields(s3_config("first secret")),
            "provider_config",
        )
        .unwrap(),
        metadata: serde_json::Map::new(),
        write_enabled: false,
        test_before_save,
        by_consent: false,
    }
}

/// A sync's settings with these file filters.
pub(crate) fn settings_with(filters: Value) -> SyncSettings {
    let filters = FileFilters::parse(fields(filters), "file_filters").unwrap();
    SyncSettings {
        file_filters: Some(filters),
        ..build::sync_settings()
    }
}

/// A world whose source holds that many files.
pub(crate) async fn filled(files: usize) -> World {
    let world = World::new().await;
    for n in 0..files {
        world
            .source
            .put(&format!("media/{n:04}"), format!("content {n}"));
    }
    world
}
