use std::time::Duration;

use serde_json::{Value, json};
use wharf_domain::error_code::ErrorCode;
use wharf_testkit::provider::{Failure, Times};

use crate::syncs::path;
use crate::world::{World, text};

/// A sync of three files, of which two cannot be copied, after so many runs.
async fn failing(runs: usize) -> (World, Value) {
    let world = World::new().await;
    for name in ["media/a", "media/b", "media/c"] {
        world.source.put(name, "1");
    }
    let broken = Failure::permanent(ErrorCode::IntegrityMismatch);
    world.source.fail_fetch("media/a", broken, Times::Always);
    let denied = Failure::permanent(ErrorCode::PermPolicyBlocked);
    world.source.fail_fetch("media/b", denied, Times::Always);
    let sync = world.sync().await;
    world.work().await;
    for _ in 1..runs {
        run_again(&world).await;
    }
    (world, sync)
}

async fn run_again(world: &World) {
    world.clock.advance(Duration::from_secs(301));
    world.work().await;
}

async fn call(world: &World, sync: &Value, action: &str, body: Value) -> Value {
    let path = format!("{}/dlq{action}", path(sync));
    world.call("POST", &path, body).await.ok()
}

#[tokio::test]
async fn a_file_that_fails_is_a_dead_letter_until_it_is_copied() {
    let (world, sync) = failing(1).await;
    let listed = call(&world, &sync, "", Value::Null).await;
    assert_eq!(listed["total"], 2);
    let letters = listed["results"].as_array().unwrap();
    let letter = letters
        .iter()
        .find(|letter| letter["source_path"] == "media/a")
        .expect("it is listed");
    assert!(text(&letter["dlq_id"]).starts_with("dlq_"));
    for (field, value) in [
        ("sync_config_id", sync["sync_config_id"].clone()),
        ("bucket_id", sync["bucket_id"].clone()),
        ("internal_id", sync["internal_id"].clone()),
        ("namespace_id", sync["namespace_id"].clone()),
        ("sync_job_id", sync["current_sync_run_id"].clone()),
        ("source_object_id", json!("media/a")),
        ("error_type", json!("integrity.mismatch")),
        ("error_stack_trace", Value::Null),
        ("retry_count", json!(1)),
        ("max_retries_reached", json!(false)),
        ("last_reattempt_at", Value::Null),
        ("requeued_at", Value::Null),
        ("resolved_at", Value::Null),
        ("disposal_reason", Value::Null),
    ] {
        assert_eq!(letter[field], value, "{field}");
    }
    assert_eq!(letter["first_seen_at"], letter["last_seen_at"]);
    assert!(!text(&letter["error_message"]).is_empty());
    let first = call(&world, &sync, "?limit=1", Value::Null).await;
    assert_eq!(first["results"].as_array().unwrap().len(), 1);
    assert!(first["pagination"]["next_cursor"].is_string());
    world.source.heal();
    run_again(&world).await;
    assert_eq!(call(&world, &sync, "", Value::Null).await["total"], 0);
}

#[tokio::test]
async fn dead_letters_are_found_by_their_error_and_by_whether_they_are_left_alone() {
    let (world, sync) = failing(1).await;
    let total = async |filter: Value| call(&world, &sync, "", filter).await["total"].clone();
    assert_eq!(total(json!({"only_max_retries": true})).await, 0);
    assert_eq!(total(json!({"only_max_retries": false})).await, 2);
    assert_eq!(
        total(json!({"error_types": ["integrity.mismatch"]})).await,
        1
    );
    assert_eq!(
        total(json!({"error_types": ["integrity.mismatch", "perm.policy_blocked"]})).await,
        2
    );
    assert_eq!(total(json!({"error_types": ["NotFoundError"]})).await, 0);
    assert_eq!(total(json!({"error_types": []})).await, 2);
    let marked = call(
        &world,
        &sync,
        "/bulk-mark-failed",
        json!({"error_types": ["integrity.mismatch"]}),
    )
    .await;
    assert_eq!(marked, json!({"updated": 1}));
    assert_eq!(total(json!({"only_max_retries": true})).await, 1);
    let again = call(
        &world,
        &sync,
        "/bulk-mark-failed",
        json!({"error_types": ["integrity.mismatch"]}),
    )
    .await;
    assert_eq!(again, json!({"updated": 0}));
}

#[tokio::test]
async fn what_is_left_alone_is_tried_again_only_when_a_person_says_so() {
    let (world, sync) = failing(3).await;
    let requeue =
        async |body: Value| call(&world, &sync, "/requeue", body).await["requeued"].clone();
    let left_alone = call(&world, &sync, "", json!({"only_max_retries": true})).await;
    assert_eq!(left_alone["total"], 2);
    assert_eq!(left_alone["results"][0]["retry_count"], 3);
    world.source.heal();
    run_again(&world).await;
    assert_eq!(call(&world, &sync, "", Value::Null).await["total"], 2);
    assert_eq!(
        requeue(json!({"error_types": ["perm.policy_blocked"]})).await,
        1
    );
    assert_eq!(
        requeue(json!({"error_types": ["perm.policy_blocked"]})).await,
        0,
        "it is being tried"
    );
    let queued = call(
        &world,
        &sync,
        "",
        json!({"error_types": ["perm.policy_blocked"]}),
    )
    .await;
    let queued = &queued["results"][0];
    assert_eq!(
        (&queued["retry_count"], &queued["max_retries_reached"]),
        (&json!(0), &json!(false))
    );
    assert!(queued["requeued_at"].is_string());
    run_again(&world).await;
    assert_eq!(call(&world, &sync, "", Value::Null).await["total"], 1);
    assert_eq!(requeue(Value::Null).await, 1);
    run_again(&world).await;
    assert_eq!(call(&world, &sync, "", Value::Null).await["total"], 0);
    let objects = world.get("/v1/buckets/files/objects").await.ok();
    assert_eq!(objects["stats"]["total_objects"], 3);
}

#[tokio::test]
async fn what_a_dead_letter_operation_does_not_know_is_refused_by_name() {
    let world = World::new().await;
    let sync = world.sync().await;
    for (action, body, place, kind) in [
        (
            "/bulk-mark-failed",
            Value::Null,
            "body.error_types",
            "missing",
        ),
        (
            "/bulk-mark-failed",
            json!({"error_types": []}),
            "body.error_types",
            "too_short",
        ),
        (
            "/bulk-mark-failed",
            json!({"error_types": "x"}),
            "body.error_types",
            "wrong_type",
        ),
        (
            "/bulk-mark-failed",
            json!({"error_types": ["x", 1]}),
            "body.error_types.1",
            "string_type",
        ),
        (
            "/requeue",
            json!({"error_type": ["x"]}),
            "body.error_type",
            "extra_forbidden",
        ),
        (
            "",
            json!({"only_max_retries": 1}),
            "body.only_max_retries",
            "wrong_type",
        ),
        ("", json!({"limit": 1}), "body.limit", "extra_forbidden"),
        ("?limit=0", Value::Null, "query.limit", "out_of_range"),
    ] {
        let answer = world
            .call("POST", &format!("{}/dlq{action}", path(&sync)), body)
            .await;
        assert_eq!(
            answer.mistakes(),
            [(place.to_owned(), kind.to_owned())],
            "{action}"
        );
    }
}
