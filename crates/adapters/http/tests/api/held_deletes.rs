use std::time::Duration;

use axum::body::Body;
use serde_json::{Value, json};

use crate::syncs::path;
use crate::world::{ADMIN, World, request, text};

const FILES: u64 = 60;

/// A sync whose files all vanished at once.
async fn robbed() -> (World, Value) {
    let world = World::new().await;
    for n in 0..FILES {
        world.source.put(&format!("media/{n}"), "x");
    }
    let sync = world.sync().await;
    world.work().await;
    for n in 0..FILES {
        world.source.remove(&format!("media/{n}"));
    }
    world.clock.advance(Duration::from_secs(301));
    world.work().await;
    (world, sync)
}

async fn total(world: &World) -> Value {
    world.get("/v1/buckets/files/objects").await.ok()["stats"]["total_objects"].clone()
}

#[tokio::test]
async fn many_deletes_at_once_are_held_and_a_person_approves_them() {
    let (world, sync) = robbed().await;
    assert_eq!(total(&world).await, FILES, "nothing is deleted yet");
    let held = world.get(&path(&sync)).await.ok()["held_deletes"].clone();
    assert_eq!(held["count"], FILES);
    assert!(held["since"].is_string());
    assert!(
        text(&held["reason"]).contains("a person approves"),
        "{held}"
    );
    let job = world
        .call("POST", &format!("{}/jobs", path(&sync)), Value::Null)
        .await
        .ok()["results"][0]
        .clone();
    assert_eq!(
        (&job["progress"]["held"], &job["progress"]["deleted"]),
        (&json!(FILES), &json!(0))
    );
    let approve = format!("{}/deletes/approve", path(&sync));
    let approved = world.call("POST", &approve, Value::Null).await.ok();
    assert_eq!(
        (&approved["approved"], &approved["sync_config_id"]),
        (&json!(FILES), &sync["sync_config_id"])
    );
    assert!(text(&approved["message"]).contains("tombstones"));
    assert_eq!(total(&world).await, 0);
    assert_eq!(
        world.get(&path(&sync)).await.ok()["held_deletes"],
        Value::Null
    );
    let again = world.call("POST", &approve, Value::Null).await.ok();
    assert_eq!(again["approved"], 0);
}

#[tokio::test]
async fn what_works_in_several_steps_is_never_taken_for_done_after_the_first() {
    let (world, sync) = robbed().await;
    for told in [FILES, 0] {
        let approve = request("POST", &format!("{}/deletes/approve", path(&sync)))
            .header("authorization", format!("Bearer {ADMIN}"))
            .header("idempotency-key", "k");
        let answer = world.send(approve.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.ok()["approved"], told);
        assert_eq!(answer.header("idempotency-replayed"), "");
    }
}

#[tokio::test]
async fn discarded_deletes_leave_the_objects_for_good() {
    let (world, sync) = robbed().await;
    let discard = format!("{}/deletes/discard", path(&sync));
    let discarded = world.call("POST", &discard, Value::Null).await.ok();
    assert_eq!(discarded["discarded"], FILES);
    assert_eq!(
        world.get(&path(&sync)).await.ok()["held_deletes"],
        Value::Null
    );
    world.clock.advance(Duration::from_secs(301));
    world.work().await;
    assert_eq!(
        total(&world).await,
        FILES,
        "the next pass knows nothing of them"
    );
    let again = world.call("POST", &discard, Value::Null).await.ok();
    assert_eq!(again["discarded"], 0);
}
