use std::time::Duration;

use axum::body::Body;
use serde_json::{Value, json};

use crate::world::{Answer, World, request};

async fn ask(world: &World, path: &str) -> Answer {
    world
        .send(request("GET", path).body(Body::empty()).unwrap())
        .await
}

#[tokio::test]
async fn health_needs_no_key_and_tells_every_part() {
    let world = World::new().await;
    assert_eq!(ask(&world, "/v1/health").await.ok()["status"], "OK");
    assert_eq!(
        ask(&world, "/v1/health/liveness").await.ok(),
        json!({"status": "OK"})
    );
    assert_eq!(
        ask(&world, "/v1/health/beat").await.ok()["scheduler"],
        false,
        "no worker runs in this process"
    );
    let deep = ask(&world, "/v1/health/deep?deep=true&metrics=false")
        .await
        .ok();
    assert_eq!(deep["status"], "OK");
    assert!(
        deep["data"]
            .as_object()
            .unwrap()
            .values()
            .all(|well| *well == json!(true))
    );
    assert!(
        deep["errors"]
            .as_object()
            .unwrap()
            .values()
            .all(Value::is_null)
    );
    assert_eq!(
        deep["meta"]["not_applicable"],
        json!(["cache", "vector_store", "inference"])
    );
}

#[tokio::test]
async fn a_part_that_is_away_degrades_health_within_a_second() {
    let world = World::new().await;
    assert_eq!(ask(&world, "/v1/health").await.ok()["status"], "OK");
    world.ring.be_away(true);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let deep = ask(&world, "/v1/health/deep").await.ok();
    assert_eq!(
        (&deep["status"], &deep["data"]["key_ring"]),
        (&json!("DEGRADED"), &json!(false))
    );
    assert!(deep["errors"]["key_ring"].is_string());
    assert_eq!(ask(&world, "/v1/health").await.ok()["status"], "DEGRADED");
    assert_eq!(
        ask(&world, "/v1/health/liveness").await.ok()["status"],
        "OK"
    );
}

#[tokio::test]
async fn the_document_is_served_to_everyone_and_metrics_only_when_collected() {
    let world = World::new().await;
    let document = ask(&world, "/openapi.json").await.ok();
    assert_eq!(document, json!(wharf_http::openapi()));
    ask(&world, "/metrics").await.error(401);
    world.get("/metrics").await.error(404);
}
