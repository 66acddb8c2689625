use std::time::Duration;

use serde_json::{Value, json};

use crate::world::{ADMIN, Answer, World, request, text};

const BYTES: &[u8] = b"0123456789";
const SHA256: &str = "84d89877f0d4041efb6bf91a16f0248f2fd573e6af05c19f96bedb9f882f7882";

async fn fetch(world: &World, method: &str, object: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = request(method, &format!("{object}/content"))
        .header("authorization", format!("Bearer {ADMIN}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    world
        .send(request.body(axum::body::Body::empty()).unwrap())
        .await
}

#[tokio::test]
async fn an_object_tells_where_it_comes_from_and_what_it_holds() {
    let world = World::new().await;
    let (bucket, path) = world.object("dir/ä b.txt", BYTES).await;
    let object = world.get(&path).await.ok();
    assert_eq!(object["source_object_id"], "media/dir/ä b.txt");
    assert_eq!(object["source_path"], "media/dir/ä b.txt");
    assert_eq!(object["key_prefix"], object["source_path"]);
    assert_eq!(
        (&object["size_bytes"], &object["content_sha256"]),
        (&json!(10), &json!(SHA256))
    );
    assert_eq!(object["status"], "COMPLETED");
    assert_eq!(object["deleted_at"], Value::Null);
    assert_eq!(object["metadata"]["etag"], object["source_version"]);
    let blob = &object["blobs"][0];
    assert_eq!(
        (&blob["property"], &blob["type"]),
        (&json!("content"), &json!("object"))
    );
    let details = json!({
        "filename": "ä b.txt", "size_bytes": 10, "mime_type": "application/octet-stream", "hash": SHA256,
    });
    assert_eq!(blob["details"], details);
    assert_eq!(blob["properties"]["url"], format!("{path}/content"));
    assert_eq!(
        object["source_details"],
        json!([{"type": "bucket", "source_id": object["bucket_id"]}])
    );
    let stats = json!({
        "total_objects": 1, "total_blobs": 1, "avg_blobs_per_object": 1.0, "objects_by_status": {"COMPLETED": 1},
    });
    for list in [
        world.get(&format!("{bucket}/objects")).await.ok(),
        world.get("/v1/buckets/files/objects").await.ok(),
        world
            .call(
                "POST",
                &format!("{bucket}/objects/list"),
                json!({"return_presigned_urls": false}),
            )
            .await
            .ok(),
        world
            .call(
                "POST",
                &format!("{bucket}/objects/list"),
                json!({"search": "ä b"}),
            )
            .await
            .ok(),
    ] {
        assert_eq!(
            (&list["results"], &list["stats"]),
            (&json!([object]), &stats)
        );
    }
    let nothing = world
        .call(
            "POST",
            &format!("{bucket}/objects/list"),
            json!({"search": "zzz"}),
        )
        .await
        .ok();
    assert_eq!(
        (
            &nothing["results"],
            &nothing["stats"]["avg_blobs_per_object"]
        ),
        (&json!([]), &json!(0.0))
    );
    let stored = world.get(&bucket).await.ok();
    assert_eq!(
        (&stored["object_count"], &stored["total_size_bytes"]),
        (&json!(1), &json!(10))
    );
    assert!(stored["last_upload_at"].is_string());
}

#[tokio::test]
async fn what_wharf_does_not_do_is_refused_by_name() {
    let world = World::new().await;
    let (bucket, object) = world.object("a", BYTES).await;
    for (field, value) in [
        ("filters", json!({"AND": [{}]})),
        ("sort", json!({"field": "x"})),
        ("select", json!(["x"])),
        ("return_presigned_urls", json!(true)),
    ] {
        let mistakes = world
            .call(
                "POST",
                &format!("{bucket}/objects/list"),
                json!({field: value}),
            )
            .await
            .mistakes();
        assert_eq!(
            mistakes,
            [(format!("body.{field}"), "not_supported".to_owned())]
        );
    }
    let mistakes = world
        .get(&format!("{object}?return_presigned_urls=true"))
        .await
        .mistakes();
    assert_eq!(mistakes[0].0, "query.return_presigned_urls");
    world
        .get(&format!(
            "{object}?return_presigned_urls=false&include_document_count=true"
        ))
        .await
        .ok();
}

#[tokio::test]
async fn a_deleted_object_is_a_tombstone_without_content() {
    let world = World::new().await;
    let (bucket, object) = world.object("a", BYTES).await;
    world.clock.advance(Duration::from_secs(1));
    let deleted = world.call("DELETE", &object, Value::Null).await;
    assert_eq!((deleted.status.as_u16(), deleted.body.len()), (204, 0));
    world.call("DELETE", &object, Value::Null).await.error(404);
    world.get(&object).await.error(404);
    let tombstone = world
        .get(&format!("{object}?include_deleted=true"))
        .await
        .ok();
    assert_eq!(
        (&tombstone["status"], &tombstone["deleted_at"]),
        (&json!("ARCHIVED"), &json!("2026-01-01T00:00:01.000000Z"))
    );
    assert_eq!(tombstone["blobs"][0]["properties"], json!({}));
    assert_eq!(
        world.get(&format!("{bucket}/objects")).await.ok()["results"],
        json!([])
    );
    let all = world
        .get(&format!("{bucket}/objects?include_deleted=true"))
        .await
        .ok();
    assert_eq!(all["results"], json!([tombstone]));
    for headers in [
        vec![],
        vec![("range", "bytes=99-")],
        vec![("if-none-match", "*")],
        vec![("range", "bytes=0-1")],
    ] {
        fetch(&world, "GET", &object, &headers).await.error(404);
    }
}

#[tokio::test]
async fn content_is_served_whole_as_a_download() {
    let world = World::new().await;
    let (_, object) = world.object("ä \"b\".html", BYTES).await;
    let whole = fetch(&world, "GET", &object, &[]).await;
    assert_eq!((whole.status.as_u16(), &whole.body[..]), (200, BYTES));
    assert_eq!(whole.header("content-length"), "10");
    assert_eq!(whole.header("content-type"), "application/octet-stream");
    assert_eq!(whole.header("etag"), format!("\"{SHA256}\""));
    assert_eq!(whole.header("accept-ranges"), "bytes");
    assert_eq!(
        whole.header("content-disposition"),
        "attachment; filename=\"_ _b_.html\"; filename*=UTF-8''%C3%A4%20%22b%22.html"
    );
    let head = fetch(&world, "HEAD", &object, &[]).await;
    assert_eq!(
        (
            head.status.as_u16(),
            head.body.len(),
            head.header("content-length")
        ),
        (200, 0, "10")
    );
    let known = fetch(
        &world,
        "GET",
        &object,
        &[("if-none-match", whole.header("etag"))],
    )
    .await;
    assert_eq!(
        (
            known.status.as_u16(),
            known.body.len(),
            known.header("etag")
        ),
        (304, 0, whole.header("etag"))
    );
}

#[tokio::test]
async fn a_range_is_served_alone() {
    let world = World::new().await;
    let (_, object) = world.object("a", BYTES).await;
    for (range, bytes, content_range) in [
        ("bytes=0-0", "0", "bytes 0-0/10"),
        ("bytes=3-5", "345", "bytes 3-5/10"),
        ("bytes=7-", "789", "bytes 7-9/10"),
        ("bytes=-4", "6789", "bytes 6-9/10"),
        ("bytes=5-100", "56789", "bytes 5-9/10"),
    ] {
        let part = fetch(&world, "GET", &object, &[("range", range)]).await;
        assert_eq!(
            (part.status.as_u16(), &part.body[..]),
            (206, bytes.as_bytes()),
            "{range}"
        );
        assert_eq!(part.header("content-range"), content_range);
        assert_eq!(part.header("content-length"), bytes.len().to_string());
    }
    for range in ["bytes=10-", "bytes=-0", "bytes=99999999999999999999-"] {
        let outside = fetch(&world, "GET", &object, &[("range", range)]).await;
        assert_eq!(outside.error(416)["type"], "RangeNotSatisfiableError");
        assert_eq!(outside.header("content-range"), "bytes */10");
    }
    for headers in [
        vec![("range", "bytes=5-1")],
        vec![("range", "bytes=0-1,4-5")],
        vec![("range", "bytes=0-1"), ("if-range", "\"another\"")],
    ] {
        assert_eq!(
            fetch(&world, "GET", &object, &headers).await.status,
            200,
            "{headers:?}"
        );
    }
    let tag = format!("\"{SHA256}\"");
    assert_eq!(
        fetch(
            &world,
            "GET",
            &object,
            &[("range", "bytes=0-1"), ("if-range", &tag)]
        )
        .await
        .status,
        206
    );
}

#[tokio::test]
async fn an_empty_object_has_content_and_no_ranges() {
    let world = World::new().await;
    let (_, object) = world.object("empty", b"").await;
    let whole = fetch(&world, "GET", &object, &[]).await;
    assert_eq!(
        (whole.status.as_u16(), whole.header("content-length")),
        (200, "0")
    );
    fetch(&world, "GET", &object, &[("range", "bytes=0-")])
        .await
        .error(416);
    assert_eq!(
        text(&world.get(&object).await.ok()["blobs"][0]["details"]["filename"]),
        "empty"
    );
}

#[tokio::test]
async fn a_tombstone_is_restored_while_its_undo_window_lasts() {
    let world = World::new().await;
    let (_, object) = world.object("a", BYTES).await;
    let restore = format!("{object}/restore");
    let live = world.get(&object).await.ok();
    assert_eq!(
        world.call("POST", &restore, Value::Null).await.ok(),
        live,
        "what is live stays as it is"
    );
    let deleted = world.call("DELETE", &object, Value::Null).await;
    assert_eq!(deleted.status, 204);
    let restored = world.call("POST", &restore, Value::Null).await.ok();
    assert_eq!(
        (&restored["status"], &restored["deleted_at"]),
        (&json!("COMPLETED"), &Value::Null)
    );
    assert_eq!(fetch(&world, "GET", &object, &[]).await.body, BYTES);
    world.call("DELETE", &object, Value::Null).await;
    world.clock.advance(Duration::from_hours(8 * 24));
    let swept = world.engine.sweep().await.unwrap();
    assert_eq!((swept.tombstones, swept.blobs), (1, 1));
    let error = world.call("POST", &restore, Value::Null).await.error(409);
    assert_eq!(error["code"], "object_purged");
    let unknown = "/v1/buckets/files/objects/obj_0123456789abcdef/restore";
    world.call("POST", unknown, Value::Null).await.error(404);
}

#[tokio::test]
async fn an_object_carries_what_its_sync_s_mapping_made_of_the_file() {
    let world = World::new().await;
    world.source.put("media/2026/harbour.bin", BYTES);
    world
        .source
        .set_tags("media/2026/harbour.bin", &[("team", "Pilots")]);
    world.source.set_version_id("media/2026/harbour.bin", "v7");
    let connection = world.connection("store").await;
    world.bucket("files").await;
    let mapping = json!({"mappings": {
        "team": {"target_type": "field", "source": {"type": "tag", "key": "team"}, "transform": "lowercase"},
        "year": {"target_type": "field", "source": {"type": "folder_path", "segment": -1}},
        "clip": {
            "target_type": "blob", "source": {"type": "file"}, "blob_type": "video", "blob_property": "clip",
            "mime_type_override": "video/mp4",
        },
    }});
    let body = json!({
        "connection_id": connection["connection_id"], "source_path": "media/", "schema_mapping": mapping,
    });
    let sync = world
        .call("POST", "/v1/buckets/files/syncs", body)
        .await
        .ok();
    world.work().await;
    let objects = world.get("/v1/buckets/files/objects").await.ok();
    let object = &objects["results"][0];
    assert_eq!(object["fields"], json!({"team": "pilots", "year": "2026"}));
    assert_eq!(object["tags"], json!({"team": "Pilots"}));
    assert_eq!(object["source_version_id"], "v7");
    assert_eq!(
        (&object["sync_config_id"], &object["sync_job_id"]),
        (&sync["sync_config_id"], &sync["current_sync_run_id"])
    );
    assert_eq!(object["blobs"].as_array().unwrap().len(), 1);
    let blob = &object["blobs"][0];
    assert_eq!(
        (
            &blob["property"],
            &blob["type"],
            &blob["details"]["mime_type"]
        ),
        (&json!("clip"), &json!("video"), &json!("video/mp4"))
    );
    assert_eq!(object["content_type"], "application/octet-stream");
}
