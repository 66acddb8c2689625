use serde_json::{Value, json};

use crate::world::{World, text};

fn path(sync: &Value) -> String {
    format!(
        "/v1/buckets/{}/syncs/{}",
        text(&sync["bucket_id"]),
        text(&sync["sync_config_id"])
    )
}

async fn prepared() -> (World, String, Value) {
    let world = World::new().await;
    let connection = world.connection("store").await;
    world.bucket("files").await;
    let body = json!({"connection_id": connection["connection_id"], "source_path": "media/"});
    (world, "/v1/buckets/files/syncs".to_owned(), body)
}

#[tokio::test]
async fn a_sync_has_the_contracts_defaults() {
    let (world, syncs, body) = prepared().await;
    let mut sync = world.call("POST", &syncs, body).await.ok();
    let told_once = sync.as_object_mut().unwrap().remove("source_test");
    assert_eq!(told_once.unwrap()["result"], "success");
    assert_eq!(sync["sync_mode"], "continuous");
    assert_eq!(sync["polling_interval_seconds"], 300);
    assert_eq!(sync["max_objects_per_run"], 100_000);
    assert_eq!(sync["sync_concurrency"], 8);
    assert_eq!(sync["batch_size"], 50);
    assert_eq!(sync["skip_duplicates"], true);
    assert_eq!(
        (&sync["status"], &sync["is_active"]),
        (&json!("ACTIVE"), &json!(true))
    );
    assert_eq!(
        (&sync["locked"], &sync["paused"]),
        (&json!(false), &json!(false))
    );
    assert_eq!(
        (&sync["held_deletes"], &sync["status_reason"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(sync["source_type"], "s3");
    assert_eq!(sync["reconcile"]["on_delete"], true);
    assert!(
        text(&sync["current_sync_run_id"]).starts_with("job_"),
        "its first run waits already"
    );
    assert_eq!(world.get(&path(&sync)).await.ok(), sync);
}

#[tokio::test]
async fn everything_that_a_sync_can_be_told_is_kept() {
    let (world, syncs, mut body) = prepared().await;
    let told = json!({
        "sync_mode": "initial_only", "polling_interval_seconds": 30, "batch_size": 100, "skip_batch_submission": true,
        "batch_collection_ids": ["col_1"], "ingest_filter": {"retriever_id": "r"}, "description": "d",
        "max_objects_per_run": 1, "sync_concurrency": 100, "metadata": {"a": 1},
        "reconcile": {
            "on_delete": false, "on_update": false, "on_filter_drift": false, "re_extract_on_update": false,
            "re_extract_fields": ["x"],
        },
    });
    body.as_object_mut()
        .unwrap()
        .extend(told.as_object().unwrap().clone());
    body["skip_duplicates"] = json!(true);
    body["file_filters"] = json!({});
    let sync = world.call("POST", &syncs, body).await.ok();
    for (field, value) in told.as_object().unwrap() {
        assert_eq!(&sync[field], value, "{field}");
    }
}

#[tokio::test]
async fn bounds_and_unsupported_fields_are_refused_by_name() {
    let (world, syncs, body) = prepared().await;
    for (field, value, kind) in [
        ("connection_id", json!("store"), "string_pattern"),
        ("connection_id", json!(null), "missing"),
        ("source_path", json!(""), "string_too_short"),
        ("source_path", json!(null), "missing"),
        ("sync_mode", json!("scheduled"), "enum"),
        ("polling_interval_seconds", json!(29), "out_of_range"),
        ("polling_interval_seconds", json!(86_401), "out_of_range"),
        ("polling_interval_seconds", json!(30.5), "wrong_type"),
        ("batch_size", json!(101), "out_of_range"),
        ("sync_concurrency", json!(0), "out_of_range"),
        ("max_objects_per_run", json!(0), "out_of_range"),
        ("max_objects_per_run", json!(u64::MAX), "out_of_range"),
        ("skip_duplicates", json!(false), "not_supported"),
        (
            "file_filters",
            json!({"include_patterns": ["*.mp4"]}),
            "not_supported",
        ),
        ("schema_mapping", json!({"mappings": {}}), "not_supported"),
        ("provider_filters", json!({"a": 1}), "not_supported"),
        ("sync_from", json!("2026-01-01T00:00:00Z"), "not_supported"),
        ("description", json!("x".repeat(501)), "string_too_long"),
        ("ingest_filter", json!([]), "wrong_type"),
    ] {
        let mut body = body.clone();
        body[field] = value;
        let mistakes = world.call("POST", &syncs, body).await.mistakes();
        assert_eq!(mistakes, [(format!("body.{field}"), kind.to_owned())]);
    }
    let mut nested = body.clone();
    nested["reconcile"] = json!({"on_delete": "no", "sometimes": true});
    let mistakes: Vec<String> = world
        .call("POST", &syncs, nested)
        .await
        .mistakes()
        .into_iter()
        .map(|m| m.0)
        .collect();
    assert_eq!(
        mistakes,
        ["body.reconcile.on_delete", "body.reconcile.sometimes"]
    );
    let mut blank = body;
    blank["source_path"] = json!("  ");
    assert_eq!(
        world.call("POST", &syncs, blank).await.mistakes()[0].0,
        "body.source_path"
    );
}

#[tokio::test]
async fn a_sync_needs_a_connection_that_is_there_and_not_archived() {
    let (world, syncs, body) = prepared().await;
    let mut unknown = body.clone();
    unknown["connection_id"] = json!("conn_abcdefghijklmno");
    assert_eq!(
        world.call("POST", &syncs, unknown).await.error(404)["details"]["resource"],
        "connection"
    );
    let connection = format!(
        "/v1/organizations/connections/{}",
        text(&body["connection_id"])
    );
    world.call("DELETE", &connection, Value::Null).await.ok();
    assert_eq!(
        world.call("POST", &syncs, body).await.error(409)["code"],
        "connection_archived"
    );
}

#[tokio::test]
async fn a_run_is_told_by_its_job_and_its_sync() {
    let world = World::new().await;
    world.source.put("media/a", "1");
    world.source.put("media/b", "22");
    world.source.put("media/c", "333");
    world.source.make_unreadable("media/c", "resource.archived");
    let sync = world.sync().await;
    let queued = world
        .call("POST", &format!("{}/jobs", path(&sync)), Value::Null)
        .await
        .ok();
    assert_eq!(
        (
            &queued["results"][0]["status"],
            &queued["results"][0]["phase"]
        ),
        (&json!("running"), &json!("queued"))
    );
    assert_eq!(queued["results"][0]["started_at"], Value::Null);
    world.work().await;
    let jobs = world
        .call(
            "POST",
            &format!("{}/jobs", path(&sync)),
            json!({"status": "completed"}),
        )
        .await
        .ok();
    assert_eq!(jobs["total"], 1);
    let job = &jobs["results"][0];
    assert_eq!(
        (&job["trigger"], &job["phase"]),
        (&json!("scheduled"), &json!("idle"))
    );
    assert_eq!(
        (
            &job["total_files"],
            &job["files_synced"],
            &job["files_failed"]
        ),
        (&json!(3), &json!(2), &json!(0))
    );
    let progress = json!({
        "discovered": 3, "synced": 2, "verified": 0, "filtered": 0, "skipped": 1, "failed": 0, "not_reached": 0,
        "deleted": 0, "held": 0,
    });
    assert_eq!(job["progress"], progress);
    assert_eq!(
        job["metadata"]["skipped_by"],
        json!({"resource.archived": 1})
    );
    assert_eq!(
        (&job["metadata"]["complete"], &job["progress_percent"]),
        (&json!(true), &json!(100))
    );
    let get = format!("{}/jobs/{}", path(&sync), text(&job["sync_job_id"]));
    assert_eq!(&world.get(&get).await.ok(), job);
    let after = world.get(&path(&sync)).await.ok();
    assert_eq!(
        (&after["total_files_synced"], &after["total_bytes_synced"]),
        (&json!(2), &json!(3))
    );
    assert_eq!(after["stats"]["total_runs_completed"], 1);
    assert!(after["last_sync_at"].is_string() && after["next_sync_at"].is_string());
    world
        .get(&format!("{}/jobs/job_0123456789abcdef", path(&sync)))
        .await
        .error(404);
    let mistakes = world
        .call(
            "POST",
            &format!("{}/jobs", path(&sync)),
            json!({"status": "pending"}),
        )
        .await
        .mistakes();
    assert_eq!(mistakes[0].0, "body.status");
}

#[tokio::test]
async fn a_trigger_starts_a_run_unless_one_is_there() {
    let world = World::new().await;
    let sync = world.sync().await;
    let trigger = format!("{}/trigger", path(&sync));
    let skipped = world.call("POST", &trigger, Value::Null).await.ok();
    assert_eq!(skipped["status"], "skipped_already_running");
    assert_eq!(skipped["sync_job_id"], sync["current_sync_run_id"]);
    world.work().await;
    let triggered = world
        .call("POST", &format!("{trigger}?full_sync=true"), Value::Null)
        .await
        .ok();
    assert_eq!(triggered["status"], "triggered");
    assert_eq!(triggered["sync_config_id"], sync["sync_config_id"]);
    world.work().await;
    let job = world
        .get(&format!(
            "{}/jobs/{}",
            path(&sync),
            text(&triggered["sync_job_id"])
        ))
        .await
        .ok();
    assert_eq!(
        (&job["status"], &job["trigger"]),
        (&json!("completed"), &json!("manual"))
    );
    assert_eq!(
        world
            .call("POST", &format!("{trigger}?full_sync=2"), Value::Null)
            .await
            .mistakes()[0]
            .0,
        "query.full_sync"
    );
    let connection = format!(
        "/v1/organizations/connections/{}",
        text(&sync["connection_id"])
    );
    world
        .call("PATCH", &connection, json!({"status": "SUSPENDED"}))
        .await
        .ok();
    assert_eq!(
        world.call("POST", &trigger, Value::Null).await.error(409)["code"],
        "connection_inactive"
    );
    world.call("DELETE", &connection, Value::Null).await.ok();
    assert_eq!(
        world.call("POST", &trigger, Value::Null).await.error(409)["code"],
        "connection_archived"
    );
    let stopped = world.get(&path(&sync)).await.ok();
    assert_eq!(
        (&stopped["status"], &stopped["status_reason"]),
        (&json!("ARCHIVED"), &json!("connection_archived"))
    );
}

#[tokio::test]
async fn syncs_are_listed_by_every_filter_and_deleted() {
    let world = World::new().await;
    let sync = world.sync().await;
    let list = format!("/v1/buckets/{}/syncs/list", text(&sync["bucket_id"]));
    let total = async |filter: Value| world.call("POST", &list, filter).await.ok()["total"].clone();
    assert_eq!(total(Value::Null).await, 1);
    assert_eq!(
        total(
            json!({"connection_id": sync["connection_id"], "status": "active", "is_active": true})
        )
        .await,
        1
    );
    assert_eq!(
        total(json!({"connection_id": "conn_abcdefghijklmno"})).await,
        0
    );
    assert_eq!(total(json!({"status": "COMPLETED"})).await, 0);
    assert_eq!(total(json!({"is_active": false})).await, 0);
    let deleted = world.call("DELETE", &path(&sync), Value::Null).await.ok();
    assert_eq!(deleted["sync_config_id"], sync["sync_config_id"]);
    assert_eq!(total(Value::Null).await, 0);
    world
        .call("DELETE", &path(&sync), Value::Null)
        .await
        .error(404);
    world.get(&path(&sync)).await.error(404);
}
