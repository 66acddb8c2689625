use std::time::Duration;

use axum::body::Body;
use serde_json::{Value, json};
use wharf_testkit::SeededIds;

use crate::syncs::path;
use crate::world::{ADMIN, World, request, text};

/// A worker leases the sync that is due, and is never heard of again.
async fn leased_by_nobody(world: &World) {
    let (job, audit) = (SeededIds::new(99).id(), SeededIds::new(99).id());
    let due = world
        .repositories
        .across
        .lease_due_sync("a lost worker", Duration::from_secs(30), &job, &audit)
        .await
        .unwrap();
    assert!(due.is_some(), "nothing was due");
}

#[tokio::test]
async fn a_paused_sync_tells_who_paused_it_and_why_and_does_not_run() {
    let world = World::new().await;
    world.source.put("media/a", "1");
    let sync = world.sync().await;
    let pause = request("POST", &format!("{}/pause", path(&sync)))
        .header("authorization", format!("Bearer {ADMIN}"))
        .header("x-change-reason", "the source is being moved");
    let paused = world.send(pause.body(Body::empty()).unwrap()).await.ok();
    assert_eq!(
        (&paused["status"], &paused["status_reason"]),
        (&json!("SUSPENDED"), &json!("paused"))
    );
    assert_eq!(
        (&paused["paused"], &paused["is_active"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(paused["pause_reason"], "the source is being moved");
    assert_eq!(paused["paused_by_user_id"], sync["created_by_user_id"]);
    assert!(paused["paused_at"].is_string());
    assert_eq!(
        (
            &paused["current_sync_run_id"],
            &paused["next_sync_at"],
            &paused["schedule"]["next_run_at"]
        ),
        (&Value::Null, &Value::Null, &Value::Null)
    );
    let again = world
        .call("POST", &format!("{}/pause", path(&sync)), json!({}))
        .await
        .ok();
    assert_eq!(again, paused, "a second pause changes nothing");
    world.work().await;
    let objects = async || {
        world.get("/v1/buckets/files/objects").await.ok()["stats"]["total_objects"].clone()
    };
    assert_eq!(objects().await, 0);
    let error = world
        .call("POST", &format!("{}/trigger", path(&sync)), Value::Null)
        .await
        .error(409);
    assert_eq!(error["code"], "sync_paused");
    let jobs = world
        .call("POST", &format!("{}/jobs", path(&sync)), Value::Null)
        .await
        .ok();
    assert_eq!(
        (
            &jobs["results"][0]["status"],
            &jobs["results"][0]["metadata"]["incomplete_reason"]
        ),
        (&json!("skipped"), &json!("sync_paused"))
    );
    let list = format!("/v1/buckets/{}/syncs/list", text(&sync["bucket_id"]));
    for (filter, total) in [
        (json!({"status": "SUSPENDED"}), 1),
        (json!({"status": "active"}), 0),
        (json!({"is_active": false}), 1),
        (json!({"is_active": true}), 0),
    ] {
        let found = world.call("POST", &list, filter.clone()).await.ok();
        assert_eq!(found["total"], total, "{filter}");
    }

    let resume = format!("{}/resume", path(&sync));
    let resumed = world.call("POST", &resume, Value::Null).await.ok();
    assert_eq!(
        (
            &resumed["status"],
            &resumed["paused"],
            &resumed["pause_reason"],
            &resumed["paused_at"]
        ),
        (&json!("ACTIVE"), &json!(false), &Value::Null, &Value::Null)
    );
    world.call("POST", &resume, Value::Null).await.ok();
    world.work().await;
    assert_eq!(objects().await, 1, "it runs at once");
}

#[tokio::test]
async fn what_does_not_run_by_itself_is_neither_paused_nor_resumed() {
    let world = World::new().await;
    let first = world.sync().await;
    let body = json!({
        "connection_id": first["connection_id"], "source_path": "media/", "sync_mode": "initial_only",
    });
    let once = world
        .call("POST", "/v1/buckets/files/syncs", body)
        .await
        .ok();
    world.work().await;
    for action in ["pause", "resume"] {
        let error = world
            .call("POST", &format!("{}/{action}", path(&once)), Value::Null)
            .await
            .error(409);
        assert_eq!(error["code"], "sync_completed", "{action}");
    }
    let still = world.get(&path(&once)).await.ok();
    assert_eq!(
        (&still["status"], &still["paused"]),
        (&json!("COMPLETED"), &json!(false))
    );
    let connection = format!(
        "/v1/organizations/connections/{}",
        text(&first["connection_id"])
    );
    world.call("DELETE", &connection, Value::Null).await.ok();
    for action in ["pause", "resume"] {
        let error = world
            .call("POST", &format!("{}/{action}", path(&first)), Value::Null)
            .await
            .error(409);
        assert_eq!(error["code"], "connection_archived", "{action}");
    }
}

#[tokio::test]
async fn a_full_run_that_is_wanted_during_a_run_follows_it() {
    let world = World::new().await;
    world.source.put("media/a", "1");
    let sync = world.sync().await;
    leased_by_nobody(&world).await;
    let at_work = world.get(&path(&sync)).await.ok();
    assert_eq!(
        (&at_work["locked"], &at_work["locked_by_worker_id"]),
        (&json!(true), &json!("a lost worker"))
    );
    let trigger = format!("{}/trigger", path(&sync));
    let plain = world.call("POST", &trigger, Value::Null).await.ok();
    assert_eq!(
        (&plain["status"], &plain["pending_full_sync"]),
        (&json!("skipped_already_running"), &json!(false))
    );
    let full = world
        .call("POST", &format!("{trigger}?full_sync=true"), Value::Null)
        .await
        .ok();
    assert_eq!(
        (&full["status"], &full["pending_full_sync"]),
        (&json!("skipped_already_running"), &json!(true))
    );
    assert_eq!(full["sync_job_id"], at_work["current_sync_run_id"]);
    assert_eq!(
        world.get(&path(&sync)).await.ok()["pending_full_sync"],
        true
    );
    world.clock.advance(Duration::from_secs(31));
    world.work().await;
    let after = world.get(&path(&sync)).await.ok();
    assert_eq!(
        (&after["pending_full_sync"], &after["total_files_synced"]),
        (&json!(false), &json!(1))
    );
}

#[tokio::test]
async fn a_run_is_taken_from_a_worker_that_is_gone() {
    let world = World::new().await;
    world.source.put("media/a", "1");
    let sync = world.sync().await;
    let unlock = format!("{}/unlock", path(&sync));
    let nobody = world.call("POST", &unlock, Value::Null).await.ok();
    assert_eq!(
        (&nobody["unlocked"], &nobody["sync_config_id"]),
        (&json!(false), &sync["sync_config_id"])
    );
    leased_by_nobody(&world).await;
    let lost = world.get(&path(&sync)).await.ok()["current_sync_run_id"].clone();
    let taken = world.call("POST", &unlock, Value::Null).await.ok();
    assert_eq!(taken["unlocked"], true);
    assert!(!text(&taken["message"]).is_empty());
    let free = world.get(&path(&sync)).await.ok();
    assert_eq!(free["locked"], false);
    world.clock.advance(Duration::from_secs(1));
    world.work().await;
    let jobs = world
        .call("POST", &format!("{}/jobs", path(&sync)), Value::Null)
        .await
        .ok();
    let (newest, oldest) = (&jobs["results"][0], &jobs["results"][1]);
    assert_eq!(oldest["sync_job_id"], lost);
    assert_eq!(
        (&oldest["status"], &oldest["metadata"]["incomplete_reason"]),
        (&json!("interrupted"), &json!("unlocked"))
    );
    assert_eq!(
        (
            &newest["status"],
            &newest["trigger"],
            &newest["resumed_via"]
        ),
        (&json!("completed"), &json!("resume"), &lost)
    );
}

#[tokio::test]
async fn actions_on_what_is_not_there_are_not_found() {
    let world = World::new().await;
    let sync = world.sync().await;
    let unknown = path(&sync).replace(text(&sync["sync_config_id"]), "sync_0123456789abcdef");
    for action in [
        "pause",
        "resume",
        "unlock",
        "trigger",
        "deletes/approve",
        "deletes/discard",
        "dlq",
        "dlq/requeue",
    ] {
        for place in [&unknown, "/v1/buckets/files/syncs/nonsense"] {
            let error = world
                .call("POST", &format!("{place}/{action}"), Value::Null)
                .await
                .error(404);
            assert_eq!(error["details"]["resource"], "sync", "{action}");
        }
    }
}
