//! A whole API in memory, and short ways to call it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use bytes::Bytes;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use wharf_domain::access::{Email, Grant, Permission};
use wharf_domain::ids::OrganizationId;
use wharf_domain::provider::{EndpointUrl, Provider};
use wharf_domain::secret::{SecretKey, SecretString};
use wharf_engine::{CreateApiKey, Engine, Operator, Parts, Settings, Worker};
use wharf_http::ApiState;
use wharf_memory::{MemoryBlobs, MemoryStore};
use wharf_ports::{KeyContext, KeyRing, KeyRingError, Repositories, WrappedKey};
use wharf_testkit::provider::{FakeProviderFactory, FakeSource};
use wharf_testkit::{FakeClock, SeededIds, TestSeal};

/// The admin's key in every world.
pub(crate) const ADMIN: &str = "sk_admin0000000000000000000000000000000000000000";
/// Stands in every credential that a test sends; no answer may hold it.
pub(crate) const CANARY: &str = "canary9secret";

/// A key ring that keeps keys as they are, and can be away.
#[derive(Debug, Default)]
pub(crate) struct OpenRing(AtomicBool);

impl OpenRing {
    pub(crate) fn be_away(&self, away: bool) {
        self.0.store(away, Ordering::SeqCst);
    }

    fn look(&self) -> Result<(), KeyRingError> {
        if self.0.load(Ordering::SeqCst) {
            Err(KeyRingError::Unavailable("as the test wished".into()))
        } else {
            Ok(())
        }
    }
}

#[async_trait]
impl KeyRing for OpenRing {
    async fn wrap(
        &self,
        _context: &KeyContext,
        key: &SecretKey,
    ) -> Result<WrappedKey, KeyRingError> {
        self.look()?;
        Ok(WrappedKey {
            ring_key: "open".to_owned(),
            bytes: key.expose().to_vec(),
        })
    }

    async fn unwrap(
        &self,
        _context: &KeyContext,
        wrapped: &WrappedKey,
    ) -> Result<SecretKey, KeyRingError> {
        self.look()?;
        let bytes = wrapped
            .bytes
            .as_slice()
            .try_into()
            .map_err(|_| KeyRingError::Refused)?;
        Ok(SecretKey::new(bytes))
    }

    async fn hash_api_key(&self, api_key: &[u8]) -> Result<[u8; 32], KeyRingError> {
        self.look()?;
        let mut hash = [0_u8; 32];
        for (i, byte) in api_key.iter().enumerate() {
            hash[i % 32] = hash[i % 32].wrapping_mul(31).wrapping_add(*byte);
        }
        Ok(hash)
    }

    async fn hash_request(&self, parts: &[&[u8]]) -> Result<[u8; 32], KeyRingError> {
        self.hash_api_key(&parts.join(&0)).await
    }

    async fn check(&self) -> Result<(), KeyRingError> {
        self.look()
    }
}

/// An API with one organization in it.
pub(crate) struct World {
    pub(crate) router: Router,
    pub(crate) engine: Engine,
    pub(crate) repositories: Repositories,
    pub(crate) source: FakeSource,
    pub(crate) factory: Arc<FakeProviderFactory>,
    pub(crate) ring: Arc<OpenRing>,
    pub(crate) clock: Arc<FakeClock>,
    pub(crate) organization: OrganizationId,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }

    /// The body of a call that succeeded.
    #[track_caller]
    pub(crate) fn ok(&self) -> Value {
        assert_eq!(
            self.status,
            StatusCode::OK,
            "{}",
            String::from_utf8_lossy(&self.body)
        );
        self.json()
    }

    /// The error of a call that failed with this status.
    #[track_caller]
    pub(crate) fn error(&self, status: u16) -> Value {
        assert_eq!(
            self.status.as_u16(),
            status,
            "{}",
            String::from_utf8_lossy(&self.body)
        );
        self.json()["error"].clone()
    }

    /// The places that are wrong with the kinds of mistake, of a call that was refused as invalid.
    #[track_caller]
    pub(crate) fn mistakes(&self) -> Vec<(String, String)> {
        let error = self.error(422);
        let listed = error["details"]["validation_errors"]
            .as_array()
            .expect("a list of mistakes")
            .clone();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        listed
            .iter()
            .map(|mistake| {
                let path: Vec<String> = mistake["location"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(text)
                    .collect();
                (path.join("."), text(&mistake["type"]))
            })
            .collect()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(|repositories| repositories).await
    }

    /// A world whose repositories were changed after its organization was made.
    pub(crate) async fn with(change: impl FnOnce(Repositories) -> Repositories) -> Self {
        Self::made(change, Settings::default()).await
    }

    /// A world that knows where browsers reach it.
    pub(crate) async fn at(public_url: &str) -> Self {
        let settings = Settings {
            public_url: Some(EndpointUrl::parse(public_url).unwrap()),
            ..Settings::default()
        };
        Self::made(|repositories| repositories, settings).await
    }

    async fn made(change: impl FnOnce(Repositories) -> Repositories, settings: Settings) -> Self {
        let clock = Arc::new(FakeClock::new());
        let repositories = MemoryStore::with_seal(clock.clone(), Arc::new(TestSeal)).repositories();
        let source = FakeSource::new();
        let supported = [Provider::S3, Provider::Tigris, Provider::GoogleDrive];
        let factory = FakeProviderFactory::new(source.clone()).supporting(&supported);
        let factory = Arc::new(factory);
        let ring = Arc::new(OpenRing::default());
        let mut parts = Parts {
            repositories: repositories.clone(),
            key_ring: ring.clone(),
            audit_seal: Arc::new(TestSeal),
            providers: factory.clone(),
            blobs: Arc::new(MemoryBlobs::new(clock.clone())),
            clock: clock.clone(),
            ids: Arc::new(SeededIds::new(7)),
            settings,
        };
        let first = Engine::new(parts.clone());
        first
            .bootstrap(&SecretString::new(ADMIN.to_owned()))
            .await
            .unwrap();
        let organization = first.authenticate(ADMIN).await.unwrap().organization;
        parts.repositories = change(repositories.clone());
        let engine = Engine::new(parts.clone());
        let state = ApiState::new(engine.clone(), parts.ids, Duration::from_secs(30));
        let router = wharf_http::router(state);
        Self {
            router,
            engine,
            repositories,
            source,
            factory,
            ring,
            clock,
            organization,
        }
    }

    /// A key of the organization with this permission.
    pub(crate) async fn key(&self, permission: Permission) -> String {
        self.key_of(&self.organization, "admin@wharf.local", permission)
            .await
    }

    async fn key_of(
        &self,
        organization: &OrganizationId,
        email: &str,
        permission: Permission,
    ) -> String {
        let new = CreateApiKey::named(format!("{permission} key"), Grant::of(permission));
        let operator = Operator::of(organization);
        let issued = self.engine.create_api_key(&operator, email, new).await;
        issued.unwrap().secret.expose().to_owned()
    }

    /// A key of the organization's admin with this grant.
    pub(crate) async fn key_with(&self, name: &str, grant: Grant) -> String {
        let new = CreateApiKey::named(name, grant);
        let operator = Operator::of(&self.organization);
        let email = "admin@wharf.local";
        let issued = self.engine.create_api_key(&operator, email, new).await;
        issued.unwrap().secret.expose().to_owned()
    }

    /// The admin key of another organization.
    pub(crate) async fn stranger(&self) -> String {
        let email = "admin@other.test";
        let (other, _) = self
            .engine
            .create_organization("other", Email::parse(email).unwrap())
            .await
            .unwrap();
        self.key_of(&other.id, email, Permission::Admin).await
    }

    /// Sends a request as it is. Every answer is looked at for what must hold for all of them.
    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let head = request.method() == "HEAD";
        let answer = self.send_freely(request).await;
        if answer.status.as_u16() >= 400 && !head {
            let envelope = answer.json();
            assert_eq!(envelope["success"], false);
            assert_eq!(envelope["status"], answer.status.as_u16());
            assert!(
                envelope["error"]["message"]
                    .as_str()
                    .is_some_and(|text| !text.is_empty()),
                "{envelope}"
            );
            assert!(
                envelope["error"]["type"]
                    .as_str()
                    .is_some_and(|text| text.ends_with("Error")),
                "{envelope}"
            );
        }
        answer
    }

    /// The same for a request whose errors need not stand in the envelope.
    pub(crate) async fn send_freely(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        let answer = Answer {
            status: parts.status,
            headers: parts.headers,
            body,
        };
        assert!(
            !String::from_utf8_lossy(&answer.body).contains(CANARY),
            "a secret got out"
        );
        assert!(
            !format!("{:?}", answer.headers).contains(CANARY),
            "a secret got out"
        );
        assert!(!answer.header("x-request-id").is_empty());
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert!(!answer.header("cache-control").is_empty());
        answer
    }

    /// A request with a JSON body under any key.
    pub(crate) async fn call_as(&self, key: &str, method: &str, path: &str, body: Value) -> Answer {
        let request = request(method, path).header("authorization", format!("Bearer {key}"));
        let body = if body.is_null() {
            Body::empty()
        } else {
            Body::from(body.to_string())
        };
        self.send(request.body(body).unwrap()).await
    }

    /// The same under the admin's key.
    pub(crate) async fn call(&self, method: &str, path: &str, body: Value) -> Answer {
        self.call_as(ADMIN, method, path, body).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, Value::Null).await
    }

    /// Stores a connection and returns its view.
    pub(crate) async fn connection(&self, name: &str) -> Value {
        self.call(
            "POST",
            "/v1/organizations/connections",
            new_connection(name),
        )
        .await
        .ok()
    }

    /// Stores a bucket and returns its view.
    pub(crate) async fn bucket(&self, name: &str) -> Value {
        let body = json!({"bucket_name": name, "bucket_schema": {"properties": {"content": {"type": "text"}}}});
        self.call("POST", "/v1/buckets", body).await.ok()
    }

    /// A connection, a bucket and a sync of `media/` between them.
    pub(crate) async fn sync(&self) -> Value {
        let connection = self.connection("store").await;
        self.sync_of(&connection).await
    }

    /// A bucket and a sync of `media/` into it.
    pub(crate) async fn sync_of(&self, connection: &Value) -> Value {
        let bucket = self.bucket("files").await;
        let path = format!("/v1/buckets/{}/syncs", text(&bucket["bucket_id"]));
        let body = json!({"connection_id": connection["connection_id"], "source_path": "media/"});
        self.call("POST", &path, body).await.ok()
    }

    /// Runs every sync that is due.
    pub(crate) async fn work(&self) {
        let worker = Worker::new(self.engine.clone(), "a worker");
        while worker.run_once(&CancellationToken::new()).await.unwrap() {}
    }

    /// A bucket that holds one object with these bytes; the paths of both.
    pub(crate) async fn object(&self, name: &str, bytes: &'static [u8]) -> (String, String) {
        self.source.put(&format!("media/{name}"), bytes);
        let sync = self.sync().await;
        self.work().await;
        let bucket = format!("/v1/buckets/{}", text(&sync["bucket_id"]));
        let objects = self.get(&format!("{bucket}/objects")).await.ok();
        let object = format!(
            "{bucket}/objects/{}",
            text(&objects["results"][0]["object_id"])
        );
        (bucket, object)
    }
}

/// A request that says that its body is JSON.
pub(crate) fn request(method: &str, path: &str) -> axum::http::request::Builder {
    Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", "application/json")
}

/// A body that makes a connection.
pub(crate) fn new_connection(name: &str) -> Value {
    json!({
        "name": name,
        "provider_type": "s3",
        "provider_config": {
            "region": "eu-central-1",
            "credentials": {
                "type": "access_key",
                "access_key_id": format!("AKIA{CANARY}"),
                "secret_access_key": format!("{CANARY}-key"),
                "session_token": format!("{CANARY}-token"),
            },
        },
    })
}

/// A string in an answer.
pub(crate) fn text(value: &Value) -> &str {
    value.as_str().expect("a string")
}
