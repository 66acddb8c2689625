use axum::body::Body;
use serde_json::{Value, json};

use crate::world::{ADMIN, Answer, World, new_connection, request, text};

async fn if_match(world: &World, tag: &str, method: &str, path: &str, body: Value) -> Answer {
    let request = request(method, path)
        .header("authorization", format!("Bearer {ADMIN}"))
        .header("if-match", tag);
    let body = if body.is_null() {
        Body::empty()
    } else {
        Body::from(body.to_string())
    };
    world.send(request.body(body).unwrap()).await
}

fn tag(answer: &Answer) -> String {
    let revision = &answer.ok()["revision"];
    let tag = format!("\"{revision}\"");
    assert_eq!(answer.header("etag"), tag);
    tag
}

#[tokio::test]
async fn a_connection_is_changed_only_at_the_revision_that_is_meant() {
    let world = World::new().await;
    let create = "/v1/organizations/connections";
    let created = world.call("POST", create, new_connection("store")).await;
    let first = tag(&created);
    let path = format!("{create}/{}", text(&created.ok()["connection_id"]));
    assert_eq!(tag(&world.get(&path).await), first);
    let edit = json!({"description": "x"});
    let changed = if_match(&world, &first, "PATCH", &path, edit.clone()).await;
    let second = tag(&changed);
    assert_ne!(second, first);
    for (method, body) in [
        ("PATCH", edit.clone()),
        ("PATCH", json!({"is_active": false})),
        ("PATCH", json!({"status": "ARCHIVED"})),
        ("DELETE", Value::Null),
    ] {
        let refused = if_match(&world, &first, method, &path, body).await;
        let error = refused.error(412);
        assert_eq!(error["type"], "PreconditionFailedError");
        assert_eq!(error["code"], "revision_mismatch");
        assert_eq!(
            error["details"]["current_revision"].to_string(),
            second.replace('"', "")
        );
    }
    assert_eq!(tag(&world.get(&path).await), second);
    let odd = if_match(&world, "1", "PATCH", &path, edit.clone()).await;
    odd.error(400);
    if_match(&world, "W/\"2\"", "DELETE", &path, Value::Null)
        .await
        .error(412);
    if_match(&world, "*", "PATCH", &path, json!({"description": "y"}))
        .await
        .ok();
    let third = tag(&world.get(&path).await);
    if_match(&world, &third, "DELETE", &path, Value::Null)
        .await
        .ok();
    let missing = format!("{create}/conn_abcdefghijklmno");
    if_match(&world, "\"1\"", "DELETE", &missing, Value::Null)
        .await
        .error(404);
}

#[tokio::test]
async fn a_sync_is_changed_only_at_the_revision_that_is_meant() {
    let world = World::new().await;
    let sync = world.sync().await;
    let path = format!(
        "/v1/buckets/{}/syncs/{}",
        text(&sync["bucket_id"]),
        text(&sync["sync_config_id"])
    );
    let first = tag(&world.get(&path).await);
    let edit = |text: &str| json!({"description": text});
    let second = tag(&if_match(&world, &first, "PATCH", &path, edit("x")).await);
    assert_ne!(second, first);
    for (method, body) in [
        ("PATCH", edit("z")),
        ("PATCH", json!({"is_active": false})),
        ("PATCH", json!({})),
        ("DELETE", Value::Null),
    ] {
        let refused = if_match(&world, &first, method, &path, body).await;
        assert_eq!(refused.error(412)["code"], "revision_mismatch");
    }
    assert_eq!(world.get(&path).await.ok()["paused"], false);
    tag(&world
        .call("POST", &format!("{path}/pause"), Value::Null)
        .await);
    tag(&world
        .call("POST", &format!("{path}/resume"), Value::Null)
        .await);
    let both = json!({"description": "y", "is_active": false});
    let third = tag(&if_match(&world, &second, "PATCH", &path, both).await);
    if_match(&world, &third, "DELETE", &path, Value::Null)
        .await
        .ok();
    world.get(&path).await.error(404);
}
