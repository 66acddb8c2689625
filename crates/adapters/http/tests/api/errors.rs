use std::sync::Arc;

use async_trait::async_trait;
use axum::body::Body;
use serde_json::{Value, json};
use wharf_domain::audit::NewAuditRow;
use wharf_domain::ids::{NamespaceId, OrganizationId};
use wharf_domain::namespace::{Namespace, NamespaceIdentifier, NewNamespace};
use wharf_domain::page::{Page, PageRequest};
use wharf_ports::{
    ChangeError, InsertError, NamespaceChange, NamespaceRepository, RemoveOutcome, RepositoryError,
};

use crate::world::{ADMIN, CANARY, World, request, text};

/// Namespaces in a database that is away, damaged or worse.
#[derive(Clone, Copy)]
enum Broken {
    Away,
    Corrupt,
    Panics,
}

impl Broken {
    fn fail<T>(self) -> Result<T, RepositoryError> {
        match self {
            Self::Away => Err(RepositoryError::Unavailable("as the test wished".into())),
            Self::Corrupt => Err(RepositoryError::Corrupt(format!("row 7 holds {CANARY}"))),
            Self::Panics => panic!("{CANARY}"),
        }
    }
}

#[async_trait]
impl NamespaceRepository for Broken {
    async fn insert(
        &self,
        _: &OrganizationId,
        _: NewNamespace,
        _: NewAuditRow,
    ) -> Result<Namespace, InsertError> {
        Ok(self.fail()?)
    }

    async fn find(
        &self,
        _: &OrganizationId,
        _: &NamespaceIdentifier,
    ) -> Result<Option<Namespace>, RepositoryError> {
        self.fail()
    }

    async fn list(
        &self,
        _: &OrganizationId,
        _: &PageRequest,
    ) -> Result<Page<Namespace>, RepositoryError> {
        self.fail()
    }

    async fn update(
        &self,
        _: &OrganizationId,
        _: &NamespaceId,
        _: NamespaceChange,
        _: NewAuditRow,
    ) -> Result<Namespace, ChangeError> {
        Ok(self.fail()?)
    }

    async fn remove(
        &self,
        _: &OrganizationId,
        _: &NamespaceId,
        _: bool,
        _: NewAuditRow,
    ) -> Result<RemoveOutcome, RepositoryError> {
        self.fail()
    }
}

async fn broken(how: Broken) -> World {
    World::with(|mut repositories| {
        repositories.namespaces = Arc::new(how);
        repositories
    })
    .await
}

async fn raw(
    world: &World,
    content_type: Option<&str>,
    body: impl Into<Body>,
) -> crate::world::Answer {
    let mut request = axum::http::Request::builder()
        .method("POST")
        .uri("/v1/namespaces")
        .header("authorization", format!("Bearer {ADMIN}"));
    if let Some(content_type) = content_type {
        request = request.header("content-type", content_type);
    }
    world.send(request.body(body.into()).unwrap()).await
}

#[tokio::test]
async fn unknown_routes_and_methods_are_told_in_the_envelope() {
    let world = World::new().await;
    for path in [
        "/",
        "/v1",
        "/v2/buckets",
        "/v1/buckets/a/b/c/d",
        "/v1/organizations/connections/",
        "//",
    ] {
        let request = request("GET", path).body(Body::empty()).unwrap();
        assert_eq!(
            world.send(request).await.error(404)["type"],
            "NotFoundError",
            "{path}"
        );
    }
    for (method, path) in [
        ("PUT", "/v1/namespaces"),
        ("DELETE", "/v1/buckets/list"),
        ("POST", "/v1/health"),
    ] {
        let answer = world.call(method, path, Value::Null).await;
        assert_eq!(answer.error(405)["type"], "MethodNotAllowedError");
        assert!(!answer.header("allow").is_empty(), "{method} {path}");
    }
}

#[tokio::test]
async fn bodies_that_are_no_json_objects_are_refused() {
    let world = World::new().await;
    for body in [
        "{",
        "{\"a\":}",
        "nonsense",
        "{\"a\":1}x",
        "\u{feff}{}",
        "{\"a\":\"\\ud800\"}",
        "{\"a\":1e999}",
    ] {
        assert_eq!(
            raw(&world, Some("application/json"), body).await.error(400)["type"],
            "BadRequestError",
            "{body}"
        );
    }
    raw(&world, Some("application/json"), &b"{\"a\":\"\xff\"}"[..])
        .await
        .error(400);
    let twice = raw(
        &world,
        None,
        r#"{"namespace_name":"abc","namespace_name":"abd"}"#,
    )
    .await
    .error(400);
    assert!(text(&twice["message"]).contains("namespace_name"));
    let deep = format!("{}{}", r#"{"a":"#.repeat(30_000), "}".repeat(30_000));
    raw(&world, Some("application/json"), deep).await.error(400);
    for body in ["[]", "1", "\"x\"", "true"] {
        assert_eq!(
            raw(&world, Some("application/json"), body).await.mistakes(),
            [("body".into(), "wrong_type".into())]
        );
    }
    for body in ["", "  \n", "null"] {
        assert_eq!(
            raw(&world, Some("application/json"), body).await.mistakes()[0].1,
            "missing",
            "{body:?}"
        );
    }
    raw(&world, Some("text/plain"), "{}").await.error(415);
    raw(&world, Some("application/x-www-form-urlencoded"), "a=b")
        .await
        .error(415);
    raw(
        &world,
        Some("Application/JSON; charset=utf-8"),
        r#"{"namespace_name":"abc"}"#,
    )
    .await
    .ok();
    raw(
        &world,
        Some("application/merge-patch+json"),
        r#"{"namespace_name":"abd"}"#,
    )
    .await
    .ok();
}

#[tokio::test]
async fn bodies_that_are_too_large_are_refused() {
    let world = World::new().await;
    let large = json!({"namespace_name": "abc", "description": "x".repeat(256 * 1024)}).to_string();
    assert_eq!(
        raw(&world, Some("application/json"), large.clone())
            .await
            .error(413)["type"],
        "PayloadTooLargeError"
    );
    let chunks = large
        .into_bytes()
        .chunks(1000)
        .map(|chunk| Ok::<_, std::io::Error>(chunk.to_vec()))
        .collect::<Vec<_>>();
    let unannounced = Body::from_stream(futures::stream::iter(chunks));
    raw(&world, Some("application/json"), unannounced)
        .await
        .error(413);
    let cut = futures::stream::iter([Ok("{"), Err(std::io::Error::other("gone"))]);
    raw(&world, Some("application/json"), Body::from_stream(cut))
        .await
        .error(400);
}

#[tokio::test]
async fn a_part_that_is_away_is_told_as_such_with_a_time_to_come_back() {
    let world = broken(Broken::Away).await;
    let answer = world.get("/v1/namespaces").await;
    assert_eq!(answer.error(503)["type"], "ServiceUnavailableError");
    assert!(answer.header("retry-after").parse::<u32>().is_ok());
    assert!(!text(&answer.error(503)["message"]).contains("as the test wished"));
    let world = World::new().await;
    world.ring.be_away(true);
    assert!(
        text(&world.get("/v1/namespaces").await.error(503)["message"]).contains("the key ring")
    );
}

#[tokio::test]
async fn our_own_faults_and_panics_tell_nothing_of_their_cause() {
    for how in [Broken::Corrupt, Broken::Panics] {
        let world = broken(how).await;
        for answer in [
            world.get("/v1/namespaces").await,
            world.call("POST", "/v1/buckets", json!({})).await,
        ] {
            let error = answer.error(500);
            assert_eq!(error["type"], "InternalServerError");
            assert_eq!(error.get("details"), None);
        }
    }
}

#[tokio::test]
async fn a_sane_request_id_is_kept_and_any_other_replaced() {
    let world = World::new().await;
    let answered = async |id: &str| {
        let request = request("GET", "/v1/health/liveness").header("x-request-id", id);
        world
            .send(request.body(Body::empty()).unwrap())
            .await
            .header("x-request-id")
            .to_owned()
    };
    assert_eq!(answered("trace-1:a.b_c").await, "trace-1:a.b_c");
    for id in ["", "a b", "x\u{e9}", &"x".repeat(129), "\"><script>"] {
        let drawn = answered(id).await;
        assert!(drawn != id && drawn.len() == 32, "{id:?} → {drawn:?}");
    }
}

#[tokio::test]
async fn an_answer_does_not_grow_with_the_mistakes_that_it_tells_of() {
    let world = World::new().await;
    let mut fields = serde_json::Map::new();
    for n in 0..5000 {
        fields.insert(format!("unknown {n} {}", "x".repeat(20)), json!(1));
    }
    let answer = world
        .call("POST", "/v1/buckets", Value::Object(fields))
        .await;
    assert!(answer.body.len() < 64 * 1024, "{}", answer.body.len());
    let long = json!({"k".repeat(100_000): 1});
    let answer = world.call("POST", "/v1/buckets", long).await;
    assert_eq!(answer.status.as_u16(), 422);
    assert!(answer.body.len() < 4096, "{}", answer.body.len());
}

#[tokio::test]
async fn a_namespace_that_is_named_in_two_ways_is_refused() {
    let world = World::new().await;
    let request = request("POST", "/v1/buckets/list")
        .header("authorization", format!("Bearer {ADMIN}"))
        .header("x-namespace", "default")
        .header("x-namespace", "other");
    let answer = world.send(request.body(Body::empty()).unwrap()).await;
    answer.error(400);
}
