use serde_json::{Value, json};

use crate::world::{World, text};

pub(crate) fn path(sync: &Value) -> String {
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
    for (field, value) in [
        ("file_filters", Value::Null),
        ("schema_mapping", Value::Null),
        ("provider_filters", Value::Null),
        ("sync_from", Value::Null),
        ("pending_full_sync", json!(false)),
        ("pause_reason", Value::Null),
        ("paused_at", Value::Null),
        ("paused_by_user_id", Value::Null),
        ("batch_ids", json!([])),
        ("task_ids", json!([])),
        ("batches_created", json!(0)),
        ("batch_chunk_size", json!(100)),
        ("max_batch_chunk_size", json!(1000)),
        ("resume_checkpoint_frequency", json!(1000)),
        ("resume_cursor", Value::Null),
        ("current_cursor", Value::Null),
        ("per_shard_last_sync_at", json!({})),
    ] {
        assert_eq!(sync[field], value, "{field}");
    }
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
        "max_objects_per_run": 1, "sync_concurrency": 100, "metadata": {"a": 1}, "skip_duplicates": false,
        "file_filters": {
            "include_patterns": ["*.mp4", "a/**"], "exclude_patterns": ["*.tmp"], "min_size_bytes": 1,
            "max_size_bytes": 1000, "modified_after": "2026-01-01T00:00:00.000000Z",
            "modified_before": "2026-02-01T00:00:00.000000Z", "mime_types": ["video/*"], "extensions": [".mp4"],
            "metadata_filters": [{"field": "team", "operator": "equals", "value": "pilots"}],
        },
        "schema_mapping": {"mappings": {
            "team": {
                "target_type": "field", "source": {"type": "tag", "key": "team"}, "transform": "lowercase",
                "required": true,
            },
            "video": {"target_type": "blob", "source": {"type": "file"}, "blob_type": "video", "blob_property": "clip"},
        }},
        "provider_filters": {"prefix": "a/"}, "sync_from": "2026-01-01T00:00:00.000000Z",
        "reconcile": {
            "on_delete": false, "on_update": false, "on_filter_drift": false, "re_extract_on_update": false,
            "re_extract_fields": ["x"],
        },
    });
    body.as_object_mut()
        .unwrap()
        .extend(told.as_object().unwrap().clone());
    let sync = world.call("POST", &syncs, body).await.ok();
    for (field, value) in told.as_object().unwrap() {
        assert_eq!(&sync[field], value, "{field}");
    }
    let read = world.get(&path(&sync)).await.ok();
    for (field, value) in told.as_object().unwrap() {
        assert_eq!(&read[field], value, "{field}");
    }
}

#[tokio::test]
async fn what_narrows_a_sync_to_nothing_in_particular_is_nothing() {
    let (world, syncs, mut body) = prepared().await;
    body["file_filters"] = json!({});
    body["provider_filters"] = json!({"prefix": ""});
    body["schema_mapping"] = json!({"mappings": {}});
    body["sync_from"] = Value::Null;
    let sync = world.call("POST", &syncs, body).await.ok();
    for field in [
        "file_filters",
        "provider_filters",
        "schema_mapping",
        "sync_from",
    ] {
        assert_eq!(sync[field], Value::Null, "{field}");
    }
}

#[tokio::test]
async fn the_narrowed_path_is_tested_and_copied() {
    let (world, syncs, mut body) = prepared().await;
    world.source.put("media/videos/a", "1");
    world.source.put("media/texts/b", "22");
    body["provider_filters"] = json!({"prefix": "vid"});
    let created = world.call("POST", &syncs, body).await.ok();
    assert_eq!(created["source_test"]["result"], "success");
    world.work().await;
    let objects = world.get("/v1/buckets/files/objects").await.ok();
    assert_eq!(objects["stats"]["total_objects"], 1);
    assert_eq!(objects["results"][0]["source_path"], "media/videos/a");
}

#[tokio::test]
async fn bounds_are_told_by_the_name_of_the_field() {
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
        ("skip_duplicates", json!("yes"), "wrong_type"),
        ("file_filters", json!(["*.mp4"]), "wrong_type"),
        ("schema_mapping", json!("x"), "wrong_type"),
        ("provider_filters", json!("media/"), "wrong_type"),
        ("sync_from", json!("last week"), "invalid_format"),
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
    nested["file_filters"] =
        json!({"include_patterns": ["[", 1], "min_size_bytes": 2, "max_size_bytes": 1});
    nested["provider_filters"] = json!({"prefix": "/a", "use_search_api": true});
    nested["schema_mapping"] = json!({"mappings": {"title": {"target_type": "field"}}});
    let mistakes = world.call("POST", &syncs, nested).await.mistakes();
    for place in [
        "body.reconcile.on_delete",
        "body.reconcile.sometimes",
        "body.file_filters.include_patterns.1",
        "body.file_filters.min_size_bytes",
        "body.provider_filters.prefix",
        "body.provider_filters.use_search_api",
        "body.schema_mapping.mappings.title.source",
    ] {
        assert!(
            mistakes.iter().any(|(found, _)| found == place),
            "{place} is not among {mistakes:?}"
        );
    }
    let mut foreign = body.clone();
    let column = json!({"target_type": "field", "source": {"type": "column", "name": "TITLE"}});
    foreign["schema_mapping"] = json!({"mappings": {"title": column}});
    let mistakes = world.call("POST", &syncs, foreign).await.mistakes();
    assert!(
        mistakes[0]
            .0
            .starts_with("body.schema_mapping.mappings.title"),
        "{mistakes:?}"
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
    let waiting = &queued["results"][0];
    assert_eq!(waiting["started_at"], Value::Null);
    assert_eq!(
        (&waiting["total_files"], &waiting["progress_percent"]),
        (&Value::Null, &json!(0.0))
    );
    assert_eq!(waiting["lag_seconds"], 0);
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
    assert_eq!(
        (&job["lag_seconds"], &job["current_cursor"]),
        (&Value::Null, &Value::Null)
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
        (&json!(true), &json!(100.0))
    );
    let get = format!("{}/jobs/{}", path(&sync), text(&job["sync_job_id"]));
    assert_eq!(&world.get(&get).await.ok(), job);
    let after = world.get(&path(&sync)).await.ok();
    assert_eq!(
        (&after["total_files_synced"], &after["total_bytes_synced"]),
        (&json!(2), &json!(3))
    );
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
async fn the_stats_of_a_sync_are_those_of_all_runs_and_of_the_last_one() {
    let world = World::new().await;
    world.source.put("media/a", "1");
    world.source.put("media/b", "22");
    world.source.put("media/c", "333");
    world.source.make_unreadable("media/c", "resource.archived");
    let sync = world.sync().await;
    assert_eq!(sync["stats"], Value::Null, "no run has ended");
    world.work().await;
    let after = world.get(&path(&sync)).await.ok();
    let stats = &after["stats"];
    for (field, number) in [
        ("total_runs_completed", 1),
        ("total_runs_failed", 0),
        ("total_objects_discovered", 3),
        ("total_objects_skipped", 1),
        ("last_run_objects_discovered", 3),
        ("last_run_objects_synced", 2),
        ("last_run_objects_verified", 0),
        ("last_run_objects_failed", 0),
        ("last_run_bytes_synced", 3),
        ("last_run_avg_object_size_bytes", 1),
    ] {
        assert_eq!(stats[field], number, "{field}");
    }
    assert_eq!(stats["last_run_at"], after["last_sync_at"]);
    assert_eq!(
        after["per_shard_last_sync_at"],
        json!({"__default__": after["last_sync_at"]})
    );
    assert_eq!(after["sync_checkpoints"], json!({}));
    let progress = json!({
        "pass": 1, "objects_processed": 0, "complete": true, "running": false, "sync_job_id": null,
    });
    assert_eq!(after["sync_progress"], progress);
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
