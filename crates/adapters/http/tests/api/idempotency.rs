use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Body;
use futures::FutureExt;
use serde_json::{Value, json};
use wharf_domain::access::Permission;
use wharf_domain::idempotency::{Claim, Claimed, StoredAnswer};
use wharf_domain::ids::OrganizationId;
use wharf_ports::{IdempotencyRepository, RepositoryError};

use crate::world::{ADMIN, Answer, CANARY, World, new_connection, request, text};

const CONNECTIONS: &str = "/v1/organizations/connections";
const NAMESPACES: &str = "/v1/namespaces";

async fn once_as(world: &World, caller: &str, key: &str, path: &str, body: Value) -> Answer {
    let request = request("POST", path)
        .header("authorization", format!("Bearer {caller}"))
        .header("idempotency-key", key);
    let body = if body.is_null() {
        Body::empty()
    } else {
        Body::from(body.to_string())
    };
    world.send(request.body(body).unwrap()).await
}

async fn once(world: &World, key: &str, path: &str, body: Value) -> Answer {
    once_as(world, ADMIN, key, path, body).await
}

#[tokio::test]
async fn a_request_that_is_sent_again_takes_effect_once_and_is_answered_alike() {
    let world = World::new().await;
    let first = once(&world, "k1", CONNECTIONS, new_connection("store")).await;
    first.ok();
    assert_eq!(first.header("idempotency-replayed"), "");
    let tests = world.source.calls().checks;
    for _ in 0..2 {
        let again = once(&world, "k1", CONNECTIONS, new_connection("store")).await;
        assert_eq!(again.ok(), first.ok());
        assert_eq!(again.header("idempotency-replayed"), "true");
        assert_eq!(again.header("content-type"), "application/json");
    }
    assert_eq!(world.source.calls().checks, tests);
    let sync = world.sync_of(&first.ok()).await;
    let trigger = format!(
        "/v1/buckets/{}/syncs/{}/trigger",
        text(&sync["bucket_id"]),
        text(&sync["sync_config_id"])
    );
    world.work().await;
    let job = once(&world, "k1", &trigger, Value::Null).await.ok();
    world.work().await;
    let again = once(&world, "k1", &trigger, Value::Null).await.ok();
    assert_eq!(again, job, "another route, another claim");
    assert_eq!(job["status"], "triggered");
}

#[tokio::test]
async fn a_key_belongs_to_one_request_of_one_api_key_on_one_route() {
    let world = World::new().await;
    let body = |name: &str| json!({"namespace_name": name});
    once(&world, "k", NAMESPACES, body("one")).await.ok();
    let reused = once(&world, "k", NAMESPACES, body("two")).await;
    assert_eq!(
        reused.mistakes(),
        [(
            "header.Idempotency-Key".into(),
            "idempotency_key_reused".into()
        )]
    );
    assert_eq!(reused.error(422)["code"], "idempotency_key_reused");
    let elsewhere = request("POST", NAMESPACES)
        .header("authorization", format!("Bearer {ADMIN}"))
        .header("idempotency-key", "k")
        .header("x-namespace", "one")
        .body(Body::from(body("one").to_string()));
    world.send(elsewhere.unwrap()).await.error(422);
    let other = world.key(Permission::Admin).await;
    once_as(&world, &other, "k", NAMESPACES, body("two"))
        .await
        .ok();
    let stranger = world.stranger().await;
    once_as(&world, &stranger, "k", NAMESPACES, body("two"))
        .await
        .ok();
    once(&world, "k", "/v1/namespaces?", body("three"))
        .await
        .ok();
}

#[tokio::test]
async fn a_request_that_failed_gives_its_key_back() {
    let world = World::new().await;
    once(&world, "k", CONNECTIONS, json!({"name": "x"}))
        .await
        .error(422);
    world.connection("store").await;
    once(&world, "k", CONNECTIONS, new_connection("store"))
        .await
        .error(409);
    once(&world, "k", CONNECTIONS, new_connection("other"))
        .await
        .ok();
}

#[tokio::test]
async fn while_the_first_is_at_work_the_second_waits() {
    let world = World::new().await;
    let (first, second) = tokio::join!(
        once(&world, "k", CONNECTIONS, new_connection("store")),
        once(&world, "k", CONNECTIONS, new_connection("store")),
    );
    let (done, other) = if first.status == 200 {
        (first, second)
    } else {
        (second, first)
    };
    done.ok();
    if other.status == 200 {
        assert_eq!(other.header("idempotency-replayed"), "true");
    } else {
        assert_eq!(other.error(409)["code"], "idempotency_in_progress");
        assert_eq!(other.header("retry-after"), "1");
    }
    let all = world
        .call("POST", "/v1/organizations/connections/list", Value::Null)
        .await
        .ok();
    assert_eq!(all["total"], 1);
}

#[tokio::test]
async fn a_client_that_goes_away_finds_the_answer_later() {
    let world = World::new().await;
    let body = || json!({"namespace_name": "abc"});
    // Looked at once, and dropped.
    let gone = Box::pin(once(&world, "k", NAMESPACES, body()));
    assert!(gone.now_or_never().is_none(), "it was answered at once");
    tokio::time::sleep(Duration::from_millis(50)).await;
    let again = once(&world, "k", NAMESPACES, body()).await;
    again.ok();
    assert_eq!(again.header("idempotency-replayed"), "true");
}

/// Claims whose answers are lost.
struct Forgetful(Arc<dyn IdempotencyRepository>);

#[async_trait]
impl IdempotencyRepository for Forgetful {
    async fn claim(
        &self,
        organization: &OrganizationId,
        id: &str,
        fingerprint: &str,
        patience: Duration,
        keep: Duration,
    ) -> Result<Claimed, RepositoryError> {
        assert!(
            [id, fingerprint]
                .iter()
                .all(|hash| { hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit()) })
        );
        self.0
            .claim(organization, id, fingerprint, patience, keep)
            .await
    }

    async fn answer(
        &self,
        _: &OrganizationId,
        _: &Claim,
        answer: StoredAnswer,
    ) -> Result<(), RepositoryError> {
        assert!(!answer.body.contains(CANARY), "a secret would be stored");
        Err(RepositoryError::Unavailable("as the test wished".into()))
    }

    async fn release(
        &self,
        organization: &OrganizationId,
        claim: &Claim,
    ) -> Result<(), RepositoryError> {
        self.0.release(organization, claim).await
    }
}

#[tokio::test]
async fn what_took_effect_without_an_answer_is_told_by_its_resource() {
    let world = World::with(|mut repositories| {
        repositories.idempotency = Arc::new(Forgetful(repositories.idempotency));
        repositories
    })
    .await;
    let created = once(&world, "k", CONNECTIONS, new_connection("store")).await;
    let created = created.ok();
    let again = once(&world, "k", CONNECTIONS, new_connection("store")).await;
    let error = again.error(409);
    assert_eq!(error["code"], "idempotency_effect_done");
    assert_eq!(error["details"]["resource_id"], created["connection_id"]);
    assert_eq!(error["details"]["resource_type"], "storage_connection");
    let mut other = new_connection("store");
    other["description"] = json!("another body");
    once(&world, "k", CONNECTIONS, other).await.error(422);
}

#[tokio::test]
async fn keys_of_the_wrong_form_are_refused_where_they_mean_something() {
    let world = World::new().await;
    for key in ["", " ", "a b", "é", &"x".repeat(256), "a,\tb"] {
        let refused = once(&world, key, NAMESPACES, json!({"namespace_name": "abc"})).await;
        assert_eq!(
            refused.error(400)["code"],
            "idempotency_key_malformed",
            "{key:?}"
        );
    }
    let twice = request("POST", NAMESPACES)
        .header("authorization", format!("Bearer {ADMIN}"))
        .header("idempotency-key", "a")
        .header("idempotency-key", "a")
        .body(Body::from("{}"));
    world.send(twice.unwrap()).await.error(400);
    once(
        &world,
        &"x".repeat(255),
        NAMESPACES,
        json!({"namespace_name": "abc"}),
    )
    .await
    .ok();
    // Reading is repeated anyhow.
    for _ in 0..2 {
        let listed = once(&world, "é", "/v1/namespaces/list", Value::Null).await;
        assert_eq!(listed.ok()["results"].as_array().unwrap().len(), 2);
    }
}

#[tokio::test]
async fn a_key_that_was_narrowed_gets_no_earlier_answer() {
    let world = World::new().await;
    let key = world.key(Permission::Write).await;
    let body = || json!({"namespace_name": "abc"});
    once_as(&world, &key, "k", NAMESPACES, body()).await.ok();
    let again = once_as(&world, &key, "k", NAMESPACES, body()).await;
    assert_eq!(again.header("idempotency-replayed"), "true");
    let narrowed = json!({"scopes": [{"resource_type": "bucket", "resource_id": "mine"}]});
    let path = "/v1/organizations/users/admin@wharf.local/api-keys/write%20key";
    world.call("PATCH", path, narrowed).await.ok();
    let refused = once_as(&world, &key, "k", NAMESPACES, body()).await;
    assert_eq!(refused.error(422)["code"], "idempotency_key_reused");
}

#[tokio::test]
async fn without_the_permission_there_is_no_replay() {
    let world = World::new().await;
    once(&world, "k", NAMESPACES, json!({"namespace_name": "abc"}))
        .await
        .ok();
    let reader = world.key(Permission::Read).await;
    let body = json!({"namespace_name": "abc"});
    once_as(&world, &reader, "k", NAMESPACES, body)
        .await
        .error(403);
}
