use serde_json::{Value, json};

use crate::world::{World, text};

#[tokio::test]
async fn a_bucket_is_created_read_and_deleted_with_what_it_holds() {
    let world = World::new().await;
    let schema = json!({"properties": {
        "title": {"type": "string", "required": true},
        "parts": {"type": "array", "items": {"type": "object", "properties": {"x": {"type": "number"}}}},
    }});
    let body = json!({
        "bucket_name": "files", "description": "For files.", "bucket_schema": schema, "metadata": {"a": [1]},
        "unique_key": null, "storage_class": "standard", "destination": {}, "source_adapter": null,
    });
    let created = world.call("POST", "/v1/buckets", body).await.ok();
    assert_eq!(created["bucket_schema"], schema);
    assert_eq!(
        (&created["object_count"], &created["total_size_bytes"]),
        (&json!(0), &json!(0))
    );
    assert_eq!(created["status"], "ACTIVE");
    let path = format!("/v1/buckets/{}", text(&created["bucket_id"]));
    assert_eq!(world.get(&path).await.ok(), created);
    assert_eq!(world.get("/v1/buckets/files").await.ok(), created);
    let clash = json!({"bucket_name": "files", "bucket_schema": {"properties": {}}});
    assert_eq!(
        world.call("POST", "/v1/buckets", clash).await.error(409)["code"],
        "bucket_name_taken"
    );
    let deleted = world
        .call("DELETE", "/v1/buckets/files", Value::Null)
        .await
        .ok();
    assert_eq!(deleted["bucket_id"], created["bucket_id"]);
    world.get(&path).await.error(404);
    world.call("DELETE", &path, Value::Null).await.error(404);
}

#[tokio::test]
async fn a_schema_that_no_client_could_read_is_refused() {
    let world = World::new().await;
    for (schema, place) in [
        (json!(null), "body.bucket_schema"),
        (json!([]), "body.bucket_schema"),
        (json!({}), "body.bucket_schema.properties"),
        (json!({"properties": []}), "body.bucket_schema.properties"),
        (
            json!({"properties": {"a": 1}}),
            "body.bucket_schema.properties.a",
        ),
        (
            json!({"properties": {"a": {"type": "keyword"}}}),
            "body.bucket_schema.properties.a.type",
        ),
        (
            json!({"properties": {"a": {"type": "array", "items": {}}}}),
            "body.bucket_schema.properties.a.items.type",
        ),
        (
            json!({"properties": {"a": {"type": "text", "enum": 1}}}),
            "body.bucket_schema.properties.a.enum",
        ),
        (
            json!({"properties": {"a": {"type": "text", "description": "\0"}}}),
            "body.bucket_schema.properties.a.description",
        ),
    ] {
        let body = json!({"bucket_name": "files", "bucket_schema": schema});
        assert_eq!(
            world.call("POST", "/v1/buckets", body).await.mistakes()[0].0,
            place
        );
    }
}

#[tokio::test]
async fn what_wharf_does_not_do_is_refused_by_name() {
    let world = World::new().await;
    for (field, value) in [
        ("unique_key", json!({"fields": ["a"]})),
        ("storage_class", json!("archive")),
        ("destination", json!({"connection_id": "x"})),
        ("ingest_filter", json!({"retriever_id": "x"})),
        ("source_adapter", json!({"adapter_type": "webhook"})),
    ] {
        let body =
            json!({"bucket_name": "files", "bucket_schema": {"properties": {}}, field: value});
        let mistakes = world.call("POST", "/v1/buckets", body).await.mistakes();
        assert_eq!(
            mistakes,
            [(format!("body.{field}"), "not_supported".to_owned())]
        );
    }
    for (field, value) in [
        ("filters", json!({"a": 1})),
        ("sort", json!({"a": 1})),
        ("sorts", json!([1])),
        ("case_sensitive", json!(true)),
    ] {
        let mistakes = world
            .call("POST", "/v1/buckets/list", json!({field: value}))
            .await
            .mistakes();
        assert_eq!(
            mistakes,
            [(format!("body.{field}"), "not_supported".to_owned())]
        );
    }
}

#[tokio::test]
async fn buckets_are_searched_by_name() {
    let world = World::new().await;
    for name in ["alpha", "beta", "alphabet"] {
        world.bucket(name).await;
    }
    let found = async |search: &str| {
        world
            .call("POST", "/v1/buckets/list", json!({"search": search}))
            .await
            .ok()
    };
    assert_eq!(found("alpha").await["total_count"], 2);
    assert_eq!(found("").await["total_count"], 3);
    assert_eq!(
        found("%").await["total_count"],
        0,
        "no character is special"
    );
}

#[tokio::test]
async fn buckets_are_changed_in_part_and_as_a_whole() {
    let world = World::new().await;
    let schema = json!({"properties": {"title": {"type": "string"}}});
    let body = json!({
        "bucket_name": "files", "description": "For files.", "bucket_schema": schema, "metadata": {"a": 1},
    });
    let created = world.call("POST", "/v1/buckets", body).await.ok();
    let path = format!("/v1/buckets/{}", text(&created["bucket_id"]));
    let other = json!({"properties": {"size": {"type": "number"}}});
    let change = json!({
        "bucket_name": "papers", "bucket_schema": other, "unique_key": null, "destination": {},
    });
    let changed = world
        .call("PATCH", &format!("{path}?force_schema_break=true"), change)
        .await
        .ok();
    assert_eq!(changed["bucket_name"], "papers");
    assert_eq!(changed["bucket_schema"], other);
    assert_eq!(
        (&changed["description"], &changed["metadata"]),
        (&json!("For files."), &json!({"a": 1}))
    );
    let replaced = world
        .call(
            "PUT",
            "/v1/buckets/papers",
            json!({"storage_class": "standard"}),
        )
        .await
        .ok();
    assert_eq!(replaced["bucket_name"], "papers");
    assert_eq!(replaced["bucket_schema"], other);
    assert_eq!(
        (&replaced["description"], &replaced["metadata"]),
        (&Value::Null, &json!({}))
    );
    world.bucket("others").await;
    let clash = json!({"bucket_name": "others"});
    let error = world.call("PATCH", &path, clash).await.error(409);
    assert_eq!(error["code"], "bucket_name_taken");
    for (field, value) in [
        ("unique_key", json!({"fields": ["a"]})),
        ("destination", json!({"prefix": "x"})),
        ("ingest_filter", json!({"retriever_id": "x"})),
    ] {
        for method in ["PATCH", "PUT"] {
            let mistakes = world
                .call(method, &path, json!({field: value}))
                .await
                .mistakes();
            assert_eq!(
                mistakes,
                [(format!("body.{field}"), "not_supported".to_owned())]
            );
        }
    }
    let cold = json!({"storage_class": "archive"});
    assert_eq!(world.call("PUT", &path, cold).await.mistakes().len(), 1);
    let broken = json!({"bucket_schema": {"properties": {"x": {"type": "odd"}}}});
    assert_eq!(world.call("PATCH", &path, broken).await.mistakes().len(), 1);
    world
        .call("PATCH", "/v1/buckets/nothing", json!({}))
        .await
        .error(404);
}
