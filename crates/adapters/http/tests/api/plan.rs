use serde_json::{Value, json};

use crate::world::{World, text};

#[tokio::test]
async fn a_sync_is_planned_before_and_after_it_is_there() {
    let world = World::new().await;
    world.source.put("media/a.png", "12345");
    world.source.put("media/b.tmp", "1");
    world.source.put("media/empty.txt", "");
    let connection = world.connection("store").await;
    world.bucket("files").await;
    let body = json!({
        "connection_id": connection["connection_id"], "source_path": "media/",
        "file_filters": {"exclude_patterns": ["*.tmp"]},
    });
    let plan = world
        .call("POST", "/v1/buckets/files/syncs/plan", body.clone())
        .await
        .ok();
    let expected = json!({
        "entries": 3, "bytes": 6, "by_type": {"image/png": 1, "text/plain": 1, "unknown": 1},
        "size_histogram": {
            "0": 1, "<1KiB": 2, "<1MiB": 0, "<10MiB": 0, "<100MiB": 0, "<1GiB": 0, ">=1GiB": 0, "unknown": 0,
        },
        "filtered_by": {"exclude_patterns": 1}, "skipped_by": {}, "failed_by": {}, "would_add": 2, "would_update": 0,
        "would_delete": 0, "would_hold": null, "unchanged": 0, "undecided": 0, "bytes_to_copy": 5, "runs": 1,
        "provider_calls": 3, "estimated_seconds": {"low": 0, "high": 1}, "complete": true, "incomplete_reason": null,
    });
    assert_eq!(plan, expected);
    let list = "/v1/buckets/files/syncs/list";
    assert_eq!(
        world.call("POST", list, Value::Null).await.ok()["total"],
        0,
        "nothing is stored"
    );

    let sync = world
        .call("POST", "/v1/buckets/files/syncs", body)
        .await
        .ok();
    let of_sync = format!(
        "/v1/buckets/files/syncs/{}/plan",
        text(&sync["sync_config_id"])
    );
    assert_eq!(
        world.call("POST", &of_sync, Value::Null).await.ok(),
        expected
    );
    world.work().await;
    let later = world
        .call(
            "POST",
            &format!("{of_sync}?budget_seconds=300"),
            Value::Null,
        )
        .await
        .ok();
    assert_eq!(
        (&later["unchanged"], &later["would_add"]),
        (&json!(2), &json!(0))
    );
}

#[tokio::test]
async fn a_plan_is_read_as_strictly_as_a_new_sync() {
    let world = World::new().await;
    let sync = world.sync().await;
    let plan = "/v1/buckets/files/syncs/plan";
    let body =
        json!({"connection_id": sync["connection_id"], "source_path": "media/", "file_filter": {}});
    assert_eq!(
        world.call("POST", plan, body).await.mistakes(),
        [("body.file_filter".to_owned(), "extra_forbidden".to_owned())]
    );
    let of_sync = format!(
        "/v1/buckets/files/syncs/{}/plan",
        text(&sync["sync_config_id"])
    );
    for wrong in ["0", "301", "soon"] {
        let path = format!("{of_sync}?budget_seconds={wrong}");
        assert_eq!(
            world.call("POST", &path, Value::Null).await.mistakes(),
            [("query.budget_seconds".to_owned(), "out_of_range".to_owned())]
        );
    }
    let nowhere = json!({"connection_id": "conn_abcdefghijklmno", "source_path": "media/"});
    world.call("POST", plan, nowhere).await.error(404);
    let connection = format!(
        "/v1/organizations/connections/{}",
        text(&sync["connection_id"])
    );
    world
        .call("PATCH", &connection, json!({"status": "SUSPENDED"}))
        .await
        .ok();
    let error = world.call("POST", &of_sync, Value::Null).await.error(409);
    assert_eq!(error["code"], "connection_inactive");
}
