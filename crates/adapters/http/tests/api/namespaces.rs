use serde_json::{Value, json};

use crate::world::{ADMIN, World, request, text};

#[tokio::test]
async fn the_default_namespace_is_there_and_others_are_added() {
    let world = World::new().await;
    let default = world.get("/v1/namespaces/default").await.ok();
    assert!(text(&default["namespace_id"]).starts_with("ns_"));
    let body = json!({
        "namespace_name": "team-a", "description": "For A.", "mode": "managed", "namespace_type": "standard",
        "scope": "org", "feature_extractors": [], "auto_create_indexes": false, "adaptive_indexing": null,
    });
    let created = world.call("POST", "/v1/namespaces", body).await.ok();
    assert_eq!(created["namespace_ready"], true);
    assert_eq!(created["description"], "For A.");
    let by_id = format!("/v1/namespaces/{}", text(&created["namespace_id"]));
    assert_eq!(world.get(&by_id).await.ok(), created);
    assert_eq!(world.get("/v1/namespaces/team-a").await.ok(), created);
    for list in [
        world.get("/v1/namespaces").await.ok(),
        world
            .call(
                "POST",
                "/v1/namespaces/list",
                json!({"case_sensitive": false}),
            )
            .await
            .ok(),
    ] {
        assert_eq!(list["total_count"], 2);
        assert_eq!(list["results"].as_array().unwrap().len(), 2);
    }
    let error = world
        .call(
            "POST",
            "/v1/namespaces",
            json!({"namespace_name": "team-a"}),
        )
        .await
        .error(409);
    assert_eq!(error["type"], "AlreadyExistsError");
}

#[tokio::test]
async fn what_wharf_does_not_do_is_refused_by_name() {
    let world = World::new().await;
    for (field, value) in [
        ("mode", json!("standalone")),
        ("namespace_type", json!("marketplace")),
        ("scope", json!("system")),
        ("namespace_id", json!("ns_0123456789abcdef")),
        ("features", json!(["x"])),
        ("feature_extractors", json!([{}])),
        ("vector_configs", json!([{}])),
        ("payload_indexes", json!([{}])),
        ("auto_create_indexes", json!(true)),
        ("adaptive_indexing", json!(true)),
        ("ttl_seconds", json!(60)),
        ("infrastructure", json!({"max_workers": 1})),
        ("trusted_issuers", json!([{}])),
        ("tiering", json!({"enabled": true})),
        ("spend_budget", json!({"daily_usd": 1})),
        ("cost_cap_override", json!({"daily_usd": 1})),
    ] {
        let mistakes = world
            .call(
                "POST",
                "/v1/namespaces",
                json!({"namespace_name": "abc", field: value}),
            )
            .await
            .mistakes();
        assert_eq!(
            mistakes,
            [(format!("body.{field}"), "not_supported".to_owned())]
        );
    }
    for name in ["ab", "a b c", "ns_abc", "é-é"] {
        let mistakes = world
            .call("POST", "/v1/namespaces", json!({"namespace_name": name}))
            .await
            .mistakes();
        assert_eq!(mistakes[0].0, "body.namespace_name");
    }
    let mistakes = world
        .call(
            "POST",
            "/v1/namespaces/list",
            json!({"search": "x", "sorts": [{}]}),
        )
        .await
        .mistakes();
    assert_eq!(mistakes.len(), 2);
}

#[tokio::test]
async fn the_header_names_a_namespace_by_id_or_name() {
    let world = World::new().await;
    let created = world
        .call(
            "POST",
            "/v1/namespaces",
            json!({"namespace_name": "team-a"}),
        )
        .await
        .ok();
    world.bucket("files").await;
    let total = async |namespace: &str| {
        let request = request("POST", "/v1/buckets/list")
            .header("authorization", format!("Bearer {ADMIN}"))
            .header("x-namespace", namespace);
        world.send(request.body("{}".into()).unwrap()).await
    };
    assert_eq!(total("default").await.ok()["total_count"], 1);
    assert_eq!(total("").await.ok()["total_count"], 1);
    assert_eq!(total("team-a").await.ok()["total_count"], 0);
    assert_eq!(
        total(text(&created["namespace_id"])).await.ok()["total_count"],
        0
    );
    for unknown in ["nobody", "ns_0123456789abcdef", "\u{e9}", "' OR 1=1"] {
        let error = total(unknown).await.error(404);
        assert_eq!(error["details"]["resource"], "namespace", "{unknown}");
    }
    assert_eq!(
        world.get("/v1/namespaces/nobody").await.error(404)["details"]["id"],
        Value::from("nobody")
    );
}

#[tokio::test]
async fn namespaces_are_changed_and_deleted() {
    let world = World::new().await;
    let body = json!({"namespace_name": "team-a", "description": "For A."});
    let created = world.call("POST", "/v1/namespaces", body).await.ok();
    let path = format!("/v1/namespaces/{}", text(&created["namespace_id"]));
    let change = json!({
        "namespace_name": "team-b", "description": "", "pinned": false, "repair_vectors": false,
        "auto_create_indexes": false, "feature_extractors": [], "ttl_seconds": null,
    });
    let changed = world.call("PATCH", &path, change).await.ok();
    assert_eq!(changed["namespace_name"], "team-b");
    assert_eq!(changed["description"], Value::Null);
    let body = json!({"namespace_name": "team-c", "payload_indexes": []});
    let replaced = world.call("PUT", "/v1/namespaces/team-b", body).await.ok();
    assert_eq!(replaced["namespace_id"], created["namespace_id"]);
    assert_eq!(replaced["namespace_name"], "team-c");
    let clash = json!({"namespace_name": "default"});
    let error = world.call("PATCH", &path, clash).await.error(409);
    assert_eq!(error["code"], "namespace_name_taken");

    let bucket = json!({"bucket_name": "x", "bucket_schema": {"properties": {}}});
    let request = request("POST", "/v1/buckets")
        .header("authorization", format!("Bearer {ADMIN}"))
        .header("x-namespace", "team-c");
    world
        .send(request.body(bucket.to_string().into()).unwrap())
        .await
        .ok();
    let error = world.call("DELETE", &path, Value::Null).await.error(409);
    assert_eq!(error["code"], "namespace_not_empty");
    let gone = world
        .call("DELETE", &format!("{path}?force=true"), Value::Null)
        .await
        .ok();
    assert_eq!(gone["namespace_id"], created["namespace_id"]);
    world.get(&path).await.error(404);
    world.call("DELETE", &path, Value::Null).await.error(404);
}

#[tokio::test]
async fn the_default_namespace_stays_what_it_is() {
    let world = World::new().await;
    let path = "/v1/namespaces/default";
    for answer in [
        world
            .call("DELETE", &format!("{path}?force=true"), Value::Null)
            .await,
        world
            .call("PATCH", path, json!({"namespace_name": "other"}))
            .await,
        world
            .call("PUT", path, json!({"namespace_name": "other"}))
            .await,
    ] {
        assert_eq!(answer.error(409)["code"], "namespace_is_default");
    }
    let described = world
        .call("PATCH", path, json!({"description": "The first."}))
        .await
        .ok();
    assert_eq!(described["description"], "The first.");
    for (field, value) in [
        ("feature_extractors", json!([{}])),
        ("payload_indexes", json!([{}])),
        ("auto_create_indexes", json!(true)),
        ("repair_vectors", json!(true)),
        ("pinned", json!(true)),
        ("expires_at", json!("2999-01-01")),
        ("ttl_seconds", json!(60)),
        ("tiering", json!({"enabled": true})),
    ] {
        let mistakes = world
            .call("PATCH", path, json!({field: value}))
            .await
            .mistakes();
        assert_eq!(
            mistakes,
            [(format!("body.{field}"), "not_supported".to_owned())]
        );
    }
    let indexes = json!({"payload_indexes": [{}]});
    assert_eq!(world.call("PUT", path, indexes).await.mistakes().len(), 1);
}
