use std::time::Duration;

use serde_json::{Value, json};
use wharf_domain::error_code::ErrorCode;
use wharf_testkit::provider::{Failure, Times};

use crate::syncs::path;
use crate::world::World;

async fn metrics(world: &World, sync: &Value) -> Value {
    world.get(&format!("{}/metrics", path(sync))).await.ok()
}

#[tokio::test]
async fn metrics_tell_how_old_the_last_success_is_and_whether_that_is_too_old() {
    let world = World::new().await;
    world.source.put("media/a", "1");
    world.source.put("media/b", "22");
    let sync = world.sync().await;
    let waiting = metrics(&world, &sync).await;
    assert_eq!(waiting["sync_config_id"], sync["sync_config_id"]);
    assert_eq!(
        (
            &waiting["status"],
            &waiting["is_active"],
            &waiting["paused"]
        ),
        (&json!("ACTIVE"), &json!(true), &json!(false))
    );
    assert_eq!(
        (
            &waiting["seconds_since_last_sync"],
            &waiting["intervals_since_last_sync"]
        ),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(
        (
            &waiting["running_job"],
            &waiting["stalled"],
            &waiting["healthy"]
        ),
        (&json!(true), &json!(false), &json!(true))
    );
    assert_eq!(waiting["last_job"]["status"], "running");
    assert_eq!(waiting["last_job"]["duration_seconds"], Value::Null);
    world.clock.advance(Duration::from_secs(601));
    let stalled = metrics(&world, &sync).await;
    assert_eq!(
        (
            &stalled["stalled"],
            &stalled["healthy"],
            &stalled["is_stale"]
        ),
        (&json!(true), &json!(false), &json!(false))
    );
    assert!(
        stalled["stalled_reason"]
            .as_str()
            .unwrap()
            .contains("no worker")
    );

    world.work().await;
    world.clock.advance(Duration::from_secs(450));
    let fresh = metrics(&world, &sync).await;
    for (field, value) in [
        ("seconds_since_last_sync", json!(450)),
        ("intervals_since_last_sync", json!(1.5)),
        ("stale_after_seconds", json!(600)),
        ("is_stale", json!(false)),
        ("healthy", json!(true)),
        ("running_job", json!(false)),
        ("stalled_reason", Value::Null),
        ("failure_rate", json!(0.0)),
        ("total_files_discovered", json!(2)),
        ("total_files_synced", json!(2)),
        ("total_files_failed", json!(0)),
        ("sync_run_counter", json!(1)),
        ("consecutive_failures", json!(0)),
        ("last_error", Value::Null),
        ("batches_created", json!(0)),
        ("dlq_total", json!(0)),
        ("dlq_by_error", json!({})),
    ] {
        assert_eq!(fresh[field], value, "{field}");
    }
    let last = &fresh["last_job"];
    assert_eq!(
        (
            &last["status"],
            &last["files_synced"],
            &last["files_failed"]
        ),
        (&json!("completed"), &json!(2), &json!(0))
    );
    assert!(last["duration_seconds"].is_number());
    world.clock.advance(Duration::from_secs(151));
    let stale = metrics(&world, &sync).await;
    assert_eq!(
        (&stale["is_stale"], &stale["healthy"]),
        (&json!(true), &json!(false))
    );
}

#[tokio::test]
async fn metrics_count_what_failed_and_what_was_given_up() {
    let world = World::new().await;
    for name in ["media/a", "media/b", "media/c", "media/d"] {
        world.source.put(name, "1");
    }
    let denied = Failure::permanent(ErrorCode::IntegrityMismatch);
    world.source.fail_fetch("media/d", denied, Times::Always);
    let sync = world.sync().await;
    world.work().await;
    let first = metrics(&world, &sync).await;
    assert_eq!(
        (&first["failure_rate"], &first["dlq_total"]),
        (&json!(0.25), &json!(0)),
        "it is tried again"
    );
    for _ in 0..2 {
        world.clock.advance(Duration::from_secs(301));
        world.work().await;
    }
    let third = metrics(&world, &sync).await;
    assert_eq!(
        (&third["dlq_total"], &third["dlq_by_error"]),
        (&json!(1), &json!({"integrity.mismatch": 1}))
    );
    let paused = world
        .call("POST", &format!("{}/pause", path(&sync)), Value::Null)
        .await
        .ok();
    assert_eq!(paused["paused"], true);
    let asleep = metrics(&world, &sync).await;
    assert_eq!(
        (&asleep["status"], &asleep["paused"], &asleep["healthy"]),
        (&json!("SUSPENDED"), &json!(true), &json!(false))
    );
}

#[tokio::test]
async fn metrics_of_what_is_not_there_are_not_found() {
    let world = World::new().await;
    world.bucket("files").await;
    for sync in ["sync_0123456789abcdef", "nonsense"] {
        world
            .get(&format!("/v1/buckets/files/syncs/{sync}/metrics"))
            .await
            .error(404);
    }
}
