//! The same promise from inside: what spans and events record, what errors say by `Debug` and along their sources, and
//! what an answer says after a panic. Router, engine and the real S3 adapter, over a store that echoes what it is sent.

use std::error::Error;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use futures::TryStreamExt;
use serde_json::{Map, Value, json};
use tower::ServiceExt;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use wharf_domain::error_code::ErrorCode;
use wharf_domain::filter::ProviderFilters;
use wharf_domain::ids::{Alphabet, ConnectionId};
use wharf_domain::input::InvalidInput;
use wharf_domain::plan::Entry;
use wharf_domain::provider::{Credentials, Provider, ProviderConfig, parse_new, parse_patch};
use wharf_domain::secret::SecretString;
use wharf_domain::setup::{SetupKit, SetupRequest};
use wharf_egress::{Guard, Policy};
use wharf_engine::{Engine, Parts, Settings};
use wharf_http::ApiState;
use wharf_keys::FileKeyRing;
use wharf_memory::MemoryBlobs;
use wharf_ports::{
    CheckRequest, FetchWish, IdSource, Located, LoneSession, OpenProvider, ProviderError,
    ProviderFactory, Sessions,
};
use wharf_s3::S3;
use wharf_sqlite::SqliteDatabase;
use wharf_testkit::{FakeClock, SeededIds};
use wharf_tests::{Canary, Echo, Place, Search, files_below};

const SPANS: &str = "spans and events";
const ANSWERS: &str = "answers in process";
const FILES: &str = "the database's files in process";
const ERRORS: &str = "errors and their sources";

/// Libraries that tell what they send; the log leaves them out below `info`, and so does this record.
const TALKATIVE: [&str; 4] = ["aws_", "h2", "hyper", "rustls"];

/// Writes down every field of every span and event.
#[derive(Debug, Clone, Default)]
struct Recorder(Arc<Mutex<String>>);

impl Recorder {
    fn note(&self, metadata: &Metadata<'_>, record: impl FnOnce(&mut Fields<'_>)) {
        let talkative = TALKATIVE
            .iter()
            .any(|start| metadata.target().starts_with(start));
        if talkative && *metadata.level() > Level::INFO {
            return;
        }
        let mut text = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = write!(text, "{} {}", metadata.target(), metadata.name());
        record(&mut Fields(&mut text));
        text.push('\n');
    }
}

struct Fields<'a>(&'a mut String);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let _ = write!(self.0, " {field}={value:?}");
    }
}

impl<S: Subscriber> Layer<S> for Recorder {
    fn on_new_span(&self, attributes: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
        self.note(attributes.metadata(), |fields| attributes.record(fields));
    }

    fn on_record(&self, _: &Id, values: &Record<'_>, _: Context<'_, S>) {
        let mut text = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        values.record(&mut Fields(&mut text));
        text.push('\n');
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        self.note(event.metadata(), |fields| event.record(fields));
    }
}

/// Random identifiers and bytes, the keys among which are remembered: a data key is what is drawn right before a salt
/// of the same length, an organization key what is drawn alone.
#[derive(Debug)]
struct WatchedIds {
    ids: SeededIds,
    drawn: Mutex<Vec<Vec<u8>>>,
}

impl WatchedIds {
    fn keys(&self) -> Vec<Vec<u8>> {
        let drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        let is_key = |at: usize| drawn[at].len() == 32;
        // A salt is followed by the nonce of the body.
        let is_salt =
            |at: usize| is_key(at) && drawn.get(at + 1).is_some_and(|next| next.len() == 12);
        let keys = (0..drawn.len()).filter(|at| is_key(*at) && !is_salt(*at));
        keys.map(|at| drawn[at].clone()).collect()
    }
}

impl IdSource for WatchedIds {
    fn token(&self, alphabet: Alphabet, length: usize) -> String {
        self.ids.token(alphabet, length)
    }

    fn fill(&self, bytes: &mut [u8]) {
        self.ids.fill(bytes);
        let mut drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        drawn.push(bytes.to_vec());
    }
}

/// The real adapter, but for one region, at which it panics with the secret in its message.
struct Panicking {
    s3: S3,
    message: String,
}

#[async_trait]
impl ProviderFactory for Panicking {
    fn supports(&self, provider: Provider) -> bool {
        self.s3.supports(provider)
    }

    fn vet(&self, config: &ProviderConfig) -> Result<(), InvalidInput> {
        if let ProviderConfig::S3(config) = config {
            assert_ne!(config.region.as_str(), "panic", "{}", self.message);
        }
        self.s3.vet(config)
    }

    fn vet_source_path(&self, provider: Provider, path: &str) -> Result<(), InvalidInput> {
        self.s3.vet_source_path(provider, path)
    }

    fn scope(
        &self,
        provider: Provider,
        source_path: &str,
        filters: &ProviderFilters,
    ) -> Result<String, InvalidInput> {
        self.s3.scope(provider, source_path, filters)
    }

    fn locate(&self, provider: Provider, source_path: &str, source: &str) -> Option<Located> {
        self.s3.locate(provider, source_path, source)
    }

    fn relative_path<'a>(
        &self,
        provider: Provider,
        source_path: &str,
        entry_path: &'a str,
    ) -> &'a str {
        self.s3.relative_path(provider, source_path, entry_path)
    }

    fn folder_path<'a>(&self, provider: Provider, entry_path: &'a str) -> &'a str {
        self.s3.folder_path(provider, entry_path)
    }

    fn open(
        &self,
        connection: &ConnectionId,
        config: &ProviderConfig,
        credentials: Credentials,
        sessions: Arc<dyn Sessions>,
    ) -> Result<OpenProvider, ProviderError> {
        self.s3.open(connection, config, credentials, sessions)
    }

    async fn setup(
        &self,
        provider: Provider,
        request: &SetupRequest,
    ) -> Result<SetupKit, ProviderError> {
        self.s3.setup(provider, request).await
    }
}

struct Secrets {
    admin_key: Canary,
    wrong_key: Canary,
    id: Canary,
    secret: Canary,
    token: Canary,
    misplaced: Canary,
    panicked: Canary,
    planted: Canary,
}

impl Secrets {
    fn new() -> Self {
        Self {
            admin_key: Canary::random("the admin key"),
            wrong_key: Canary::random("a wrong API key"),
            id: Canary::random("the access key id"),
            secret: Canary::random("the secret access key"),
            token: Canary::random("the session token"),
            misplaced: Canary::random("a misplaced secret"),
            panicked: Canary::random("a secret in a panic"),
            planted: Canary::random("a planted leak"),
        }
    }

    fn all(&self) -> Vec<Canary> {
        let all = [
            &self.admin_key,
            &self.wrong_key,
            &self.id,
            &self.secret,
            &self.token,
            &self.misplaced,
            &self.panicked,
            &self.planted,
        ];
        all.into_iter().cloned().collect()
    }

    fn config(&self, endpoint: &str) -> Value {
        json!({"endpoint_url": endpoint, "credentials": {
            "type": "access_key", "access_key_id": self.id.text(),
            "secret_access_key": self.secret.text(), "session_token": self.token.text(),
        }})
    }

    async fn echo(&self) -> Result<Echo> {
        let known = [&self.id, &self.secret, &self.token].map(|canary| canary.text().to_owned());
        Echo::start(known.into(), Vec::new()).await
    }
}

pub(crate) fn adapter() -> S3 {
    let policy = Policy {
        allow_loopback: true,
        ..Policy::default()
    };
    S3::new(Arc::new(Guard::new(policy)))
}

pub(crate) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        other => panic!("no object: {other}"),
    }
}

#[tokio::test]
async fn no_secret_is_in_a_span_an_event_or_the_answer_after_a_panic() -> Result<()> {
    let secrets = Secrets::new();
    let recorder = Recorder::default();
    let subscriber = tracing_subscriber::registry().with(recorder.clone());
    let _recording = tracing::subscriber::set_default(subscriber);
    // The default hook would print the message; that the server's own does not is tested where it is made.
    std::panic::set_hook(Box::new(|_| {}));

    let echo = secrets.echo().await?;
    let folder = tempfile::tempdir()?;
    let clock = Arc::new(FakeClock::new());
    let ids = Arc::new(WatchedIds {
        ids: SeededIds::new(11),
        drawn: Mutex::default(),
    });
    let ring = FileKeyRing::create(folder.path().join("ring.json"), &*ids, long_ago())?;
    let database = folder.path().join("wharf.db");
    let database = SqliteDatabase::open(database.to_str().context("a path")?).await?;
    let ring = Arc::new(ring);
    let parts = Parts {
        repositories: database.repositories(ring.clone()),
        audit_seal: ring.clone(),
        key_ring: ring,
        providers: Arc::new(Panicking {
            s3: adapter(),
            message: format!("it went wrong with {}", secrets.panicked.text()),
        }),
        blobs: Arc::new(MemoryBlobs::new(clock.clone())),
        clock,
        ids: ids.clone(),
        settings: Settings::default(),
    };
    let engine = Engine::new(parts);
    let admin = SecretString::new(secrets.admin_key.text().to_owned());
    engine.bootstrap(&admin).await?;
    let router = wharf_http::router(ApiState::new(
        engine.clone(),
        ids.clone(),
        Duration::from_secs(30),
    ));
    let answers = use_the_api(&router, &secrets, &echo).await?;

    let mut canaries = secrets.all();
    let keys = ids.keys();
    ensure!(keys.len() >= 4, "no keys were drawn");
    canaries.extend(
        keys.iter()
            .map(|key| Canary::new("a key that was drawn", key)),
    );
    let mut search = Search::for_all(canaries);
    let place_of = |recorder: &Recorder| {
        let text = recorder.0.lock().unwrap_or_else(PoisonError::into_inner);
        Place::new(SPANS, "all", text.as_str())
    };
    let mut places = vec![place_of(&recorder)];
    for word in ["request", "route=", "panicked", "answered"] {
        let text = String::from_utf8_lossy(&places[0].bytes).into_owned();
        ensure!(text.contains(word), "nothing with {word} was recorded");
    }
    places.extend(answers);
    let files = |wanted: &str| -> Result<Vec<Place>> {
        let found = files_below(folder.path())?.into_iter();
        let names = found.map(|file| (file.display().to_string(), file));
        let wanted = names.filter(|(name, _)| name.contains(wanted));
        let read = |(name, file)| Ok(Place::new(FILES, name, std::fs::read(file)?));
        wanted.map(read).collect()
    };
    let of_database = files("wharf.db")?;
    ensure!(!of_database.is_empty(), "the database has no files");
    places.extend(of_database);
    let sightings = search.look(&places);
    ensure!(sightings.is_empty(), "{}", sightings.join("\n"));

    std::fs::write(
        folder.path().join("wharf.db-planted"),
        secrets.planted.text(),
    )?;
    let planted = std::slice::from_ref(&secrets.planted);
    search.expect(FILES, planted, &files("wharf.db")?)?;

    // A span, a field recorded later, and an event: each found alone.
    for way in 0..3 {
        recorder
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
        let leak = secrets.planted.text();
        match way {
            0 => drop(tracing::trace_span!("planted", leak)),
            1 => {
                let span = tracing::trace_span!("planted", leak = tracing::field::Empty);
                span.record("leak", leak);
            }
            _ => tracing::trace!("planted {leak}"),
        }
        search.expect(
            SPANS,
            std::slice::from_ref(&secrets.planted),
            &[place_of(&recorder)],
        )?;
    }
    eprintln!("sightings: 0, {search}");
    Ok(())
}

fn long_ago() -> wharf_domain::Timestamp {
    wharf_domain::Timestamp::UNIX_EPOCH
}

async fn use_the_api(router: &Router, secrets: &Secrets, echo: &Echo) -> Result<Vec<Place>> {
    let mut places = Vec::new();
    let mut panicked = 0;
    let connections = "/v1/organizations/connections";
    let config = secrets.config(&echo.url());
    let mut misplaced = config.clone();
    misplaced["credentials"]["password"] = json!(secrets.misplaced.text());
    let mut panicking = config.clone();
    panicking["region"] = json!("panic");
    let create = |name: &str, config: &Value, tested: bool| json!({"name": name, "provider_type": "s3", "provider_config": config, "test_before_save": tested});
    let admin = secrets.admin_key.text();
    let mut requests = vec![
        ("POST", connections, admin, create("stored", &config, false)),
        ("POST", connections, admin, create("stored", &config, false)),
        (
            "POST",
            connections,
            admin,
            create("misplaced", &misplaced, false),
        ),
        (
            "POST",
            connections,
            admin,
            create("panic", &panicking, false),
        ),
        ("GET", connections, secrets.wrong_key.text(), Value::Null),
        (
            "POST",
            connections,
            secrets.wrong_key.text(),
            create("x", &config, true),
        ),
        (
            "PATCH",
            "/v1/organizations/connections/stored",
            admin,
            json!({"provider_config": config}),
        ),
        (
            "PATCH",
            "/v1/organizations/connections/stored",
            admin,
            json!({"provider_config": misplaced}),
        ),
        (
            "PATCH",
            "/v1/organizations/connections/stored",
            admin,
            json!({"provider_config": panicking}),
        ),
        (
            "GET",
            "/v1/organizations/connections/stored",
            admin,
            Value::Null,
        ),
        (
            "POST",
            "/v1/buckets",
            admin,
            json!({"bucket_name": "quay", "bucket_schema": {"properties": {}}}),
        ),
    ];
    for _ in 0..Echo::ways() {
        requests.push(("POST", connections, admin, create("tested", &config, true)));
        requests.push((
            "POST",
            "/v1/organizations/connections/stored/test",
            admin,
            json!({}),
        ));
    }
    let mut ids = Map::new();
    for (method, path, key, body) in requests {
        let answer = ask(router, method, path, key, &body).await?;
        panicked += usize::from(answer.0 == 500);
        if let Ok(Value::Object(fields)) = serde_json::from_slice(&answer.1) {
            ids.extend(fields);
        }
        places.push(Place::new(ANSWERS, format!("{method} {path}"), answer.1));
    }
    ensure!(panicked >= 2, "nothing panicked");
    let fresh = create("for a run", &config, false);
    let (_, created) = ask(router, "POST", connections, admin, &fresh).await?;
    let created: Value = serde_json::from_slice(&created)?;
    let bucket = ids["bucket_id"].as_str().context("a bucket")?;
    let connection = created["connection_id"].as_str().context("a connection")?;
    let sync = json!({"connection_id": connection, "source_path": "quay", "sync_mode": "continuous", "polling_interval_seconds": 86_400});
    let (_, created) = ask(
        router,
        "POST",
        &format!("/v1/buckets/{bucket}/syncs"),
        admin,
        &sync,
    )
    .await?;
    places.push(Place::new(ANSWERS, "a sync", created));
    Ok(places)
}

async fn ask(
    router: &Router,
    method: &str,
    path: &str,
    key: &str,
    body: &Value,
) -> Result<(u16, Vec<u8>)> {
    let body = if body.is_null() {
        Body::empty()
    } else {
        Body::from(body.to_string())
    };
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", format!("Bearer {key}"))
        .header("content-type", "application/json")
        .body(body)?;
    let answer = router.clone().oneshot(request).await?;
    let (parts, body) = answer.into_parts();
    let bytes = to_bytes(body, usize::MAX).await?;
    Ok((parts.status.as_u16(), bytes.to_vec()))
}

/// Everything an error can be made to say.
pub(crate) fn told(error: &(dyn Error + 'static)) -> String {
    let mut text = String::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let _ = writeln!(text, "{error}\n{error:#}\n{error:?}\n{error:#?}");
        next = error.source();
    }
    text
}

#[tokio::test]
async fn no_error_of_the_adapter_says_a_secret_by_display_debug_or_source() -> Result<()> {
    let secrets = Secrets::new();
    let echo = secrets.echo().await?;
    let connection: ConnectionId = "conn_testtesttesttes".parse()?;
    let mut places = Vec::new();
    let mut codes = std::collections::BTreeSet::<String>::new();
    for settings in ["s3", "tigris"] {
        let provider: Provider = settings.parse()?;
        let mut config = secrets.config(&echo.url());
        if provider == Provider::Tigris {
            let credentials = config["credentials"].as_object_mut();
            credentials.context("credentials")?.remove("session_token");
        }
        for round in 0..Echo::ways() {
            let parts = parse_new(provider, object(config.clone()), "provider_config")?;
            places.push(Place::new(
                ERRORS,
                "Debug of a configuration",
                format!("{parts:?} {parts:#?}"),
            ));
            let account = adapter().open(
                &connection,
                &parts.config,
                parts.credentials,
                Arc::new(LoneSession::new(Arc::new(FakeClock::new()))),
            )?;
            let mut note = |error: &ProviderError| {
                codes.insert(error.code.as_str().to_owned());
                places.push(Place::new(
                    ERRORS,
                    format!("{settings} {round}"),
                    told(error),
                ));
            };
            if let Err(error) = account.list("harbour/quay", None, 10).await {
                note(&error);
            }
            let entry = Entry {
                object: "harbour/quay".to_owned(),
                path: "harbour/quay".to_owned(),
                version: "\"0\"".to_owned(),
                size_bytes: Some(9),
                modified_at: None,
                unreadable: None,
                lineage: String::new(),
            };
            match account.fetch(&entry, FetchWish { tags: true }).await {
                Err(error) => note(&error),
                Ok(fetched) => {
                    if let Err(error) = fetched.bytes.try_for_each(|_| async { Ok(()) }).await {
                        note(&error);
                    }
                }
            }
            let request = CheckRequest {
                source_path: Some("harbour/quay"),
                budget: Duration::from_secs(10),
            };
            let report = account.check(request).await;
            places.push(Place::new(
                ERRORS,
                "a check",
                format!("{report:?} {report:#?}"),
            ));
        }
    }
    ensure!(codes.len() >= 5, "only these errors came: {codes:?}");
    assert_none(&secrets, ERRORS, &places)
}

#[tokio::test]
async fn no_error_of_a_reader_says_a_secret_by_display_debug_or_source() -> Result<()> {
    let secrets = Secrets::new();
    let leak = secrets.misplaced.text();
    let mut places = Vec::new();
    let mut note =
        |error: &(dyn Error + 'static)| places.push(Place::new(ERRORS, "a reader's", told(error)));
    for provider in Provider::ALL {
        for wrong in [
            json!({"credentials": leak}),
            json!({"credentials": [leak]}),
            json!({"credentials": {"type": leak}}),
            json!({"credentials": {"type": {"x": leak}}}),
            json!({leak: leak}),
            json!({"password": leak, "region": leak, "endpoint_url": leak, "account": {"x": leak}}),
            json!({"endpoint_url": format!("https://{leak}:{leak}@s3.example.com/{leak}?{leak}#{leak}")}),
            json!({"site_id": {"x": leak}, "drive_id": [leak], "shared_drive_id": format!("{leak}/{leak}")}),
        ] {
            if let Err(error) = parse_new(provider, object(wrong.clone()), "provider_config") {
                note(&error);
            }
            if let Err(error) = parse_patch(provider, object(wrong), "provider_config") {
                note(&error);
            }
        }
        for kind in provider.credential_types() {
            for field in FIELDS {
                for value in [
                    json!([leak]),
                    json!({"x": leak}),
                    json!(format!("{leak}\n\u{1}")),
                    json!(leak.repeat(1000)),
                ] {
                    let wrong = json!({"credentials": {"type": kind.as_str(), field: value}});
                    if let Err(error) = parse_new(provider, object(wrong), "provider_config") {
                        note(&error);
                    }
                }
            }
            let bytes = wharf_domain::secret::SecretBytes::new(
                format!("{{\"type\":\"{kind}\",\"x\":\"{leak}\"").into_bytes(),
            );
            let broken = Credentials::from_secret_bytes(provider, &bytes).err();
            note(&broken.context("broken credentials were read")?);
        }
    }
    note(&leak.parse::<Provider>().err().context("a provider")?);
    note(
        &leak
            .parse::<wharf_domain::provider::CredentialType>()
            .err()
            .context("a kind")?,
    );
    note(&leak.parse::<ConnectionId>().err().context("an id")?);

    let folder = tempfile::tempdir()?;
    let ring = folder.path().join("ring.json");
    for text in [
        leak.to_owned(),
        format!("{{\"format\": \"{leak}\"}}"),
        format!(
            "{{\"format\": \"wharf-key-ring/1\", \"primary\": \"{leak}\", \"keys\": [], \"api_key_hash_key\": \"{leak}\"}}"
        ),
        format!("{{\"format\": \"wharf-key-ring/1\", \"{leak}\": \"{leak}\"}}"),
        format!(
            "{{\"format\": \"wharf-key-ring/1\", \"primary\": \"k\", \"keys\": [{{\"id\": \"k\", \"created_at\": \
             \"2024-01-01T00:00:00Z\", \"state\": \"active\", \"key\": \"{leak}\"}}], \"api_key_hash_key\": \"{leak}\"}}"
        ),
        format!("{{\"format\": \"wharf-key-ring/1\", \"primary\": 7, \"keys\": \"{leak}\""),
    ] {
        use std::os::unix::fs::PermissionsExt;
        std::fs::write(&ring, &text)?;
        std::fs::set_permissions(&ring, std::fs::Permissions::from_mode(0o600))?;
        note(
            &FileKeyRing::open(&ring)
                .err()
                .context("a broken key ring was opened")?,
        );
    }
    let database = folder.path().join("wharf.db");
    std::fs::write(&database, leak.repeat(100))?;
    let path = database.to_str().context("a path")?;
    note(
        &SqliteDatabase::open(path)
            .await
            .err()
            .context("a broken database was opened")?,
    );
    for url in [
        format!("postgres://wharf:{leak}@127.0.0.1:1/wharf"),
        format!("postgres://wharf:{leak}@127.0.0.1:notaport/wharf"),
        format!("postgres://wharf@127.0.0.1:1/wharf?password={leak}&sslmode={leak}"),
    ] {
        let refused = wharf_postgres::PostgresDatabase::connect(&url).await;
        note(
            &refused
                .err()
                .context("a database that is not there was opened")?,
        );
    }
    ensure!(places.len() > 100, "{} errors only", places.len());
    assert_none(&secrets, ERRORS, &places)
}

/// Every field of every kind of credentials.
const FIELDS: [&str; 16] = [
    "project_id",
    "private_key_id",
    "private_key",
    "client_email",
    "client_id",
    "client_secret",
    "refresh_token",
    "access_key_id",
    "secret_access_key",
    "session_token",
    "role_arn",
    "external_id",
    "username",
    "password",
    "private_key_passphrase",
    "tenant_id",
];

fn assert_none(secrets: &Secrets, kind: &str, places: &[Place]) -> Result<()> {
    let mut search = Search::for_all(secrets.all());
    let sightings = search.look(places);
    ensure!(sightings.is_empty(), "{}", sightings.join("\n"));
    let planted = ProviderError::permanent(ErrorCode::Internal, "ours")
        .caused_by(std::io::Error::other(secrets.planted.text()));
    let planted_place = Place::new(ERRORS, "a planted one", told(&planted));
    search.expect(
        kind,
        std::slice::from_ref(&secrets.planted),
        &[planted_place],
    )?;
    eprintln!("sightings: 0, {search}");
    Ok(())
}
