use serde_json::{Value, json};
use wharf_domain::audit::{Action, AuditFilter};

use crate::syncs::path;
use crate::world::{World, text};

async fn prepared() -> (World, Value, String) {
    let world = World::new().await;
    let sync = world.sync().await;
    let path = path(&sync);
    (world, sync, path)
}

/// What the audit trail says about changes, newest first.
async fn changes(world: &World) -> Vec<Value> {
    let trail = world
        .repositories
        .audit
        .list(&world.organization, &AuditFilter::default(), 0, 100)
        .await
        .unwrap();
    let rows = trail.rows.into_iter().map(|stored| stored.row);
    rows.filter(|row| row.action == Action::SyncUpdated)
        .map(|row| row.changes)
        .collect()
}

#[tokio::test]
async fn every_setting_can_be_changed_and_cleared() {
    let (world, before, path) = prepared().await;
    let told = json!({
        "description": "d", "metadata": {"a": 1}, "polling_interval_seconds": 60, "batch_size": 7,
        "skip_batch_submission": true, "batch_collection_ids": ["col_1"], "ingest_filter": {"retriever_id": "r"},
        "max_objects_per_run": 9, "sync_concurrency": 2, "skip_duplicates": false,
        "sync_from": "2026-01-01T00:00:00.000000Z", "file_filters": {"include_patterns": ["*.mp4"]},
        "provider_filters": {"prefix": "a/"},
        "schema_mapping": {"mappings": {
            "kind": {"target_type": "field", "source": {"type": "constant", "value": "video"}, "required": false},
        }},
        "reconcile": {
            "on_delete": false, "on_update": false, "on_filter_drift": false, "re_extract_on_update": false,
            "re_extract_fields": ["title"],
        },
    });
    let changed = world.call("PATCH", &path, told.clone()).await.ok();
    for (field, value) in told.as_object().unwrap() {
        assert_eq!(&changed[field], value, "{field}");
    }
    assert_eq!(
        changed["revision"].as_u64(),
        before["revision"].as_u64().map(|old| old + 1)
    );
    assert_eq!(world.get(&path).await.ok(), changed);
    let cleared = json!({
        "description": null, "metadata": null, "batch_collection_ids": null, "ingest_filter": null, "sync_from": null,
        "file_filters": null, "provider_filters": null, "schema_mapping": null, "polling_interval_seconds": null,
        "reconcile": {"re_extract_fields": null},
    });
    let after = world.call("PATCH", &path, cleared).await.ok();
    for field in [
        "description",
        "batch_collection_ids",
        "ingest_filter",
        "sync_from",
        "file_filters",
        "provider_filters",
        "schema_mapping",
    ] {
        assert_eq!(after[field], Value::Null, "{field}");
    }
    assert_eq!(after["metadata"], json!({}));
    assert_eq!(
        after["polling_interval_seconds"], 60,
        "it cannot be nothing"
    );
    let reconcile = json!({
        "on_delete": false, "on_update": false, "on_filter_drift": false, "re_extract_on_update": false,
        "re_extract_fields": null,
    });
    assert_eq!(after["reconcile"], reconcile, "the other switches stay");
}

#[tokio::test]
async fn the_audit_trail_names_what_was_changed_and_nothing_else() {
    let (world, _, path) = prepared().await;
    let told =
        json!({"description": "d", "sync_concurrency": 8, "reconcile": {"on_delete": false}});
    let changed = world.call("PATCH", &path, told.clone()).await.ok();
    assert_eq!(
        changes(&world).await,
        [json!({"changed": ["description", "reconcile.on_delete"]})]
    );
    let same = world.call("PATCH", &path, told).await.ok();
    let nothing = world.call("PATCH", &path, Value::Null).await.ok();
    assert_eq!((&same, &nothing), (&changed, &changed));
    assert_eq!(changes(&world).await.len(), 1);
}

#[tokio::test]
async fn what_cannot_be_changed_is_refused_with_the_way_out() {
    let (world, before, path) = prepared().await;
    for (body, place, kind) in [
        (
            json!({"source_path": "other/"}),
            "body.source_path",
            "immutable",
        ),
        (
            json!({"connection_id": null}),
            "body.connection_id",
            "immutable",
        ),
        (
            json!({"sync_mode": "initial_only"}),
            "body.sync_mode",
            "immutable",
        ),
        (
            json!({"bucket_id": "b"}),
            "body.bucket_id",
            "extra_forbidden",
        ),
        (json!({"status": "COMPLETED"}), "body.status", "enum"),
        (json!({"status": "FAILED"}), "body.status", "enum"),
        (
            json!({"status": "ACTIVE", "is_active": false}),
            "body.is_active",
            "contradiction",
        ),
        (
            json!({"polling_interval_seconds": 29}),
            "body.polling_interval_seconds",
            "out_of_range",
        ),
        (json!({"batch_size": 0}), "body.batch_size", "out_of_range"),
        (json!({"metadata": []}), "body.metadata", "wrong_type"),
        (
            json!({"provider_filters": {"prefix": "/a"}}),
            "body.provider_filters.prefix",
            "invalid_format",
        ),
        (
            json!({"file_filters": {"extension": [".mp4"]}}),
            "body.file_filters.extension",
            "extra_forbidden",
        ),
    ] {
        let mistakes = world.call("PATCH", &path, body.clone()).await.mistakes();
        assert_eq!(mistakes, [(place.to_owned(), kind.to_owned())], "{body}");
    }
    let error = world
        .call("PATCH", &path, json!({"source_path": "x", "hello": 1}))
        .await
        .error(422);
    let message = text(&error["message"]);
    assert!(message.contains("create a new sync"), "{message}");
    assert!(
        message.contains("accepted keys: ") && message.contains("file_filters"),
        "{message}"
    );
    assert_eq!(
        world.get(&path).await.ok()["source_path"],
        before["source_path"]
    );
    let unknown = path.replace(text(&before["sync_config_id"]), "sync_0123456789abcdef");
    world
        .call("PATCH", &unknown, json!({"description": "x"}))
        .await
        .error(404);
}

#[tokio::test]
async fn the_status_and_the_flag_pause_and_resume() {
    let (world, _, path) = prepared().await;
    for (body, status) in [
        (json!({"status": "suspended"}), "SUSPENDED"),
        (json!({"status": "Active"}), "ACTIVE"),
        (json!({"status": "paused"}), "SUSPENDED"),
        (json!({"is_active": true}), "ACTIVE"),
        (
            json!({"is_active": false, "status": "SUSPENDED"}),
            "SUSPENDED",
        ),
        (
            json!({"is_active": true, "status": "ACTIVE", "description": "back"}),
            "ACTIVE",
        ),
    ] {
        let sync = world.call("PATCH", &path, body.clone()).await.ok();
        assert_eq!(sync["status"], status, "{body}");
        assert_eq!(sync["paused"], status == "SUSPENDED", "{body}");
        assert_eq!(sync["is_active"], status == "ACTIVE", "{body}");
    }
    assert_eq!(world.get(&path).await.ok()["description"], "back");
}

#[tokio::test]
async fn changed_filters_take_effect_at_once() {
    let world = World::new().await;
    world.source.put("media/a.mp4", "1");
    world.source.put("media/b.txt", "22");
    let sync = world.sync().await;
    world.work().await;
    let total = async || {
        world.get("/v1/buckets/files/objects").await.ok()["stats"]["total_objects"].clone()
    };
    assert_eq!(total().await, 2);
    let filters = json!({"file_filters": {"extensions": [".mp4"]}});
    world.call("PATCH", &path(&sync), filters).await.ok();
    world.work().await;
    assert_eq!(
        total().await,
        1,
        "what the filters no longer let through is gone"
    );
    world
        .call("PATCH", &path(&sync), json!({"file_filters": null}))
        .await
        .ok();
    world.work().await;
    assert_eq!(total().await, 2);
}

#[tokio::test]
async fn a_sync_whose_connection_is_archived_is_not_changed_any_more() {
    let (world, before, path) = prepared().await;
    let connection = format!(
        "/v1/organizations/connections/{}",
        text(&before["connection_id"])
    );
    world.call("DELETE", &connection, Value::Null).await.ok();
    for body in [
        json!({"description": "x"}),
        json!({"is_active": false}),
        json!({"status": "ACTIVE"}),
    ] {
        let error = world.call("PATCH", &path, body).await.error(409);
        assert_eq!(error["code"], "connection_archived");
    }
    assert_eq!(
        world.get(&path).await.ok()["description"],
        before["description"]
    );
}
